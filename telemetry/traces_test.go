package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
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
			goleak.VerifyNone(t, before)
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

func TestUnknownValuesAreErrors(t *testing.T) {
	samplers := "expected always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio"
	tests := []struct {
		environment map[string]string
		want        string
	}{
		{map[string]string{envExporter: "zipkin"}, `OTEL_TRACES_EXPORTER: unknown exporter "zipkin": expected otlp, console or none`},
		{map[string]string{envExporter: "otlp", envProtocol: "http/json"}, `OTEL_EXPORTER_OTLP_PROTOCOL: unknown protocol "http/json": expected grpc or http/protobuf`},
		{map[string]string{envExporter: "otlp", envProtocol: "grpc", envTracesProtocol: "x"}, `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: unknown protocol "x": expected grpc or http/protobuf`},
		{map[string]string{envEndpoint: "collector:4318"}, `OTEL_EXPORTER_OTLP_ENDPOINT: unusable endpoint "collector:4318": expected http://HOST:PORT or https://HOST:PORT`},
		{map[string]string{envTracesEndpoint: "http://%zz"}, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: unusable endpoint "http://%zz": expected http://HOST:PORT or https://HOST:PORT`},
		{map[string]string{envEndpoint: "10.0.0.1:4317", envProtocol: "grpc"}, `OTEL_EXPORTER_OTLP_ENDPOINT: unusable endpoint "10.0.0.1:4317": expected http://HOST:PORT, https://HOST:PORT or a gRPC target`},
		{map[string]string{envSampler: "sometimes"}, `OTEL_TRACES_SAMPLER: unknown sampler "sometimes": ` + samplers},
		{map[string]string{envSampler: "traceidratio", envSamplerArg: "1.5"}, `OTEL_TRACES_SAMPLER_ARG: "1.5" is no ratio: expected a number from 0 to 1`},
		{map[string]string{envSampler: "parentbased_traceidratio", envSamplerArg: "NaN"}, `OTEL_TRACES_SAMPLER_ARG: "NaN" is no ratio: expected a number from 0 to 1`},
		{map[string]string{envSampler: "traceidratio", envSamplerArg: "half"}, `OTEL_TRACES_SAMPLER_ARG: "half" is no ratio: expected a number from 0 to 1`},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			clearOTel(t)
			for variable, value := range tt.environment {
				t.Setenv(variable, value)
			}
			before := goleak.IgnoreCurrent()
			_, err := New(t.Context(), Options{})
			require.EqualError(t, err, tt.want)
			goleak.VerifyNone(t, before)
		})
	}
}

func TestSampler(t *testing.T) {
	clearOTel(t)
	for _, tt := range []struct{ name, arg, want string }{
		{"", "", "ParentBased{root:AlwaysOnSampler,remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"},
		{"ALWAYS_ON", "", "AlwaysOnSampler"},
		{"always_off", "nonsense that is not read", "AlwaysOffSampler"},
		{"traceidratio", "0.25", "TraceIDRatioBased{0.25}"},
		{"traceidratio", "0", "TraceIDRatioBased{0}"},
		{"traceidratio", "", "TraceIDRatioBased{1}"},
		{"parentbased_always_on", "", "ParentBased{root:AlwaysOnSampler,remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"},
		{"parentbased_always_off", "", "ParentBased{root:AlwaysOffSampler,remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"},
		{"parentbased_traceidratio", "0.5", "ParentBased{root:TraceIDRatioBased{0.5},remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"},
	} {
		t.Setenv(envSampler, tt.name)
		t.Setenv(envSamplerArg, tt.arg)
		sampler, err := newSampling()
		require.NoError(t, err)
		assert.Equal(t, tt.want, sampler.sampler().Description(), tt.name)
	}
}

func TestSamplerDecides(t *testing.T) {
	unsampled := strings.TrimSuffix(exampleTraceparent, "01") + "00"
	for _, tt := range []struct {
		sampler, traceparent string
		want                 int
	}{
		{"", exampleTraceparent, 1}, {"", unsampled, 0}, {"", "", 1},
		{"always_off", exampleTraceparent, 0}, {"always_on", unsampled, 1},
		{"parentbased_always_off", "", 0}, {"parentbased_always_off", exampleTraceparent, 1},
	} {
		t.Run(tt.sampler+" "+tt.traceparent, func(t *testing.T) {
			f := newFixture(t, true, func(*Options) { t.Setenv(envSampler, tt.sampler) })
			h := f.Route("GET", "/x", http.NotFoundHandler())
			ask(t, h, "GET", "/x", "", "Traceparent", tt.traceparent)
			assert.Len(t, f.spans.Ended(), tt.want)
			assert.Equal(t, tt.want == 1, f.onlyLine(t)["logging.googleapis.com/trace_sampled"])
		})
	}
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
	assert.Equal(t, "WARNING", f.onlyLine(t)["severity"])
	assert.Contains(t, f.onlyLine(t)["error"], "broken")
	ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
	assert.Equal(t, "other", attributesOf(f.onlySpan(t).Resource().Attributes())["service.name"])
}

