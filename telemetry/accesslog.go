package telemetry

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tepalhq/tepal/clip"
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
func (a AccessLog) wants(o outcome, drawn lot) bool {
	return o.severity >= a.always || a.Slow > 0 && o.latency >= a.Slow || a.share.holds(drawn)
}

// Share is a part of all requests, drawn by chance: no caller can choose to be in it. A request has one lot for all shares,
// so of two shares the smaller is part of the larger, and requests whose traces are sampled at 1 % are among those that are
// logged at 1 %. The zero value is none.
type Share struct{ bound lot }

// everything is the share of all requests.
func everything() Share { return Share{1 << 63} }

// shareOf reads a number from 0 to 1.
func shareOf(text string) (Share, bool) {
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || !(share >= 0 && share <= 1) {
		return Share{}, false
	}
	return Share{lot(share * (1 << 63))}, true
}

// UnmarshalText reads off, or sampled: and a number from 0 to 1.
func (s *Share) UnmarshalText(text []byte) error {
	*s = Share{}
	if string(text) == "off" {
		return nil
	}
	number, ok := strings.CutPrefix(string(text), "sampled:")
	if ok {
		*s, ok = shareOf(number)
	}
	if !ok {
		return fmt.Errorf("%q is neither off nor sampled:SHARE with a share from 0 to 1", text)
	}
	return nil
}

// Draw reports whether chance picks this one.
func (s Share) Draw() bool { return s.bound > 0 && s.holds(draw()) }

func (s Share) holds(drawn lot) bool { return drawn < s.bound }

// draw returns any lot.
func draw() lot { return lot(rand.Uint64() >> 1) }

// log writes the line of this request, if it gets one.
func (x *exchange) log(o outcome) {
	t, r := x.layer.t, x.request
	if t.lines == nil || !t.lines.Enabled(r.Context(), o.severity) || !t.accessLog.wants(o, x.lot) {
		return
	}
	ip, _ := splitHostPort(r.RemoteAddr)
	info := requestInfo{
		method: clip.Text(r.Method, maxLoggedMethod), url: clip.Text(target(r), maxLoggedText), protocol: r.Proto,
		remoteIP: ip, userAgent: clip.Text(r.UserAgent(), maxLoggedText),
		status: o.status, latency: o.latency, requestSize: x.body.size, responseSize: x.response.size,
		model: x.record.ModelName, modelVersion: x.record.ModelVersion, rows: x.record.Rows,
		queueWait: x.record.QueueWait, problem: x.record.ErrorType, pointer: clip.Text(x.record.Pointer, maxLoggedText), stack: string(o.stack),
	}
	// The cause of a 4xx is in the answer, and may repeat the payload, which is not logged.
	if x.record.Err != nil && (o.status >= 500 || o.panicked() || o.aborted) {
		info.err = clip.Text(fmt.Sprint(x.record.Err), maxLoggedText)
	}
	t.lines.request(x.span, x.start.Add(o.latency), o.severity, x.message(o), &info)
}

// message is the line's text: "POST /predict 200".
func (x *exchange) message(o outcome) string {
	e, method := &x.layer.endpoint, x.request.Method
	switch {
	case o.aborted:
		return e.label(clip.Text(method, maxLoggedMethod)) + " aborted"
	case o.status == http.StatusOK && method == e.method:
		return e.ok
	}
	return e.label(clip.Text(method, maxLoggedMethod)) + " " + strconv.Itoa(o.status)
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
