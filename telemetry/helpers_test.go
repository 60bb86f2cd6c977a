package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The example trace of the W3C Trace Context recommendation.
const (
	exampleTraceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	exampleTraceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	exampleParentID    = "00f067aa0ba902b7"
)

// clearOTel takes every OTEL_* variable that the tests depend on out of the environment.
func clearOTel(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		envDisabled, envExporter, envSampler, envSamplerArg, envEndpoint, envTracesEndpoint, envProtocol, envTracesProtocol,
		envPropagators,
		"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT",
		"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_INSECURE",
		envMetricsExporter, envMetricsEndpoint, envMetricsProtocol, envQueueSize, envGoogleProject,
		"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_METRIC_EXPORT_INTERVAL",
	} {
		t.Setenv(name, "")
	}
}

// sink collects writes.
type sink struct {
	mu     sync.Mutex
	writes []string
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, string(p))
	return len(p), nil
}

// all returns the writes so far.
func (s *sink) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes)
}

// lines returns the lines written so far, decoded, after checking that each came in a write of its own.
func (s *sink) lines(t *testing.T) []map[string]any {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := make([]map[string]any, 0, len(s.writes))
	for _, write := range s.writes {
		require.Equal(t, 1, strings.Count(write, "\n"), "newlines in %q", write)
		require.True(t, strings.HasSuffix(write, "\n"), "end of %q", write)
		var line map[string]any
		decoder := json.NewDecoder(strings.NewReader(write))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&line), "line %q", write)
		lines = append(lines, line)
	}
	return lines
}

// contains reports whether text was written.
func (s *sink) contains(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.writes, func(write string) bool { return strings.Contains(write, text) })
}

// fixture is a Telemetry whose logs and spans can be looked at.
type fixture struct {
	*Telemetry
	logs  *sink
	spans *tracetest.SpanRecorder // nil without tracing
}

func newFixture(t *testing.T, tracing bool, adjust ...func(*Options)) fixture {
	t.Helper()
	clearOTel(t)
	f := fixture{logs: &sink{}}
	opts := Options{Version: "1.2.3", Commit: "abc", Logger: NewLogger(f.logs, LogOptions{Level: slog.LevelDebug, Project: "demo"})}
	if tracing {
		f.spans = tracetest.NewSpanRecorder()
		opts.SpanProcessors = []sdktrace.SpanProcessor{f.spans}
	}
	for _, a := range adjust {
		a(&opts)
	}
	var err error
	f.Telemetry, err = New(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		assert.NoError(t, f.Shutdown(ctx))
	})
	return f
}

// onlyLine returns the one line logged.
func (f fixture) onlyLine(t *testing.T) map[string]any {
	t.Helper()
	lines := f.logs.lines(t)
	require.Len(t, lines, 1)
	return lines[0]
}

// onlySpan returns the one span ended.
func (f fixture) onlySpan(t *testing.T) sdktrace.ReadOnlySpan {
	t.Helper()
	spans := f.spans.Ended()
	require.Len(t, spans, 1)
	return spans[0]
}

// scrape returns what the metrics handler answers.
func (f fixture) scrape(t *testing.T, accept string) (contentType, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	require.NoError(t, err)
	r.Header.Set("Accept", accept)
	w := &plainWriter{header: http.Header{}}
	f.MetricsHandler().ServeHTTP(w, r)
	return w.header.Get("Content-Type"), w.body.String()
}

// plainWriter is a http.ResponseWriter without any further interface.
type plainWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *plainWriter) Header() http.Header         { return w.header }
func (w *plainWriter) WriteHeader(status int)      { w.status = status }
func (w *plainWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

// attributesOf returns the attributes as text by key.
func attributesOf(attrs []attribute.KeyValue) map[string]string {
	m := make(map[string]string, len(attrs))
	for _, a := range attrs {
		m[string(a.Key)] = a.Value.String()
	}
	return m
}

// httpRequest returns the object of that name in a line.
func httpRequest(t *testing.T, line map[string]any) map[string]any {
	t.Helper()
	object, ok := line["httpRequest"].(map[string]any)
	require.True(t, ok, "httpRequest is %v", line["httpRequest"])
	return object
}

// requireNoLeaks waits until the goroutines of a test have ended, for longer than goleak does by itself.
func requireNoLeaks(t *testing.T, before goleak.Option) {
	t.Helper()
	require.Eventually(t, func() bool { return goleak.Find(before) == nil }, time.Minute, 10*time.Millisecond)
}
