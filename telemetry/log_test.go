package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
)

func TestLogHandlerConformsToSlog(t *testing.T) {
	var logs *sink
	slogtest.Run(t,
		func(*testing.T) slog.Handler {
			logs = &sink{}
			return NewLogger(logs, LogOptions{}).Handler()
		},
		func(t *testing.T) map[string]any {
			lines := logs.lines(t)
			require.Len(t, lines, 1)
			line := lines[0]
			// slogtest looks for slog's own names.
			for ours, theirs := range map[string]string{"severity": slog.LevelKey, "message": slog.MessageKey} {
				if value, ok := line[ours]; ok {
					line[theirs] = value
					delete(line, ours)
				}
			}
			return line
		})
}

// logAt writes one record with a fixed time through the handler and returns the line.
//
//nolint:revive // t comes first in every helper of a test.
func logAt(t *testing.T, ctx context.Context, h func(slog.Handler) slog.Handler, opts LogOptions, level slog.Level, message string, attrs ...slog.Attr) string {
	t.Helper()
	var buf bytes.Buffer
	handler := NewLogger(&buf, opts).Handler()
	if h != nil {
		handler = h(handler)
	}
	record := slog.NewRecord(time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("", 3600)), level, message, 0)
	record.AddAttrs(attrs...)
	require.NoError(t, handler.Handle(ctx, record))
	return buf.String()
}

func TestLogLineIsExact(t *testing.T) {
	line := logAt(t, t.Context(), nil, LogOptions{}, slog.LevelWarn, "hello", slog.Int("n", 1))
	assert.Equal(t, `{"time":"2026-01-02T02:04:05.000000600Z","severity":"WARNING","message":"hello","n":1}`+"\n", line)
}

// The form is that of time.Time, with all nine digits.
func TestLogTimes(t *testing.T) {
	out := &sink{}
	handler := NewLogger(out, LogOptions{}).Handler()
	base := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)
	times := []time.Time{
		base, base.Add(1), base.Add(999_999_999), base.Add(time.Second), base.Add(1_100_000_000).In(time.FixedZone("", -7200)), base,
		time.Date(1969, 7, 20, 20, 17, 40, 5, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 1, time.UTC),
	}
	for _, at := range times {
		require.NoError(t, handler.Handle(t.Context(), slog.NewRecord(at, slog.LevelInfo, "m", 0)))
	}
	for i, line := range out.lines(t) {
		assert.Equal(t, times[i].UTC().Format("2006-01-02T15:04:05.000000000Z07:00"), line["time"])
	}
}

func TestLogSeverity(t *testing.T) {
	for level, want := range map[slog.Level]string{
		-8: "DEBUG", slog.LevelDebug: "DEBUG", -1: "DEBUG",
		slog.LevelInfo: "INFO", 3: "INFO",
		slog.LevelWarn: "WARNING", 7: "WARNING",
		slog.LevelError: "ERROR", 12: "ERROR",
	} {
		line := logAt(t, t.Context(), nil, LogOptions{}, level, "")
		assert.Contains(t, line, `"severity":"`+want+`"`, "level %d", level)
	}
}

func TestLogLevelIsTheLeastWritten(t *testing.T) {
	var logs sink
	log := NewLogger(&logs, LogOptions{Level: slog.LevelWarn})
	log.Debug("a")
	log.Info("b")
	log.Warn("c")
	log.Error("d")
	lines := logs.lines(t)
	require.Len(t, lines, 2)
	assert.Equal(t, "c", lines[0]["message"])
	assert.Equal(t, "d", lines[1]["message"])
}

type valuer struct{ v slog.Value }

func (v valuer) LogValue() slog.Value { return v.v }

type endless struct{}

func (e endless) LogValue() slog.Value { return slog.GroupValue(slog.Any("again", e)) }

type endlessInline struct{}

func (e endlessInline) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("", e), slog.Int("n", 1))
}

type panickingValuer struct{}

