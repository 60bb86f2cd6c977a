//go:build linux

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
	Variant string `arg:""`
	Port    string `required:""`
	Model   string
	Alone   time.Duration `help:"Call the handler without a network for so long, write what that used, and end."`
	Profile string
}

const logDescriptor = 3

// Run serves: it writes what it allocated for each line that it reads, and stops at the end of its input.
func (c *childCmd) Run(ctx context.Context) error {
	v, err := find(telemetrySuite().variants, c.Variant)
	if err != nil {
		return err
	}
	v.model = c.Model
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	log := os.NewFile(logDescriptor, "log")
	if c.Alone > 0 {
		return v.alone(ctx, log, c.Alone)
	}
	serve, err := v.listen(ctx, net.JoinHostPort("127.0.0.1", c.Port), log)
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
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := json.NewEncoder(os.Stdout).Encode(allocated()); err != nil {
			return err
		}
	}
	stop()
	return <-done
}

// listen binds the address for the variant and returns what serves it until ctx ends.
func (v variant) listen(ctx context.Context, addr string, log io.Writer) (func() error, error) {
	if v.build == nil {
		return v.listenTepal(ctx, addr, log)
	}
	handler, shutdown, err := v.handler(ctx, log)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
	return func() error {
		context.AfterFunc(ctx, func() { _ = srv.Close() })
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return shutdown(context.WithoutCancel(ctx))
	}, nil
}

func (v variant) listenTepal(ctx context.Context, addr string, log io.Writer) (func() error, error) {
	memory.Set("/sys/fs/cgroup")
	logger, options, err := shipped(log, "all")
	if err != nil {
		return nil, err
	}
	srv, err := server.New(ctx, server.Options{
		Config: server.Config{HTTPAddr: addr, OpsAddr: "127.0.0.1:0"}, Source: v.source(), Logger: logger,
		NewTelemetry: func(onPanic http.HandlerFunc) (*telemetry.Telemetry, error) {
			options.OnPanic = onPanic
			return telemetry.New(ctx, options)
		},
	})
	if err != nil {
		return nil, err
	}
	return func() error { return srv.Run(ctx) }, nil
}

// handler is the variant's handler on its route.
func (v variant) handler(ctx context.Context, log io.Writer) (http.Handler, stopper, error) {
	served, err := repository.Open(ctx, v.source())
	if err != nil {
		return nil, nil, err
	}
	handler, shutdown, err := v.build(ctx, served, log)
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /predict", handler)
	mux.HandleFunc("GET /ready_check", func(http.ResponseWriter, *http.Request) {})
	return mux, shutdown, nil
}

// alone calls the handler without a network for a while, and writes what that used.
func (v variant) alone(ctx context.Context, log io.Writer, d time.Duration) error {
	handler, shutdown, err := v.handler(ctx, log)
	if err != nil {
		return err
	}
	served, err := repository.Open(ctx, v.source())
	if err != nil {
		return err
	}
	c := newCaller(ctx, handler)
	list := bodies(&served.Schema, 1)
	run := func(d time.Duration) (calls int) {
		for start := time.Now(); time.Since(start) < d; calls += len(list) {
			for _, body := range list {
				c.call(body)
			}
		}
		return calls
	}
	run(d / 4)
	before, start := allocated(), time.Now()
	calls := run(d)
	u := used{Requests: calls, Took: time.Since(start), usage: allocated().since(before)}
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

// bodies are instances from all over the range that training saw, so many in each, the same in every process.
func bodies(s *model.Schema, rows int) [][]byte {
	random := rand.New(rand.NewPCG(1, 1))
	list := make([][]byte, max(2, 256/rows))
	for n := range list {
		var body []byte
		for range rows {
			if len(body) > 0 {
				body = append(body, ',')
			}
			body = append(body, '{')
			for _, f := range s.Features {
				value := *f.Minimum + random.Float64()*(*f.Maximum-*f.Minimum)
				body = append(strconv.AppendQuote(body, f.Name), ':')
				body = append(strconv.AppendFloat(body, math.Round(10*value)/10, 'f', 1, 64), ',')
			}
			body[len(body)-1] = '}'
		}
		if rows > 1 {
			body = fmt.Appendf(nil, "[%s]", body)
		}
		list[n] = body
	}
	return list
}

// allocated is what this process has allocated.
func allocated() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{Mallocs: m.Mallocs, Bytes: m.TotalAlloc}
}
