//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/server"
	"github.com/tepalhq/tepal/server/memory"
	"github.com/tepalhq/tepal/server/processors"
	"github.com/tepalhq/tepal/telemetry"
)

// childCmd is the process of one measurement: none inherits the heap, the goroutines or the spans of another. It writes
// what it finds to its standard output, and its log to logDescriptor, which is a pipe, as under a container runtime.
type childCmd struct {
	Variant string `arg:""`
	Port    string `required:""`
	Model   string
	Alone   time.Duration `help:"Call the handler without a network for so long, write what that used, and end."`
}

const logDescriptor = 3

// Run serves: it writes what it allocated for each line that it reads, and stops at the end of its input.
func (c *childCmd) Run(ctx context.Context) error {
	v, err := find(telemetrySuite().variants, c.Variant)
	if err != nil {
		return err
	}
	v.model = c.Model
	log := os.NewFile(logDescriptor, "log")
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			_ = json.NewEncoder(os.Stdout).Encode(allocated()) // who reads it misses it
		}
	}()
	addr := net.JoinHostPort("127.0.0.1", c.Port)
	if v.build == nil {
		return v.serveTepal(ctx, addr, log)
	}
	served, err := repository.Open(ctx, v.source())
	if err != nil {
		return err
	}
	handler, shutdown, err := v.build(ctx, served, log)
	if err != nil {
		return err
	}
	if c.Alone > 0 {
		err = measureAlone(newCaller(ctx, routed(handler)), bodies(&served.Schema, 1), c.Alone)
	} else {
		err = serve(ctx, addr, routed(handler))
	}
	return errors.Join(err, shutdown(context.WithoutCancel(ctx)))
}

// routed puts a handler on its route.
func routed(handler http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /predict", handler)
	mux.HandleFunc("GET /ready_check", func(http.ResponseWriter, *http.Request) {})
	return mux
}

// serve serves until ctx ends.
func serve(ctx context.Context, addr string, handler http.Handler) error {
	srv := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: patience}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (v variant) serveTepal(ctx context.Context, addr string, log io.Writer) error {
	memory.Set("/sys/fs/cgroup")
	defer processors.AddSpare()()
	logger, options, err := shipped(log, "all")
	if err != nil {
		return err
	}
	srv, err := server.New(ctx, server.Options{
		Config: server.Config{HTTPAddr: addr, OpsAddr: "127.0.0.1:0"}, Source: v.source(), Logger: logger,
		NewTelemetry: func(onPanic http.HandlerFunc) (*telemetry.Telemetry, error) {
			options.OnPanic = onPanic
			return telemetry.New(ctx, options)
		},
	})
	if err != nil {
		return err
	}
	return srv.Run(ctx)
}

// measureAlone calls a handler without a network for a while, and writes what that used.
func measureAlone(c *caller, bodies [][]byte, d time.Duration) error {
	testing.Init()
	if err := flag.Set("test.benchtime", d.String()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(testing.Benchmark(func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			c.call(bodies[n%len(bodies)])
		}
	}))
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
		instances := make([]string, rows)
		for i := range instances {
			values := make([]string, len(s.Features))
			for j, f := range s.Features {
				values[j] = fmt.Sprintf("%q:%.1f", f.Name, *f.Minimum+random.Float64()*(*f.Maximum-*f.Minimum))
			}
			instances[i] = "{" + strings.Join(values, ",") + "}"
		}
		list[n] = []byte(strings.Join(instances, ","))
		if rows > 1 {
			list[n] = fmt.Appendf(nil, "[%s]", list[n])
		}
	}
	return list
}

// allocated is what this process has allocated.
func allocated() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{Mallocs: m.Mallocs, Bytes: m.TotalAlloc}
}