func TestPropagator(t *testing.T) {
	f := newFixture(t, true)
	assert.ElementsMatch(t, []string{"traceparent", "tracestate", "baggage"}, f.Propagator().Fields())
	h := f.Route("GET", "/x", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		out := http.Header{}
		f.Propagator().Inject(r.Context(), propagation.HeaderCarrier(out))
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

// receiver is an OTLP collector that keeps what it gets.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	requests chan *collector.ExportTraceServiceRequest
}

func (r *receiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.requests <- request
	return &collector.ExportTraceServiceResponse{}, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil || request.URL.Path != "/v1/traces" || request.Header.Get("Content-Type") != "application/x-protobuf" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var export collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &export); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.requests <- &export
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func TestOTLP(t *testing.T) {
	got := &receiver{requests: make(chan *collector.ExportTraceServiceRequest, 10)}

	overHTTP := httptest.NewServer(got)
	defer overHTTP.Close()

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	overGRPC := grpc.NewServer()
	collector.RegisterTraceServiceServer(overGRPC, got)
	served := make(chan error, 1)
	go func() { served <- overGRPC.Serve(listener) }()
	defer func() {
		overGRPC.Stop()
		assert.NoError(t, <-served)
	}()
	grpcURL := "http://" + listener.Addr().String()
	_, grpcPort, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)

	for name, environment := range map[string]map[string]string{
		"http by endpoint":      {envEndpoint: overHTTP.URL},
		"http by protocol":      {envExporter: "OTLP", envEndpoint: overHTTP.URL, envProtocol: "http/protobuf"},
		"http for traces":       {envTracesEndpoint: overHTTP.URL + "/v1/traces", envProtocol: "grpc", envTracesProtocol: "http/protobuf"},
		"grpc by protocol":      {envEndpoint: grpcURL, envProtocol: "grpc"},
		"grpc for traces":       {envTracesEndpoint: grpcURL, envTracesProtocol: "grpc"},
		"grpc without a scheme": {envEndpoint: "localhost:" + grpcPort, envProtocol: "grpc", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			clearOTel(t)
			for variable, value := range environment {
				t.Setenv(variable, value)
			}
			tel, err := New(t.Context(), Options{Version: "1.2.3"})
			require.NoError(t, err)
			h := tel.Route("POST", "/predict", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				span := RecordFrom(r.Context()).StartPrediction("iris", "1", "sha256:00", 1, 1)
				span.End()
			}))
			ask(t, h, "POST", "/predict", "", "Traceparent", exampleTraceparent)
			stop(t, tel) // what is queued arrives before this returns

			require.Len(t, got.requests, 1)
			export := <-got.requests
			require.Len(t, export.GetResourceSpans(), 1)
			attrs := map[string]string{}
			for _, a := range export.GetResourceSpans()[0].GetResource().GetAttributes() {
				attrs[a.GetKey()] = a.GetValue().GetStringValue()
			}
			assert.Equal(t, "tepal", attrs["service.name"])
			assert.Equal(t, "1.2.3", attrs["service.version"])
			spans := map[string]*tracepb.Span{}
			for _, scope := range export.GetResourceSpans()[0].GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					spans[span.GetName()] = span
				}
			}
			require.Len(t, spans, 2)
			request, prediction := spans["POST /predict"], spans["predict iris"]
			assert.Equal(t, exampleTraceID, fmt.Sprintf("%x", request.GetTraceId()))
			assert.Equal(t, exampleParentID, fmt.Sprintf("%x", request.GetParentSpanId()))
			assert.Equal(t, exampleTraceID, fmt.Sprintf("%x", prediction.GetTraceId()))
			assert.Equal(t, request.GetSpanId(), prediction.GetParentSpanId())
		})
	}
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
				t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")        // ms: exports fail while requests are served
				t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60000") // ms: and take much longer than the test does
				t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "60000")
				started := time.Now()
				tel, err := New(t.Context(), Options{})
				require.NoError(t, err)
				h := tel.Route("GET", "/x", http.NotFoundHandler())
				for range 3 * sdktrace.DefaultMaxQueueSize { // more than the queue can hold
					ask(t, h, "GET", "/x", "")
				}
				assert.Less(t, time.Since(started), 30*time.Second, "requests waited for the exporter")

				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				stopping := time.Now()
				if err := tel.Shutdown(ctx); err != nil {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				}
				assert.Less(t, time.Since(stopping), 10*time.Second, "Shutdown outlived its context")
				shut() // ends the connections that the HTTP exporter's transport keeps for later
				goleak.VerifyNone(t, before)
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
	goleak.VerifyNone(t, before)
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

func TestErrorHandlerIsRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs sink
		h := NewErrorHandler(NewLogger(&logs, LogOptions{}))
		var _ otel.ErrorHandler = h
		h.Handle(errors.New("first"))
		for range 5 {
			h.Handle(errors.New("held back"))
		}
		time.Sleep(time.Minute - time.Nanosecond) //nolint:forbidigo // The bubble's clock, not the machine's.
		h.Handle(errors.New("held back"))
		require.Len(t, logs.lines(t), 1)
		time.Sleep(time.Nanosecond) //nolint:forbidigo // The bubble's clock, not the machine's.
		h.Handle(errors.New("second"))
		time.Sleep(time.Hour) //nolint:forbidigo // The bubble's clock, not the machine's.
		h.Handle(errors.New("third"))

		lines := logs.lines(t)
		require.Len(t, lines, 3)
		for i, want := range []struct {
			err        string
			suppressed string
		}{{"first", "0"}, {"second", "6"}, {"third", "0"}} {
			assert.Equal(t, "WARNING", lines[i]["severity"])
			assert.Equal(t, want.err, lines[i]["error"])
			assert.Equal(t, want.suppressed, fmt.Sprint(lines[i]["suppressed"]))
		}
	})
	t.Run("below the level", func(t *testing.T) {
		var logs sink
		NewErrorHandler(NewLogger(&logs, LogOptions{Level: slog.LevelError})).Handle(errors.New("e"))
		assert.Empty(t, logs.writes)
	})
}
