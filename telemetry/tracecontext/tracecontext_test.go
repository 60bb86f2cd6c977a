package tracecontext_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tepalhq/tepal/telemetry/tracecontext"
)

// The ids of the examples in the specification.
const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
	ids      = traceID + "-" + parentID
	valid    = "00-" + ids + "-01"
)

// headers are the values of traceparent and tracestate, a string for each line.
type headers struct{ parent, state []string }

func (h headers) carrier() propagation.HeaderCarrier {
	carrier := propagation.HeaderCarrier{}
	for _, line := range h.parent {
		http.Header(carrier).Add("traceparent", line)
	}
	for _, line := range h.state {
		http.Header(carrier).Add("tracestate", line)
	}
	return carrier
}

// through extracts the headers and injects what was found, as a process without tracing does. Empty: nothing was sent.
func through(t *testing.T, in headers) (parent, state string) {
	t.Helper()
	ctx := tracecontext.Propagator{}.Extract(t.Context(), in.carrier())
	out := propagation.HeaderCarrier{}
	tracecontext.Propagator{}.Inject(ctx, out)
	assert.LessOrEqual(t, len(out.Values("traceparent")), 1)
	assert.LessOrEqual(t, len(out.Values("tracestate")), 1)
	return out.Get("traceparent"), out.Get("tracestate")
}

// list is a list of n members, each with a key of its own.
func list(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf("k%02d=%d", i, i)
	}
	return strings.Join(members, ",")
}

const none = "" // no trace, the receiver starts one

