package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
)

// discardSpans is a processor that does nothing.
type discardSpans struct{}

func (discardSpans) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discardSpans) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discardSpans) Shutdown(context.Context) error                  { return nil }
func (discardSpans) ForceFlush(context.Context) error                { return nil }

// stop shuts a Telemetry down and requires that it succeeds.
func stop(t *testing.T, tel *Telemetry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, tel.Shutdown(ctx))
}

func TestTracingIsOffByDefault(t *testing.T) {
	for name, environment := range map[string]map[string]string{
		"nothing set":              {},
		"none":                     {envExporter: "none", envEndpoint: "http://127.0.0.1:1"},
		"disabled":                 {envDisabled: "TRUE", envExporter: "otlp", envEndpoint: "http://127.0.0.1:1"},
		"disabled with bad values": {envDisabled: "true", envExporter: "nonsense", envSampler: "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			clearOTel(t)
			for variable, value := range environment {
				t.Setenv(variable, value)
			}
			before := goleak.IgnoreCurrent()
			tel, err := New(t.Context(), Options{})
			require.NoError(t, err)
			assert.IsType(t, noop.TracerProvider{}, tel.TracerProvider())
			requireNoLeaks(t, before)
			stop(t, tel)
		})
	}
	t.Run("disabled beats processors", func(t *testing.T) {
		clearOTel(t)
		t.Setenv(envDisabled, "true")
		tel, err := New(t.Context(), Options{SpanProcessors: []sdktrace.SpanProcessor{discardSpans{}}})
		require.NoError(t, err)
		assert.IsType(t, noop.TracerProvider{}, tel.TracerProvider())
	})
}

