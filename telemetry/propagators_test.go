package telemetry

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// carry extracts the headers "name: value" by the propagator that OTEL_PROPAGATORS=propagators means, and returns the
// headers that it injects then, sorted.
func carry(t *testing.T, propagators string, in ...string) []string {
	t.Helper()
	clearOTel(t)
	t.Setenv(envPropagators, propagators)
	s := &settings{}
	p := s.readPropagators()
	require.Empty(t, s.faults)
	carrier := propagation.HeaderCarrier{}
	for _, header := range in {
		name, value, found := strings.Cut(header, ": ")
		require.True(t, found, header)
		http.Header(carrier).Add(name, value)
	}
	out := propagation.HeaderCarrier{}
	p.Inject(p.Extract(t.Context(), carrier), out)
	headers := []string{}
	for name, values := range out {
		assert.True(t, slices.ContainsFunc(p.Fields(), func(f string) bool { return strings.EqualFold(f, name) }), name)
		for _, value := range values {
			headers = append(headers, strings.ToLower(name)+": "+value)
		}
	}
	slices.Sort(headers)
	return headers
}

// The same span in each format. 67667974448284343 is 0x00f067aa0ba902b7.
const (
	inW3C     = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	inB3      = "b3: 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"
	inGCP     = "x-cloud-trace-context: 4bf92f3577b34da6a3ce929d0e0e4736/67667974448284343;o=1"
	inBaggage = "baggage: userId=alice"
)

var inMulti = []string{"x-b3-sampled: 1", "x-b3-spanid: 00f067aa0ba902b7", "x-b3-traceid: 4bf92f3577b34da6a3ce929d0e0e4736"}

// Another span, to see which one counts. 8 is 0x0000000000000008.
const (
	otherW3C = "traceparent: 00-0000000000000000000000000000000a-0000000000000008-01"
	otherB3  = "b3: 0000000000000000000000000000000a-0000000000000008-1"
	otherGCP = "x-cloud-trace-context: 0000000000000000000000000000000a/8;o=1"
)

func TestPropagators(t *testing.T) {
	all := append([]string{inB3, inBaggage, inGCP, inW3C}, inMulti...)
	for _, tt := range []struct {
		rule, propagators string
		in, want          []string
	}{
		{"the default", "", all, []string{inBaggage, inW3C}},
		{"tracecontext", "tracecontext", all, []string{inW3C}},
		{"baggage", "baggage", all, []string{inBaggage}},
		{"b3", "b3", all, []string{inB3}},
		{"b3multi", "b3multi", all, inMulti},
		{"gcp_trace", "gcp_trace", all, []string{inGCP}},
		{"none", "none", all, []string{}},
		{"none beside another does nothing", "none,b3", all, []string{inB3}},
		{"case, whitespace, repeated and empty names", " B3 ,, b3 , Baggage,", all, []string{inB3, inBaggage}},
		{"one is read, all are written", "tracecontext,b3,b3multi,gcp_trace,baggage", []string{inGCP}, append([]string{inB3, inW3C, inGCP}, inMulti...)},

		{"traceparent counts, first in the list", "tracecontext,gcp_trace", []string{inW3C, otherGCP}, []string{inW3C, inGCP}},
		{"traceparent counts, last in the list", "gcp_trace,tracecontext", []string{inW3C, otherGCP}, []string{inW3C, inGCP}},
		{"traceparent counts over b3", "b3,tracecontext", []string{inW3C, otherB3}, []string{inW3C, inB3}},
		{"an invalid traceparent does not", "tracecontext,gcp_trace", []string{"traceparent: 00-x", inGCP}, []string{inW3C, inGCP}},
		{"two traceparents do not", "gcp_trace,tracecontext", []string{otherW3C, otherW3C, inGCP}, []string{inW3C, inGCP}},
		{"of the others the first in the list: b3", "b3,gcp_trace", []string{inB3, otherGCP}, []string{inB3, inGCP}},
		{"of the others the first in the list: gcp_trace", "gcp_trace,b3", []string{otherB3, inGCP}, []string{inB3, inGCP}},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			assert.ElementsMatch(t, tt.want, carry(t, tt.propagators, tt.in...))
		})
	}
}

func TestUnknownPropagatorsAreLeftOut(t *testing.T) {
	for list, want := range map[string][]string{"jaeger": nil, "tracecontext,jaeger": {"traceparent", "tracestate"}} {
		for _, disabled := range []string{"", "true"} { // which turns tracing off, and not propagation
			clearOTel(t)
			t.Setenv(envDisabled, disabled)
			t.Setenv(envPropagators, list)
			s := readSettings()
			require.EqualError(t, s.err(), "OTEL_PROPAGATORS is not usable: expected none or a list of: tracecontext, baggage, b3, b3multi, gcp_trace")
			assert.ElementsMatch(t, want, s.propagator.Fields())
		}
	}
}

