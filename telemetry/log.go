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
//
// When w has a method Flush() error, as a [LogBuffer] has, it is called after every line but those of requests that
// went well. A LogBuffer counts what cannot be written; for other writers zerolog says it on the standard error.
func NewLogger(w io.Writer, opts LogOptions) *slog.Logger {
	flush := func() error { return nil }
	if f, ok := w.(interface{ Flush() error }); ok {
		flush = f.Flush
	}
	if opts.Format == FormatConsole {
		w = console{out: w, color: !opts.NoColor}
	}
	return slog.New(&logHandler{
		logger: zerolog.New(zerolog.SyncWriter(w)), flush: flush, level: opts.Level, project: opts.Project,
		layout: layoutOf(opts.Format, cmp.Or(opts.Service, serviceName)),
	})
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
	flush   func() error
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
	e := h.begin(trace.SpanContextFromContext(ctx), record.Time, record.Level, record.Message)
	attrs := make([]slog.Attr, 0, record.NumAttrs())
	record.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	h.writeAttrs(e, attrs)
	e.Send()
	return h.flush()
}

// request writes the line about an answered request. It is on the way of every request, and takes no memory.
func (h *logHandler) request(span trace.SpanContext, at time.Time, level slog.Level, message string, r *requestInfo) {
	e := h.begin(span, at, level, message)
	h.layout.writeRequest(e, r)
	h.writeAttrs(e, nil)
	e.Send()
	if level >= slog.LevelWarn {
		_ = h.flush() // a log that cannot be written has nowhere to say so
	}
}

// begin starts a line with what all lines have.
func (h *logHandler) begin(span trace.SpanContext, at time.Time, level slog.Level, message string) *zerolog.Event {
	e := h.logger.Log() //nolint:zerologlint // Whoever asked for it sends it.
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
