package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// lifecycle undoes what a start has done: named steps, in reverse order, under
// one deadline.
type lifecycle struct {
	log   *slog.Logger
	start []func()
	steps []teardown
	// flush comes after all steps.
	flush func(context.Context) error
	// wait counts the goroutines that a start began.
	wait sync.WaitGroup
}

// teardown is one step of a stop. Its context ends when its time is over.
type teardown struct {
	name string
	run  func(context.Context) error
}

func (l *lifecycle) add(name string, run func(context.Context) error) {
	l.steps = append(l.steps, teardown{name, run})
}

// stop runs every step, the last added first, whatever becomes of those before
// it, and waits for what the start began. All of it ends FlushReserve before
// the deadline, which is left to flush.
func (l *lifecycle) stop(deadline time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(-FlushReserve))
	defer cancel()
	var errs []error
	for _, step := range slices.Backward(l.steps) {
		start := time.Now()
		err := step.run(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.name, err))
			l.log.Error("stop: "+step.name, "error", err, "duration", time.Since(start))
			continue
		}
		l.log.Info("stop: "+step.name, "duration", time.Since(start))
	}
	l.await(ctx)
	l.flushLast()
	return errors.Join(errs...)
}

// flushLast flushes the telemetry. It has FlushReserve however early it comes:
// a collector that hangs must not keep a server that has lost nothing, and
// that some spans were lost is no failure of the stop.
func (l *lifecycle) flushLast() {
	ctx, cancel := context.WithTimeout(context.Background(), FlushReserve)
	defer cancel()
	start := time.Now()
	if err := l.flush(ctx); err != nil {
		l.log.Warn("stop: flush telemetry", "error", err, "duration", time.Since(start))
		return
	}
	l.log.Info("stop: flush telemetry", "duration", time.Since(start))
}

// await waits for the goroutines of the start, which end when what they serve
// is closed; one that does not is left behind when ctx ends.
func (l *lifecycle) await(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		l.wait.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		l.log.Warn("stop: something started has not ended in time")
	}
}
