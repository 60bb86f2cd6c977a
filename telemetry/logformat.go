package telemetry

import (
	"encoding/hex"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// Format is the form of the lines of a log.
type Format string

// The formats.
const (
	// FormatGCP has the fields that Google's Cloud Logging knows, and trace_id and span_id beside them.
	FormatGCP Format = "gcp"
	// FormatECS has the fields of the Elastic Common Schema 8.11, with dots in their names as ECS logging has them.
	FormatECS Format = "ecs"
	// FormatPlain has short names of no vendor, all at the top level.
	FormatPlain Format = "plain"
	// FormatConsole is for a person at a terminal.
	FormatConsole Format = "console"
)

// layout is what a format calls things. It is immutable.
type layout struct {
	time, severity, message string
	severities              [4]string // of debug, info, warn and error
	// ids writes the fields of a trace.
	ids func(e *zerolog.Event, project string, span trace.SpanContext)
	// request writes the fields of an answered request; about names the rest of its line.
	request func(e *zerolog.Event, r *requestInfo)
	about   about
	// renamed has the attributes that the format has a name of its own for.
	renamed map[string]string
	// constant is what every line says of its origin; pairs of key and text.
	constant []string
	// reserved are the keys that an attribute cannot have.
	reserved []string
}

func layoutOf(f Format, service string) *layout {
	switch f {
	case FormatECS:
		return ecsLayout(service)
	case FormatPlain:
		return plainLayout()
	default:
		return gcpLayout() // the console's lines are made from these
	}
}

// fieldName is the key that an attribute at the top level is written under.
func (l *layout) fieldName(key string) string {
	if name, ok := l.renamed[key]; ok {
		return name
	}
	if slices.Contains(l.reserved, key) {
		return key + reservedSuffix
	}
	return key
}

// severityName names a level; levels in between take the name of the one below.
func (l *layout) severityName(level slog.Level) string {
	switch {
	case level < slog.LevelInfo:
		return l.severities[0]
	case level < slog.LevelWarn:
		return l.severities[1]
	case level < slog.LevelError:
		return l.severities[2]
	}
	return l.severities[3]
}

// requestInfo is all that the line about an answered request tells. Each format has its own names for that. What is zero
// is left out, but for sizes and the latency.
type requestInfo struct {
	method, url, remoteIP, userAgent, protocol string
	status                                     int
	latency                                    time.Duration
	requestSize, responseSize                  int64

	model, modelVersion string
	rows                int
	queueWait           time.Duration
	problem, err, stack string
}

// LogValue implements slog.LogValuer for handlers of others: the form that Cloud Logging shows as a request, and the rest.
func (r *requestInfo) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("requestMethod", r.method), slog.String("requestUrl", r.url), slog.Int("status", r.status),
		slog.Duration("latency", r.latency), slog.String("remoteIp", r.remoteIP), slog.String("userAgent", r.userAgent),
		slog.Int64("requestSize", r.requestSize), slog.Int64("responseSize", r.responseSize), slog.String("protocol", r.protocol),
		slog.String("model", r.model), slog.String("model_version", r.modelVersion), slog.Int("rows", r.rows),
		slog.Duration("queue_wait", r.queueWait), slog.String("problem", r.problem), slog.String("error", r.err), slog.String("stack", r.stack),
	)
}

// about are the names of what a line tells beside the request itself.
type about struct{ model, modelVersion, rows, queueWait, problem, err, stack string }

func plainAbout() about {
	return about{"model", "model_version", "rows", "queue_wait", "problem", "error", "stack"}
}

func ecsAbout() about {
	return about{
		"tepal.model.name", "tepal.model.version", "tepal.rows", "tepal.queue_wait", "error.type", "error.message", "error.stack_trace",
	}
}

func (a *about) write(e *zerolog.Event, r *requestInfo) {
	if r.model != "" {
		e.Str(a.model, r.model).Str(a.modelVersion, r.modelVersion)
	}
	if r.rows > 0 {
		e.Int(a.rows, r.rows)
	}
	if r.queueWait > 0 {
		var space [32]byte
		e.Bytes(a.queueWait, appendSeconds(space[:0], r.queueWait))
	}
	writeText(e, a.problem, r.problem)
	writeText(e, a.err, r.err)
	writeText(e, a.stack, r.stack)
}

// The fields of a trace in Cloud Logging, and those that are for people and for other systems.
const (
	traceKey        = "trace_id"
	spanKey         = "span_id"
	cloudTraceKey   = "logging.googleapis.com/trace"
	cloudSpanKey    = "logging.googleapis.com/spanId"
	cloudSampledKey = "logging.googleapis.com/trace_sampled"
	requestKey      = "httpRequest"
)

