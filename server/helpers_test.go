package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// iris is the embedded model as a source.
func iris() repository.Source { return repository.Source{Name: "iris", Data: artifacts.Iris} }

// setup is what a test's server is made of; the zero value serves Iris.
type setup struct {
	config     Config
	source     *repository.Source
	processors []sdktrace.SpanProcessor
	// before is called between New and Run.
	before func(*Server)
}

// running is a server that runs until the test is over, or until stop.
type running struct {
	*Server
	logs *logs
	url  string
	ops  string
	stop func() error
}

// start runs a server on free ports and, unless unready, waits until it is ready.
func start(t testing.TB, s setup, unready bool) *running {
	t.Helper()
	source := iris()
	if s.source != nil {
		source = *s.source
	}
	s.config.HTTPAddr, s.config.OpsAddr = "127.0.0.1:0", "127.0.0.1:0"
	out := &logs{}
	logger := telemetry.NewLogger(out, telemetry.LogOptions{Level: slog.LevelDebug})
	ctx, cancel := context.WithCancel(t.Context())
	srv, err := New(ctx, Options{
		Config: s.config, Source: source, Logger: logger,
		NewTelemetry: func(onPanic http.HandlerFunc) (*telemetry.Telemetry, error) {
			return telemetry.New(ctx, telemetry.Options{
				Version: "test", Logger: logger, Stderr: io.Discard, OnPanic: onPanic, SpanProcessors: s.processors,
			})
		},
	})
	require.NoError(t, err)
	if s.before != nil {
		s.before(srv)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	r := &running{
		Server: srv, logs: out,
		url: "http://" + srv.HTTPAddr().String(), ops: "http://" + srv.OpsAddr().String(),
		stop: sync.OnceValue(func() error {
			cancel()
			return <-done
		}),
	}
	t.Cleanup(func() { require.NoError(t, r.stop()) })
	if !unready {
		r.waitReady(t)
	}
	return r
}

func (r *running) waitReady(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, _ := get(t, r.url+"/ready_check")
		return status == http.StatusOK
	}, time.Minute, 5*time.Millisecond, "the server never became ready")
}

// client keeps no connection, so that none outlives its test.
func client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Minute}
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	return do(t, http.MethodGet, url, "", nil)
}

func post(t testing.TB, url, body string) (int, string) {
	t.Helper()
	return do(t, http.MethodPost, url, body, nil)
}

func do(t testing.TB, method, url, body string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(answer)
}

// logs collects what is logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

const setosa = `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`