func (panickingValuer) LogValue() slog.Value { panic("no value") }

type panickingMarshaler struct{}

func (panickingMarshaler) MarshalJSON() ([]byte, error) { panic("no JSON") }

type brokenMarshaler struct{ text string }

func (b brokenMarshaler) MarshalJSON() ([]byte, error) { return []byte(b.text), nil }

type pointerError struct{ text string }

func (e *pointerError) Error() string { return e.text }

type panickingError struct{}

func (panickingError) Error() string { panic("no text") }

type errorWithJSON struct{}

func (errorWithJSON) Error() string                { return "the text" }
func (errorWithJSON) MarshalJSON() ([]byte, error) { return []byte(`{"not":"this"}`), nil }

func TestLogAttributes(t *testing.T) {
	cyclic := map[string]any{}
	cyclic["self"] = cyclic
	tests := []struct {
		name  string
		attrs []slog.Attr
		want  string // the members after the message
	}{
		{"string", []slog.Attr{slog.String("k", "v")}, `"k":"v"`},
		{"escapes", []slog.Attr{slog.String("k", "a\"b\\c\nd\te\x00f\x7f<>&")}, `"k":"a\"b\\c\nd\te\u0000f\u007f<>&"`},
		{"escaped key", []slog.Attr{slog.Int("a\"\n", 1)}, `"a\"\n":1`},
		{"invalid UTF-8", []slog.Attr{slog.String("k", "a\xff\xfeb")}, `"k":"a\ufffd\ufffdb"`},
		{"invalid UTF-8 in a key", []slog.Attr{slog.Int("a\xff", 1)}, `"a` + "\uFFFD" + `":1`},
		{"int64", []slog.Attr{slog.Int64("k", math.MinInt64)}, `"k":-9223372036854775808`},
		{"uint64", []slog.Attr{slog.Uint64("k", math.MaxUint64)}, `"k":18446744073709551615`},
		{"bool", []slog.Attr{slog.Bool("k", true)}, `"k":true`},
		{"float", []slog.Attr{slog.Float64("k", 0.1)}, `"k":0.1`},
		{"large float", []slog.Attr{slog.Float64("k", 1e300)}, `"k":1e+300`},
		{"small float", []slog.Attr{slog.Float64("k", 5e-324)}, `"k":5e-324`},
		{"NaN", []slog.Attr{slog.Float64("k", math.NaN())}, `"k":"NaN"`},
		{"infinities", []slog.Attr{slog.Float64("a", math.Inf(1)), slog.Float64("b", math.Inf(-1))}, `"a":"+Inf","b":"-Inf"`},
		{"duration", []slog.Attr{slog.Duration("k", 2500*time.Microsecond)}, `"k":"0.0025s"`},
		{"time", []slog.Attr{slog.Time("k", time.Date(2026, 5, 6, 7, 8, 9, 10, time.FixedZone("", -3600)))}, `"k":"2026-05-06T08:08:09.000000010Z"`},
		{"time outside RFC 3339", []slog.Attr{slog.Time("k", time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC))}, `"k":"12026-01-01T00:00:00.000000000Z"`},
		{"nil", []slog.Attr{slog.Any("k", nil)}, `"k":null`},
		{"bytes", []slog.Attr{slog.Any("k", []byte("a\xffb"))}, `"k":"a\ufffdb"`},
		{"error", []slog.Attr{slog.Any("k", errors.New("it\nbroke"))}, `"k":"it\nbroke"`},
		{"error with its own JSON", []slog.Attr{slog.Any("k", errorWithJSON{})}, `"k":"the text"`},
		{"nil pointer in an error", []slog.Attr{slog.Any("k", (*pointerError)(nil))}, `"k":"<nil>"`},
		{"panicking error", []slog.Attr{slog.Any("k", panickingError{})}, `"k":"%!v(PANIC=Error method: no text)"`},
		{"struct", []slog.Attr{slog.Any("k", struct {
			A int    `json:"a"`
			B string `json:"b"`
		}{1, "<x>"})}, `"k":{"a":1,"b":"<x>"}`},
		{"slice", []slog.Attr{slog.Any("k", []string{"a", "b"})}, `"k":["a","b"]`},
		{"text marshaler", []slog.Attr{slog.Any("k", netip.MustParseAddr("::1"))}, `"k":"::1"`},
		{"raw JSON", []slog.Attr{slog.Any("k", json.RawMessage("{ \"a\" :\n1 }"))}, `"k":{"a":1}`},
		{"channel", []slog.Attr{slog.Any("k", make(chan int))}, `"k":"!ERROR: json: unsupported type: chan int"`},
		{"function", []slog.Attr{slog.Any("k", func() {})}, `"k":"!ERROR: json: unsupported type: func()"`},
		{"NaN in a slice", []slog.Attr{slog.Any("k", []float64{math.NaN()})}, `"k":"!ERROR: json: unsupported value: NaN"`},
		{"panicking marshaler", []slog.Attr{slog.Any("k", panickingMarshaler{})}, `"k":"!ERROR: panic in MarshalJSON of telemetry.panickingMarshaler: no JSON"`},
		{"LogValuer", []slog.Attr{slog.Any("k", valuer{slog.IntValue(7)})}, `"k":7`},
		{"LogValuer of a group", []slog.Attr{slog.Any("k", valuer{slog.GroupValue(slog.Int("a", 1))})}, `"k":{"a":1}`},
		{"LogValuer in a group", []slog.Attr{slog.Group("g", slog.Any("k", valuer{slog.IntValue(7)}))}, `"g":{"k":7}`},
		{"group", []slog.Attr{slog.Group("g", slog.Int("a", 1), slog.Group("h", slog.Int("b", 2)))}, `"g":{"a":1,"h":{"b":2}}`},
		{"inline group", []slog.Attr{slog.Int("a", 1), slog.Group("", slog.Int("b", 2), slog.Group("", slog.Int("c", 3)))}, `"a":1,"b":2,"c":3`},
		{"empty groups", []slog.Attr{slog.Group("g"), slog.Group("h", slog.Group("i")), slog.Group("j", slog.Attr{}), slog.Int("a", 1)}, `"a":1`},
		{"empty group does not override", []slog.Attr{slog.Int("g", 1), slog.Group("g", slog.Group("h"))}, `"g":1`},
		{"empty attribute", []slog.Attr{{}, slog.Int("a", 1)}, `"a":1`},
		{"empty key", []slog.Attr{slog.Int("", 1)}, `"":1`},
		{"last wins", []slog.Attr{slog.Int("a", 1), slog.Int("b", 2), slog.Int("a", 3)}, `"b":2,"a":3`},
		{"last wins in a group", []slog.Attr{slog.Group("g", slog.Int("a", 1), slog.Int("a", 2))}, `"g":{"a":2}`},
		{"last wins over an inline group", []slog.Attr{slog.Group("", slog.Int("a", 1)), slog.Int("a", 2)}, `"a":2`},
		{"last group wins", []slog.Attr{slog.Group("g", slog.Int("a", 1)), slog.Group("g", slog.Int("b", 2))}, `"g":{"b":2}`},
		{"keys that become one by UTF-8", []slog.Attr{slog.Int("\xff", 1), slog.Int("\xfe", 2)}, `"` + "\uFFFD" + `":2`},
		{"reserved", []slog.Attr{
			slog.Int("time", 1), slog.Int("severity", 2), slog.Int("message", 3), slog.Int("trace_id", 4), slog.Int("span_id", 5),
			slog.Int("logging.googleapis.com/trace", 6), slog.Int("logging.googleapis.com/spanId", 7), slog.Int("logging.googleapis.com/trace_sampled", 8),
		}, `"time_":1,"severity_":2,"message_":3,"trace_id_":4,"span_id_":5,` +
			`"logging.googleapis.com/trace_":6,"logging.googleapis.com/spanId_":7,"logging.googleapis.com/trace_sampled_":8`},
		{"reserved by an inline group", []slog.Attr{slog.Group("", slog.Int("time", 1))}, `"time_":1`},
		{"reserved and renamed meet", []slog.Attr{slog.Int("time", 1), slog.Int("time_", 2)}, `"time_":2`},
		{"not reserved in a group", []slog.Attr{slog.Group("g", slog.Int("time", 1))}, `"g":{"time":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := logAt(t, t.Context(), nil, LogOptions{}, slog.LevelInfo, "m", tt.attrs...)
			assert.Equal(t, `{"time":"2026-01-02T02:04:05.000000600Z","severity":"INFO","message":"m",`+tt.want+"}\n", line)
		})
	}

	hostile := []struct {
		name string
		attr slog.Attr
		want string // somewhere in the line
	}{
		{"cyclic map", slog.Any("k", cyclic), `"k":"!ERROR: json: unsupported value: encountered a cycle`},
		{"panicking LogValuer", slog.Any("k", panickingValuer{}), `"k":"LogValue panicked`},
		{"endless LogValuer", slog.Any("k", endless{}), `"again":"!ERROR: groups are nested too deeply"`},
		{"endless inline group", slog.Any("", endlessInline{}), `"!ERROR: groups are nested too deeply"`},
		{"no JSON at all", slog.Any("k", brokenMarshaler{"}\n{"}), `"k":"!ERROR: json: error calling MarshalJSON`},
		{"raw JSON with a key twice", slog.Any("k", json.RawMessage(`{"a":1,"a":2}`)), `"k":"!ERROR: jsontext: duplicate object member name`},
		{"keys that become one", slog.Any("k", map[string]int{"\xff": 1, "\xfe": 1}), `"k":"!ERROR: jsontext: duplicate object member name`},
		{"half a string", slog.Any("k", brokenMarshaler{`"`}), `"k":"!ERROR: json: error calling MarshalJSON`},
	}
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			line := logAt(t, t.Context(), nil, LogOptions{}, slog.LevelInfo, "m", tt.attr)
			assertOneObject(t, line)
			assert.Contains(t, line, tt.want)
		})
	}
}