// What OpenTelemetry's specification asks for: a value that is not understood is told and otherwise ignored. The names are
// told, and never the values.
func TestValuesThatCannotBeUsed(t *testing.T) {
	const sampler = "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio"
	const exporters = "none or a list of: otlp, console, gcp_trace"
	const urls = "http://HOST:PORT or https://HOST:PORT"
	const number = "a whole number of at least 1"
	otlp := map[string]string{envExporter: "otlp"}
	for _, tt := range []struct {
		variable, value string
		with            map[string]string
		expected        string
	}{
		{envDisabled, "yes5ECRET", nil, "true or false"},
		{envExporter, "zipkin5ECRET", nil, exporters},
		{envExporter, "console,zipkin", nil, exporters},
		{envExporter, "otlp,", nil, exporters},
		{envExporter, "otlp, none", nil, exporters},
		{envMetricsExporter, "prometheus", nil, "none or a list of: otlp"},
		{envMetricsExporter, "otlp,none", nil, "none or a list of: otlp"},
		{envMetricsProtocol, "x", map[string]string{envMetricsExporter: "otlp"}, "grpc or http/protobuf"},
		{envMetricsEndpoint, "collector5ECRET", map[string]string{envMetricsExporter: "otlp"}, urls},
		{envQueueSize, "0", otlp, "a whole number from 1 to 1048576"},
		{envQueueSize, "1k5ECRET", otlp, "a whole number from 1 to 1048576"},
		{envQueueSize, "1000000000000", otlp, "a whole number from 1 to 1048576"},
		{"OTEL_BSP_SCHEDULE_DELAY", "0", otlp, "a whole number from 1 to 86400000"},
		{"OTEL_BSP_EXPORT_TIMEOUT", "-5", otlp, "a whole number from 1 to 86400000"},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1", otlp, "a whole number from 1 to 1048576"},
		{envProtocol, "http/json", otlp, "grpc or http/protobuf"},
		{envTracesProtocol, "x", map[string]string{envExporter: "otlp", envProtocol: "grpc"}, "grpc or http/protobuf"},
		{envEndpoint, "collector:4318", nil, urls},
		{envEndpoint, "http://user:5ECRET@host:port", nil, urls},
		{envTracesEndpoint, "http://%zz5ECRET", nil, urls},
		{envEndpoint, "10.0.0.1:4317", map[string]string{envProtocol: "grpc"}, "http://HOST:PORT, https://HOST:PORT or a gRPC target"},
		{envSampler, "sometimes5ECRET", nil, sampler},
		{envSamplerArg, "1.5", map[string]string{envSampler: "traceidratio"}, "a number from 0 to 1"},
		{envSamplerArg, "NaN", map[string]string{envSampler: "parentbased_traceidratio"}, "a number from 0 to 1"},
		{envSamplerArg, "5ECRET", map[string]string{envSampler: "traceidratio"}, "a number from 0 to 1"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", otlp, number},
		{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "-1", otlp, number},
		{"OTEL_EXPORTER_OTLP_HEADERS", "Authorization: Bearer 5ECRET", otlp, "name=value,… with values in percent-encoding"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=b,5ECRET", otlp, "name=value,… with values in percent-encoding"},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=5ECRET%zz", otlp, "name=value,… with values in percent-encoding"},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a b=5ECRET", otlp, "name=value,… with values in percent-encoding"},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=5ECRET%0A", otlp, "name=value,… with values in percent-encoding"},
		{"OTEL_EXPORTER_OTLP_COMPRESSION", "5ECRET", otlp, "gzip or none"},
		{"OTEL_EXPORTER_OTLP_INSECURE", "5ECRET", otlp, "true or false"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/5ECRET", otlp, "a file of certificates in PEM"},
		{"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/nowhere/5ECRET", otlp,
			"a file with a certificate in PEM, and its key in OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY"},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY", "5ECRET", otlp, "a file with a key in PEM, and its certificate in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"},
		{"OTEL_METRIC_EXPORT_INTERVAL", "5ECRET", nil, number},
		{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "5ECRET", nil, "a whole number of at least -1"},
		{envResource, "5ECRET", nil, "key=value,… with values in percent-encoding"},
		{envResource, "a=5ECRET%zz", nil, "key=value,… with values in percent-encoding"},
	} {
		t.Run(tt.variable+" "+tt.value, func(t *testing.T) {
			clearOTel(t)
			for variable, value := range tt.with {
				t.Setenv(variable, value)
			}
			t.Setenv(tt.variable, tt.value)
			before := goleak.IgnoreCurrent()
			_, err := New(t.Context(), Options{Strict: true})
			require.EqualError(t, err, tt.variable+" is not usable: expected "+tt.expected)
			requireNoLeaks(t, before)

			var logs sink
			tel, err := New(t.Context(), Options{Logger: NewLogger(&logs, LogOptions{})})
			require.NoError(t, err)
			noTime, cancel := context.WithCancel(t.Context())
			cancel()
			_ = tel.Shutdown(noTime) // nothing is listening
			lines := logs.lines(t)
			require.NotEmpty(t, lines)
			assert.Equal(t, "WARNING", lines[0]["severity"])
			assert.Equal(t, tt.variable, lines[0]["variable"])
			assert.Equal(t, tt.expected, lines[0]["expected"])
			assert.False(t, logs.contains("5ECRET"), logs.all())
		})
	}
}

// What else the variables name is used, and where that is nothing, the default.
func TestWhatIsUsedInstead(t *testing.T) {
	clearOTel(t)
	t.Setenv(envExporter, "console,zipkin")
	t.Setenv(envSampler, "traceidratio")
	t.Setenv(envSamplerArg, "0,01")
	t.Setenv(envQueueSize, "many")
	s := readSettings()
	assert.Equal(t, []string{"console"}, s.exporters)
	assert.Equal(t, sampling{share: everything()}, s.sampling)
	assert.Equal(t, 2048, s.queueSize)
	assert.Len(t, s.faults, 3)

	t.Setenv(envSampler, "jaeger_remote")
	assert.Equal(t, sampling{parentBased: true, share: everything()}, readSettings().sampling)

	t.Setenv(envExporter, "otlp")
	t.Setenv(envEndpoint, "collector:4318")
	tel, err := New(t.Context(), Options{})
	require.NoError(t, err)
	assert.IsType(t, noop.TracerProvider{}, tel.TracerProvider(), "nothing is sent to where nobody asked for")
	stop(t, tel)
}

func TestResource(t *testing.T) {
	resourceOf := func(t *testing.T) map[string]string {
		t.Helper()
		res, err := newResource(t.Context(), "1.2.3", "abc")
		require.NoError(t, err)
		return attributesOf(res.Attributes())
	}
	clearOTel(t)
	attrs := resourceOf(t)
	host, err := os.Hostname()
	require.NoError(t, err)
	assert.Equal(t, "tepal", attrs["service.name"])
	assert.Equal(t, "1.2.3", attrs["service.version"])
	assert.Equal(t, "abc", attrs["vcs.ref.head.revision"])
	assert.Equal(t, host, attrs["host.name"])
	assert.Equal(t, fmt.Sprint(os.Getpid()), attrs["process.pid"])
	assert.Equal(t, "opentelemetry", attrs["telemetry.sdk.name"])
	assert.Equal(t, "go", attrs["telemetry.sdk.language"])
	assert.NotContains(t, attrs, "process.command_args")

	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,service.version=9,deployment.environment.name=prod")
	attrs = resourceOf(t)
	assert.Equal(t, "other", attrs["service.name"])
	assert.Equal(t, "9", attrs["service.version"])
	assert.Equal(t, "prod", attrs["deployment.environment.name"])

	t.Setenv("OTEL_SERVICE_NAME", "named")
	assert.Equal(t, "named", resourceOf(t)["service.name"])
}

func TestResourceOfSpans(t *testing.T) {
	f := newFixture(t, true, func(*Options) { t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "broken,service.name=other") })
	// The part that can be read is used, and the rest is told.
	lines := f.logs.lines(t)
	require.Len(t, lines, 2)
	assert.Equal(t, "OTEL_RESOURCE_ATTRIBUTES", lines[0]["variable"])
	assert.Equal(t, "missing value", lines[1]["error"])
	assert.False(t, f.logs.contains("broken"))
	ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
	assert.Equal(t, "other", attributesOf(f.onlySpan(t).Resource().Attributes())["service.name"])
}

