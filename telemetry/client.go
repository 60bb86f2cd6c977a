package telemetry

import (
	"context"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Transport wraps base so that every request through it has a client span, below the span in the request's context, and
// carries that span onwards in the headers of the propagators. When tracing is off there is no span of our own, and the
// headers carry what the caller of the server sent, so that the trace does not break here. A nil base is
// http.DefaultTransport.
func (t *Telemetry) Transport(base http.RoundTripper) http.RoundTripper {
	return otelhttp.NewTransport(base,
		otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithPropagators(onward{t.propagator, t.tracing}),
	)
}

// onward hands a trace on. When tracing is off, that is a caller's alone: the ids that a request without one gets are for
// the log, and nobody records a span of theirs that others could be below.
type onward struct {
	propagation.TextMapPropagator
	tracing bool
}

// Inject implements propagation.TextMapPropagator.
func (o onward) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	if !o.tracing && !trace.SpanContextFromContext(ctx).IsRemote() {
		ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	}
	o.TextMapPropagator.Inject(ctx, carrier)
}