func TestLogDurationIsExact(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                              "0s",
		time.Nanosecond:                "0.000000001s",
		123 * time.Microsecond:         "0.000123s",
		1234567891:                     "1.234567891s",
		time.Second:                    "1s",
		-1500 * time.Millisecond:       "-1.5s",
		100 * time.Second:              "100s",
		100*time.Second + 10:           "100.00000001s",
		240*time.Hour + 999_999_999:    "864000.999999999s",
		10*time.Hour + time.Nanosecond: "36000.000000001s",
	} {
		line := logAt(t, t.Context(), nil, LogOptions{}, slog.LevelInfo, "m", slog.Duration("d", d))
		assert.Contains(t, line, `"d":"`+want+`"`)
	}
}

func TestLogWithAttrsAndGroups(t *testing.T) {
	const start = `{"time":"2026-01-02T02:04:05.000000600Z","severity":"INFO","message":"m"`
	attrs := func(attrs ...slog.Attr) func(slog.Handler) slog.Handler {
		return func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) }
	}
	group := func(name string) func(slog.Handler) slog.Handler {
		return func(h slog.Handler) slog.Handler { return h.WithGroup(name) }
	}
	tests := []struct {
		name   string
		derive []func(slog.Handler) slog.Handler
		attrs  []slog.Attr
		want   string
	}{
		{"attributes", []func(slog.Handler) slog.Handler{attrs(slog.Int("a", 1))}, []slog.Attr{slog.Int("b", 2)}, `,"a":1,"b":2}`},
		{"the record overrides", []func(slog.Handler) slog.Handler{attrs(slog.Int("a", 1))}, []slog.Attr{slog.Int("a", 2)}, `,"a":2}`},
		{"a group", []func(slog.Handler) slog.Handler{attrs(slog.Int("a", 1)), group("g"), attrs(slog.Int("b", 2))}, []slog.Attr{slog.Int("c", 3)}, `,"a":1,"g":{"b":2,"c":3}}`},
		{"groups", []func(slog.Handler) slog.Handler{group("g"), attrs(slog.Int("a", 1)), group("h")}, []slog.Attr{slog.Int("b", 2)}, `,"g":{"a":1,"h":{"b":2}}}`},
		{"inner group empty", []func(slog.Handler) slog.Handler{group("g"), attrs(slog.Int("a", 1)), group("h")}, nil, `,"g":{"a":1}}`},
		{"all groups empty", []func(slog.Handler) slog.Handler{group("g"), group("h")}, []slog.Attr{slog.Group("i")}, `}`},
		{"group without a name", []func(slog.Handler) slog.Handler{group(""), attrs()}, []slog.Attr{slog.Int("a", 1)}, `,"a":1}`},
		{"group with a reserved name", []func(slog.Handler) slog.Handler{group("time")}, []slog.Attr{slog.Int("time", 1)}, `,"time_":{"time":1}}`},
		{"the group is later than an attribute of its name", []func(slog.Handler) slog.Handler{attrs(slog.Int("g", 1)), group("g")}, []slog.Attr{slog.Int("a", 1)}, `,"g":{"a":1}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := logAt(t, t.Context(), func(h slog.Handler) slog.Handler {
				for _, derive := range tt.derive {
					h = derive(h)
				}
				return h
			}, LogOptions{}, slog.LevelInfo, "m", tt.attrs...)
			assert.Equal(t, start+tt.want+"\n", line)
		})
	}
}

func TestLogDerivedHandlersDoNotShare(t *testing.T) {
	var logs sink
	base := NewLogger(&logs, LogOptions{}).With("a", 1)
	left, right := base.With("side", "left"), base.With("side", "right")
	leftGroup, rightGroup := base.WithGroup("l"), base.WithGroup("r")
	left.Info("")
	right.Info("")
	leftGroup.Info("", "x", 1)
	rightGroup.Info("", "x", 1)
	lines := logs.lines(t)
	assert.Equal(t, "left", lines[0]["side"])
	assert.Equal(t, "right", lines[1]["side"])
	assert.Contains(t, lines[2], "l")
	assert.NotContains(t, lines[2], "r")
	assert.Contains(t, lines[3], "r")
}

func spanContext(t *testing.T, flags trace.TraceFlags) context.Context {
	t.Helper()
	traceID, err := trace.TraceIDFromHex(exampleTraceID)
	require.NoError(t, err)
	spanID, err := trace.SpanIDFromHex(exampleParentID)
	require.NoError(t, err)
	return trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: flags}))
}

func TestLogCarriesTheSpan(t *testing.T) {
	const (
		start = `{"time":"2026-01-02T02:04:05.000000600Z","severity":"INFO","message":"m"`
		ids   = `,"trace_id":"` + exampleTraceID + `","span_id":"` + exampleParentID + `"`
		cloud = `,"logging.googleapis.com/spanId":"` + exampleParentID + `","logging.googleapis.com/trace_sampled":`
		named = `,"logging.googleapis.com/trace":"projects/my-project/traces/` + exampleTraceID + `"`
	)
	project := LogOptions{Project: "my-project"}
	assert.Equal(t, start+ids+cloud+"true,\"a\":1}\n",
		logAt(t, spanContext(t, trace.FlagsSampled), nil, LogOptions{}, slog.LevelInfo, "m", slog.Int("a", 1)))
	assert.Equal(t, start+ids+cloud+"false}\n",
		logAt(t, spanContext(t, 0), nil, LogOptions{}, slog.LevelInfo, "m"))
	assert.Equal(t, start+ids+named+cloud+"true}\n",
		logAt(t, spanContext(t, trace.FlagsSampled), nil, project, slog.LevelInfo, "m"))
	assert.Equal(t, start+"}\n", logAt(t, t.Context(), nil, project, slog.LevelInfo, "m"))
	// The ids stay at the top when the logger has opened a group.
	inGroup := func(h slog.Handler) slog.Handler { return h.WithGroup("g") }
	assert.Equal(t, start+ids+cloud+"true,\"g\":{\"trace_id\":1}}\n",
		logAt(t, spanContext(t, trace.FlagsSampled), inGroup, LogOptions{}, slog.LevelInfo, "m", slog.Int("trace_id", 1)))
	assert.Equal(t, start+"}\n", logAt(t, nil, nil, LogOptions{}, slog.LevelInfo, "m"))
}

func TestLogWritesOncePerRecordFromManyGoroutines(t *testing.T) {
	var logs sink
	log := NewLogger(&logs, LogOptions{})
	const goroutines, each = 8, 50
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				log.Info("m", "g", g, "i", i, "pad", strings.Repeat("x", i))
			}
		})
	}
	wg.Wait()
	assert.Len(t, logs.lines(t), goroutines*each)
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// A log whose reader has gone is no reason to fail.
func TestLogSurvivesAFailedWrite(t *testing.T) {
	for _, format := range []Format{FormatGCP, FormatConsole} {
		log := NewLogger(NewLogBuffer(failingWriter{}), LogOptions{Format: format})
		log.Error("m")
		record := slog.NewRecord(time.Now(), slog.LevelWarn, "m", 0)
		require.ErrorIs(t, log.Handler().Handle(t.Context(), record), io.ErrClosedPipe)
	}
}

func TestParseLevel(t *testing.T) {
	for name, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "DEBUG": slog.LevelDebug, "info": slog.LevelInfo, " Info ": slog.LevelInfo,
		"warn": slog.LevelWarn, "Warning": slog.LevelWarn, "error": slog.LevelError,
	} {
		level, err := ParseLevel(name)
		require.NoError(t, err)
		assert.Equal(t, want, level, name)
	}
	for _, name := range []string{"", "trace", "INFO+1", "0"} {
		_, err := ParseLevel(name)
		assert.EqualError(t, err, fmt.Sprintf("unknown log level %q: expected debug, info, warn or error", name))
	}
}

func TestAStandardLoggersOutputsAreARecordEach(t *testing.T) {
	var logs sink
	std := slog.NewLogLogger(NewLogger(&logs, LogOptions{Level: slog.LevelInfo}).Handler(), slog.LevelWarn)
	std.Print("http: panic\ngoroutine 1\n")
	std.Printf("no newline %d", 1)
	_, err := std.Writer().Write([]byte("through the writer\n"))
	require.NoError(t, err)
	slog.NewLogLogger(NewLogger(&logs, LogOptions{Level: slog.LevelError}).Handler(), slog.LevelWarn).Print("not severe enough")

	lines := logs.lines(t)
	require.Len(t, lines, 3)
	for i, message := range []string{"http: panic\ngoroutine 1", "no newline 1", "through the writer"} {
		assert.Equal(t, message, lines[i]["message"])
		assert.Equal(t, "WARNING", lines[i]["severity"])
	}
}

func TestLogConsole(t *testing.T) {
	// The console shows the local time.
	clock := time.Date(2026, 1, 2, 2, 4, 5, 600, time.UTC).Local().Format("15:04:05.000")
	request := slog.Group("httpRequest", slog.String("requestUrl", "/predict?x=1"), slog.Duration("latency", 123*time.Microsecond))
	tests := []struct {
		name    string
		message string
		attrs   []slog.Attr
		want    string
	}{
		{"nothing more", "hello there", nil, ` INFO hello there`},
		{"attributes in order", "m", []slog.Attr{slog.Int("b", 1), slog.String("a", "x"), slog.Bool("c", true)}, ` INFO m a=x b=1 c=true`},
		{"a request", "POST /predict 200", []slog.Attr{request, slog.String("model", "iris")}, ` INFO POST /predict 200 latency=0.000123s model=iris`},
		{"quotes", "m", []slog.Attr{slog.String("a", "x y"), slog.String("b", ""), slog.String("c", `"`), slog.String("d=", "")}, ` INFO m a="x y" b="" c="\"" "d="=""`},
		{"objects", "m", []slog.Attr{slog.Group("g", slog.String("a", "<"), slog.Any("b", nil)), slog.Any("l", []int{1, 2})}, ` INFO m g={"a":"<","b":null} l=[1,2]`},
		{"one line", "a\nb", []slog.Attr{slog.String("k\n", "x\ny")}, ` INFO "a\nb" "k\n"="x\ny"`},
		{"no terminal sequences", "\x1b[2J", []slog.Attr{slog.String("a", "\u009b2J"), slog.Group("g", slog.String("b", "\u009b2J"))}, ` INFO "\x1b[2J" a="\u009b2J" g="{\"b\":\"\u009b2J\"}"`},
		{"names that zerolog knows", "m", []slog.Attr{slog.String("caller", "c"), slog.String("fields", "f"), slog.String("level", "l"), slog.String("time", "t")}, ` INFO m caller=c fields=f level=l time_=t`},
		{"a stack", "m", []slog.Attr{slog.String("stack", "goroutine 1:\n\tmain.go:1\x1b\n"), slog.Int("a", 1)}, ` INFO m a=1` + "\n" + `    goroutine 1:` + "\n" + `    "main.go:1\x1b"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := logAt(t, t.Context(), nil, LogOptions{Format: FormatConsole, NoColor: true, Project: "p"}, slog.LevelInfo, tt.message, tt.attrs...)
			assert.Equal(t, clock+tt.want+"\n", line)
		})
	}

	t.Run("ids without their copies", func(t *testing.T) {
		line := logAt(t, spanContext(t, trace.FlagsSampled), nil, LogOptions{Format: FormatConsole, NoColor: true, Project: "p"}, slog.LevelError, "m")
		assert.Equal(t, clock+" ERROR m span_id="+exampleParentID+" trace_id="+exampleTraceID+"\n", line)
	})
	t.Run("colour", func(t *testing.T) {
		line := logAt(t, t.Context(), nil, LogOptions{Format: FormatConsole}, slog.LevelWarn, "m", slog.String("error", "e"), slog.Int("n", 1))
		assert.Equal(t, "\x1b[90m"+clock+"\x1b[0m \x1b[33mWARNING\x1b[0m m \x1b[31merror=\x1b[0me \x1b[36mn=\x1b[0m1\n", line)
	})
	t.Run("one write", func(t *testing.T) {
		var logs sink
		NewLogger(&logs, LogOptions{Format: FormatConsole}).Info("m", "a", 1, "stack", "x\ny")
		assert.Len(t, logs.writes, 1)
	})
}

