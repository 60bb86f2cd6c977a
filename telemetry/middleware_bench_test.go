package telemetry

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// BenchmarkLayers adds one layer of telemetry after the other to a handler that does nothing. What the layers cost in a
// server, with a network and an exporter, make bench-telemetry measures.
func BenchmarkLayers(b *testing.B) {
	lines := NewLogger(io.Discard, LogOptions{Project: "demo"})
	for _, layer := range []struct {
		name    string
		logger  *slog.Logger
		sampled string // the share of traces; empty: tracing is off
	}{
		{"metrics", nil, ""},
		{"lines", lines, ""},
		{"sampled=0", lines, "0"},
		{"sampled=0.01", lines, "0.01"},
		{"sampled=1", lines, "1"},
	} {
		b.Run(layer.name, func(b *testing.B) {
			b.Setenv(envSampler, "parentbased_traceidratio")
			b.Setenv(envSamplerArg, layer.sampled)
			opts := Options{Logger: layer.logger}
			if layer.sampled != "" {
				opts.SpanProcessors = []sdktrace.SpanProcessor{discardSpans{}}
			}
			tel, err := New(b.Context(), opts)
			require.NoError(b, err)
			benchmarkHandler(b, tel.Route(http.MethodPost, "/predict", answering()))
		})
	}
	b.Run("none", func(b *testing.B) { benchmarkHandler(b, answering()) })
}

// answering is a handler that says what it knows and answers.
func answering() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		record := RecordFrom(r.Context())
		record.ModelName, record.ModelVersion, record.Rows = "iris", "1", 1
		_, _ = w.Write([]byte("{}\n"))
	})
}

// benchmarkHandler asks the same again and again, from all processors, since what requests share is part of the cost.
func benchmarkHandler(b *testing.B, h http.Handler) {
	b.Helper()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/predict", strings.NewReader("{}"))
		r.RemoteAddr = "192.0.2.7:1234"
		w := httptest.NewRecorder()
		for pb.Next() {
			w.Body.Reset()
			h.ServeHTTP(w, r)
		}
	})
}

// BenchmarkMetrics is what the server counts and measures for each prediction.
func BenchmarkMetrics(b *testing.B) {
	tel, err := New(b.Context(), Options{})
	require.NoError(b, err)
	metrics := tel.Metrics()
	predictions := metrics.ForModel("iris", "1", "sha256:0", []string{"setosa", "versicolor", "virginica"})
	b.Run("waited", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			metrics.Waited(123 * time.Microsecond)
		}
	})
	b.Run("predicted", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			predictions.Predicted(1, 1)
		}
	})
}
