package tracecontext

import (
	"context"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

const (
	maxMembers = 32  // of a list
	maxText    = 256 // bytes of a key, and of a value
)

// member is one key and value of a tracestate.
type member struct {
	key, value string
	odd        bool // a trace.TraceState refuses it
}

// received is a tracestate that a trace.TraceState cannot hold whole, since that knows the keys of level 1 alone. It
// travels beside the span context and is written for spans of its trace.
type received struct {
	traceID trace.TraceID
	members []member
}

type receivedKey struct{}

// parseTracestate reads a list: as much of it as OpenTelemetry takes, and the whole list if that is more. A list with a
// fault is empty.
func parseTracestate(list string) (trace.TraceState, *received) {
	state, err := trace.ParseTraceState(list)
	if err == nil {
		return state, nil
	}
	members, ok := parseMembers(list)
	if !ok {
		return trace.TraceState{}, nil
	}
	whole := true
	for i := range slices.Backward(members) { // Insert puts each before the others
		m := &members[i]
		if state, err = state.Insert(m.key, m.value); err != nil {
			m.odd, whole = true, false
		}
	}
	if whole {
		return state, nil
	}
	return state, &received{members: members}
}

// parseMembers reads a list by the grammar of level 2, which includes that of level 1. Of members with the same key the
// first is taken: it is the latest.
func parseMembers(list string) ([]member, bool) {
	var members []member
	count := 0
	for item := range strings.SplitSeq(list, ",") {
		item = strings.Trim(item, whitespace)
		if item == "" {
			continue // allowed, and no member
		}
		key, value, _ := strings.Cut(item, "=")
		if count++; count > maxMembers || !validKey(key) || !validValue(value) {
			return nil, false
		}
		if !slices.ContainsFunc(members, func(m member) bool { return m.key == key }) {
			members = append(members, member{key: key, value: value})
		}
	}
	return members, true
}

func validKey(key string) bool {
	const symbols, all = "_-*/@", "_-*/@abcdefghijklmnopqrstuvwxyz0123456789"
	return key != "" && len(key) <= maxText && !strings.Contains(symbols, key[:1]) && strings.Trim(key, all) == ""
}

// validValue looks at a value without the whitespace after it.
func validValue(value string) bool {
	return value != "" && len(value) <= maxText &&
		!strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' || c == ',' || c == '=' })
}

// outgoing is the tracestate to send for the span: its own, and where that could not hold everything received, what was
// received in its order, after what has been added or changed since and without what has been deleted since.
func outgoing(ctx context.Context, sc trace.SpanContext) string {
	state := sc.TraceState()
	r, _ := ctx.Value(receivedKey{}).(*received)
	if r == nil || r.traceID != sc.TraceID() {
		return state.String()
	}
	var items []string
	state.Walk(func(key, value string) bool {
		if !slices.Contains(r.members, member{key: key, value: value}) {
			items = append(items, key+"="+value)
		}
		return true
	})
	for _, m := range r.members {
		if m.odd || state.Get(m.key) == m.value {
			items = append(items, m.key+"="+m.value)
		}
	}
	return strings.Join(items[:min(len(items), maxMembers)], ",")
}