// The sections are those of Trace Context level 2 (https://www.w3.org/TR/trace-context-2/), by their titles, unless the
// row says level 1.
func TestTraceparent(t *testing.T) {
	one := func(line string) []string { return []string{line} }
	for _, tt := range []struct {
		section, rule string
		in            []string
		want          string
	}{
		// Where OpenTelemetry Go 1.47 answers otherwise.
		{"Traceparent Header", "one header, not two", []string{valid, "00-" + traceID + "-b7ad6b7169203331-01"}, none},
		{"Traceparent Header", "nor the same one twice", []string{valid, valid}, none},
		{"Other Flags", "unknown flags are no fault, and go out as zero", one("00-" + ids + "-ff"), "00-" + ids + "-03"},
		{"Other Flags", "without a known one", one("00-" + ids + "-fc"), "00-" + ids + "-00"},
		{"version-format", "nothing follows the flags of version 00", one(valid + "-"), none},
		{"traceparent Header Field Values", "whitespace around a field's value is none of it (RFC 9110, 5.5)", one(" \t" + valid + "\t "), valid},

		{"Examples of HTTP traceparent Headers", "sampled", one(valid), valid},
		{"Examples of HTTP traceparent Headers", "not sampled", one("00-" + ids + "-00"), "00-" + ids + "-00"},
		{"No traceparent Received", "no traceparent", nil, none},
		{"traceparent Header Field Values", "empty", one(""), none},
		{"traceparent Header Field Values", "two in one line are no traceparent", one(valid + "," + valid), none},
		{"traceparent Header Field Values", "dashes between the fields", one(strings.ReplaceAll(valid, "-", "_")), none},
		{"traceparent Header Field Values", "whitespace between the fields", one("00 -" + ids + "-01"), none},

		{"version", "ff is invalid", one("ff-" + ids + "-01"), none},
		{"version", "ff with more fields is invalid", one("ff-" + ids + "-01-what"), none},
		{"version", "hexadecimal digits, the first", one(".0-" + ids + "-01"), none},
		{"version", "hexadecimal digits, the second", one("0g-" + ids + "-01"), none},
		{"version", "in lower case", one("CC-" + ids + "-01"), none},
		{"version", "two digits, not three", one("000-" + ids + "-01"), none},
		{"version", "two digits, not one", one("0-" + ids + "-01"), none},
		{"version-format", "nothing follows the flags of version 00: a dot", one(valid + "."), none},
		{"version-format", "nothing follows the flags of version 00: a field", one(valid + "-what-the-future-will-be-like"), none},

		{"trace-id", "zeros alone are invalid", one("00-00000000000000000000000000000000-" + parentID + "-01"), none},
		{"trace-id", "one bit is enough", one("00-00000000000000000000000000000001-" + parentID + "-01"), "00-00000000000000000000000000000001-" + parentID + "-01"},
		{"trace-id", "hexadecimal digits", one("00-.bf92f3577b34da6a3ce929d0e0e4736-" + parentID + "-01"), none},
		{"trace-id", "in lower case", one("00-4BF92F3577B34DA6A3CE929D0E0E4736-" + parentID + "-01"), none},
		{"trace-id", "32 digits, not 33", one("00-" + traceID + "0-" + parentID + "-01"), none},
		{"trace-id", "32 digits, not 31", one("00-" + traceID[1:] + "-" + parentID + "-01"), none},
		{"parent-id", "zeros alone are invalid", one("00-" + traceID + "-0000000000000000-01"), none},
		{"parent-id", "hexadecimal digits", one("00-" + traceID + "-00f067aa0ba902b.-01"), none},
		{"parent-id", "in lower case", one("00-" + traceID + "-00F067AA0BA902B7-01"), none},
		{"parent-id", "16 digits, not 17", one("00-" + ids + "0-01"), none},
		{"parent-id", "16 digits, not 15", one("00-" + traceID + "-" + parentID[1:] + "-01"), none},
		{"trace-flags", "hexadecimal digits, the first", one("00-" + ids + "-.0"), none},
		{"trace-flags", "hexadecimal digits, the second", one("00-" + ids + "-0."), none},
		{"trace-flags", "in lower case", one("00-" + ids + "-0A"), none},
		{"trace-flags", "two digits, not three", one("00-" + ids + "-001"), none},
		{"trace-flags", "two digits, not one", one("00-" + ids + "-1"), none},
		{"Random Trace ID Flag", "set stays set", one("00-" + ids + "-02"), "00-" + ids + "-02"},
		{"Random Trace ID Flag", "beside the sampled flag", one("00-" + ids + "-03"), "00-" + ids + "-03"},

		{"Versioning of traceparent", "a later version, of the same length", one("cc-" + ids + "-01"), valid},
		{"Versioning of traceparent", "a later version, with another field", one("cc-" + ids + "-01-what-the-future-will-be-like"), valid},
		{"Versioning of traceparent", "a later version, with an empty field", one("01-" + ids + "-00-"), "00-" + ids + "-00"},
		{"Versioning of traceparent", "the highest version", one("fe-" + ids + "-01-x"), valid},
		{"Versioning of traceparent", "a later version has at least 55 characters", one("cc-" + ids + "-1"), none},
		{"Versioning of traceparent", "a dash follows the flags", one("cc-" + ids + "-01.what-the-future-will-be-like"), none},
		{"Versioning of traceparent", "a dash follows the parent-id", one("cc-" + ids + "0-01"), none},
		{"Versioning of traceparent", "a dash follows the trace-id", one("cc-" + traceID + "0-" + parentID + "-01"), none},
		{"Versioning of traceparent", "hexadecimal ids", one("cc-" + traceID + "-.0f067aa0ba902b7-01"), none},
		{"Versioning of traceparent", "valid ids", one("cc-00000000000000000000000000000000-" + parentID + "-01"), none},
		{"A traceparent is Received", "a later version's unknown flags go out as zero", one("cc-" + ids + "-fd"), valid},
	} {
		t.Run(tt.section+"/"+tt.rule, func(t *testing.T) {
			parent, _ := through(t, headers{parent: tt.in})
			assert.Equal(t, tt.want, parent)

			// Nothing that comes with it changes that, nor does tracestate come through by itself.
			parent, state := through(t, headers{parent: tt.in, state: []string{"congo=t61rcWkgMzE"}})
			assert.Equal(t, tt.want, parent)
			if tt.want == none {
				assert.Empty(t, state)
			} else {
				assert.Equal(t, "congo=t61rcWkgMzE", state)
			}
			parent, state = through(t, headers{parent: tt.in, state: []string{"not a tracestate"}})
			assert.Equal(t, tt.want, parent)
			assert.Empty(t, state)
		})
	}
}

