package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// serviceName is the service.name of the resource unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES says otherwise.
const serviceName = "tepal"

// The variables read here. The SDK and the exporters read the other OTEL_* variables themselves.
const (
	envDisabled       = "OTEL_SDK_DISABLED"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envSampler        = "OTEL_TRACES_SAMPLER"
	envSamplerArg     = "OTEL_TRACES_SAMPLER_ARG"
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// startTracing replaces the no-op provider by a real one when there is somewhere to send spans to.
func (t *Telemetry) startTracing(ctx context.Context, opts Options) error {
	if strings.EqualFold(env(envDisabled), "true") {
		return nil
	}
	sampling, err := newSampling()
	if err != nil {
		return err
	}
	exporter, err := newExporter(ctx, opts.Stderr)
	if err != nil {
		return err
	}
	t.processors = opts.SpanProcessors
	if exporter != nil {
		abandoned, abandon := context.WithCancel(context.Background())
		t.abandon = abandon
		batcher := sdktrace.NewBatchSpanProcessor(&abandonableExporter{exporter, abandoned})
		t.processors = append(t.processors[:len(t.processors):len(t.processors)], batcher)
	}
	if len(t.processors) == 0 {
		return nil
	}

	res, err := newResource(ctx, opts.Version, opts.Commit)
	if err != nil {
		// What could be found out is used: a host without a name is no reason not to serve.
		opts.Logger.WarnContext(ctx, "the description of this process in its traces is incomplete", "error", err)
	}
	providerOptions := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(res),
		sdktrace.WithSampler(sampling.sampler()),
		sdktrace.WithoutPanicRecording(), // the middleware records panics, once
	}
	for _, p := range t.processors {
		providerOptions = append(providerOptions, sdktrace.WithSpanProcessor(p))
	}
	t.provider = sdktrace.NewTracerProvider(providerOptions...)
	t.sampling = sampling
	t.tracing = true
	return nil
}

// newResource describes this process from what is at hand: nothing is asked over the network. It may return a usable
// resource together with an error.
func newResource(ctx context.Context, version, commit string) (*resource.Resource, error) {
	attributes := []attribute.KeyValue{semconv.ServiceName(serviceName)}
	if version != "" {
		attributes = append(attributes, semconv.ServiceVersion(version))
	}
	if commit != "" {
		attributes = append(attributes, semconv.VCSRefHeadRevision(commit))
	}
	return resource.New(ctx,
		resource.WithAttributes(attributes...),
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		// Not WithProcess: the command line and its owner may hold what should not leave the machine.
		resource.WithProcessPID(),
		resource.WithProcessExecutableName(),
		resource.WithProcessRuntimeName(),
		resource.WithProcessRuntimeVersion(),
		resource.WithFromEnv(), // last, so that the operator's word is the last one
	)
}

// sampling is what OTEL_TRACES_SAMPLER says.
type sampling struct {
	parentBased bool
	root        sdktrace.Sampler
}

func (s sampling) sampler() sdktrace.Sampler {
	if s.parentBased {
		return sdktrace.ParentBased(s.root)
	}
	return s.root
}

func (s sampling) decide(parent trace.SpanContext, id trace.TraceID) bool {
	if s.parentBased && parent.IsValid() {
		return parent.IsSampled()
	}
	return s.root.ShouldSample(sdktrace.SamplingParameters{ParentContext: context.Background(), TraceID: id}).Decision == sdktrace.RecordAndSample
}

func newSampling() (sampling, error) {
	name, parentBased := strings.CutPrefix(strings.ToLower(env(envSampler)), "parentbased_")
	switch name {
	case "":
		return sampling{true, sdktrace.AlwaysSample()}, nil
	case "always_on":
		return sampling{parentBased, sdktrace.AlwaysSample()}, nil
	case "always_off":
		return sampling{parentBased, sdktrace.NeverSample()}, nil
	case "traceidratio":
		r, err := newRatioSampler()
		return sampling{parentBased, r}, err
	}
	return sampling{}, fmt.Errorf("%s: unknown sampler %q: expected always_on, always_off, traceidratio, parentbased_always_on, "+
		"parentbased_always_off or parentbased_traceidratio", envSampler, name)
}

