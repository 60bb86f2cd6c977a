package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// startExporting replaces the no-op provider by a real one when there is somewhere to send spans to, and pushes metrics
// when there is somewhere to push them to. What cannot be started is told, and goes without.
func (t *Telemetry) startExporting(ctx context.Context, s *settings, opts Options) error {
	if s.disabled {
		return nil
	}
	t.sampling = s.sampling
	t.sampling.trusted = opts.TrustCallers
	faults := t.startQueues(ctx, s, opts)
	var push sdkmetric.Exporter
	if s.push && !s.metrics.unusable {
		var err error
		if push, err = newPushExporter(ctx, s.metrics); err != nil {
			push, faults = nil, append(faults, fmt.Errorf("metrics are not exported: %w", plainly(err)))
		}
	}
	if err := t.tell(ctx, opts, faults); err != nil {
		return err
	}
	t.processors = append(t.processors, opts.SpanProcessors...)
	if len(t.processors) == 0 && push == nil {
		return nil
	}

	res, err := newResource(ctx, opts.Version, opts.Commit)
	if err != nil {
		// What could be found out is used: a host without a name is no reason not to serve.
		opts.Logger.WarnContext(ctx, "the description of this process in its telemetry is incomplete", "error", plainly(err))
	}
	if push != nil {
		t.pusher = newMeterProvider(push, res, t.registry, t.metrics)
	}
	if len(t.processors) == 0 {
		return nil
	}
	providerOptions := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(res),
		sdktrace.WithSampler(t.sampling),
		sdktrace.WithoutPanicRecording(), // the middleware records panics, once
	}
	for _, p := range t.processors {
		providerOptions = append(providerOptions, sdktrace.WithSpanProcessor(p))
	}
	t.provider = sdktrace.NewTracerProvider(providerOptions...)
	t.tracing = true
	return nil
}

// startQueues starts a queue of its own for each exporter of spans, so that one that hangs does not hold up another. It
// returns why there are fewer than were asked for.
func (t *Telemetry) startQueues(ctx context.Context, s *settings, opts Options) (faults []error) {
	abandoned, abandon := context.WithCancel(context.Background())
	t.abandon = abandon
	for _, name := range s.exporters {
		if name == exporterOTLP && s.traces.unusable {
			continue // which is told already
		}
		exporter, err := newSpanExporter(ctx, abandoned, name, s.traces, opts)
		if err != nil {
			faults = append(faults, fmt.Errorf("traces are not exported by %s: %w", name, plainly(err)))
			continue
		}
		t.processors = append(t.processors, newQueue(abandoned, exporter, s, t.metrics))
	}
	return faults
}

// tell makes a line of each fault, or an error of all when they are to stop the start.
func (t *Telemetry) tell(ctx context.Context, opts Options, faults []error) error {
	if opts.Strict {
		return errors.Join(faults...)
	}
	for _, err := range faults {
		if e, ok := errors.AsType[*SettingError](err); ok {
			opts.Logger.WarnContext(ctx, "a telemetry setting is not usable", "variable", e.Variable, "expected", e.Expected, "instead", e.Instead)
			continue
		}
		opts.Logger.WarnContext(ctx, "telemetry is incomplete", "error", err)
	}
	return nil
}

// stopTracing sends what is queued, to all exporters at once: one after the other, one that hangs would take the time of
// those behind it.
func (t *Telemetry) stopTracing(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && t.pusher != nil {
		// The rest is for the last push, which tells of the spans given up here.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*3/4)
		defer cancel()
	}
	// Not the provider's Shutdown: it stops its processors in turn, and skips the rest once ctx has ended.
	errs := make([]error, len(t.processors))
	var stopping sync.WaitGroup
	for i, p := range t.processors {
		stopping.Go(func() { errs[i] = p.Shutdown(ctx) })
	}
	stopping.Wait()
	return errors.Join(errs...)
}
