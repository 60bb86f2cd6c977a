package telemetry

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tepalhq/tepal/telemetry/tracecontext"
)

// readPropagators reads OTEL_PROPAGATORS, a list. It counts when tracing is off, too: a trace goes through this process
// then, without a span of ours.
func (s *settings) readPropagators() propagation.TextMapPropagator {
	known := map[string]propagation.TextMapPropagator{
		"tracecontext": tracecontext.Propagator{}, "baggage": quietBaggage{},
		"b3": b3{}, "b3multi": b3{multi: true}, "gcp_trace": cloudTrace{}, "none": nil, "": nil,
	}
	var chosen []propagation.TextMapPropagator
	for name := range strings.SplitSeq(cmp.Or(env(envPropagators), "tracecontext,baggage"), ",") {
		propagator, ok := known[strings.ToLower(strings.TrimSpace(name))]
		if !ok {
			s.fault(envPropagators, "none or a list of: tracecontext, baggage, b3, b3multi, gcp_trace", "what else it names is used")
		}
		if propagator != nil && !slices.Contains(chosen, propagator) {
			chosen = append(chosen, propagator)
		}
	}
	return propagation.NewCompositeTextMapPropagator(chosen...)
}

// quietBaggage is propagation.Baggage, but for what it cannot read: that reports it, and so a caller's header, to the handler
// of the SDK's own errors. A caller's fault is nobody's business here.
type quietBaggage struct{ propagation.Baggage }

// maxBaggage is what the W3C asks to be passed on at least, in bytes; more is not read.
const maxBaggage = 8192

func (quietBaggage) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	header := carrier.Get("baggage")
	if values, ok := carrier.(propagation.ValuesGetter); ok {
		header = strings.Join(values.Values("baggage"), ",")
	}
	if header == "" || len(header) > maxBaggage {
		return ctx
	}
	members, err := baggage.Parse(header)
	if err != nil || members.Len() == 0 {
		return ctx
	}
	return baggage.ContextWithBaggage(ctx, members)
}

// withRemote returns ctx with the remote span, unless the ids are no ids or ctx has a remote span already. So the first
// format that a request carries counts, except that traceparent counts in any case: its propagator does not ask.
func withRemote(ctx context.Context, traceID trace.TraceID, spanID trace.SpanID, flags trace.TraceFlags) context.Context {
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: flags, Remote: true})
	if known := trace.SpanContextFromContext(ctx); !sc.IsValid() || known.IsValid() && known.IsRemote() {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, sc)
}

const cloudTraceHeader = "X-Cloud-Trace-Context"

// cloudTrace is Google Cloud's header from before traceparent, "TRACE_ID/SPAN_ID;o=OPTIONS": 32 hexadecimal digits, a
// decimal number, and 1 when the parent is sampled
// (https://cloud.google.com/trace/docs/trace-context#legacy-http-header). Without a span there is no parent, and the
// header says nothing.
type cloudTrace struct{}

func (cloudTrace) Fields() []string { return []string{cloudTraceHeader} }

func (cloudTrace) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	ids, options, _ := strings.Cut(carrier.Get(cloudTraceHeader), ";")
	first, second, _ := strings.Cut(ids, "/")
	traceID, err := trace.TraceIDFromHex(strings.ToLower(first))
	if err != nil {
		return ctx
	}
	number, err := strconv.ParseUint(second, 10, 64)
	if err != nil {
		return ctx
	}
	var spanID trace.SpanID
	binary.BigEndian.PutUint64(spanID[:], number)
	var flags trace.TraceFlags
	switch options {
	case "o=1":
		flags = trace.FlagsSampled
	case "", "o=", "o=0":
	default:
		return ctx
	}
	return withRemote(ctx, traceID, spanID, flags)
}

func (cloudTrace) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return
	}
	spanID := sc.SpanID()
	carrier.Set(cloudTraceHeader, fmt.Sprintf("%s/%d;o=%d",
		sc.TraceID(), binary.BigEndian.Uint64(spanID[:]), sc.TraceFlags()&trace.FlagsSampled))
}