func TestPropagator(t *testing.T) {
	f := newFixture(t, true)
	assert.ElementsMatch(t, []string{"traceparent", "tracestate", "baggage"}, f.propagator.Fields())
	h := f.Route("GET", "/x", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		out := http.Header{}
		f.propagator.Inject(r.Context(), propagation.HeaderCarrier(out))
		span := trace.SpanContextFromContext(r.Context())
		assert.Equal(t, "00-"+exampleTraceID+"-"+span.SpanID().String()+"-01", out.Get("Traceparent"))
		assert.Equal(t, "a=b", out.Get("Tracestate"))
		assert.Equal(t, "user=1", out.Get("Baggage"))
	}))
	ask(t, h, "GET", "/x", "", "Traceparent", exampleTraceparent, "Tracestate", "a=b", "Baggage", "user=1")
}

func TestNoGlobalIsSet(t *testing.T) {
	provider, propagator, handler := otel.GetTracerProvider(), otel.GetTextMapPropagator(), otel.GetErrorHandler()
	f := newFixture(t, true)
	ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
	assert.Same(t, provider, otel.GetTracerProvider())
	assert.Equal(t, propagator, otel.GetTextMapPropagator())
	assert.Same(t, handler, otel.GetErrorHandler())
}

// Two instances in one process share nothing.
func TestSideBySide(t *testing.T) {
	a, b := newFixture(t, true), newFixture(t, true)
	ask(t, a.Route("GET", "/a", http.NotFoundHandler()), "GET", "/a", "")
	ask(t, a.Route("GET", "/a", http.NotFoundHandler()), "GET", "/a", "")
	ask(t, b.Route("GET", "/b", http.NotFoundHandler()), "GET", "/b", "")
	assert.Len(t, a.spans.Ended(), 2)
	assert.Len(t, b.spans.Ended(), 1)
	assert.Len(t, a.logs.lines(t), 2)
	assert.Len(t, b.logs.lines(t), 1)
	assert.Equal(t, 2, a.durations(t, "/a", "GET", "404", "", "", ""))
	assert.Equal(t, 0, a.durations(t, "/b", "GET", "404", "", "", ""))
	assert.Equal(t, 1, b.durations(t, "/b", "GET", "404", "", "", ""))
}

