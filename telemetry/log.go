package telemetry

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// The fields that every line starts with. Cloud Logging knows all but traceKey and spanKey, which are for people and for
// other systems.
const (
	timeKey          = "time"
	severityKey      = "severity"
	messageKey       = "message"
	traceKey         = "trace_id"
	spanKey          = "span_id"
	cloudTraceKey    = "logging.googleapis.com/trace"
	cloudSpanKey     = "logging.googleapis.com/spanId"
	cloudSampledKey  = "logging.googleapis.com/trace_sampled"
	reservedSuffix   = "_"                                   // what an attribute with a reserved name gets appended
	timeLayout       = "2006-01-02T15:04:05.000000000Z07:00" // RFC 3339 with all nine digits: it sorts as text
	traceNameFormat  = "projects/%s/traces/"
	usualAttrs       = 24 // attributes that need no memory of their own
	maxGroupDepth    = 32 // groups in groups; a LogValuer can nest without end
	tooDeep          = "!ERROR: groups are nested too deeply"
	invalidRuneValue = "\uFFFD"
)

// LogOptions says how NewLogger writes.
type LogOptions struct {
	// Level is the least severe level that is written.
	Level slog.Level

	// Console selects a form for people instead of JSON, in colour unless NoColor is set.
	Console bool
	NoColor bool

	// Project is the Google Cloud project that the traces of this process are kept in. When it is known, each line that
	// belongs to a trace names that trace in the way Cloud Logging links to it.
	Project string
}

// NewLogger returns a logger that writes each record to w as one line, in one call of Write; the calls are serialised.
//
// A line is a JSON object: time (RFC 3339 with nanoseconds, UTC), severity (DEBUG, INFO, WARNING or ERROR) and message,
// then, when the context carries a valid span, trace_id, span_id and the fields by which Cloud Logging finds the trace,
// then the attributes. Groups are objects; a group without attributes is left out. No key appears twice in one
// object: of several attributes with one key, the last counts. An attribute at the top level that has the name of one of
// the fields above is written with an underscore appended to it. Durations are decimal seconds with an s ("0.0025s"),
// errors are their text, NaN and the infinities are strings, and what cannot be written as JSON is replaced by a string
// that starts with "!ERROR: ".
//
// The logger can only be silenced from outside by zerolog.SetGlobalLevel(zerolog.Disabled); no other package variable of
// zerolog has an effect on it.
func NewLogger(w io.Writer, opts LogOptions) *slog.Logger {
	if opts.Console {
		w = newConsoleWriter(w, opts.NoColor)
	}
	h := &logHandler{out: newLineWriter(w), level: opts.Level, scopes: make([]scope, 1)}
	if opts.Project != "" {
		h.traceName = fmt.Sprintf(traceNameFormat, opts.Project)
	}
	return slog.New(h)
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

// StdLogger returns a standard logger whose every output becomes one record of l, for http.Server.ErrorLog and the
// like. Its Writer is what the output of the standard log package can be set to, with log.SetFlags(0).
func StdLogger(l *slog.Logger, level slog.Level) *log.Logger {
	return slog.NewLogLogger(l.Handler(), level)
}

// logHandler is a slog.Handler that builds zerolog events. It is immutable.
type logHandler struct {
	out       *lineWriter
	level     slog.Level
	traceName string  // "projects/P/traces/", empty without a project
	scopes    []scope // the top level, then the groups opened by WithGroup, from the outside in
}

// scope is an object of the line that attributes can be added to.
type scope struct {
	name  string // empty for the top level
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	derived := *h
	derived.scopes = slices.Clone(h.scopes)
	inner := &derived.scopes[len(derived.scopes)-1]
	inner.attrs = append(slices.Clip(inner.attrs), attrs...)
	return &derived
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	derived := *h
	derived.scopes = append(slices.Clip(h.scopes), scope{name: name})
	return &derived
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	e := h.out.logger.Log()
	if e == nil {
		return nil // zerolog is disabled for the whole process
	}
	if !record.Time.IsZero() {
		writeTime(e, timeKey, record.Time)
	}
	e.Str(severityKey, severityName(record.Level))
	e.Str(messageKey, record.Message)
	h.writeSpan(e, trace.SpanContextFromContext(ctx))

	var space [usualAttrs]slog.Attr
	writeObject(e, h.attrs(space[:0], record), 0)
	return h.out.send(e)
}

// writeSpan links the line to its trace.
func (h *logHandler) writeSpan(e *zerolog.Event, span trace.SpanContext) {
	if !span.IsValid() {
		return
	}
	traceID, spanID := span.TraceID(), span.SpanID()
	e.Hex(traceKey, traceID[:])
	e.Hex(spanKey, spanID[:])
	if h.traceName != "" {
		var space [128]byte
		e.Bytes(cloudTraceKey, hex.AppendEncode(append(space[:0], h.traceName...), traceID[:]))
	}
	e.Hex(cloudSpanKey, spanID[:])
	e.Bool(cloudSampledKey, span.IsSampled())
}

// attrs returns the attributes of the top level, appended to dst: groups opened by WithGroup have become group values.
func (h *logHandler) attrs(dst []slog.Attr, record slog.Record) []slog.Attr {
	inner := len(h.scopes) - 1
	dst = append(dst, h.scopes[inner].attrs...)
	record.Attrs(func(a slog.Attr) bool {
		dst = append(dst, a)
		return true
	})
	for ; inner > 0; inner-- {
		// Cloned, so that dst need not be on the heap when no group is open.
		group := slog.Attr{Key: h.scopes[inner].name, Value: slog.GroupValue(slices.Clone(dst)...)}
		dst = append(slices.Clone(h.scopes[inner-1].attrs), group)
	}
	return dst
}

// severityName is Cloud Logging's name for a level; levels in between take the name of the one below.
func severityName(level slog.Level) string {
	switch {
	case level < slog.LevelInfo:
		return "DEBUG"
	case level < slog.LevelWarn:
		return "INFO"
	case level < slog.LevelError:
		return "WARNING"
	}
	return "ERROR"
}

// reserved reports whether the handler itself writes a field of this name at the top level.
func reserved(key string) bool {
	switch key {
	case timeKey, severityKey, messageKey, traceKey, spanKey, cloudTraceKey, cloudSpanKey, cloudSampledKey:
		return true
	}
	return false
}

// lineWriter sends events to w, one at a time, and learns from w whether they arrived. It stands between zerolog and w
// because zerolog reports a failed write to a package variable or to the standard error, and to nobody else.
type lineWriter struct {
	logger zerolog.Logger // writes to this lineWriter

	mu  sync.Mutex
	w   io.Writer
	err error // of the last write
}

func newLineWriter(w io.Writer) *lineWriter {
	l := &lineWriter{w: w}
	l.logger = zerolog.New(l)
	return l
}

// send writes the event, which must come from l.logger and is not to be used again.
func (l *lineWriter) send(e *zerolog.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = nil
	e.Send()
	return l.err
}

// Write implements io.Writer for zerolog, under the lock that send holds.
func (l *lineWriter) Write(line []byte) (int, error) {
	_, l.err = l.w.Write(line)
	return len(line), nil
}

// writeTime writes a time in UTC.
func writeTime(e *zerolog.Event, key string, t time.Time) {
	var space [len(timeLayout)]byte
	e.Bytes(key, t.UTC().AppendFormat(space[:0], timeLayout))
}
