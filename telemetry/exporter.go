package telemetry

import (
	"context"
	"fmt"

	cloudtrace "github.com/GoogleCloudPlatform/opentelemetry-operations-go/exporter/trace"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/tepalhq/tepal/printable"
)

// The exporters' names.
const (
	exporterOTLP    = "otlp"
	exporterConsole = "console"
	exporterGCP     = "gcp_trace"
	exporterNone    = "none"
)

// newSpanExporter builds the exporter of that name, which must be known. A switch and not a registry: the set is closed,
// and what is not chosen is not run. The exporter may use abandoned for what outlives one export.
func newSpanExporter(ctx, abandoned context.Context, name string, how otlp, opts Options) (sdktrace.SpanExporter, error) {
	switch {
	case name == exporterConsole:
		return stdouttrace.New(stdouttrace.WithWriter(printable.NewWriter(opts.Stderr)))
	case name == exporterGCP:
		return newCloudTraceExporter(abandoned, opts.CloudTraceOptions), nil
	case how.overGRPC:
		var options []otlptracegrpc.Option
		if how.timeout > 0 {
			options = append(options, otlptracegrpc.WithTimeout(how.timeout))
		}
		return otlptracegrpc.New(ctx, options...)
	}
	var options []otlptracehttp.Option
	if how.timeout > 0 {
		options = append(options, otlptracehttp.WithTimeout(how.timeout))
	}
	return otlptracehttp.New(ctx, options...)
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
