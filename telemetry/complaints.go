package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

// errorInterval is the least time between two lines of what NewErrorHandler returns.
const errorInterval = time.Minute

// NewErrorHandler returns what otel.SetErrorHandler takes. It logs what goes wrong inside the OpenTelemetry SDK, such as
// an endpoint that does not answer: at WARNING, at most one line a minute, with the number of errors that were held back
// since the line before. Only the main program may install it, since that hook is process-wide.
func NewErrorHandler(log *slog.Logger) otel.ErrorHandler {
	var mu sync.Mutex
	var next time.Time // no line before this
	var suppressed int
	return otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if now.Before(next) {
			suppressed++
			return
		}
		log.Warn("OpenTelemetry reports an error", "error", err, "suppressed", suppressed)
		next, suppressed = now.Add(errorInterval), 0
	})
}

// NewSDKLogger returns what otel.SetLogger takes: a logger through which the OpenTelemetry SDK's own warnings and errors,
// such as a certificate file that it cannot read, become records of log, both at WARNING since no request suffers from
// them. What the SDK tells besides is left out. Without it, the SDK writes errors as plain text to the standard error.
// That hook is process-wide too.
//
// It needs no limit of its own: the SDK says each such thing once, when it reads its settings or for the first span that
// meets a limit. What repeats goes to the error handler.
func NewSDKLogger(log *slog.Logger) logr.Logger {
	return logr.FromSlogHandler(sdkLogHandler{log.Handler()})
}

// sdkLogHandler turns the SDK's levels into ours.
type sdkLogHandler struct{ slog.Handler }

// sdkWarning is the level of the SDK's warnings: verbosity 1, while information has 4 and debugging 8.
const sdkWarning slog.Level = -1

// Enabled implements slog.Handler.
func (h sdkLogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= sdkWarning && h.Handler.Enabled(ctx, slog.LevelWarn)
}

// Handle implements slog.Handler.
func (h sdkLogHandler) Handle(ctx context.Context, record slog.Record) error {
	record.Level = slog.LevelWarn
	return h.Handler.Handle(ctx, record)
}