func TestBaggageThatCannotBeRead(t *testing.T) {
	for _, header := range []string{"session=secret\"", "=", "a", "a=b,secret", "a=" + strings.Repeat("b", maxBaggage)} {
		assert.Empty(t, carry(t, "baggage", "baggage: "+header), header)
	}
	assert.Equal(t, []string{inBaggage}, carry(t, "baggage", inBaggage))
}

// TestB3 has the rules of https://github.com/openzipkin/b3-propagation, by their sections.
func TestB3(t *testing.T) {
	const (
		ids     = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
		denied  = "b3: " + ids + "-0"
		debug   = "b3: " + ids + "-d"
		traceID = "X-B3-TraceId: 4bf92f3577b34da6a3ce929d0e0e4736"
		spanID  = "X-B3-SpanId: 00f067aa0ba902b7"
	)
	for _, tt := range []struct {
		section, rule string
		in            []string
		want          string // as a single header; empty: no context
	}{
		{"Single Header", "accept", []string{inB3}, inB3},
		{"Single Header", "deny", []string{denied}, denied},
		{"Single Header", "debug is accept, and stays debug", []string{debug}, debug},
		{"Single Header", "defer, which counts as deny", []string{"b3: " + ids}, denied},
		{"Single Header", "a parent", []string{"b3: " + ids + "-1-05e3ac9a4f6e3b90"}, inB3},
		{"Single Header", "a parent that is no id", []string{"b3: " + ids + "-1-05e3"}, ""},
		{"Single Header", "another field", []string{"b3: " + ids + "-1-05e3ac9a4f6e3b90-1"}, ""},
		{"Single Header", "another state", []string{"b3: " + ids + "-2"}, ""},
		{"Single Header", "a deny decision alone", []string{"b3: 0"}, ""},
		{"Single Header", "an accept decision alone", []string{"b3: 1"}, ""},
		{"Single Header", "a debug decision alone", []string{"b3: d"}, ""},
		{"Single Header", "empty", []string{"b3: "}, ""},
		{"TraceId", "64 bits are the lower ones of 128", []string{"b3: a3ce929d0e0e4736-00f067aa0ba902b7-1"}, "b3: 0000000000000000a3ce929d0e0e4736-00f067aa0ba902b7-1"},
		{"TraceId", "another length", []string{"b3: 4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-1"}, ""},
		{"TraceId", "zeros", []string{"b3: 00000000000000000000000000000000-00f067aa0ba902b7-1"}, ""},
		{"TraceId", "64 bits of zeros", []string{"b3: 0000000000000000-00f067aa0ba902b7-1"}, ""},
		{"TraceId", "lower case", []string{"b3: 4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-1"}, ""},
		{"TraceId", "hexadecimal digits", []string{"b3: 4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-1"}, ""},
		{"SpanId", "another length", []string{"b3: 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-1"}, ""},
		{"SpanId", "zeros", []string{"b3: 4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-1"}, ""},

		{"Multiple Headers", "accept", []string{traceID, spanID, "X-B3-Sampled: 1"}, inB3},
		{"Multiple Headers", "deny", []string{traceID, spanID, "X-B3-Sampled: 0"}, denied},
		{"Multiple Headers", "defer, which counts as deny", []string{traceID, spanID}, denied},
		{"Multiple Headers", "debug", []string{traceID, spanID, "X-B3-Flags: 1"}, debug},
		{"Multiple Headers", "debug implies accept", []string{traceID, spanID, "X-B3-Flags: 1", "X-B3-Sampled: 0"}, debug},
		{"Multiple Headers", "other flags say nothing", []string{traceID, spanID, "X-B3-Flags: 0", "X-B3-Sampled: 1"}, inB3},
		{"Multiple Headers", "true is from before the specification", []string{traceID, spanID, "X-B3-Sampled: true"}, inB3},
		{"Multiple Headers", "false as well", []string{traceID, spanID, "X-B3-Sampled: false"}, denied},
		{"Multiple Headers", "another state", []string{traceID, spanID, "X-B3-Sampled: yes"}, ""},
		{"Multiple Headers", "the first value wins", []string{traceID, "X-B3-TraceId: 0000000000000000000000000000000a", spanID, "X-B3-Sampled: 1"}, inB3},
		{"Multiple Headers", "a parent", []string{traceID, spanID, "X-B3-ParentSpanId: 0020000000000001", "X-B3-Sampled: 1"}, inB3},
		{"Multiple Headers", "a parent that is no id", []string{traceID, spanID, "X-B3-ParentSpanId: 2", "X-B3-Sampled: 1"}, ""},
		{"Multiple Headers", "the trace is required", []string{spanID, "X-B3-Sampled: 1"}, ""},
		{"Multiple Headers", "the span is required", []string{traceID, "X-B3-Sampled: 1"}, ""},
		{"Multiple Headers", "64 bits", []string{"X-B3-TraceId: a3ce929d0e0e4736", spanID, "X-B3-Sampled: 1"}, "b3: 0000000000000000a3ce929d0e0e4736-00f067aa0ba902b7-1"},

		{"Http Encodings", "the single header takes precedence", append([]string{otherB3}, inMulti...), otherB3},
		{"Http Encodings", "unless it is invalid", append([]string{"b3: x"}, inMulti...), inB3},
	} {
		t.Run(tt.section+"/"+tt.rule, func(t *testing.T) {
			want := []string{}
			if tt.want != "" {
				want = append(want, tt.want)
			}
			assert.Equal(t, want, carry(t, "b3", tt.in...))
		})
	}
	t.Run("Debug Flag/without the sampled header", func(t *testing.T) {
		assert.Equal(t, []string{"x-b3-flags: 1", inMulti[1], inMulti[2]}, carry(t, "b3multi", debug))
	})
	t.Run("Debug Flag/is the trace's", func(t *testing.T) {
		ctx := b3{}.Extract(t.Context(), propagation.MapCarrier{"b3": ids + "-d"})
		assert.True(t, trace.SpanContextFromContext(ctx).IsSampled())
		ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
		out := propagation.MapCarrier{}
		b3{}.Inject(ctx, out)
		assert.Equal(t, propagation.MapCarrier{"b3": "01000000000000000000000000000000-0200000000000000-0"}, out)
	})
}

