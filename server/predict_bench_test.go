package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tepalhq/tepal/telemetry"
)

// BenchmarkChain is all that the server does for a prediction but the network, as it is shipped: routes, telemetry with a
// line for each request, admission, decoding, the program, encoding. What it costs with a network make bench-telemetry
// measures.
func BenchmarkChain(b *testing.B) {
	for _, sampled := range []string{"0", "0.01", "1"} {
		b.Run("sampled="+sampled, func(b *testing.B) {
			b.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
			b.Setenv("OTEL_TRACES_SAMPLER_ARG", sampled)
			handler := serving(b)
			body := strings.NewReader(setosa)
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/predict", nil)
			r.Header = http.Header{"Accept": {"*/*"}, "Content-Type": {"application/json"}, "User-Agent": {"bench"}}
			r.Body, r.ContentLength = io.NopCloser(body), body.Size()
			w := httptest.NewRecorder()
			w.Body = new(bytes.Buffer)
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(setosa)
				clear(w.Header())
				w.Body.Reset()
				handler.ServeHTTP(w, r)
			}
			require.Equal(b, http.StatusOK, w.Code, w.Body)
		})
	}
}

// serving returns the routes of a server that is ready; it stops when the benchmark ends.
func serving(b *testing.B) http.Handler {
	b.Helper()
	buffer := telemetry.NewLogBuffer(io.Discard)
	logger := telemetry.NewLogger(buffer, telemetry.LogOptions{Level: slog.LevelInfo})
	ctx, cancel := context.WithCancel(b.Context())
	s, err := New(ctx, Options{
		Config: Config{HTTPAddr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0"}, Source: iris(), Logger: logger,
		NewTelemetry: func(onPanic http.HandlerFunc) (*telemetry.Telemetry, error) {
			return telemetry.New(ctx, telemetry.Options{
				Logger: logger, LogBuffer: buffer, OnPanic: onPanic, SpanProcessors: []sdktrace.SpanProcessor{discardSpans{}},
			})
		},
	})
	require.NoError(b, err)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		require.NoError(b, <-done)
	})
	require.Eventually(b, func() bool { _, err := s.repository.Default(); return err == nil }, time.Minute, time.Millisecond)
	return s.routes()
}

// discardSpans takes spans and keeps none.
type discardSpans struct{}

func (discardSpans) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discardSpans) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discardSpans) Shutdown(context.Context) error                  { return nil }
func (discardSpans) ForceFlush(context.Context) error                { return nil }