func gcpLayout() *layout {
	return &layout{
		time: timeKey, severity: severityKey, message: messageKey,
		severities: [4]string{"DEBUG", "INFO", "WARNING", "ERROR"},
		about:      plainAbout(),
		reserved:   []string{timeKey, severityKey, messageKey, traceKey, spanKey, cloudTraceKey, cloudSpanKey, cloudSampledKey},
		ids: func(e *zerolog.Event, project string, span trace.SpanContext) {
			writeIDs(e, traceKey, spanKey, span)
			traceID, spanID := span.TraceID(), span.SpanID()
			if project != "" {
				var space [128]byte
				name := append(append(append(space[:0], "projects/"...), project...), "/traces/"...)
				e.Bytes(cloudTraceKey, hex.AppendEncode(name, traceID[:]))
			}
			e.Hex(cloudSpanKey, spanID[:])
			e.Bool(cloudSampledKey, span.IsSampled())
		},
		request: func(e *zerolog.Event, r *requestInfo) {
			object := e.CreateDict().Str("requestMethod", r.method).Str("requestUrl", r.url)
			var space [32]byte
			object.Bytes("latency", appendSeconds(space[:0], r.latency))
			// 64-bit numbers are strings there.
			object.Str("remoteIp", r.remoteIP).
				Bytes("requestSize", strconv.AppendInt(space[:0], r.requestSize, 10)).
				Bytes("responseSize", strconv.AppendInt(space[:0], r.responseSize, 10)).
				Str("protocol", r.protocol)
			writeStatus(object, "status", r.status)
			writeText(object, "userAgent", r.userAgent)
			e.Dict(requestKey, object)
		},
	}
}

func plainLayout() *layout {
	return &layout{
		time: timeKey, severity: "level", message: messageKey,
		severities: [4]string{"debug", "info", "warn", "error"},
		about:      plainAbout(),
		reserved: []string{timeKey, "level", messageKey, traceKey, spanKey, "method", "url", "status", "duration_seconds",
			"remote_ip", "user_agent", "request_bytes", "response_bytes", "protocol"},
		ids: func(e *zerolog.Event, _ string, span trace.SpanContext) { writeIDs(e, traceKey, spanKey, span) },
		request: func(e *zerolog.Event, r *requestInfo) {
			e.Str("method", r.method).Str("url", r.url)
			writeStatus(e, "status", r.status)
			writeFloat(e, "duration_seconds", r.latency.Seconds())
			e.Str("remote_ip", r.remoteIP)
			writeText(e, "user_agent", r.userAgent)
			e.Int64("request_bytes", r.requestSize).Int64("response_bytes", r.responseSize).Str("protocol", r.protocol)
		},
	}
}

// ecsVersion is the version of the Elastic Common Schema that the names are taken from.
const ecsVersion = "8.11.0"

func ecsLayout(service string) *layout {
	return &layout{
		time: "@timestamp", severity: "log.level", message: messageKey,
		severities: [4]string{"debug", "info", "warn", "error"},
		about:      ecsAbout(),
		constant:   []string{"ecs.version", ecsVersion, "service.name", service},
		reserved: []string{"@timestamp", "log.level", messageKey, "ecs.version", "service.name", "trace.id", "span.id",
			"http.request.method", "url.original", "http.response.status_code", "event.duration", "client.ip",
			"user_agent.original", "http.request.body.bytes", "http.response.body.bytes", "http.version"},
		renamed: ecsRenamed(),
		ids:     func(e *zerolog.Event, _ string, span trace.SpanContext) { writeIDs(e, "trace.id", "span.id", span) },
		request: func(e *zerolog.Event, r *requestInfo) {
			e.Str("http.request.method", r.method).Str("url.original", r.url)
			writeStatus(e, "http.response.status_code", r.status)
			e.Int64("event.duration", r.latency.Nanoseconds()).Str("client.ip", r.remoteIP)
			writeText(e, "user_agent.original", r.userAgent)
			e.Int64("http.request.body.bytes", r.requestSize).Int64("http.response.body.bytes", r.responseSize)
			e.Str("http.version", strings.TrimPrefix(r.protocol, "HTTP/"))
		},
	}
}

// ecsRenamed gives the attributes of other lines the names that those of requests have.
func ecsRenamed() map[string]string {
	from, to := plainAbout(), ecsAbout()
	return map[string]string{
		from.model: to.model, from.modelVersion: to.modelVersion, from.rows: to.rows, from.queueWait: to.queueWait,
		from.problem: to.problem, from.err: to.err, from.stack: to.stack,
	}
}

func writeIDs(e *zerolog.Event, traceKey, spanKey string, span trace.SpanContext) {
	traceID, spanID := span.TraceID(), span.SpanID()
	e.Hex(traceKey, traceID[:])
	e.Hex(spanKey, spanID[:])
}

// writeStatus leaves out a status that was not sent.
func writeStatus(e *zerolog.Event, key string, status int) {
	if status != 0 {
		e.Int(key, status)
	}
}

// writeText leaves out a text that is not there.
func writeText(e *zerolog.Event, key, text string) {
	if text != "" {
		e.Str(key, text)
	}
}
