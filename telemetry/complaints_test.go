package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestErrorHandlerIsRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs sink
		h := NewErrorHandler(NewLogger(&logs, LogOptions{}))
		h.Handle(errors.New("first"))
		for range 5 {
			h.Handle(errors.New("held back"))
		}
		time.Sleep(time.Minute - time.Nanosecond) //nolint:forbidigo // The bubble's clock, not the machine's.
		h.Handle(errors.New("held back"))
		require.Len(t, logs.lines(t), 1)
		time.Sleep(time.Nanosecond) //nolint:forbidigo // The bubble's clock, not the machine's.
		h.Handle(errors.New("second"))
		time.Sleep(time.Hour) //nolint:forbidigo // The bubble's clock, not the machine's.
		h.Handle(errors.New("third"))

		lines := logs.lines(t)
		require.Len(t, lines, 3)
		for i, want := range []struct {
			err        string
			suppressed string
		}{{"first", "0"}, {"second", "6"}, {"third", "0"}} {
			assert.Equal(t, "WARNING", lines[i]["severity"])
			assert.Equal(t, want.err, lines[i]["error"])
			assert.Equal(t, want.suppressed, fmt.Sprint(lines[i]["suppressed"]))
		}
	})
	t.Run("below the level", func(t *testing.T) {
		var logs sink
		NewErrorHandler(NewLogger(&logs, LogOptions{Level: slog.LevelError})).Handle(errors.New("e"))
		assert.Empty(t, logs.writes)
	})
}

func TestSDKLogger(t *testing.T) {
	var logs sink
	// By the verbosities that otel.SetLogger documents: 1 is a warning, 4 information, 8 debugging.
	logger := NewSDKLogger(NewLogger(&logs, LogOptions{Level: slog.LevelDebug}))
	logger.Error(errors.New("no such file"), "read tls ca cert file", "file", "ca.pem")
	logger.V(1).Info("limit reached", "limit", 128)
	logger.V(4).Info("TracerProvider created")
	logger.V(8).Info("exporting spans", "count", 1)
	lines := logs.lines(t)
	require.Len(t, lines, 2)
	assert.Equal(t, "WARNING", lines[0]["severity"])
	assert.Equal(t, "read tls ca cert file", lines[0]["message"])
	assert.Equal(t, "no such file", lines[0]["err"])
	assert.Equal(t, "ca.pem", lines[0]["file"])
	assert.Equal(t, "WARNING", lines[1]["severity"])
	assert.Equal(t, "limit reached", lines[1]["message"])
	assert.True(t, logger.V(1).Enabled())
	assert.False(t, logger.V(2).Enabled())

	var quiet bytes.Buffer
	NewSDKLogger(NewLogger(&quiet, LogOptions{Level: slog.LevelError})).V(1).Info("limit reached")
	assert.Empty(t, quiet.String())
}