func TestConsoleExporter(t *testing.T) {
	clearOTel(t)
	t.Setenv(envExporter, "Console")
	var stderr bytes.Buffer
	tel, err := New(t.Context(), Options{Stderr: &stderr})
	require.NoError(t, err)
	ask(t, tel.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "", "Traceparent", exampleTraceparent)
	stop(t, tel)
	var span struct {
		Name        string
		SpanContext struct{ TraceID string }
	}
	require.NoError(t, json.Unmarshal(stderr.Bytes(), &span))
	assert.Equal(t, "GET /x", span.Name)
	assert.Equal(t, exampleTraceID, span.SpanContext.TraceID)
}

// silentEndpoint is an address that accepts connections and never answers, until it is closed.
func silentEndpoint(t *testing.T) (addr string, shut func()) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			_ = conn.Close()
		}
	}()
	return listener.Addr().String(), func() {
		assert.NoError(t, listener.Close())
		<-done
	}
}

// deadEndpoint is an address that refuses connections.
func deadEndpoint(t *testing.T) (addr string, shut func()) {
	t.Helper()
	addr, shut = silentEndpoint(t)
	shut()
	return addr, func() {}
}

func TestExporterThatIsDownDelaysNothing(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		for name, endpoint := range map[string]func(*testing.T) (string, func()){"dead": deadEndpoint, "silent": silentEndpoint} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				clearOTel(t)
				before := goleak.IgnoreCurrent()
				addr, shut := endpoint(t)
				t.Setenv(envEndpoint, "http://"+addr)
				t.Setenv(envProtocol, protocol)
				t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")         // ms: exports fail while requests are served
				t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600000") // ms: and take much longer than the test does
				t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "600000")
				started := time.Now()
				tel, err := New(t.Context(), Options{})
				require.NoError(t, err)
				h := tel.Route("GET", "/x", http.NotFoundHandler())
				for range 3 * sdktrace.DefaultMaxQueueSize { // more than the queue can hold
					ask(t, h, "GET", "/x", "")
				}
				assert.Less(t, time.Since(started), 5*time.Minute, "requests waited for the exporter")

				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				stopping := time.Now()
				if err := tel.Shutdown(ctx); err != nil {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				}
				assert.Less(t, time.Since(stopping), 5*time.Minute, "Shutdown outlived its context")
				shut() // ends the connections that the HTTP exporter's transport keeps for later
				requireNoLeaks(t, before)
			})
		}
	}
}

func TestShutdownWithoutTime(t *testing.T) {
	clearOTel(t)
	before := goleak.IgnoreCurrent()
	addr, shut := silentEndpoint(t)
	t.Setenv(envEndpoint, "http://"+addr)
	tel, err := New(t.Context(), Options{})
	require.NoError(t, err)
	ask(t, tel.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, tel.Shutdown(ctx), context.Canceled)
	shut()
	requireNoLeaks(t, before)
	require.NoError(t, tel.Shutdown(t.Context()), "a second time does nothing")
	ask(t, tel.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "") // is still served
}

func TestShutdownReportsEveryProcessor(t *testing.T) {
	clearOTel(t)
	recorder := tracetest.NewSpanRecorder()
	failure := errors.New("cannot stop")
	tel, err := New(t.Context(), Options{SpanProcessors: []sdktrace.SpanProcessor{failingProcessor{err: failure}, recorder}})
	require.NoError(t, err)
	require.ErrorIs(t, tel.Shutdown(t.Context()), failure)
}

type failingProcessor struct {
	discardSpans
	err error
}

func (p failingProcessor) Shutdown(context.Context) error { return p.err }
