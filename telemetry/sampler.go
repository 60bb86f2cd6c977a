package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// sampling says which traces are recorded. It is data and not only a sampler of the SDK, so that a request can be told
// that it will not be sampled before anything is made for it.
type sampling struct {
	parentBased bool             // a caller that is in a trace decides
	root        sdktrace.Sampler // decides otherwise
}

// newSampling reads OTEL_TRACES_SAMPLER and its argument. The SDK would do so too, but it falls back to sampling
// everything when it does not understand them.
func newSampling() (sampling, error) {
	name := strings.ToLower(cmp.Or(env(envSampler), "parentbased_always_on"))
	root, parentBased := strings.CutPrefix(name, "parentbased_")
	s := sampling{parentBased: parentBased}
	var err error
	switch root {
	case "always_on":
		s.root = sdktrace.AlwaysSample()
	case "always_off":
		s.root = sdktrace.NeverSample()
	case "traceidratio":
		s.root, err = newRatioSampler()
	default:
		err = fmt.Errorf("%s: unknown sampler %q: expected always_on, always_off, traceidratio, parentbased_always_on, "+
			"parentbased_always_off or parentbased_traceidratio", envSampler, name)
	}
	return s, err
}

func newRatioSampler() (sdktrace.Sampler, error) {
	arg := cmp.Or(env(envSamplerArg), "1")
	ratio, err := strconv.ParseFloat(arg, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		return nil, fmt.Errorf("%s: %q is no ratio: expected a number from 0 to 1", envSamplerArg, arg)
	}
	return sdktrace.TraceIDRatioBased(ratio), nil
}

// sampler returns the SDK's sampler that decides like this.
func (s sampling) sampler() sdktrace.Sampler {
	if s.parentBased {
		return sdktrace.ParentBased(s.root)
	}
	return s.root
}

// decide reports whether the sampler would record the span of a request in the trace id. The parent is the caller's span
// as its headers tell it; the zero value when they tell none. It does not allocate.
func (s sampling) decide(parent trace.SpanContext, id trace.TraceID) bool {
	if s.parentBased && parent.IsValid() {
		return parent.IsSampled()
	}
	// The SDK's own root samplers look at nothing else, but for the tracestate that they pass on.
	result := s.root.ShouldSample(sdktrace.SamplingParameters{ParentContext: context.Background(), TraceID: id})
	return result.Decision == sdktrace.RecordAndSample
}
