package main

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUntilSignal(t *testing.T) {
	ctx, release := untilSignal(t.Context())
	defer release()
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
		require.Fail(t, "the signal ends nothing")
	}
	assert.EqualError(t, context.Cause(ctx), "terminated signal received")
}

func TestUntilSignalIsReleased(t *testing.T) {
	ctx, release := untilSignal(t.Context())
	release()
	assert.ErrorIs(t, ctx.Err(), context.Canceled)
}
