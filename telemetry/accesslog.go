package telemetry

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Bounds, in bytes, on what a caller chooses and a log line repeats.
const (
	maxLoggedMethod = 32
	maxLoggedText   = 2048
)

// AccessLog says which requests get a line. Those that failed by the server's fault (at ERROR) and those that were slow
// get one in any case, and so do all that failed (at WARNING or worse) but under off. The zero value logs every request.
type AccessLog struct {
	always slog.Level // the severity from which a request gets a line
	share  Share      // of the others

	// Slow is the latency from which a request counts as slow; none does at 0.
	Slow time.Duration
}

// UnmarshalText reads all, errors, off, or sampled: and the share of the requests that went well, from 0 to 1.
func (a *AccessLog) UnmarshalText(text []byte) error {
	a.always, a.share = slog.LevelWarn, Share{}
	switch string(text) {
	case "all":
		a.always = slog.LevelInfo
	case "errors":
	case "off":
		a.always = slog.LevelError
	default:
		if a.share.UnmarshalText(text) != nil {
			return fmt.Errorf("%q is none of all, errors, off, and sampled:SHARE with a share from 0 to 1", text)
		}
	}
	return nil
}

// wants reports whether a request gets a line.
func (a AccessLog) wants(o outcome, id trace.TraceID) bool {
	return o.severity >= a.always || a.Slow > 0 && o.latency >= a.Slow || a.share.Includes(id)
}

// Share is a part of all traces, chosen by the trace's id as OTEL_TRACES_SAMPLER=traceidratio chooses: of two shares the
// smaller is part of the larger, and a trace that is sampled at 1 % is among those whose requests are logged at 1 %.
type Share struct{ bound uint64 }

// UnmarshalText reads off, or sampled: and a number from 0 to 1.
func (s *Share) UnmarshalText(text []byte) error {
	*s = Share{}
	if string(text) == "off" {
		return nil
	}
	number, ok := strings.CutPrefix(string(text), "sampled:")
	share, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(share >= 0 && share <= 1) {
		return fmt.Errorf("%q is neither off nor sampled:SHARE with a share from 0 to 1", text)
	}
	s.bound = uint64(share * (1 << 63))
	return nil
}

// Draw reports whether chance picks this one: for what a caller, who may choose the trace's id, must not decide.
func (s Share) Draw() bool { return s.bound > 0 && rand.Uint64()>>1 < s.bound }

// Includes reports whether the trace of that id is in the share.
func (s Share) Includes(id trace.TraceID) bool { return binary.BigEndian.Uint64(id[8:])>>1 < s.bound }

// log writes the line of this request, if it gets one.
func (x *exchange) log(o outcome) {
	t, r := x.layer.t, x.request
	if t.lines == nil || !t.lines.Enabled(r.Context(), o.severity) || !t.accessLog.wants(o, x.span.TraceID()) {
		return
	}
	ip, _ := splitHostPort(r.RemoteAddr)
	info := requestInfo{
		method: clip(r.Method, maxLoggedMethod), url: clip(target(r), maxLoggedText), protocol: r.Proto,
		remoteIP: ip, userAgent: clip(r.UserAgent(), maxLoggedText),
		status: o.status, latency: o.latency, requestSize: x.body.size, responseSize: x.response.size,
		model: x.record.ModelName, modelVersion: x.record.ModelVersion, rows: x.record.Rows,
		queueWait: x.record.QueueWait, problem: x.record.ErrorType, stack: string(o.stack),
	}
	// The cause of a 4xx is in the answer, and may repeat the payload, which is not logged.
	if x.record.Err != nil && (o.status >= 500 || o.panicked() || o.aborted) {
		info.err = fmt.Sprint(x.record.Err)
	}
	t.lines.request(x.span, x.start.Add(o.latency), o.severity, x.message(o), &info)
}

// message is the line's text: "POST /predict 200".
func (x *exchange) message(o outcome) string {
	e, method := &x.layer.endpoint, x.request.Method
	switch {
	case o.aborted:
		return e.label(clip(method, maxLoggedMethod)) + " aborted"
	case o.status == http.StatusOK && method == e.method:
		return e.ok
	}
	return e.label(clip(method, maxLoggedMethod)) + " " + strconv.Itoa(o.status)
}

// target is the path and the query, as they came where that is all that came: a proxy's form may hold a password.
func target(r *http.Request) string {
	switch {
	case strings.HasPrefix(r.RequestURI, "/"):
		return r.RequestURI
	case r.URL.Opaque != "":
		return "" // which may hold one too
	}
	return r.URL.RequestURI()
}

// clip shortens s to at most n bytes and shows that it did.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
