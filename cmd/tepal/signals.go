package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that the first SIGINT or SIGTERM ends, with the
// signal as its cause. A second signal ends the process, as it would by default,
// however soon after the first it comes. The returned function gives up the
// signals; it is called once.
func untilSignal(parent context.Context) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case first := <-signals:
			cancel(fmt.Errorf("%v signal received", first))
		case <-ctx.Done():
			signal.Stop(signals)
			return
		}
		// From here on the default action is back, and no signal comes to the channel.
		signal.Stop(signals)
		select {
		case second := <-signals:
			raise(second)
		default:
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// raise sends this process a signal.
func raise(s os.Signal) {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Signal(s) // a process may always signal itself
	}
}
