// Package telemetry is how an operator sees what Tepal does: structured logs, traces and metrics, and the one middleware
// that produces all three for a request.
//
// It exists so that no other package needs to know zerolog, OpenTelemetry or Prometheus. A server builds one
// [Telemetry], wraps each route it registers with [Telemetry.Route], and lets its handlers fill the request's [Record];
// everything that is logged, traced and counted about the request follows from there.
//
// The package holds no state of its own and sets no process-wide hook: every Telemetry has its own registry, tracer
// provider and propagator, so any number of them live side by side. Exporters are configured by the standard OTEL_*
// variables of the process environment, because the OpenTelemetry exporters read those and nothing else.
// docs/telemetry.md is the catalogue of what comes out.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"

	cloudtrace "github.com/GoogleCloudPlatform/opentelemetry-operations-go/exporter/trace"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scopeName names the instrumentation scope of the spans that this package starts itself.
const scopeName = "github.com/tepalhq/tepal/telemetry"

// Options is what New needs to know. The zero value is valid.
type Options struct {
	// Version and Commit say which build is running. They are in tepal_build_info and in the resource of every span.
	Version string
	Commit  string

	// Logger gets one line for each request, and warnings. Nil discards them. A logger that NewLogger did not make gets
	// the warnings alone.
	Logger *slog.Logger

	// LogBuffer is what Logger writes to, if it is one: the lines that it loses are counted.
	LogBuffer *LogBuffer

	// AccessLog says which requests get a record.
	AccessLog AccessLog

	// Stderr is where OTEL_TRACES_EXPORTER=console writes spans. Nil is os.Stderr.
	Stderr io.Writer

	// OnPanic answers a request whose handler panicked before it wrote anything. It may set the ErrorType of the
	// request's Record. Nil answers a bare 500.
	OnPanic http.HandlerFunc

	// TrustCallers lets callers decide by their headers which of their requests are recorded. Otherwise their traces are
	// joined, and no more of them are recorded than of the traces that begin here.
	TrustCallers bool

	// Strict makes an error of a variable that cannot be used, where New otherwise logs a warning and goes on without it.
	Strict bool

	// SpanProcessors get every span, beside the exporter that the environment selects. They are shut down by
	// Shutdown. Tracing is on when there is one, whatever OTEL_TRACES_EXPORTER says, unless OTEL_SDK_DISABLED is true.
	SpanProcessors []sdktrace.SpanProcessor

	// CloudTraceOptions are further options of the exporter gcp_trace, such as another endpoint in tests.
	CloudTraceOptions []cloudtrace.Option
}

// Telemetry is one set of traces, logs and metrics. All its methods may be called concurrently.
type Telemetry struct {
	log          *slog.Logger
	accessLog    AccessLog
	lines        *logHandler // what log writes with; nil when that is another's handler
	onPanic      http.HandlerFunc
	registry     *prometheus.Registry
	metrics      *Metrics
	propagator   propagation.TextMapPropagator
	traceHeaders []string // that the propagator reads, in canonical form
	provider     trace.TracerProvider
	tracer       trace.Tracer
	tracing      bool // false: provider is the no-op one
	sampling     sampling

	processors []sdktrace.SpanProcessor
	pusher     *sdkmetric.MeterProvider // nil: metrics are not pushed
	abandon    context.CancelFunc       // ends exports that are still under way when Shutdown has no time left
}

// New builds a Telemetry from the options and from the OTEL_* variables of the process environment. Nothing is dialled:
// an exporter whose endpoint is down is no error. Nor is a variable whose value is not understood, unless the options are
// strict: it is a warning that names the variable and what it accepts, and never the value, which may be a secret.
func New(ctx context.Context, opts Options) (*Telemetry, error) {
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
	opts.Stderr = cmp.Or[io.Writer](opts.Stderr, os.Stderr)
	if opts.OnPanic == nil {
		opts.OnPanic = func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		}
	}

	settings := readSettings()
	registry := prometheus.NewRegistry()
	t := &Telemetry{
		log:        opts.Logger,
		accessLog:  opts.AccessLog,
		onPanic:    opts.OnPanic,
		registry:   registry,
		metrics:    newMetrics(registry, opts.Version, opts.Commit),
		propagator: settings.propagator,
		provider:   noop.NewTracerProvider(),
		abandon:    func() {},
	}
	t.lines, _ = opts.Logger.Handler().(*logHandler)
	for _, name := range t.propagator.Fields() {
		t.traceHeaders = append(t.traceHeaders, http.CanonicalHeaderKey(name))
	}
	if opts.LogBuffer != nil {
		opts.LogBuffer.onLost(func(reason string, lines int) { t.metrics.Dropped("logs", reason, lines) })
	}
	err := t.tell(ctx, opts, settings.faults)
	if err == nil {
		err = t.startExporting(ctx, settings, opts)
	}
	if err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	t.tracer = t.provider.Tracer(scopeName, trace.WithInstrumentationVersion(opts.Version))
	return t, nil
}

// Metrics returns the metrics that other packages feed.
func (t *Telemetry) Metrics() *Metrics { return t.metrics }

// MetricsHandler answers GET /metrics with the metrics of this Telemetry alone, in the Prometheus or the OpenMetrics text
// format, or in protobuf, as the request's Accept header asks.
func (t *Telemetry) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		ErrorLog:          slog.NewLogLogger(t.log.Handler(), slog.LevelWarn),
		ErrorHandling:     promhttp.ContinueOnError,
		EnableOpenMetrics: true,
	})
}

// Registry is where other packages register what they measure.
func (t *Telemetry) Registry() *prometheus.Registry { return t.registry }

// TracerProvider makes tracers whose spans go where those of the requests go.
func (t *Telemetry) TracerProvider() trace.TracerProvider { return t.provider }

// Shutdown sends what spans are still queued, pushes the metrics for the last time, and stops. It returns when that is
// done or when ctx ends, whichever is first; spans not sent by then are given up. Requests may still be served
// afterwards, their spans go nowhere.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	err := t.stopTracing(ctx)
	t.abandon()
	if t.pusher == nil {
		return err
	}
	if pushErr := t.pusher.Shutdown(ctx); !errors.Is(pushErr, sdkmetric.ErrReaderShutdown) { // which a second call gets
		err = errors.Join(err, plainly(pushErr))
	}
	return err
}
