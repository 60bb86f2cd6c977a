package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/trace"
)

// The names are those of the formats' own documents: Cloud Logging's LogEntry and HttpRequest, and ECS 8.11.
func TestFormats(t *testing.T) {
	request := &requestInfo{
		method: "POST", url: "/predict?a=1", remoteIP: "192.0.2.7", userAgent: "curl/8", protocol: "HTTP/1.1",
		status: 500, latency: 2500 * time.Microsecond, requestSize: 12, responseSize: 345,
		model: "iris", modelVersion: "1", rows: 2, queueWait: time.Millisecond, problem: "internal-error", err: "cause", stack: "frames",
	}
	tests := map[Format]string{
		FormatGCP: `{"time":"2026-01-02T02:04:05.000000600Z","severity":"ERROR","message":"m",` +
			`"trace_id":"` + exampleTraceID + `","span_id":"` + exampleParentID + `",` +
			`"logging.googleapis.com/trace":"projects/p/traces/` + exampleTraceID + `",` +
			`"logging.googleapis.com/spanId":"` + exampleParentID + `","logging.googleapis.com/trace_sampled":true,` +
			`"httpRequest":{"requestMethod":"POST","requestUrl":"/predict?a=1","latency":"0.0025s","remoteIp":"192.0.2.7",` +
			`"requestSize":"12","responseSize":"345","protocol":"HTTP/1.1","status":500,"userAgent":"curl/8"},` +
			`"model":"iris","model_version":"1","rows":2,"queue_wait":"0.001s","problem":"internal-error","error":"cause","stack":"frames"}`,
		FormatPlain: `{"time":"2026-01-02T02:04:05.000000600Z","level":"error","message":"m",` +
			`"trace_id":"` + exampleTraceID + `","span_id":"` + exampleParentID + `",` +
			`"method":"POST","url":"/predict?a=1","status":500,"duration_seconds":0.0025,"remote_ip":"192.0.2.7","user_agent":"curl/8",` +
			`"request_bytes":12,"response_bytes":345,"protocol":"HTTP/1.1",` +
			`"model":"iris","model_version":"1","rows":2,"queue_wait":"0.001s","problem":"internal-error","error":"cause","stack":"frames"}`,
		FormatECS: `{"@timestamp":"2026-01-02T02:04:05.000000600Z","log.level":"error","message":"m","ecs.version":"8.11.0","service.name":"tepal",` +
			`"trace.id":"` + exampleTraceID + `","span.id":"` + exampleParentID + `",` +
			`"http.request.method":"POST","url.original":"/predict?a=1","http.response.status_code":500,"event.duration":2500000,` +
			`"client.ip":"192.0.2.7","user_agent.original":"curl/8","http.request.body.bytes":12,"http.response.body.bytes":345,"http.version":"1.1",` +
			`"tepal.model.name":"iris","tepal.model.version":"1","tepal.rows":2,"tepal.queue_wait":"0.001s",` +
			`"error.type":"internal-error","error.message":"cause","error.stack_trace":"frames"}`,
	}
	for format, want := range tests {
		t.Run(string(format), func(t *testing.T) {
			var out bytes.Buffer
			log := NewLogger(&out, LogOptions{Format: format, Project: "p"})
			span := trace.SpanContextFromContext(spanContext(t, trace.FlagsSampled))
			log.Handler().(*logHandler).request(span, time.Date(2026, 1, 2, 2, 4, 5, 600, time.UTC), slog.LevelError, "m", request)
			assert.Equal(t, want+"\n", out.String())
		})
	}
}

// An attribute never takes the place of one of the format's own fields.
func TestFormatsKeepTheirFields(t *testing.T) {
	for format, key := range map[Format]string{FormatGCP: "severity", FormatPlain: "level", FormatECS: "log.level"} {
		line := logAt(t, t.Context(), nil, LogOptions{Format: format}, slog.LevelInfo, "m", slog.String(key, "mine"))
		assert.Contains(t, line, `"`+key+`_":"mine"`)
	}
}

// The attributes of other lines have the same names as those of requests.
func TestECSNamesOfOtherLines(t *testing.T) {
	line := logAt(t, t.Context(), nil, LogOptions{Format: FormatECS}, slog.LevelError, "m", slog.String("model", "iris"), slog.Any("error", errors.New("cause")))
	assert.Contains(t, line, `"tepal.model.name":"iris","error.message":"cause"`)
}
