package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	cloudtrace "github.com/GoogleCloudPlatform/opentelemetry-operations-go/exporter/trace"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The variables read here. The SDK and the exporters read the other OTEL_* variables themselves.
const (
	envDisabled        = "OTEL_SDK_DISABLED"
	envExporter        = "OTEL_TRACES_EXPORTER"
	envMetricsExporter = "OTEL_METRICS_EXPORTER"
	envSampler         = "OTEL_TRACES_SAMPLER"
	envSamplerArg      = "OTEL_TRACES_SAMPLER_ARG"
	envQueueSize       = "OTEL_BSP_MAX_QUEUE_SIZE"
	envEndpoint        = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint  = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envMetricsEndpoint = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
	envProtocol        = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol  = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	envMetricsProtocol = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"
	envGoogleProject   = "GOOGLE_CLOUD_PROJECT"
)

// The exporters' names.
const (
	exporterOTLP    = "otlp"
	exporterConsole = "console"
	exporterGCP     = "gcp_trace"
	exporterNone    = "none"
)

// env reads a variable the way the OpenTelemetry specification wants it: an empty value is an unset one.
func env(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// exporterNames reads a variable that lists exporters, each once.
func exporterNames(variable, fallback string, known ...string) ([]string, error) {
	value := strings.ToLower(cmp.Or(env(variable), fallback))
	if value == exporterNone {
		return nil, nil
	}
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s: unknown exporter %q: expected %s or a list of: %s", variable, name, exporterNone, strings.Join(known, ", "))
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// traceExporterNames reads OTEL_TRACES_EXPORTER.
func traceExporterNames() ([]string, error) {
	fallback := exporterNone
	if env(envEndpoint) != "" || env(envTracesEndpoint) != "" {
		fallback = exporterOTLP
	}
	return exporterNames(envExporter, fallback, exporterOTLP, exporterConsole, exporterGCP)
}

// newSpanExporter builds the exporter of that name, which must be known. A switch and not a registry: the set is closed,
// and what is not chosen is not run. The exporter may use abandoned for what outlives one export.
func newSpanExporter(ctx, abandoned context.Context, name string, opts Options) (sdktrace.SpanExporter, error) {
	switch name {
	case exporterConsole:
		return stdouttrace.New(stdouttrace.WithWriter(opts.Stderr))
	case exporterGCP:
		return newCloudTraceExporter(abandoned, opts.CloudTraceOptions), nil
	}
	overGRPC, err := otlpOverGRPC(envTracesProtocol, envTracesEndpoint)
	if err != nil {
		return nil, err
	}
	if overGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// otlpOverGRPC reads by which of its two protocols OTLP sends one kind of data, and checks its endpoints.
func otlpOverGRPC(protocolVariable, endpointVariable string) (bool, error) {
	if env(protocolVariable) == "" {
		protocolVariable = envProtocol
	}
	switch protocol := env(protocolVariable); protocol {
	case "grpc":
		return true, checkEndpoints(endpointVariable, true)
	case "", "http/protobuf":
		return false, checkEndpoints(endpointVariable, false)
	default:
		return false, fmt.Errorf("%s: unknown protocol %q: expected grpc or http/protobuf", protocolVariable, protocol)
	}
}

// checkEndpoints refuses endpoints that the exporter would not use as they are meant: it sends to localhost instead of
// one that it cannot parse, and over HTTP takes "collector:4318" for a URL with the scheme "collector".
func checkEndpoints(variable string, overGRPC bool) error {
	expected := "http://HOST:PORT or https://HOST:PORT"
	if overGRPC {
		expected = "http://HOST:PORT, https://HOST:PORT or a gRPC target"
	}
	for _, variable := range []string{envEndpoint, variable} {
		endpoint := env(variable)
		if endpoint == "" {
			continue
		}
		u, err := url.Parse(endpoint)
		if err != nil || !overGRPC && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return fmt.Errorf("%s: unusable endpoint %q: expected %s", variable, endpoint, expected)
		}
	}
	return nil
}

// cloudTraceExporter sends spans to Google's Cloud Trace API. Its client is built with the first batch, and again with
// the next one when that failed: building it looks for credentials, and may ask a metadata server that does not answer,
// for half a minute and whatever the context says. That takes the time of the queue's goroutine and of nobody else. A
// queue exports one batch at a time, so nothing here is locked.
type cloudTraceExporter struct {
	options []cloudtrace.Option
	client  *cloudtrace.Exporter
}

func newCloudTraceExporter(abandoned context.Context, more []cloudtrace.Option) *cloudTraceExporter {
	options := []cloudtrace.Option{
		cloudtrace.WithContext(abandoned), // the client fetches its tokens in it, for as long as it lives
		// Errors are returned as well, and the queue hands those to OpenTelemetry's handler.
		cloudtrace.WithErrorHandler(otel.ErrorHandlerFunc(func(error) {})),
	}
	if project := env(envGoogleProject); project != "" {
		options = append(options, cloudtrace.WithProjectID(project))
	}
	return &cloudTraceExporter{options: append(options, more...)}
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *cloudTraceExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if e.client == nil {
		client, err := cloudtrace.New(e.options...)
		if err != nil {
			return fmt.Errorf("%s: %w", exporterGCP, err)
		}
		e.client = client
	}
	return e.client.ExportSpans(ctx, spans)
}

// Shutdown implements sdktrace.SpanExporter.
func (e *cloudTraceExporter) Shutdown(ctx context.Context) error {
	if e.client == nil {
		return nil
	}
	return e.client.Shutdown(ctx)
}
