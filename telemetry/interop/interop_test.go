package interop

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/tepalhq/tepal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// setEnv makes the variables given the only ones that an exporter could read: neither settings nor credentials of the
// machine that runs the tests have an effect.
func setEnv(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "OTEL_") || strings.HasPrefix(name, "GOOGLE_") || strings.HasPrefix(name, "GCE_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

func newTelemetry(t *testing.T, opts telemetry.Options) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), opts)
	require.NoError(t, err)
	return tel
}

// stop ends a Telemetry, which sends what is queued.
func stop(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, tel.Shutdown(ctx))
}

// endSpan makes one span of a server, without a parent.
func endSpan(t *testing.T, tel *telemetry.Telemetry, name string) trace.SpanContext {
	t.Helper()
	_, span := tel.TracerProvider().Tracer("interop").Start(t.Context(), name, trace.WithSpanKind(trace.SpanKindServer))
	span.End()
	return span.SpanContext()
}

// captureErrors keeps what OpenTelemetry's error handler gets until the test ends, and returns it.
func captureErrors(t *testing.T) func() []error {
	t.Helper()
	var mu sync.Mutex
	var errs []error
	before := otel.GetErrorHandler()
	t.Cleanup(func() { otel.SetErrorHandler(before) })
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}))
	return func() []error {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(errs)
	}
}

// value reads a series from /metrics.
func value(t *testing.T, tel *telemetry.Telemetry, series string) float64 {
	t.Helper()
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	lines := bufio.NewScanner(w.Body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			got, err := strconv.ParseFloat(text, 64)
			require.NoError(t, err)
			return got
		}
	}
	require.Fail(t, "no such series", series)
	return 0
}

// assertDropped compares the numbers of spans and pushes lost. Queues were never full, and stops had the time they needed.
func assertDropped(t *testing.T, tel *telemetry.Telemetry, failed, pushes float64) {
	t.Helper()
	for series, want := range map[string]float64{
		`tepal_telemetry_dropped_total{reason="queue-full",signal="traces"}`:     0,
		`tepal_telemetry_dropped_total{reason="export-failed",signal="traces"}`:  failed,
		`tepal_telemetry_dropped_total{reason="shutdown",signal="traces"}`:       0,
		`tepal_telemetry_dropped_total{reason="export-failed",signal="metrics"}`: pushes,
	} {
		assert.InDelta(t, want, value(t, tel, series), 0, series)
	}
}
