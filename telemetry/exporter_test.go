package telemetry

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestTraceExporterNames(t *testing.T) {
	for _, tt := range []struct {
		exporter, endpoint string
		want               []string
	}{
		{"", "", nil},
		{"", "http://h:4318", []string{"otlp"}},
		{"none", "http://h:4318", nil},
		{"None", "", nil},
		{"otlp", "", []string{"otlp"}},
		{" Console , gcp_trace,otlp,console", "", []string{"console", "gcp_trace", "otlp"}},
	} {
		clearOTel(t)
		t.Setenv(envExporter, tt.exporter)
		t.Setenv(envEndpoint, tt.endpoint)
		s := readSettings()
		require.NoError(t, s.err())
		assert.Equal(t, tt.want, s.exporters, tt.exporter)
	}
}

// endSpan makes one span.
func endSpan(tel *Telemetry, name string) {
	_, span := tel.TracerProvider().Tracer("test").Start(context.Background(), name)
	span.End()
}

func TestExporterThatHangsHoldsUpNoOther(t *testing.T) {
	clearOTel(t)
	before := goleak.IgnoreCurrent()
	addr, shut := silentEndpoint(t)
	t.Setenv(envExporter, "otlp,console")
	t.Setenv(envEndpoint, "http://"+addr)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1") // ms
	var console sink
	tel, err := New(t.Context(), Options{Stderr: &console})
	require.NoError(t, err)
	endSpan(tel, "first")
	require.Eventually(t, func() bool { return console.contains("first") }, time.Minute, time.Millisecond)
	endSpan(tel, "last")

	// The time of the stop is over as soon as the other exporter has written.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		assert.Eventually(t, func() bool { return console.contains("last") }, time.Minute, time.Millisecond)
	}()
	require.ErrorIs(t, tel.Shutdown(ctx), context.Canceled)
	assert.Equal(t, [3]int{0, 0, 2}, losses(tel.metrics), "both spans are lost to one of the exporters")
	shut()
	requireNoLeaks(t, before)
}

func TestCollectorThatRefuses(t *testing.T) {
	clearOTel(t)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	defer collector.Close()
	t.Setenv(envEndpoint, collector.URL)
	tel, err := New(t.Context(), Options{})
	require.NoError(t, err)
	for range 3 {
		endSpan(tel, "span")
	}
	stop(t, tel)
	assert.Equal(t, [3]int{0, 3, 0}, losses(tel.metrics))
}

// withoutCredentials hides whatever Google credentials the machine has.
func withoutCredentials(t *testing.T) {
	t.Helper()
	clearOTel(t)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
}

// A metadata server that does not answer is met by the first export, not by the start, and holds up neither requests nor
// the stop.
func TestCloudTraceNeverDelays(t *testing.T) {
	withoutCredentials(t)
	before := goleak.IgnoreCurrent()
	addr, shut := silentEndpoint(t)
	t.Setenv("GCE_METADATA_HOST", addr)
	t.Setenv(envExporter, exporterGCP)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1") // ms
	started := time.Now()
	tel, err := New(t.Context(), Options{})
	require.NoError(t, err)
	for range 100 {
		endSpan(tel, "span")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, tel.Shutdown(ctx), context.DeadlineExceeded)
	// Google's library asks for some twenty seconds before it gives up.
	assert.Less(t, time.Since(started), 15*time.Second)
	assert.Equal(t, [3]int{0, 0, 100}, losses(tel.metrics))
	shut()
	// Google's library cannot be told to stop asking. It gives up after six attempts.
	requireNoLeaks(t, before)
}
