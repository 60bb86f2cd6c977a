package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"log"
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
		h.Handle(errors.New("traces export: connection refused"))
		for range 5 {
			h.Handle(errors.New("held back"))
		}
		time.Sleep(time.Minute - time.Nanosecond) //nolint:forbidigo // The bubble's clock, not the machine's.
		h.Handle(errors.New("held back"))
		require.Len(t, logs.lines(t), 1)
		time.Sleep(time.Nanosecond) //nolint:forbidigo // The bubble's clock, not the machine's.
		h.Handle(errors.New("no such host"))
		time.Sleep(time.Hour) //nolint:forbidigo // The bubble's clock, not the machine's.
		h.Handle(errors.New("i/o timeout"))

		lines := logs.lines(t)
		require.Len(t, lines, 3)
		for i, want := range []struct {
			err        string
			suppressed string
		}{{"connection refused", "0"}, {"no such host", "6"}, {"i/o timeout", "0"}} {
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
	logger.Error(errors.New("open 5ECRET: no such file or directory"), "read tls ca cert file", "file", "5ECRET")
	logger.WithValues("header", "5ECRET").WithName("5ECRET").V(1).Info("limit reached", "limit", "5ECRET")
	logger.V(4).Info("TracerProvider created")
	logger.V(8).Info("exporting spans", "count", 1)
	lines := logs.lines(t)
	require.Len(t, lines, 2)
	assert.Equal(t, "WARNING", lines[0]["severity"])
	assert.Equal(t, "OpenTelemetry: read tls ca cert file", lines[0]["message"])
	assert.Equal(t, "no such file or directory", lines[0]["error"])
	assert.Equal(t, "WARNING", lines[1]["severity"])
	assert.Equal(t, "OpenTelemetry: limit reached", lines[1]["message"])
	assert.False(t, logs.contains("5ECRET"), logs.all())
	assert.True(t, logger.V(1).Enabled())
	assert.False(t, logger.V(2).Enabled())

	var quiet bytes.Buffer
	NewSDKLogger(NewLogger(&quiet, LogOptions{Level: slog.LevelError})).V(1).Info("limit reached")
	assert.Empty(t, quiet.String())
}

// The texts are those that the libraries give for a secret in each place that can hold one.
func TestPlainlyRepeatsNothing(t *testing.T) {
	for text, want := range map[string]string{
		`traces export: Post "http://5ECRET@127.0.0.1:1/v1/traces?key=5ECRET": dial tcp 127.0.0.1:1: connect: connection refused`: "connection refused",
		`traces export: failed to send to http://h/5ECRET: 401 Unauthorized (body: token 5ECRET is unknown)`:                      "401 Unauthorized",
		`rpc error: code = Unauthenticated desc = bad token "5ECRET"`:                                                             "Unauthenticated",
		`context deadline exceeded: rpc error: code = Unavailable desc = name resolver error: produced zero addresses`:            "context deadline exceeded, name resolver error, Unavailable",
		`invalid proxy address "http://u:5ECRET@proxy:x": parse "http://u:5ECRET@proxy:x": invalid port ":x" after host`:          "invalid port",
		`OTLP partial success: 5ECRET (3 spans rejected)`:                                                                         "OTLP partial success",
		`missing '=' in 5ECRET`: "missing '=",
		"5ECRET":                "an error of type *errors.errorString, whose text is not written since it may hold a setting",
	} {
		err := errors.New(text)
		require.EqualError(t, plainly(err), want)
		require.ErrorIs(t, plainly(err), err)
		require.NotContains(t, want, "5ECRET")
	}
	require.NoError(t, plainly(nil))
}

func TestStandardOutput(t *testing.T) {
	var logs sink
	library := log.New(NewStandardOutput(NewLogger(&logs, LogOptions{})), "", 0)
	library.Printf("http2: Framer 0x1: decoded hpack field header field %q = %q", "authorization", "5ECRET")
	library.Print("Google Cloud OpenTelemetry Trace exporter for Go is deprecated and will be archived after January 1st, 2027. Please migrate")
	lines := logs.lines(t)
	require.Len(t, lines, 2)
	assert.Equal(t, "WARNING", lines[0]["severity"])
	assert.Equal(t, "Google Cloud OpenTelemetry Trace exporter for Go is deprecated and will be archived after January 1st, 2027", lines[1]["error"])
	assert.False(t, logs.contains("5ECRET"))
}
