package telemetry

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// samplersOf returns OpenTelemetry's samplers by the names that its specification gives them.
func samplersOf(ratio float64) map[string]sdktrace.Sampler {
	return map[string]sdktrace.Sampler{
		"":                         sdktrace.ParentBased(sdktrace.AlwaysSample()),
		"ALWAYS_ON":                sdktrace.AlwaysSample(),
		"always_off":               sdktrace.NeverSample(),
		"traceidratio":             sdktrace.TraceIDRatioBased(ratio),
		"parentbased_always_on":    sdktrace.ParentBased(sdktrace.AlwaysSample()),
		"parentbased_always_off":   sdktrace.ParentBased(sdktrace.NeverSample()),
		"parentbased_traceidratio": sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio)),
	}
}

func parentOf(id trace.TraceID, flags trace.TraceFlags) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{2}, TraceFlags: flags, Remote: true})
}

func randomIDs(n int) []trace.TraceID {
	random := rand.New(rand.NewPCG(1, 2))
	ids := make([]trace.TraceID, n)
	for i := range ids {
		binary.BigEndian.PutUint64(ids[i][:8], random.Uint64())
		binary.BigEndian.PutUint64(ids[i][8:], random.Uint64())
	}
	return ids
}

// With callers that are trusted, and for traces that begin here, what is decided is what OpenTelemetry's sampler decides.
func TestSamplingDecidesAsOpenTelemetry(t *testing.T) {
	clearOTel(t)
	for name, sampler := range samplersOf(0.25) {
		for caller, parent := range map[string]func(trace.TraceID) trace.SpanContext{
			"none": func(id trace.TraceID) trace.SpanContext {
				return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id})
			},
			"sampled":   func(id trace.TraceID) trace.SpanContext { return parentOf(id, trace.FlagsSampled) },
			"unsampled": func(id trace.TraceID) trace.SpanContext { return parentOf(id, 0) },
		} {
			t.Run(name+" "+caller, func(t *testing.T) {
				t.Setenv(envSampler, name)
				t.Setenv(envSamplerArg, "0.25")
				s := readSettings()
				require.NoError(t, s.err())
				chosen := s.sampling
				chosen.trusted = true
				for _, id := range randomIDs(1000) {
					p := parent(id)
					ctx := trace.ContextWithRemoteSpanContext(context.Background(), p)
					want := sampler.ShouldSample(sdktrace.SamplingParameters{ParentContext: ctx, TraceID: id, Kind: trace.SpanKindServer})
					require.Equal(t, want.Decision == sdktrace.RecordAndSample, chosen.decide(p, lotOf(id)), "%v", id)
				}
				id := randomIDs(1)[0]
				assert.Zero(t, testing.AllocsPerRun(100, func() { chosen.decide(parent(id), lotOf(id)) }))
			})
		}
	}
}

// A stranger can ask to be left out. He cannot ask to be let in, neither by the flag nor by an id that he chose.
func TestStrangersDecideNothing(t *testing.T) {
	never := trace.TraceID{8: 0xff, 15: 0xff} // in no share below nearly all
	always := trace.TraceID{15: 1}            // in every share
	for _, tt := range []struct {
		sampler   string
		caller    trace.SpanContext
		low, high bool // with a lot that is in a quarter, and with one that is not
	}{
		{"parentbased_traceidratio", parentOf(always, trace.FlagsSampled), true, false},
		{"parentbased_traceidratio", parentOf(never, trace.FlagsSampled), true, false},
		{"parentbased_traceidratio", parentOf(always, 0), false, false},
		{"traceidratio", parentOf(always, trace.FlagsSampled), true, false},
		{"traceidratio", parentOf(never, 0), true, false},
		{"parentbased_always_on", parentOf(never, trace.FlagsSampled), true, true},
		{"parentbased_always_on", parentOf(always, 0), false, false},
		{"parentbased_always_off", parentOf(always, trace.FlagsSampled), false, false},
		{"always_off", parentOf(always, trace.FlagsSampled), false, false},
	} {
		clearOTel(t)
		t.Setenv(envSampler, tt.sampler)
		t.Setenv(envSamplerArg, "0.25")
		s := readSettings()
		assert.Equal(t, tt.low, s.sampling.decide(tt.caller, 1), "%v", tt)
		assert.Equal(t, tt.high, s.sampling.decide(tt.caller, 1<<62), "%v", tt)
	}
}

// The whole way: spans, the flag that goes on, and the log's share.
func TestWhoDecides(t *testing.T) {
	unsampled := strings.TrimSuffix(exampleTraceparent, "01") + "00"
	for _, tt := range []struct {
		sampler, traceparent string
		trusted, want        bool
	}{
		{"", exampleTraceparent, false, true}, {"", unsampled, false, false}, {"", "", false, true},
		{"always_off", exampleTraceparent, true, false}, {"always_on", unsampled, false, true}, {"always_on", unsampled, true, true},
		{"parentbased_always_off", "", true, false}, {"parentbased_always_off", exampleTraceparent, true, true},
		{"parentbased_always_off", exampleTraceparent, false, false},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			f := newFixture(t, true, func(o *Options) { t.Setenv(envSampler, tt.sampler); o.TrustCallers = tt.trusted })
			h := f.Route("GET", "/x", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				RecordFrom(r.Context()).StartPrediction("m", "1", "", 1, 1).End()
			}))
			ask(t, h, "GET", "/x", "", "Traceparent", tt.traceparent)
			if tt.want {
				require.Len(t, f.spans.Ended(), 2, "the span below is recorded too")
			} else {
				require.Empty(t, f.spans.Ended())
			}
			line := f.onlyLine(t)
			assert.Equal(t, tt.want, line["logging.googleapis.com/trace_sampled"])
			if tt.traceparent != "" {
				assert.Equal(t, exampleTraceID, line["trace_id"], "the trace is joined whoever decides")
			}
		})
	}
}

// A caller who sends the same id each time is in the share of the log no more often than others.
func TestLogsShareIsDrawnByChance(t *testing.T) {
	f := newFixture(t, false, func(o *Options) { o.AccessLog = accessLog(t, "sampled:0.5", 0) })
	h := f.Route("GET", "/x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	const n = 1000
	for range n {
		ask(t, h, "GET", "/x", "", "Traceparent", "00-00000000000000000000000000000001-00f067aa0ba902b7-01")
	}
	assert.InDelta(t, n/2, len(f.logs.all()), 6*16) // six standard deviations
}

// What a stranger's span may hold of his own is bounded.
func TestStrangersStateIsBounded(t *testing.T) {
	long := "a=" + strings.Repeat("b", 250) + ",c=" + strings.Repeat("d", 250) + ",e=" + strings.Repeat("f", 250)
	for _, tt := range []struct {
		state   string
		trusted bool
		want    string
	}{{"a=b", false, "a=b"}, {long, false, ""}, {long, true, long}} {
		f := newFixture(t, true, func(o *Options) { o.TrustCallers = tt.trusted })
		ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "", "Traceparent", exampleTraceparent, "Tracestate", tt.state)
		assert.Equal(t, tt.want, f.onlySpan(t).SpanContext().TraceState().String())
	}
}
