package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
)

// What libraries say of their troubles may repeat a setting, such as a header with a token or a URL with a password, or what
// a collector or a caller sent. So their text is never written: it is searched for what it may say, and that is written.

// symptoms are what the texts of libraries are searched for. The list is never written to.
var symptoms = []string{
	// Of connections.
	"connection refused", "connection reset by peer", "no such host", "no route to host", "network is unreachable", "broken pipe",
	"i/o timeout", "context deadline exceeded", "context canceled", "TLS handshake timeout", "unexpected EOF",
	"server gave HTTP response to HTTPS client", "malformed HTTP response", "first record does not look like a TLS handshake",
	"proxyconnect", "server misbehaving", "too many open files",
	// Of certificates.
	"certificate signed by unknown authority", "certificate has expired or is not yet valid", "certificate is not valid for any names",
	"certificate is valid for", "failed to verify certificate", "bad certificate", "certificate required",
	"failed to append certificate", "insecure HTTP endpoint cannot use TLS", "failed to find any PEM data", "no such file or directory", "permission denied", "is a directory",
	// Of OTLP and its settings.
	"OTLP partial success", "max retry time", "body too large", "missing '=", "missing value", "invalid header key", "invalid URL escape",
	"invalid header field", "invalid port", "invalid character", "invalid syntax", "first path segment in URL cannot contain colon",
	"transport: authentication handshake failed", "name resolver error", "exporter is shutdown", "reader is shutdown", "limit reached",
	// Of Google's libraries.
	"could not find default credentials", "cannot fetch token", "unable to detect projectID", "no project found with application default credentials",
	"Google Cloud OpenTelemetry Trace exporter for Go is deprecated and will be archived after January 1st, 2027",
	"PERMISSION_DENIED",
}

// grpcCodes are the names of the statuses of gRPC. The list is never written to.
var grpcCodes = []string{
	"Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied", "ResourceExhausted",
	"FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
}

// symptomsIn returns what a library's text says, in words of this package alone.
func symptomsIn(text string) string {
	var found []string
	for _, symptom := range symptoms {
		if strings.Contains(text, symptom) {
			found = append(found, symptom)
		}
	}
	for _, code := range grpcCodes {
		if strings.Contains(text, "code = "+code+" ") {
			found = append(found, code)
		}
	}
	for code := http.StatusBadRequest; code <= http.StatusNetworkAuthenticationRequired; code++ {
		if status := fmt.Sprintf("%d %s", code, http.StatusText(code)); http.StatusText(code) != "" && strings.Contains(text, status) {
			found = append(found, status)
		}
	}
	return strings.Join(found, ", ")
}

// plainError is an error of a library whose text is not to be written.
type plainError struct{ error }

// plainly returns err, and nil for nil, with a text that repeats no setting and nothing that was received.
func plainly(err error) error {
	if err == nil {
		return nil
	}
	return plainError{err}
}

// Error says what the text of the library's error says, as far as it is known, or else the type of the error.
func (e plainError) Error() string {
	if known := symptomsIn(fmt.Sprint(e.error)); known != "" { // Sprint survives an Error method that panics
		return known
	}
	return fmt.Sprintf("an error of type %T, whose text is not written since it may hold a setting", e.error)
}

// Unwrap returns the library's error.
func (e plainError) Unwrap() error { return e.error }

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
		log.Warn("OpenTelemetry reports an error", "error", plainly(err), "suppressed", suppressed)
		next, suppressed = now.Add(errorInterval), 0
	})
}

// NewSDKLogger returns what otel.SetLogger takes: a logger through which the OpenTelemetry SDK's own warnings and errors,
// such as a limit of spans that is met, become records of log, both at WARNING since no request suffers from them. Their
// values are settings, and are left out; what the settings lack, New says by the variable's name. What the SDK tells
// besides is left out too. Without it, the SDK writes errors as plain text to the standard error. That hook is
// process-wide too.
//
// It needs no limit of its own: the SDK says each such thing once, when it reads its settings or for the first span that
// meets a limit. What repeats goes to the error handler.
func NewSDKLogger(log *slog.Logger) logr.Logger {
	return logr.FromSlogHandler(sdkLogHandler{log.Handler()})
}

// sdkLogHandler turns the SDK's levels into ours, and leaves out its attributes.
type sdkLogHandler struct{ handler slog.Handler }

// sdkWarning is the level of the SDK's warnings: verbosity 1, while information has 4 and debugging 8.
const sdkWarning slog.Level = -1

// Enabled implements slog.Handler.
func (h sdkLogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= sdkWarning && h.handler.Enabled(ctx, slog.LevelWarn)
}

// Handle implements slog.Handler.
func (h sdkLogHandler) Handle(ctx context.Context, record slog.Record) error {
	told := slog.NewRecord(record.Time, slog.LevelWarn, "OpenTelemetry: "+record.Message, record.PC)
	record.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			told.AddAttrs(slog.Any("error", plainly(err)))
		}
		return true
	})
	return h.handler.Handle(ctx, told)
}

// WithAttrs implements slog.Handler.
func (h sdkLogHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h sdkLogHandler) WithGroup(string) slog.Handler { return h }

// NewStandardOutput returns what log.SetOutput takes. Libraries write to Go's standard log, each with what it thinks fit:
// what is known of it becomes a record of log at WARNING. That hook is process-wide too.
func NewStandardOutput(log *slog.Logger) io.Writer { return standardOutput{log} }

type standardOutput struct{ log *slog.Logger }

// Write implements io.Writer.
func (o standardOutput) Write(line []byte) (int, error) {
	o.log.Warn("a library writes to the standard log", "error", symptomsIn(string(line)), "bytes", len(bytes.TrimSpace(line)))
	return len(line), nil
}
