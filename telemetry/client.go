package telemetry

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// Transport wraps base so that every request through it has a client span, below the span in the request's context, and
// carries that span onwards in the headers of the propagators. When tracing is off there is no span of our own, and the
// headers carry what the caller of the server sent, so that the trace does not break here. A nil base is
// http.DefaultTransport.
func (t *Telemetry) Transport(base http.RoundTripper) http.RoundTripper {
	return otelhttp.NewTransport(base,
		otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithPropagators(t.propagator),
	)
}
