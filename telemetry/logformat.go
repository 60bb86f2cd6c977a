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
	format  Format
	service string // of FormatECS

	time, severity, message, trace, span string

	severities [4]string         // of debug, info, warn and error
	renamed    map[string]string // what has another name in this format
	reserved   []string          // the keys that an attribute cannot have
}

func layoutOf(f Format, service string) *layout {
	l := &layout{
		format: f, time: "time", severity: "severity", message: "message", trace: traceKey, span: spanKey,
		severities: [4]string{"DEBUG", "INFO", "WARNING", "ERROR"},
		reserved:   []string{cloudTraceKey, cloudSpanKey, cloudSampledKey},
	}
	switch f {
	case FormatPlain:
		l.severity, l.severities = "level", [4]string{"debug", "info", "warn", "error"}
		l.reserved = []string{"method", "url", "status", "duration_seconds", "remote_ip", "user_agent", "request_bytes", "response_bytes", "protocol"}
	case FormatECS:
		l.service, l.time, l.severity, l.trace, l.span = service, "@timestamp", "log.level", "trace.id", "span.id"
		l.severities = [4]string{"debug", "info", "warn", "error"}
		l.renamed = map[string]string{
			"model": "tepal.model.name", "model_version": "tepal.model.version", "rows": "tepal.rows", "queue_wait": "tepal.queue_wait",
			"problem": "error.type", "pointer": "tepal.pointer", "error": "error.message", "stack": "error.stack_trace",
		}
		l.reserved = []string{ecsVersionKey, ecsServiceKey, "http.request.method", "url.original", "http.response.status_code", "event.duration",
			"client.ip", "user_agent.original", "http.request.body.bytes", "http.response.body.bytes", "http.version"}
	}
	l.reserved = append(l.reserved, l.time, l.severity, l.message, l.trace, l.span)
	return l
}

// name is what the format calls a field that lines of all kinds may have.
func (l *layout) name(key string) string {
	if name, ok := l.renamed[key]; ok {
		return name
	}
	return key
}

// fieldName is the key that an attribute at the top level is written under.
func (l *layout) fieldName(key string) string {
	if slices.Contains(l.reserved, key) {
		return key + "_"
	}
	return l.name(key)
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

// The fields of a trace in Cloud Logging, and those that are for people and for other systems.
const (
	traceKey        = "trace_id"
	spanKey         = "span_id"
	cloudTraceKey   = "logging.googleapis.com/trace"
	cloudSpanKey    = "logging.googleapis.com/spanId"
	cloudSampledKey = "logging.googleapis.com/trace_sampled"
)

// writeIDs writes the fields of a trace.
func (l *layout) writeIDs(e *zerolog.Event, project string, span trace.SpanContext) {
	traceID, spanID := span.TraceID(), span.SpanID()
	e.Hex(l.trace, traceID[:]).Hex(l.span, spanID[:])
	if l.format == FormatECS || l.format == FormatPlain {
		return
	}
	if project != "" {
		var space [128]byte
		name := append(append(append(space[:0], "projects/"...), project...), "/traces/"...)
		e.Bytes(cloudTraceKey, hex.AppendEncode(name, traceID[:]))
	}
	e.Hex(cloudSpanKey, spanID[:]).Bool(cloudSampledKey, span.IsSampled())
}

// requestInfo is all that the line about an answered request tells. What is zero is left out, but for sizes and the
// latency.
type requestInfo struct {
	method, url, remoteIP, userAgent, protocol string
	status                                     int
	latency                                    time.Duration
	requestSize, responseSize                  int64

	model, modelVersion string
	rows                int
	queueWait           time.Duration
	problem, pointer    string
	err, stack          string
}

// writeRequest writes the fields of an answered request.
func (l *layout) writeRequest(e *zerolog.Event, r *requestInfo) {
	switch l.format {
	case FormatECS:
		writeECSRequest(e, r)
	case FormatPlain:
		writePlainRequest(e, r)
	default: // the console's lines are made from these
		writeCloudRequest(e, r)
	}
	if r.model != "" {
		e.Str(l.name("model"), r.model).Str(l.name("model_version"), r.modelVersion)
	}
	if r.rows > 0 {
		e.Int(l.name("rows"), r.rows)
	}
	if r.queueWait > 0 {
		writeSeconds(e, l.name("queue_wait"), r.queueWait)
	}
	writeText(e, l.name("problem"), r.problem)
	writeText(e, l.name("pointer"), r.pointer)
	writeText(e, l.name("error"), r.err)
	writeText(e, l.name("stack"), r.stack)
}

// requestKey is the object that Cloud Logging shows as a request.
const requestKey = "httpRequest"

func writeCloudRequest(e *zerolog.Event, r *requestInfo) {
	object := e.CreateDict().Str("requestMethod", r.method).Str("requestUrl", r.url)
	writeSeconds(object, "latency", r.latency)
	var space [20]byte // 64-bit numbers are strings there
	object.Str("remoteIp", r.remoteIP).
		Bytes("requestSize", strconv.AppendInt(space[:0], r.requestSize, 10)).
		Bytes("responseSize", strconv.AppendInt(space[:0], r.responseSize, 10)).
		Str("protocol", r.protocol)
	writeStatus(object, "status", r.status)
	writeText(object, "userAgent", r.userAgent)
	e.Dict(requestKey, object)
}

func writePlainRequest(e *zerolog.Event, r *requestInfo) {
	e.Str("method", r.method).Str("url", r.url)
	writeStatus(e, "status", r.status)
	e.Float64("duration_seconds", r.latency.Seconds()).Str("remote_ip", r.remoteIP)
	writeText(e, "user_agent", r.userAgent)
	e.Int64("request_bytes", r.requestSize).Int64("response_bytes", r.responseSize).Str("protocol", r.protocol)
}

// The fields of the Elastic Common Schema that say where a line comes from, and the version that the names are taken from.
const (
	ecsVersionKey = "ecs.version"
	ecsServiceKey = "service.name"
	ecsVersion    = "8.11.0"
)

func writeECSRequest(e *zerolog.Event, r *requestInfo) {
	e.Str("http.request.method", r.method).Str("url.original", r.url)
	writeStatus(e, "http.response.status_code", r.status)
	e.Int64("event.duration", r.latency.Nanoseconds()).Str("client.ip", r.remoteIP)
	writeText(e, "user_agent.original", r.userAgent)
	e.Int64("http.request.body.bytes", r.requestSize).Int64("http.response.body.bytes", r.responseSize)
	e.Str("http.version", strings.TrimPrefix(r.protocol, "HTTP/"))
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
