package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func TestSampler(t *testing.T) {
	clearOTel(t)
	for _, tt := range []struct{ name, arg, want string }{
		{"", "", "ParentBased{root:AlwaysOnSampler,remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"},
		{"ALWAYS_ON", "", "AlwaysOnSampler"},
		{"always_off", "nonsense that is not read", "AlwaysOffSampler"},
		{"traceidratio", "0.25", "TraceIDRatioBased{0.25}"},
		{"traceidratio", "0", "TraceIDRatioBased{0}"},
		{"traceidratio", "", "TraceIDRatioBased{1}"},
		{"parentbased_always_on", "", "ParentBased{root:AlwaysOnSampler,remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"},
		{"parentbased_always_off", "", "ParentBased{root:AlwaysOffSampler,remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"},
		{"parentbased_traceidratio", "0.5", "ParentBased{root:TraceIDRatioBased{0.5},remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}"},
	} {
		t.Setenv(envSampler, tt.name)
		t.Setenv(envSamplerArg, tt.arg)
		sampling, err := newSampling()
		require.NoError(t, err)
		assert.Equal(t, tt.want, sampling.sampler().Description(), tt.name)
	}
}

func TestSamplerDecides(t *testing.T) {
	unsampled := strings.TrimSuffix(exampleTraceparent, "01") + "00"
	for _, tt := range []struct {
		sampler, traceparent string
		want                 int
	}{
		{"", exampleTraceparent, 1}, {"", unsampled, 0}, {"", "", 1},
		{"always_off", exampleTraceparent, 0}, {"always_on", unsampled, 1},
		{"parentbased_always_off", "", 0}, {"parentbased_always_off", exampleTraceparent, 1},
	} {
		t.Run(tt.sampler+" "+tt.traceparent, func(t *testing.T) {
			f := newFixture(t, true, func(*Options) { t.Setenv(envSampler, tt.sampler) })
			h := f.Route("GET", "/x", http.NotFoundHandler())
			ask(t, h, "GET", "/x", "", "Traceparent", tt.traceparent)
			assert.Len(t, f.spans.Ended(), tt.want)
			assert.Equal(t, tt.want == 1, f.onlyLine(t)["logging.googleapis.com/trace_sampled"])
		})
	}
}

// What is decided beforehand is what the SDK's sampler decides.
func TestSamplingDecidesAsTheSampler(t *testing.T) {
	clearOTel(t)
	random := rand.New(rand.NewPCG(1, 2))
	ids := make([]trace.TraceID, 1000)
	for i := range ids {
		binary.BigEndian.PutUint64(ids[i][:8], random.Uint64())
		binary.BigEndian.PutUint64(ids[i][8:], random.Uint64())
	}
	parent := func(flags trace.TraceFlags) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: flags, Remote: true,
		})
	}
	for _, name := range []string{
		"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
	} {
		for caller, parent := range map[string]trace.SpanContext{
			"none": {}, "sampled": parent(trace.FlagsSampled), "unsampled": parent(0), "random": parent(trace.FlagsRandom),
		} {
			t.Run(name+" "+caller, func(t *testing.T) {
				t.Setenv(envSampler, name)
				t.Setenv(envSamplerArg, "0.25")
				sampling, err := newSampling()
				require.NoError(t, err)
				sampler := sampling.sampler()
				ctx := trace.ContextWithRemoteSpanContext(context.Background(), parent)
				sampled := 0
				for _, id := range ids {
					want := sampler.ShouldSample(sdktrace.SamplingParameters{ParentContext: ctx, TraceID: id, Kind: trace.SpanKindServer})
					require.Equal(t, want.Decision == sdktrace.RecordAndSample, sampling.decide(parent, id), "%v", id)
					if sampling.decide(parent, id) {
						sampled++
					}
				}
				if name == "traceidratio" {
					assert.InDelta(t, 250, sampled, 50) // 1000 × 0.25, within 3.6 standard deviations
				}
				assert.Zero(t, testing.AllocsPerRun(100, func() { sampling.decide(parent, ids[0]) }))
			})
		}
	}
}