// TestCloudTrace has the rules of https://cloud.google.com/trace/docs/trace-context#legacy-http-header.
func TestCloudTrace(t *testing.T) {
	const (
		header  = "X-Cloud-Trace-Context: "
		traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
		denied  = "x-cloud-trace-context: " + traceID + "/67667974448284343;o=0"
	)
	for _, tt := range []struct{ rule, in, want string }{
		{"sampled", inGCP, inGCP},
		{"not sampled", denied, denied},
		{"no options", header + traceID + "/67667974448284343", denied},
		{"empty options", header + traceID + "/67667974448284343;o=", denied},
		{"other options", header + traceID + "/67667974448284343;o=x", ""},
		{"hexadecimal in upper case", header + strings.ToUpper(traceID) + "/67667974448284343;o=1", inGCP},
		{"the largest span", header + traceID + "/18446744073709551615;o=1", "x-cloud-trace-context: " + traceID + "/18446744073709551615;o=1"},
		{"a larger one", header + traceID + "/18446744073709551616;o=1", ""},
		{"no span", header + traceID, ""},
		{"no span, with options", header + traceID + ";o=1", ""},
		{"an empty span", header + traceID + "/;o=1", ""},
		{"span 0", header + traceID + "/0;o=1", ""},
		{"a span in hexadecimal", header + traceID + "/00f067aa0ba902b7;o=1", ""},
		{"a negative span", header + traceID + "/-1;o=1", ""},
		{"another length of the trace", header + traceID[1:] + "/1;o=1", ""},
		{"zeros", header + strings.Repeat("0", 32) + "/1;o=1", ""},
		{"another character", header + "g" + traceID[1:] + "/1;o=1", ""},
		{"empty", header, ""},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			want := []string{}
			if tt.want != "" {
				want = append(want, tt.want)
			}
			assert.Equal(t, want, carry(t, "gcp_trace", tt.in))
		})
	}
}

// FuzzPropagators wants what has been written to be read as it was meant, whatever was received.
func FuzzPropagators(f *testing.F) {
	f.Add(strings.TrimPrefix(inB3, "b3: "), "4bf92f3577b34da6", "00f067aa0ba902b7", "1", strings.TrimPrefix(inGCP, "x-cloud-trace-context: "))
	f.Add("0", "", "", "true", "4bf92f3577b34da6a3ce929d0e0e4736/18446744073709551616;o=1")
	f.Add("a3ce929d0e0e4736-00f067aa0ba902b7-d-", "4bf92f3577b34da6", "0", "0", "/;o=")
	f.Fuzz(func(t *testing.T, single, traceID, spanID, sampled, cloud string) {
		in := propagation.MapCarrier{b3Single: single, b3TraceID: traceID, b3SpanID: spanID, b3Sampled: sampled, cloudTraceHeader: cloud}
		for _, p := range []propagation.TextMapPropagator{b3{}, b3{multi: true}, cloudTrace{}} {
			ctx := p.Extract(t.Context(), in)
			out := propagation.MapCarrier{}
			p.Inject(ctx, out)
			assert.Equal(t, trace.SpanContextFromContext(ctx), trace.SpanContextFromContext(p.Extract(t.Context(), out)))
		}
	})
}
