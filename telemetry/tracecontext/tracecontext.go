// Package tracecontext reads and writes the headers traceparent and tracestate as W3C Trace Context says, levels 1 and 2
// (https://www.w3.org/TR/trace-context/, https://www.w3.org/TR/trace-context-2/).
//
// It exists because the propagator of OpenTelemetry Go does not: it takes the first of several traceparent headers, sees
// only the first line of tracestate, refuses an empty one, gives a tracestate up for a key that comes twice or that level
// 2 allows, and refuses flags that are not defined yet.
package tracecontext

import (
	"context"
	"encoding/hex"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const (
	traceparent = "traceparent"
	tracestate  = "tracestate"

	traceparentLen = 55    // of version 00, and the least of any later one
	whitespace     = " \t" // OWS of RFC 9110

	// knownFlags are those that the specification defines. The others are reserved and go out as zero.
	knownFlags = trace.FlagsSampled | trace.FlagsRandom
)

// Propagator is a propagation.TextMapPropagator. The zero value is ready.
type Propagator struct{}

// Fields names the headers read and written.
func (Propagator) Fields() []string { return []string{traceparent, tracestate} }

// Extract returns ctx with the remote span that the carrier tells of, or ctx itself when it tells of none.
func (Propagator) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	parents := values(carrier, traceparent, "Traceparent")
	if len(parents) != 1 {
		return ctx // several are as bad as none: it cannot be known which of them is meant
	}
	config, ok := parseTraceparent(parents[0])
	if !ok {
		return ctx // and tracestate is not looked at
	}
	var rest *received
	if lines := values(carrier, tracestate, "Tracestate"); len(lines) > 0 {
		// Several lines are one list (RFC 9110, section 5.3).
		config.TraceState, rest = parseTracestate(strings.Join(lines, ","))
	}
	ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(config))
	if rest != nil {
		rest.traceID = config.TraceID
		ctx = context.WithValue(ctx, receivedKey{}, rest)
	}
	return ctx
}

// Inject writes the span in ctx to the carrier, in version 00.
func (Propagator) Inject(ctx context.Context, carrier propagation.TextMapCarrier) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return
	}
	traceID, spanID := sc.TraceID(), sc.SpanID()
	header := append(make([]byte, 0, traceparentLen), "00-"...)
	header = append(hex.AppendEncode(header, traceID[:]), '-')
	header = append(hex.AppendEncode(header, spanID[:]), '-')
	header = hex.AppendEncode(header, []byte{byte(sc.TraceFlags() & knownFlags)})
	carrier.Set(traceparent, string(header))
	if state := outgoing(ctx, sc); state != "" {
		carrier.Set(tracestate, state)
	}
}

// values returns every value of a header. The canonical name spares http.Header the search for it.
func values(carrier propagation.TextMapCarrier, name, canonical string) []string {
	switch c := carrier.(type) {
	case propagation.HeaderCarrier:
		return c[canonical]
	case propagation.ValuesGetter:
		return c.Values(name)
	}
	if value := carrier.Get(name); value != "" {
		return []string{value}
	}
	return nil
}

// parseTraceparent reads version 00, and of a later version what it shares with 00. The layout is
// version 2, "-", trace-id 32, "-", parent-id 16, "-", trace-flags 2, all in lower-case hexadecimal digits.
func parseTraceparent(s string) (config trace.SpanContextConfig, ok bool) {
	s = strings.Trim(s, whitespace)
	if len(s) < traceparentLen || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return config, false
	}
	version, versionOK := hexByte(s[0], s[1])
	if !versionOK || version == 0xff {
		return config, false
	}
	if len(s) > traceparentLen && (version == 0 || s[traceparentLen] != '-') {
		return config, false
	}
	var traceErr, spanErr error
	config.TraceID, traceErr = trace.TraceIDFromHex(s[3:35]) // an error for upper case, and for zeros alone
	config.SpanID, spanErr = trace.SpanIDFromHex(s[36:52])
	flags, flagsOK := hexByte(s[53], s[54])
	config.TraceFlags = trace.TraceFlags(flags) & knownFlags
	config.Remote = true
	return config, flagsOK && traceErr == nil && spanErr == nil
}

// hexByte reads two lower-case hexadecimal digits.
func hexByte(high, low byte) (value byte, ok bool) {
	const digits = "0123456789abcdef"
	h, l := strings.IndexByte(digits, high), strings.IndexByte(digits, low)
	return byte(h<<4 | l), h >= 0 && l >= 0
}