func newRatioSampler() (sdktrace.Sampler, error) {
	arg := env(envSamplerArg)
	if arg == "" {
		return sdktrace.TraceIDRatioBased(1), nil
	}
	ratio, err := strconv.ParseFloat(arg, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		return nil, fmt.Errorf("%s: %q is no ratio: expected a number from 0 to 1", envSamplerArg, arg)
	}
	return sdktrace.TraceIDRatioBased(ratio), nil
}

// newExporter builds the exporter that the environment asks for, or returns nil when it asks for none. A switch and not
// a registry: the set is closed, and what is not chosen is not run.
func newExporter(ctx context.Context, stderr io.Writer) (sdktrace.SpanExporter, error) {
	name := strings.ToLower(env(envExporter))
	if name == "" {
		name = "none"
		if env(envEndpoint) != "" || env(envTracesEndpoint) != "" {
			name = "otlp"
		}
	}
	switch name {
	case "otlp":
		return newOTLPExporter(ctx)
	case "console":
		return stdouttrace.New(stdouttrace.WithWriter(stderr))
	case "none":
		return nil, nil
	default:
		return nil, fmt.Errorf("%s: unknown exporter %q: expected otlp, console or none", envExporter, name)
	}
}

func newOTLPExporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	variable := envTracesProtocol
	if env(variable) == "" {
		variable = envProtocol
	}
	switch protocol := env(variable); protocol {
	case "grpc":
		if err := checkEndpoints(isTarget, "http://HOST:PORT, https://HOST:PORT or a gRPC target"); err != nil {
			return nil, err
		}
		return otlptracegrpc.New(ctx)
	case "", "http/protobuf":
		if err := checkEndpoints(isBaseURL, "http://HOST:PORT or https://HOST:PORT"); err != nil {
			return nil, err
		}
		return otlptracehttp.New(ctx)
	default:
		return nil, fmt.Errorf("%s: unknown protocol %q: expected grpc or http/protobuf", variable, protocol)
	}
}

// checkEndpoints refuses endpoints that the exporter would not use as they are meant: it sends to localhost instead of
// one that it cannot parse, and takes "collector:4318" for a URL with the scheme "collector".
func checkEndpoints(usable func(endpoint string) bool, expected string) error {
	for _, variable := range []string{envEndpoint, envTracesEndpoint} {
		if endpoint := env(variable); endpoint != "" && !usable(endpoint) {
			return fmt.Errorf("%s: unusable endpoint %q: expected %s", variable, endpoint, expected)
		}
	}
	return nil
}

// isTarget reports whether the gRPC exporter understands the endpoint.
func isTarget(endpoint string) bool {
	_, err := url.Parse(endpoint)
	return err == nil
}

// isBaseURL reports whether the HTTP exporter understands the endpoint.
func isBaseURL(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// env reads a variable the way the OpenTelemetry specification wants it: an empty value is an unset one.
func env(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// abandonableExporter is an exporter whose exports end when abandoned is cancelled. Without it, the batch processor goes
// on sending to a dead endpoint long after Shutdown has run out of time.
type abandonableExporter struct {
	sdktrace.SpanExporter
	abandoned context.Context
}

func (e *abandonableExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(e.abandoned, cancel)
	defer stop()
	return e.SpanExporter.ExportSpans(ctx, spans)
}

// ErrorHandler logs what goes wrong inside the OpenTelemetry SDK, such as an endpoint that does not answer: at WARNING,
// at most one line a minute, with the number of errors that were held back since the line before. It is an
// otel.ErrorHandler; only the main program may install it, since that hook is process-wide. Safe for concurrent use.
type ErrorHandler struct {
	log *slog.Logger

	mu         sync.Mutex
	next       time.Time // no line before this
	suppressed int
}

// errorInterval is the least time between two lines of an ErrorHandler.
const errorInterval = time.Minute

// NewErrorHandler returns an ErrorHandler that logs to the given logger.
func NewErrorHandler(log *slog.Logger) *ErrorHandler { return &ErrorHandler{log: log} }

// Handle logs err, or counts it when the last line is less than a minute old.
func (h *ErrorHandler) Handle(err error) {
	h.mu.Lock()
	now := time.Now()
	if now.Before(h.next) {
		h.suppressed++
		h.mu.Unlock()
		return
	}
	suppressed := h.suppressed
	h.suppressed = 0
	h.next = now.Add(errorInterval)
	h.mu.Unlock()
	h.log.Warn("OpenTelemetry reports an error", "error", err, "suppressed", suppressed)
}