func TestTracestate(t *testing.T) {
	const (
		anyKey   = "abcdefghijklmnopqrstuvwxyz0123456789_-*/"
		anyValue = ` !"#$%&'()*+-./0123456789:;<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_` + "`abcdefghijklmnopqrstuvwxyz{|}~"
	)
	long := func(n int) string { return strings.Repeat("z", n) }
	whole := make([]string, 32) // the longest list there is: 32 of 256 + 1 + 256, and 31 commas
	for i := range whole {
		whole[i] = fmt.Sprintf("k%02d", i) + long(253) + "=" + long(256)
	}
	one := func(line string) []string { return []string{line} }
	for _, tt := range []struct {
		section, rule string
		in            []string
		want          string
	}{
		// Where OpenTelemetry Go 1.47 answers otherwise.
		{"tracestate Header Field Values", "several lines are one list, in their order", []string{"foo=1,bar=2", "rojo=1,congo=2", "baz=3"}, "foo=1,bar=2,rojo=1,congo=2,baz=3"},
		{"tracestate Header Field Values", "an empty line before", []string{"", "foo=1"}, "foo=1"},
		{"tracestate Header Field Values", "an empty line between", []string{"foo=1", "", "bar=2"}, "foo=1,bar=2"},
		{"tracestate Header Field Values", "a fault in any line is one of the list", []string{"foo=1", "BAR=2"}, none},
		{"tracestate Header Field Values", "members made of whitespace", one("foo=1, ,bar=2,\t, \t"), "foo=1,bar=2"},
		{"tracestate Header Field Values", "a line made of whitespace", []string{"foo=1", " \t "}, "foo=1"},
		{"tracestate Header Field Values", "32 members, in several lines", []string{list(20), "a=1,b=2,c=3,d=4,e=5,f=6", "g=7,h=8,i=9,j=10,k=11,l=12"}, list(20) + ",a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9,j=10,k=11,l=12"},
		{"tracestate Header Field Values", "33 members, in several lines", []string{list(20), "a=1,b=2,c=3,d=4,e=5,f=6", "g=7,h=8,i=9,j=10,k=11,l=12,m=13"}, none},
		{"Mutating the tracestate Field", "a key twice: one may be discarded, and the first is the latest", one("foo=1,bar=3,foo=2"), "foo=1,bar=3"},
		{"Mutating the tracestate Field", "a key twice with one value", one("foo=1,foo=1"), "foo=1"},
		{"Mutating the tracestate Field", "a key twice in two lines", []string{"bar=3,foo=1", "foo=2,baz=4"}, "bar=3,foo=1,baz=4"},
		{"Key", "a digit may come first", one("1foo=1"), "1foo=1"},
		{"Key", "at signs anywhere but first: last", one("foo@=1,bar=2"), "foo@=1,bar=2"},
		{"Key", "at signs anywhere but first: two together", one("foo@@bar=1,bar=2"), "foo@@bar=1,bar=2"},
		{"Key", "at signs anywhere but first: two", one("bar=2,foo@bar@baz=1"), "bar=2,foo@bar@baz=1"},
		{"Key", "a long tenant", one("foo=1," + long(242) + "@v=1"), "foo=1," + long(242) + "@v=1"},
		{"Key", "a long system", one("foo=1,t@" + long(15) + "=1"), "foo=1,t@" + long(15) + "=1"},
		{"Key", "any character after an at sign", one("t@1-_*/=1"), "t@1-_*/=1"},
		{"Key", "order is kept among keys of either level", one("a@b@c=1,foo=2,1x=3,bar=4"), "a@b@c=1,foo=2,1x=3,bar=4"},

		{"tracestate Header Field Values", "no tracestate", nil, none},
		{"tracestate Header Field Values", "an empty line alone is accepted and not sent on", one(""), none},
		{"tracestate Header Field Values", "an empty line after", []string{"foo=1", ""}, "foo=1"},
		{"tracestate Header Field Values", "empty members", one(",,foo=1,,bar=2,"), "foo=1,bar=2"},
		{"tracestate Header Field Values", "whitespace around members is ignored", one(" \tfoo=1 \t , \t bar=2, \t baz=3\t "), "foo=1,bar=2,baz=3"},
		{"list", "two members", one("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"},
		{"list", "32 members", one(list(32)), list(32)},
		{"list", "33 members", one(list(33)), none},
		{"list", "empty members are not counted", one(list(32) + ",,,"), list(32)},
		{"list-members", "a key without a value", one("foo"), none},
		{"list-members", "a member with a fault spoils the list", one("foo=1,bar"), none},

		{"Key", "every character", one(anyKey + "=1"), anyKey + "=1"},
		{"Key", "one character", one("a=1"), "a=1"},
		{"Key", "256 characters", one("foo=1," + long(256) + "=1"), "foo=1," + long(256) + "=1"},
		{"Key", "257 characters", one("foo=1," + long(257) + "=1"), none},
		{"Key", "none", one("=1"), none},
		{"Key", "upper case", one("FOO=1"), none},
		{"Key", "a dot", one("foo.bar=1"), none},
		{"Key", "whitespace before the equals sign", one("foo =1"), none},
		{"Key", "whitespace within", one("foo bar=1"), none},
		{"Key", "beyond ASCII", one("f\u00fc=1"), none},
		{"Key", "an underscore first", one("_foo=1"), none},
		{"Key", "a dash first", one("-foo=1"), none},
		{"Key", "an asterisk first", one("*foo=1"), none},
		{"Key", "a slash first", one("/foo=1"), none},
		{"Key", "an at sign first", one("@foo=1,bar=2"), none},
		{"Key, level 1", "of several tenants", one("fw529a3039@dt=FfAAAA"), "fw529a3039@dt=FfAAAA"},
		{"Key, level 1", "a tenant with a digit first", one("0tenant@system=1"), "0tenant@system=1"},
		{"Key, level 1", "the longest tenant and system", one(long(241) + "@" + long(14) + "=1"), long(241) + "@" + long(14) + "=1"},

		{"Value", "every character", one("foo=" + anyValue), "foo=" + anyValue},
		{"Value", "256 characters", one("foo=" + long(256)), "foo=" + long(256)},
		{"Value", "257 characters", one("foo=" + long(257)), none},
		{"Value", "spaces before it are part of it", one("foo=  1"), "foo=  1"},
		{"Value", "spaces after it are not", one("foo=1  ,bar=2"), "foo=1,bar=2"},
		{"Value", "256 characters without the spaces after them", one("foo=" + long(256) + "  "), "foo=" + long(256)},
		{"Value", "none", one("foo=,bar=3"), none},
		{"Value", "spaces alone", one("foo=  ,bar=3"), none},
		{"Value", "an equals sign", one("foo=bar=baz"), none},
		{"Value", "a tab before", one("foo=\t1"), none},
		{"Value", "a tab within", one("foo=1\t2"), none},
		{"Value", "delete", one("foo=1\x7f2"), none},
		{"Value", "beyond ASCII", one("foo=\u00fc"), none},

		{"tracestate Limits", "at least 512 characters are sent on, here the most there can be", one(strings.Join(whole, ",")), strings.Join(whole, ",")},
	} {
		t.Run(tt.section+"/"+tt.rule, func(t *testing.T) {
			parent, state := through(t, headers{parent: []string{valid}, state: tt.in})
			assert.Equal(t, valid, parent, "a fault in tracestate is none of traceparent's")
			assert.Equal(t, tt.want, state)

			// Versioning of tracestate: that of a later version is read as far as it is understood.
			parent, state = through(t, headers{parent: []string{"cc-" + ids + "-01-more"}, state: tt.in})
			assert.Equal(t, valid, parent)
			assert.Equal(t, tt.want, state)

			parent, state = through(t, headers{state: tt.in})
			assert.Empty(t, parent)
			assert.Empty(t, state, "Tracestate Header: none without a traceparent")
		})
	}
}

// TestMutatedTracestate covers the section Mutating the tracestate Field: what has been changed since stands first, and the rest keeps its order.
func TestMutatedTracestate(t *testing.T) {
	insert := func(pairs ...string) func(trace.TraceState) trace.TraceState {
		return func(s trace.TraceState) trace.TraceState {
			for i := 0; i < len(pairs); i += 2 {
				var err error
				s, err = s.Insert(pairs[i], pairs[i+1])
				require.NoError(t, err)
			}
			return s
		}
	}
	for _, tt := range []struct {
		rule, in string
		mutate   func(trace.TraceState) trace.TraceState
		want     string
	}{
		{"nothing changed", "foo=1,a@@b=2,bar=3", insert(), "foo=1,a@@b=2,bar=3"},
		{"added", "foo=1,a@@b=2,bar=3", insert("new", "4"), "new=4,foo=1,a@@b=2,bar=3"},
		{"updated", "foo=1,a@@b=2,bar=3", insert("bar", "4"), "bar=4,foo=1,a@@b=2"},
		{"both", "foo=1,a@@b=2,bar=3", insert("bar", "4", "new", "5"), "new=5,bar=4,foo=1,a@@b=2"},
		{"deleted", "foo=1,a@@b=2,bar=3", func(s trace.TraceState) trace.TraceState { return s.Delete("foo") }, "a@@b=2,bar=3"},
		{"the right-most makes place", list(31) + ",a@@b=2", insert("new", "1"), "new=1," + list(31)},
		{"of keys of level 1 alone", "foo=1,bar=3", insert("bar", "4"), "bar=4,foo=1"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			ctx := tracecontext.Propagator{}.Extract(t.Context(), headers{[]string{valid}, []string{tt.in}}.carrier())
			sc := trace.SpanContextFromContext(ctx)
			ctx = trace.ContextWithSpanContext(ctx, sc.WithTraceState(tt.mutate(sc.TraceState())))
			out := propagation.MapCarrier{}
			tracecontext.Propagator{}.Inject(ctx, out)
			assert.Equal(t, tt.want, out["tracestate"])
		})
	}
	t.Run("Mutating the traceparent Field, restart: another trace takes nothing over", func(t *testing.T) {
		ctx := tracecontext.Propagator{}.Extract(t.Context(), headers{[]string{valid}, []string{"a@@b=2"}}.carrier())
		ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
		out := propagation.MapCarrier{}
		tracecontext.Propagator{}.Inject(ctx, out)
		assert.Equal(t, propagation.MapCarrier{"traceparent": "00-01000000000000000000000000000000-0200000000000000-00"}, out)
	})
}

