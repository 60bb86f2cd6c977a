package telemetry

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tepalhq/tepal/clip"
)

// Attribute keys of the prediction span.
const (
	attrModelName    = attribute.Key("tepal.model.name")
	attrModelVersion = attribute.Key("tepal.model.version")
	attrModelDigest  = attribute.Key("tepal.model.digest")
	attrRows         = attribute.Key("tepal.rows")
	attrBatchSize    = attribute.Key("tepal.batch.size")
	attrQueueWait    = attribute.Key("tepal.queue.wait")
)

// Event is a moment of a request's way, on its span when its trace is sampled. Between two of them is a part of the way;
// they cost a fraction of what spans would.
type Event string

// The events of a prediction, in their order. The program has a span of its own between the last two.
const (
	EventRead    Event = "body read"     // all of the body is here; what follows is the wait in the queue
	EventSlot    Event = "slot acquired" // what follows is decoding
	EventDecoded Event = "decoded"
	EventEncoded Event = "encoded" // what went before, back to the end of the program, was encoding
)

// Event notes that the request has come this far. It costs nothing when its trace is not sampled.
func (r *Record) Event(e Event) {
	if r.sampled != nil {
		r.sampled.recording.AddEvent(string(e))
	}
}

// Span is the span of a prediction. The zero value is that of a request whose trace is not sampled: it costs nothing and
// does nothing. It belongs to the goroutine of its request.
type Span struct{ span trace.Span }

// End ends the prediction.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// Fail says what went wrong, in words that may leave the machine; the span is still to be ended.
func (s Span) Fail(description string) {
	if s.span != nil {
		s.span.SetStatus(codes.Error, description)
	}
}

// StartPrediction starts the span in which a model predicts: the request's rows, evaluated together with those of other
// requests in a batch of the given size. How long the request waited for its slot is taken from the record.
func (r *Record) StartPrediction(name, version, digest string, rows, batch int) Span {
	if r.sampled == nil {
		return Span{}
	}
	//nolint:spancheck // The caller ends it.
	_, span := r.sampled.layer.t.tracer.Start(r.sampled.request.Context(), "predict "+name)
	// Attributes that are given to Start are copied twice.
	span.SetAttributes(
		attrModelName.String(name),
		attrModelVersion.String(version),
		attrModelDigest.String(digest),
		attrRows.Int(rows),
		attrBatchSize.Int(batch),
		attrQueueWait.Float64(r.QueueWait.Seconds()),
	)
	return Span{span} //nolint:spancheck // The caller ends it.
}

// join finds the trace that the request belongs to, or begins one, and starts the server's span when the trace is
// sampled. Otherwise nothing is recorded, and the context still carries the ids, for the log and for calls to others.
func (x *exchange) join(r *http.Request) context.Context {
	t := x.layer.t
	ctx := t.extract(r)
	parent := trace.SpanContextFromContext(ctx)
	begins := !parent.IsValid()
	if begins {
		parent = trace.NewSpanContext(trace.SpanContextConfig{TraceID: newTraceID(), TraceFlags: trace.FlagsRandom})
		x.lot = lotOf(parent.TraceID())
	} else {
		x.lot = draw() // since the caller chose the id
	}
	switch {
	case !t.tracing && !begins:
		x.span = parent // handed on as it came
		return ctx
	case !t.tracing || !t.sampling.decide(parent, x.lot):
		x.span = parent.WithSpanID(newSpanID()).WithTraceFlags(parent.TraceFlags().WithSampled(false)).WithRemote(false)
		return trace.ContextWithSpanContext(ctx, x.span)
	case begins || !parent.IsSampled() || !t.sampling.trusted && parent.TraceState().Len() > 0:
		// The SDK takes the trace id of a parent that has no span id, and does not take it for a parent. The flag is how its
		// sampler learns what has been decided.
		if !t.sampling.trusted {
			parent = parent.WithTraceState(bounded(parent.TraceState()))
		}
		ctx = trace.ContextWithSpanContext(ctx, parent.WithTraceFlags(parent.TraceFlags().WithSampled(true)))
	}
	//nolint:spancheck // endSpan ends it.
	ctx, span := t.tracer.Start(ctx, x.layer.endpoint.spanName(r.Method), trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(x.start))
	x.span, x.recording = span.SpanContext(), span
	x.record.sampled = x
	return ctx //nolint:spancheck // endSpan ends it.
}

