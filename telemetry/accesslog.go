package telemetry

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
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
	mode  string
	share Share // of those that went well, in the mode sampled

	// Slow is the latency from which a request counts as slow; none does at 0.
	Slow time.Duration
}

// The modes of an AccessLog, beside "sampled:SHARE".
const (
	accessAll    = "all"
	accessErrors = "errors"
	accessOff    = "off"
)

// UnmarshalText reads all, errors, off, or sampled: and the share of the requests that went well, from 0 to 1.
func (a *AccessLog) UnmarshalText(text []byte) error {
	switch mode := string(text); mode {
	case accessAll, accessErrors, accessOff:
		a.mode = mode
		return nil
	}
	a.mode = "sampled"
	if a.share.UnmarshalText(text) != nil {
		return fmt.Errorf("%q is none of all, errors, off, and sampled:SHARE with a share from 0 to 1", text)
	}
	return nil
}

// wants reports whether a request gets a line.
func (a AccessLog) wants(o outcome, id trace.TraceID) bool {
	switch {
	case o.severity >= slog.LevelError || a.Slow > 0 && o.latency >= a.Slow:
		return true
	case a.mode == accessOff:
		return false
	case o.severity >= slog.LevelWarn:
		return true
	case a.mode == accessErrors:
		return false
	case a.mode == "" || a.mode == accessAll:
		return true
	}
	return a.share.Includes(id)
}

// Share is a part of all traces, chosen by the trace's id as OTEL_TRACES_SAMPLER=traceidratio chooses: of two shares the
// smaller is part of the larger, and a trace that is sampled at 1 % is among those whose requests are logged at 1 %.
type Share struct{ bound uint64 }

// UnmarshalText reads off, or sampled: and a number from 0 to 1.
func (s *Share) UnmarshalText(text []byte) error {
	*s = Share{}
	if string(text) == accessOff {
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
	t := x.layer.t
	if !t.accessLog.wants(o, x.span.TraceID()) {
		return
	}
	ctx := x.request.Context()
	handler := t.log.Handler()
	if !handler.Enabled(ctx, o.severity) {
		return
	}
	// The handler is called without the slog.Logger, which would look up the caller's place in the source in vain.
	line := slog.NewRecord(x.start.Add(o.latency), o.severity, x.message(o), 0)
	info, ok := t.infos.Get().(*requestInfo)
	if !ok {
		info = new(requestInfo)
	}
	x.describe(o, info)
	line.AddAttrs(slog.Any(requestKey, info))
	_ = handler.Handle(ctx, line) // a log that cannot be written has nowhere to say so
	t.infos.Put(info)
}

// message is the line's text: "POST /predict 200".
func (x *exchange) message(o outcome) string {
	e := &x.layer.endpoint
	if x.request.Method == e.method && o.status == 200 && !o.aborted {
		return e.ok
	}
	name := e.name
	if x.request.Method != e.method {
		name = clip(x.request.Method, maxLoggedMethod)
		if e.pattern != "" {
			name += " " + e.pattern
		}
	}
	if o.aborted {
		return name + " aborted"
	}
	return name + " " + strconv.Itoa(o.status)
}

// describe fills in what the line tells of the request.
func (x *exchange) describe(o outcome, info *requestInfo) {
	r := x.request
	*info = requestInfo{
		method: clip(r.Method, maxLoggedMethod), url: clip(target(r), maxLoggedText), protocol: r.Proto,
		remoteIP: remoteIP(r.RemoteAddr), userAgent: clip(r.UserAgent(), maxLoggedText),
		status: o.status, latency: o.latency, requestSize: x.body.size, responseSize: x.response.size,
		model: x.record.ModelName, modelVersion: x.record.ModelVersion, rows: x.record.Rows,
		queueWait: x.record.QueueWait, problem: x.record.ErrorType,
	}
	// The cause of a 4xx is in the answer, and may repeat the payload, which is not logged.
	if x.record.Err != nil && (o.status >= 500 || o.panicked() || o.aborted) {
		info.err = errorText(x.record.Err)
	}
	info.stack = string(o.stack)
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

func remoteIP(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// clip shortens s to at most n bytes and shows that it did.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
