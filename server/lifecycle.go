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
// it. The first step added, the flush of telemetry, has until the deadline;
// the others end FlushReserve before it.
func (l *lifecycle) stop(deadline time.Time) error {
	early, cancelEarly := context.WithDeadline(context.Background(), deadline.Add(-FlushReserve))
	defer cancelEarly()
	late, cancelLate := context.WithDeadline(context.Background(), deadline)
	defer cancelLate()
	var errs []error
	for i, step := range slices.Backward(l.steps) {
		ctx := early
		if i == 0 {
			l.await(early)
			ctx = late
		}
		start := time.Now()
		err := step.run(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.name, err))
			l.log.Error("stop: "+step.name, "error", err, "duration", time.Since(start))
			continue
		}
		l.log.Info("stop: "+step.name, "duration", time.Since(start))
	}
	return errors.Join(errs...)
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