// assertOneObject checks that a line is one JSON object in which no object has a key twice, and nothing else.
func assertOneObject(t *testing.T, line string) {
	t.Helper()
	require.Equal(t, 1, strings.Count(line, "\n"), "newlines in %q", line)
	require.True(t, strings.HasSuffix(line, "\n"), "end of %q", line)
	decoder := jsontext.NewDecoder(strings.NewReader(line))
	value, err := decoder.ReadValue() // refuses duplicate names and invalid UTF-8
	require.NoError(t, err, "line %q", line)
	require.Equal(t, jsontext.KindBeginObject, value.Kind(), "line %q", line)
	_, err = decoder.ReadValue()
	require.ErrorIs(t, err, io.EOF, "line %q", line)
}

func FuzzLogLine(f *testing.F) {
	f.Add("POST /predict 200", "key", "key", "value", []byte("{}"), 0.5, int64(1), true)
	f.Add("a\nb\r\x00\x1b[2J\u2028", "time", "severity", "\xff\xfe", []byte(`{"a":1,"a":2}`), math.NaN(), int64(-1), false)
	f.Add("", "", "", "", []byte(nil), math.Inf(-1), int64(math.MinInt64), true)
	f.Add(`{"message":"x"}`, "\xff", "\xfe", "\"}\n{", []byte("\xff"), 5e-324, int64(math.MaxInt64), false)
	f.Add("\xed\xa0\x80", "message", "message_", `\ud800`, []byte(`"\ud800"`), 1e21, int64(0), true)
	f.Add("0", "mesSage", "message_", `\ud800`, []byte(`"\ud800"`), 1e21, int64(0), false)
	f.Fuzz(func(t *testing.T, message, key, other, text string, raw []byte, number float64, n int64, grouped bool) {
		for _, format := range []Format{FormatGCP, FormatECS, FormatPlain, FormatConsole} {
			var logs sink
			log := NewLogger(&logs, LogOptions{Level: slog.LevelDebug, Format: format, Project: text})
			log = log.With(key, text, other, number)
			if grouped {
				log = log.WithGroup(other)
			}
			log.LogAttrs(spanContext(t, trace.FlagsSampled), slog.Level(n), message,
				slog.String(key, text), slog.Any(other, json.RawMessage(raw)), slog.Float64(text, number),
				slog.Group(key, slog.Any(text, raw), slog.Any(other, errors.New(text)), slog.Duration(key, time.Duration(n))),
				slog.Group("", slog.Any(key, map[string]any{key: n, other: text})), slog.Time(other, time.Unix(n, n)))
			lines := 2
			if slog.Level(n) < slog.LevelDebug {
				lines = 1
			}
			span := trace.SpanContextFromContext(spanContext(t, trace.FlagsSampled))
			log.Handler().(*logHandler).request(span, time.Unix(n, n), slog.LevelInfo, message, &requestInfo{
				method: key, url: text, remoteIP: other, userAgent: message, protocol: text, status: int(n), requestSize: n,
				model: key, modelVersion: other, problem: text, err: message, stack: other,
			})
			require.Len(t, logs.writes, lines)
			for _, line := range logs.writes {
				fuzzed(t, format, line, message)
			}
		}
	})
}

