package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"github.com/tepalhq/tepal/printable"
)

// LogOptions says how NewLogger writes.
type LogOptions struct {
	// Level is the least severe level that is written.
	Level slog.Level

	// Format is the form of the lines; FormatGCP when empty.
	Format Format

	// Service is the service.name of FormatECS; "tepal" when empty.
	Service string

	// NoColor turns off the colours of FormatConsole.
	NoColor bool

	// Project is the Google Cloud project that the traces of this process are kept in. When it is known, each line of
	// FormatGCP that belongs to a trace names that trace in the way Cloud Logging links to it.
	Project string
}

// NewLogger returns a logger that writes each record to w as one line, in one call of Write; the calls are serialised.
//
// A line is a JSON object: time (RFC 3339 with nanoseconds, UTC), severity and message under the names of the format,
// then, when the context carries a valid span, the ids of the trace and the span, then the attributes. Groups are
// objects; a group without attributes is left out. No key appears twice in one object: of several attributes with one
// key, the last counts. An attribute at the top level that has the name of one of the format's own fields is written
// with an underscore appended to it. Durations are decimal seconds with an s ("0.0025s"), errors are their text, NaN
// and the infinities are strings, and what cannot be written as JSON is replaced by a string that starts with "!ERROR: ".
// Characters that are not printable are escaped, so that no text drives the terminal that a log is read on.
//
// When w is a [LogBuffer], lines of requests and lines below WARN never wait for it; one at WARN or worse that is no
// request's waits until it is written, for a second at most. A LogBuffer counts what cannot be written; for other writers
// zerolog says it on the standard error.
func NewLogger(w io.Writer, opts LogOptions) *slog.Logger {
	form := func(w io.Writer) zerolog.Logger {
		if opts.Format == FormatConsole {
			return zerolog.New(console{out: w, color: !opts.NoColor})
		}
		return zerolog.New(escapes{w})
	}
	h := &logHandler{level: opts.Level, project: opts.Project, layout: layoutOf(opts.Format, cmp.Or(opts.Service, serviceName))}
	if buffer, ok := w.(*LogBuffer); ok {
		h.buffer, h.logger, h.urgent = buffer, form(buffer), form(urgentLines{buffer})
	} else {
		h.logger = form(zerolog.SyncWriter(w))
		h.urgent = h.logger
	}
	return slog.New(h)
}

// escapes is a writer of lines in which what is not printable becomes an escape of JSON.
type escapes struct{ out io.Writer }

// Write takes a line.
func (e escapes) Write(line []byte) (int, error) {
	if _, err := e.out.Write(printable.Bytes(line, "\n")); err != nil {
		return 0, err
	}
	return len(line), nil
}

// ParseLevel reads the name of a level: debug, info, warn (or warning) or error, in any case.
func ParseLevel(name string) (slog.Level, error) {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("unknown log level %q: expected debug, info, warn or error", name)
}

// logHandler is a slog.Handler that builds zerolog events. It is immutable.
type logHandler struct {
	logger  zerolog.Logger
	urgent  zerolog.Logger // of lines that are lost last
	buffer  *LogBuffer     // that both write to, if it is one
	level   slog.Level
	layout  *layout
	project string
	// derived puts a record's attributes among those of WithAttrs and into the groups of WithGroup; nil when there are none.
	derived func(attrs []slog.Attr) []slog.Attr
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.derive(func(inner []slog.Attr) []slog.Attr { return append(slices.Clip(attrs), inner...) })
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.derive(func(inner []slog.Attr) []slog.Attr { return []slog.Attr{slog.GroupAttrs(name, inner...)} })
}

func (h *logHandler) derive(around func(inner []slog.Attr) []slog.Attr) slog.Handler {
	further := *h
	further.derived = around
	if outer := h.derived; outer != nil {
		further.derived = func(inner []slog.Attr) []slog.Attr { return outer(around(inner)) }
	}
	return &further
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	logger := &h.logger
	if record.Level >= slog.LevelWarn {
		logger = &h.urgent
	}
	e := h.begin(logger, trace.SpanContextFromContext(ctx), record.Time, record.Level, record.Message)
	attrs := make([]slog.Attr, 0, record.NumAttrs())
	record.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	h.writeAttrs(e, attrs)
	e.Send()
	switch {
	case h.buffer == nil:
	case record.Level >= slog.LevelWarn:
		return h.buffer.Flush()
	default:
		h.buffer.Start()
	}
	return nil
}

// request writes the line about an answered request. It is on the way of every request, takes no memory and never waits.
func (h *logHandler) request(span trace.SpanContext, at time.Time, level slog.Level, message string, r *requestInfo) {
	logger := &h.logger
	if level >= slog.LevelError {
		logger = &h.urgent // a caller can cause any number of warnings
	}
	e := h.begin(logger, span, at, level, message)
	h.layout.writeRequest(e, r)
	h.writeAttrs(e, nil)
	e.Send()
	if level >= slog.LevelWarn && h.buffer != nil {
		h.buffer.Start()
	}
}

// begin starts a line with what all lines have.
func (h *logHandler) begin(logger *zerolog.Logger, span trace.SpanContext, at time.Time, level slog.Level, message string) *zerolog.Event {
	e := logger.Log() //nolint:zerologlint // Whoever asked for it sends it.
	if !at.IsZero() {
		writeTime(e, h.layout.time, at)
	}
	e.Str(h.layout.severity, h.layout.severityName(level)).Str(h.layout.message, message)
	if h.layout.format == FormatECS {
		e.Str(ecsVersionKey, ecsVersion).Str(ecsServiceKey, h.layout.service)
	}
	if span.IsValid() {
		h.layout.writeIDs(e, h.project, span)
	}
	return e
}

// writeAttrs writes a record's attributes, and those of the handler itself, at the top level of a line.
func (h *logHandler) writeAttrs(e *zerolog.Event, attrs []slog.Attr) {
	if h.derived != nil {
		attrs = h.derived(attrs)
	}
	writeFields(e, appendFields(nil, attrs, h.layout, 0))
}