// multi is a carrier that is neither of OpenTelemetry's, with several values for a name.
type multi struct {
	propagation.MapCarrier
	values map[string][]string
}

func (m multi) Values(name string) []string { return m.values[name] }

func TestCarriers(t *testing.T) {
	for name, carrier := range map[string]propagation.TextMapCarrier{
		"header": headers{[]string{valid}, []string{"a=1,b=2"}}.carrier(),
		"map":    propagation.MapCarrier{"traceparent": valid, "tracestate": "a=1,b=2"},
		"values": multi{values: map[string][]string{"traceparent": {valid}, "tracestate": {"a=1", "b=2"}}},
	} {
		sc := trace.SpanContextFromContext(tracecontext.Propagator{}.Extract(t.Context(), carrier))
		assert.True(t, sc.IsRemote(), name)
		assert.Equal(t, traceID, sc.TraceID().String(), name)
		assert.Equal(t, parentID, sc.SpanID().String(), name)
		assert.Equal(t, "a=1,b=2", sc.TraceState().String(), name)
	}
	assert.Equal(t, []string{"traceparent", "tracestate"}, tracecontext.Propagator{}.Fields())
}

func TestWhatIsInTheContextStays(t *testing.T) {
	known := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	for _, carrier := range []propagation.TextMapCarrier{
		propagation.MapCarrier{}, propagation.HeaderCarrier{}, propagation.HeaderCarrier(nil), multi{},
		propagation.MapCarrier{"traceparent": "00-x", "tracestate": "a=1"},
	} {
		assert.Equal(t, known, tracecontext.Propagator{}.Extract(known, carrier))
	}
}