// fuzzed checks a line with a message.
func fuzzed(t *testing.T, format Format, line, message string) {
	t.Helper()
	if format == FormatConsole {
		lines := strings.Split(strings.TrimSuffix(line, "\n"), "\n")
		for _, frame := range lines[1:] {
			require.True(t, strings.HasPrefix(frame, "    "), "%q is no frame of a stack", frame)
		}
		require.NotContains(t, stripColor(line), "\x1b")
		return
	}
	assertOneObject(t, line)
	// A map, because encoding/json takes "mesSage" for the field of a struct that is called "message".
	var decoded map[string]any
	require.NoError(t, json.Unmarshal([]byte(line), &decoded))
	require.Equal(t, string([]rune(message)), decoded["message"]) // each invalid byte is one U+FFFD
	require.Equal(t, exampleTraceID, decoded[map[Format]string{FormatGCP: "trace_id", FormatECS: "trace.id", FormatPlain: "trace_id"}[format]])
}

// stripColor removes the sequences that the console itself writes.
func stripColor(line string) string {
	for _, color := range []string{"0", "31", "32", "33", "36", "90"} {
		line = strings.ReplaceAll(line, "\x1b["+color+"m", "")
	}
	return line
}

func BenchmarkAccessLine(b *testing.B) {
	log := NewLogger(io.Discard, LogOptions{Project: "demo"}).Handler().(*logHandler)
	info := &requestInfo{
		method: "POST", url: "/predict", status: 200, latency: 123 * time.Microsecond, remoteIP: "127.0.0.1", protocol: "HTTP/1.1",
		requestSize: 75, responseSize: 250, model: "iris", modelVersion: "1", rows: 1,
	}
	b.ReportAllocs()
	for b.Loop() {
		log.request(trace.SpanContext{}, time.Now(), slog.LevelInfo, "POST /predict 200", info)
	}
}
