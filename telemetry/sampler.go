package telemetry

import (
	"encoding/binary"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// sampling says which traces are recorded. A request is told by decide before anything is made for it; ShouldSample is for
// the SDK, and follows that decision.
type sampling struct {
	share       Share // of the traces that begin here, and the most of those that strangers continue
	parentBased bool  // a caller that is in a trace decides, as far as it is trusted
	trusted     bool  // callers are
}

// lot is the number by which a share is drawn: a Share holds the lowest of all lots.
type lot uint64

// lotOf is the lot of a trace whose id nobody chose. OTEL_TRACES_SAMPLER=traceidratio takes the same bits.
func lotOf(id trace.TraceID) lot { return lot(binary.BigEndian.Uint64(id[8:]) >> 1) }

// decide reports whether a request is recorded. The parent is the caller's span as its headers tell it; without one it has
// a trace id alone. A caller that is not trusted can ask to be left out, and not to be let in: the lot is drawn without it.
func (s sampling) decide(parent trace.SpanContext, drawn lot) bool {
	switch {
	case !parent.IsValid():
	case s.parentBased && s.trusted:
		return parent.IsSampled()
	case s.parentBased && !parent.IsSampled():
		return false
	case s.trusted:
		drawn = lotOf(parent.TraceID()) // as all services on the way draw
	}
	return s.share.holds(drawn)
}

// ShouldSample implements sdktrace.Sampler: a span below another is recorded when that one is, and one without is drawn.
func (s sampling) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	result := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: parent.TraceState()}
	if parent.IsSampled() || !parent.IsValid() && s.share.holds(lotOf(p.TraceID)) {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

// Description implements sdktrace.Sampler.
func (s sampling) Description() string { return "tepal" }