func TestAllocations(t *testing.T) {
	ctx := context.Background()
	config := trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, Remote: true}
	least := testing.AllocsPerRun(100, func() { trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(config)) })
	for _, tt := range []struct {
		name    string
		carrier propagation.HeaderCarrier
		want    float64
	}{
		{"no header", headers{}.carrier(), 0},
		{"an invalid one", headers{parent: []string{"00-" + ids + "-xx"}}.carrier(), 0},
		{"traceparent: the context alone", headers{parent: []string{valid}}.carrier(), least},
	} {
		assert.Equal(t, tt.want, testing.AllocsPerRun(100, func() { tracecontext.Propagator{}.Extract(ctx, tt.carrier) }), tt.name)
	}
}

// The grammar of level 2, as regular expressions.
var (
	grammarParent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$`)
	grammarMember = regexp.MustCompile(`^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$`)
)

// byGrammar is the tracestate to send for the lines received: the members as the grammar has them, the first of each key.
func byGrammar(lines ...string) string {
	var members []string
	seen := map[string]bool{}
	count := 0
	for _, m := range strings.Split(strings.Join(lines, ","), ",") {
		m = strings.Trim(m, " \t")
		if m == "" {
			continue
		}
		if count++; count > 32 || !grammarMember.MatchString(m) {
			return ""
		}
		if key := m[:strings.Index(m, "=")]; !seen[key] {
			seen[key] = true
			members = append(members, m)
		}
	}
	return strings.Join(members, ",")
}

func FuzzPropagator(f *testing.F) {
	for _, parent := range []string{valid, "cc-" + ids + "-ff-more", "00-" + ids + "-01-", "\t" + valid, "", "00-" + ids + "-0G"} {
		for _, state := range []string{"", "foo=1,bar=2", "a@@b=1,foo= 2 ,,a@@b=3", "1=1, \t,@=2", list(32), list(33), "foo=bar=baz", "f\u00fc=1"} {
			f.Add(parent, state, "congo=t61rcWkgMzE")
		}
	}
	f.Fuzz(func(t *testing.T, parent, first, second string) {
		outParent, outState := through(t, headers{[]string{parent}, []string{first, second}})
		if outParent == "" {
			assert.Empty(t, outState)
			return
		}
		assert.Regexp(t, grammarParent, outParent)
		assert.Equal(t, strings.Trim(parent, " \t")[3:52], outParent[3:52])
		assert.Equal(t, byGrammar(first, second), outState)

		again := headers{parent: []string{outParent}}
		if outState != "" {
			again.state = []string{outState}
		}
		againParent, againState := through(t, again)
		assert.Equal(t, outParent, againParent)
		assert.Equal(t, outState, againState)
	})
}
