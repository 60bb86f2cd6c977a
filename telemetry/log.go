package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// The fields that every line of FormatGCP starts with, and the bounds of a line.
const (
	timeKey          = "time"
	severityKey      = "severity"
	messageKey       = "message"
	reservedSuffix   = "_"                                   // what an attribute with a reserved name gets appended
	timeLayout       = "2006-01-02T15:04:05.000000000Z07:00" // RFC 3339 with all nine digits: it sorts as text
	usualAttrs       = 24                                    // attributes that need no memory of their own
	maxGroupDepth    = 32                                    // groups in groups; a LogValuer can nest without end
	tooDeep          = "!ERROR: groups are nested too deeply"
	invalidRuneValue = "\uFFFD"
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
// went well.
//
// The logger can only be silenced from outside by zerolog.SetGlobalLevel(zerolog.Disabled); no other package variable of
// zerolog has an effect on it.
func NewLogger(w io.Writer, opts LogOptions) *slog.Logger {
	flush := func() error { return nil }
	if f, ok := w.(interface{ Flush() error }); ok {
		flush = f.Flush
	}
	if opts.Format == FormatConsole {
		w = newConsoleWriter(w, opts.NoColor)
	}
	return slog.New(&logHandler{
		out: newLineWriter(w, flush), level: opts.Level, layout: layoutOf(opts.Format, cmp.Or(opts.Service, serviceName)), project: opts.Project, scopes: make([]scope, 1),
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

// StdLogger returns a standard logger whose every output becomes one record of l, for http.Server.ErrorLog and the
// like. Its Writer is what the output of the standard log package can be set to, with log.SetFlags(0).
func StdLogger(l *slog.Logger, level slog.Level) *log.Logger {
	return slog.NewLogLogger(l.Handler(), level)
}

// logHandler is a slog.Handler that builds zerolog events. It is immutable.
type logHandler struct {
	out     *lineWriter
	level   slog.Level
	layout  *layout
	project string
	scopes  []scope // the top level, then the groups opened by WithGroup, from the outside in
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
		h.out.clock.write(e, h.layout.time, record.Time)
	}
	e.Str(h.layout.severity, h.layout.severityName(record.Level))
	e.Str(h.layout.message, record.Message)
	for i := 0; i < len(h.layout.constant); i += 2 {
		e.Str(h.layout.constant[i], h.layout.constant[i+1])
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		h.layout.ids(e, h.project, span)
	}
	var space [usualAttrs]slog.Attr
	request := h.writeTop(e, h.attrs(space[:0], record))
	return h.out.send(e, request && record.Level < slog.LevelWarn)
}

// writeTop writes the attributes at the top level of a line, and reports whether the line is about a request.
func (h *logHandler) writeTop(e *zerolog.Event, attrs []slog.Attr) (request bool) {
	var space [usualAttrs]slog.Attr
	fields := appendFields(space[:0], attrs, h.layout, 0, 0)
	for i, field := range fields {
		if overridden(fields, i) {
			continue
		}
		if info, ok := requestOf(field.Value); ok {
			request = true
			h.layout.request(e, info)
			h.layout.about.write(e, info)
			continue
		}
		writeValue(e, field.Key, field.Value, 0)
	}
	return request
}

// requestOf returns the request that an attribute of the middleware tells of.
func requestOf(v slog.Value) (*requestInfo, bool) {
	if v.Kind() != slog.KindLogValuer {
		return nil, false
	}
	info, ok := v.Any().(*requestInfo)
	return info, ok
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

// lineWriter sends events to w, one at a time, and learns from w whether they arrived. It stands between zerolog and w
// because zerolog reports a failed write to a package variable or to the standard error, and to nobody else.
type lineWriter struct {
	logger zerolog.Logger // writes to this lineWriter
	flush  func() error
	clock  clock

	mu  sync.Mutex
	w   io.Writer
	err error // of the last write
}

func newLineWriter(w io.Writer, flush func() error) *lineWriter {
	l := &lineWriter{w: w, flush: flush}
	l.logger = zerolog.New(l)
	return l
}

// send writes the event, which must come from l.logger and is not to be used again, and flushes unless it may wait.
func (l *lineWriter) send(e *zerolog.Event, mayWait bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = nil
	e.Send()
	if !mayWait {
		l.err = errors.Join(l.err, l.flush())
	}
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

// clock writes times as writeTime does, and works the second out once: the lines of a busy second share it.
type clock struct{ last atomic.Pointer[second] }

// maxUnix is the last second whose year has four digits.
const maxUnix = 253402300799

type second struct {
	unix int64
	text [len("2006-01-02T15:04:05.")]byte
}

func (c *clock) write(e *zerolog.Event, key string, t time.Time) {
	unix := t.Unix()
	if unix < 0 || unix > maxUnix {
		writeTime(e, key, t)
		return
	}
	s := c.last.Load()
	if s == nil || s.unix != unix {
		s = &second{unix: unix}
		t.UTC().AppendFormat(s.text[:0], "2006-01-02T15:04:05.")
		c.last.Store(s)
	}
	const nano = uint64(time.Second)
	var space [len(timeLayout)]byte
	text := append(space[:0], s.text[:]...)
	at := len(text) - 1
	text = strconv.AppendUint(text[:at], uint64(t.Nanosecond())+nano, 10) // the leading 1 keeps the zeros and becomes the point
	text[at] = '.'
	e.Bytes(key, append(text, 'Z'))
}
