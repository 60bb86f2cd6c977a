//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/server"
	"github.com/tepalhq/tepal/server/memory"
	"github.com/tepalhq/tepal/telemetry"
)

// childCmd is the process of one measurement: none inherits the heap, the goroutines or the spans of another. It writes
// what it finds to its standard output, and its log to logDescriptor, which is a pipe, as under a container runtime.
type childCmd struct {
	Variant string        `arg:""`
	Alone   time.Duration `help:"Call the handler without a network for so long, write what that used, and end."`
	Profile string
}

const logDescriptor = 3

// Run serves: it writes its address, then its usage for each line that it reads, and stops at the end of its input.
func (c *childCmd) Run(ctx context.Context) error {
	v, err := find(c.Variant)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	log := os.NewFile(logDescriptor, "log")
	if c.Alone > 0 {
		return v.alone(ctx, log, c.Alone)
	}
	addr, serve, err := v.listen(ctx, log)
	if err != nil {
		return err
	}
	if c.Profile != "" {
		file, err := os.Create(filepath.Join(c.Profile, v.name+".pprof"))
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	done := make(chan error, 1)
	go func() { done <- serve() }()
	fmt.Println(addr)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := json.NewEncoder(os.Stdout).Encode(readUsage()); err != nil {
			return err
		}
	}
	stop()
	return <-done
}

// listen binds a port for the variant and returns what serves it until ctx ends.
func (v variant) listen(ctx context.Context, log io.Writer) (net.Addr, func() error, error) {
	if v.build == nil {
		return listenTepal(ctx, log)
	}
	handler, shutdown, err := v.handler(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
	return listener.Addr(), func() error {
		context.AfterFunc(ctx, func() { _ = srv.Close() })
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return shutdown(context.WithoutCancel(ctx))
	}, nil
}

func listenTepal(ctx context.Context, log io.Writer) (net.Addr, func() error, error) {
	memory.Set("/sys/fs/cgroup")
	logger, options, err := shipped(log, "all")
	if err != nil {
		return nil, nil, err
	}
	srv, err := server.New(ctx, server.Options{
		Config: server.Config{HTTPAddr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0"}, Source: source(), Logger: logger,
		NewTelemetry: func(onPanic http.HandlerFunc) (*telemetry.Telemetry, error) {
			options.OnPanic = onPanic
			return telemetry.New(ctx, options)
		},
	})
	if err != nil {
		return nil, nil, err
	}
	return srv.HTTPAddr(), func() error { return srv.Run(ctx) }, nil
}

// handler is the variant's handler on its route.
func (v variant) handler(ctx context.Context, log io.Writer) (http.Handler, stopper, error) {
	served, err := repository.Open(ctx, source())
	if err != nil {
		return nil, nil, err
	}
	handler, shutdown, err := v.build(ctx, served, log)
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /predict", handler)
	return mux, shutdown, nil
}

// alone calls the handler without a network for a while, and writes what that used.
func (v variant) alone(ctx context.Context, log io.Writer, d time.Duration) error {
	handler, shutdown, err := v.handler(ctx, log)
	if err != nil {
		return err
	}
	served, err := repository.Open(ctx, source())
	if err != nil {
		return err
	}
	c := newCaller(ctx, handler)
	list := bodies(&served.Schema)
	run := func(d time.Duration) (calls int) {
		for start := time.Now(); time.Since(start) < d; calls += len(list) {
			for _, body := range list {
				c.call(body)
			}
		}
		return calls
	}
	run(d / 4)
	before, start := readUsage(), time.Now()
	calls := run(d)
	u := used{Requests: calls, Took: time.Since(start), usage: readUsage().since(before)}
	return errors.Join(json.NewEncoder(os.Stdout).Encode(u), shutdown(ctx))
}

// caller calls a handler with the same request and writer again and again, so that nothing but the handler is measured.
type caller struct {
	handler http.Handler
	body    bytes.Reader
	request *http.Request
	answer  *httptest.ResponseRecorder
}

func newCaller(ctx context.Context, handler http.Handler) *caller {
	c := &caller{handler: handler, answer: httptest.NewRecorder()}
	c.request = httptest.NewRequestWithContext(ctx, http.MethodPost, "/predict", nil)
	c.request.Header = http.Header{"Accept": {"*/*"}, "Content-Type": {"application/json"}, "User-Agent": {"bench"}}
	c.request.Body = io.NopCloser(&c.body)
	return c
}

// call returns the answer, which is valid until the next.
func (c *caller) call(body []byte) []byte {
	c.body.Reset(body)
	c.request.ContentLength = int64(len(body))
	clear(c.answer.Header())
	c.answer.Body.Reset()
	c.handler.ServeHTTP(c.answer, c.request)
	return c.answer.Body.Bytes()
}

// bodies are instances from all over the range that training saw, the same in every process.
func bodies(s *model.Schema) [][]byte {
	random := rand.New(rand.NewPCG(1, 1))
	list := make([][]byte, 256)
	for n := range list {
		body := []byte{'{'}
		for _, f := range s.Features {
			value := *f.Minimum + random.Float64()*(*f.Maximum-*f.Minimum)
			body = append(strconv.AppendQuote(body, f.Name), ':')
			body = append(strconv.AppendFloat(body, math.Round(10*value)/10, 'f', 1, 64), ',')
		}
		body[len(body)-1] = '}'
		list[n] = body
	}
	return list
}

// usage is what a process has used since it started.
type usage struct {
	CPU                      time.Duration
	Mallocs, Bytes, Resident uint64 // Resident is what it has now
}

func (u usage) since(earlier usage) usage {
	return usage{u.CPU - earlier.CPU, u.Mallocs - earlier.Mallocs, u.Bytes - earlier.Bytes, u.Resident}
}

func readUsage() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{Mallocs: m.Mallocs, Bytes: m.TotalAlloc}
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	// Not the rusage's maximum: a process inherits that from the one which started it. Where there is no such file, the
	// report shows 0.
	statm, _ := os.ReadFile("/proc/self/statm")
	var size uint64
	_, _ = fmt.Sscan(string(statm), &size, &u.Resident)
	u.Resident *= uint64(os.Getpagesize())
	return u
}