// maxStrangersState is the longest tracestate of a caller that is not trusted that is kept with a span, in bytes; the W3C
// asks for as much at least.
const maxStrangersState = 512

// bounded returns the state, or none when it is too long to be kept for a stranger.
func bounded(state trace.TraceState) trace.TraceState {
	if len(state.String()) > maxStrangersState {
		return trace.TraceState{}
	}
	return state
}

// extract reads what the caller says of its trace. Most callers say nothing, and that costs nothing.
func (t *Telemetry) extract(r *http.Request) context.Context {
	for _, name := range t.traceHeaders {
		if r.Header[name] != nil {
			return t.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		}
	}
	return r.Context()
}

// Ids are random. Zero, which is none, is not to be expected in the life of a machine.

func newTraceID() (id trace.TraceID) {
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

func newSpanID() (id trace.SpanID) {
	binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	return id
}

// requestAttributes describe a request by the semantic conventions for HTTP servers.
func requestAttributes(r *http.Request, route string) []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, 20) // the answer's have room too
	add := func(key attribute.Key, value string, most int) {
		if value != "" {
			// An attribute that is not UTF-8 would cost its whole batch.
			attrs = append(attrs, key.String(clip.Text(value, most)))
		}
	}
	host, port := splitHostPort(r.Host)
	method := knownMethod(r.Method)
	attrs = append(attrs, semconv.ServerAddress(clip.Text(host, maxLoggedText)), semconv.URLScheme("http"), semconv.HTTPRequestMethodKey.String(method))
	if port > 0 && port != 80 {
		attrs = append(attrs, semconv.ServerPort(port))
	}
	if method == otherValue {
		add(semconv.HTTPRequestMethodOriginalKey, r.Method, maxLoggedMethod)
	}
	add(semconv.HTTPRouteKey, route, maxLoggedText)
	add(semconv.URLPathKey, r.URL.Path, maxLoggedText)
	peer, peerPort := splitHostPort(r.RemoteAddr)
	add(semconv.NetworkPeerAddressKey, peer, maxLoggedText)
	if peerPort > 0 {
		attrs = append(attrs, semconv.NetworkPeerPort(peerPort))
	}
	client, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
	add(semconv.ClientAddressKey, cmp.Or(client, peer), maxLoggedText)
	add(semconv.UserAgentOriginalKey, r.UserAgent(), maxLoggedText)
	_, version, _ := strings.Cut(r.Proto, "/")
	add(semconv.NetworkProtocolVersionKey, version, maxLoggedMethod)
	return attrs
}

// splitHostPort takes an address apart; the port is 0 where there is none.
func splitHostPort(address string) (host string, port int) {
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return strings.Trim(address, "[]"), 0
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return host, 0
	}
	return host, int(number)
}

// endSpan notes on the server's span what the request was and how it ended: all at once, because a span's attributes are
// copied each time that some are added, and no sampler that can be chosen asks for them at the start.
func (x *exchange) endSpan(o outcome) {
	span := x.recording
	if span == nil {
		return
	}
	attrs := requestAttributes(x.request, x.layer.endpoint.pattern)
	if o.status != 0 {
		attrs = append(attrs, semconv.HTTPResponseStatusCode(o.status))
	}
	if size := x.body.size; size > 0 {
		attrs = append(attrs, semconv.HTTPRequestBodySize(int(size)))
	}
	if x.response.size > 0 {
		attrs = append(attrs, semconv.HTTPResponseBodySize(int(x.response.size)))
	}
	if x.record.ErrorType != "" {
		attrs = append(attrs, semconv.ErrorTypeKey.String(x.record.ErrorType))
	}
	span.SetAttributes(attrs...)
	switch {
	case o.panicked():
		span.AddEvent(semconv.ExceptionEventName, trace.WithAttributes(
			semconv.ExceptionType(o.panicType),
			semconv.ExceptionMessage(clip.Text(fmt.Sprint(x.record.Err), maxLoggedText)),
			semconv.ExceptionStacktrace(strings.ToValidUTF8(string(o.stack), invalidRuneValue)),
		))
		span.SetStatus(codes.Error, clip.Text(fmt.Sprint(x.record.Err), maxLoggedText))
	case o.aborted:
		span.SetStatus(codes.Error, x.record.ErrorType)
	case o.status >= 500:
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(x.start.Add(o.latency)))
}
