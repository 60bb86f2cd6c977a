package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The headers of B3: one that has it all, and the older form with a header for each field.
const (
	b3Single   = "b3"
	b3TraceID  = "x-b3-traceid"
	b3SpanID   = "x-b3-spanid"
	b3ParentID = "x-b3-parentspanid"
	b3Sampled  = "x-b3-sampled"
	b3Flags    = "x-b3-flags"
)

// b3 is Zipkin's format (https://github.com/openzipkin/b3-propagation). Both forms are read, the single header before
// the several; one is written. A decision without ids is not taken, since it has no trace to belong to, and no decision
// counts as not sampled, since a span context cannot tell the two apart.
type b3 struct{ multi bool }

// debugKey is the key in a context of the trace whose caller asks for debugging. That is more than sampling, and has to
// be passed on.
type debugKey struct{}

func (b3) Fields() []string {
	return []string{b3Single, b3TraceID, b3SpanID, b3ParentID, b3Sampled, b3Flags}
}

func (b3) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	var fields b3Fields
	if single := strings.Split(carrier.Get(b3Single), "-"); len(single) <= len(fields) {
		copy(fields[:], single) // the state and the parent may be missing
		if next, ok := fields.continued(ctx); ok {
			return next
		}
	}
	fields = b3Fields{carrier.Get(b3TraceID), carrier.Get(b3SpanID), carrier.Get(b3Sampled), carrier.Get(b3ParentID)}
	if carrier.Get(b3Flags) == "1" {
		fields[2] = "d"
	}
	next, _ := fields.continued(ctx)
	return next
}

// b3Fields are the trace, the span, the sampling state and the span's parent, in the order of the single header.
type b3Fields [4]string

// continued returns ctx with the remote span, and whether the fields tell of one.
func (f b3Fields) continued(ctx context.Context) (context.Context, bool) {
	hex := f[0]
	if len(hex) == 16 {
		hex = strings.Repeat("0", 16) + hex
	}
	traceID, traceErr := trace.TraceIDFromHex(hex) // an error for upper case, and for zeros alone
	spanID, spanErr := trace.SpanIDFromHex(f[1])
	if traceErr != nil || spanErr != nil {
		return ctx, false
	}
	if _, err := trace.SpanIDFromHex(f[3]); err != nil && f[3] != "" {
		return ctx, false
	}
	var flags trace.TraceFlags
	switch f[2] {
	case "1", "true", "d": // words are from before the specification
		flags = trace.FlagsSampled
	case "0", "false", "":
	default:
		return ctx, false
	}
	ctx = withRemote(ctx, traceID, spanID, flags)
	if f[2] == "d" {
		ctx = context.WithValue(ctx, debugKey{}, traceID)
	}
	return ctx, true
}

func (p b3) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return
	}
	state := "0"
	if sc.IsSampled() {
		state = "1"
	}
	debug := ctx.Value(debugKey{}) == sc.TraceID()
	if !p.multi {
		if debug {
			state = "d"
		}
		carrier.Set(b3Single, sc.TraceID().String()+"-"+sc.SpanID().String()+"-"+state)
		return
	}
	carrier.Set(b3TraceID, sc.TraceID().String())
	carrier.Set(b3SpanID, sc.SpanID().String())
	if debug {
		carrier.Set(b3Flags, "1") // which implies sampled
		return
	}
	carrier.Set(b3Sampled, state)
}
