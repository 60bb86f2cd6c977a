package telemetry

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// startExporting replaces the no-op provider by a real one when there is somewhere to send spans to, and pushes metrics
// when there is somewhere to push them to. After an error, Shutdown ends what was started.
func (t *Telemetry) startExporting(ctx context.Context, opts Options) error {
	if strings.EqualFold(env(envDisabled), "true") {
		return nil
	}
	var err error
	if t.sampling, err = newSampling(); err != nil {
		return err
	}
	if err := t.startQueues(ctx, opts); err != nil {
		return err
	}
	push, err := newPushExporter(ctx)
	if err != nil {
		return err
	}
	t.processors = append(t.processors, opts.SpanProcessors...)
	if len(t.processors) == 0 && push == nil {
		return nil
	}

	res, err := newResource(ctx, opts.Version, opts.Commit)
	if err != nil {
		// What could be found out is used: a host without a name is no reason not to serve.
		opts.Logger.WarnContext(ctx, "the description of this process in its telemetry is incomplete", "error", err)
	}
	if push != nil {
		t.pusher = newMeterProvider(push, res, t.registry, t.metrics)
	}
	if len(t.processors) == 0 {
		return nil
	}
	providerOptions := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(res),
		sdktrace.WithSampler(t.sampling.sampler()),
		sdktrace.WithoutPanicRecording(), // the middleware records panics, once
	}
	for _, p := range t.processors {
		providerOptions = append(providerOptions, sdktrace.WithSpanProcessor(p))
	}
	t.provider = sdktrace.NewTracerProvider(providerOptions...)
	t.tracing = true
	return nil
}

// startQueues starts a queue of its own for each exporter that OTEL_TRACES_EXPORTER names, so that one that hangs does
// not hold up another.
func (t *Telemetry) startQueues(ctx context.Context, opts Options) error {
	names, err := traceExporterNames()
	if err != nil {
		return err
	}
	size, err := queueSize()
	if err != nil {
		return err
	}
	abandoned, abandon := context.WithCancel(context.Background())
	t.abandon = abandon
	for _, name := range names {
		exporter, err := newSpanExporter(ctx, abandoned, name, opts)
		if err != nil {
			return err
		}
		t.processors = append(t.processors, newQueue(abandoned, exporter, size, t.metrics))
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
