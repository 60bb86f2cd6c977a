package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// statusClientClosed is the status that a request is recorded with when its caller went away before the answer. No
// caller sees it; nginx made the number common.
const statusClientClosed = 499

// The error types that this package sets itself.
const (
	ErrorTypeClientClosed = "client-closed-request" // the caller went away before the answer
	ErrorTypePanic        = "panic"                 // the handler panicked; OnPanic may put another in its place
	ErrorTypeAborted      = "aborted"               // the handler gave the connection up, with http.ErrAbortHandler
)

// Record is what a handler knows about the request it answers. The handler fills it, and the log line, the metrics and
// the span are made from it when the handler returns. It belongs to the request's goroutine.
type Record struct {
	ModelName    string        // of the model asked, once it is known to exist: it becomes a metric's label
	ModelVersion string        // likewise
	Rows         int           // instances in the request
	Stream       bool          // it is as long as its caller likes: how long it took is no latency
	LateBody     bool          // the body did not come in time, for which net/http ends the context as if the caller had gone
	ErrorType    string        // the problem's type as a short word from a closed set, empty for success
	Pointer      string        // where in the body the problem is, a JSON Pointer; never the value there
	Err          error         // the internal cause of a 5xx; it is logged and never sent
	QueueWait    time.Duration // time spent waiting for admission

	sampled *exchange // that it belongs to, when its trace is sampled
}

type exchangeKey struct{}

// RecordFrom returns the Record of the request that ctx belongs to. It is never nil: outside a request it is one that
// nobody reads.
func RecordFrom(ctx context.Context) *Record {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return &x.record
	}
	return &Record{}
}

// Route wraps the handler of one route in its telemetry: a server span "METHOD PATTERN", one log line, the duration
// histogram, the in-flight gauge, and recovery from panics. The method and the pattern are those the route is registered
// with.
func (t *Telemetry) Route(method, pattern string, next http.Handler) http.Handler {
	return t.instrument(endpoint{
		method: method, pattern: pattern, name: method + " " + pattern, ok: method + " " + pattern + " 200",
	}, next)
}

// Unmatched wraps the handler that answers what no route matches. Its spans are named by the method alone, and its
// route is empty, so that callers cannot make names up.
func (t *Telemetry) Unmatched(next http.Handler) http.Handler {
	return t.instrument(endpoint{}, next)
}

func (t *Telemetry) instrument(e endpoint, next http.Handler) http.Handler {
	return &layer{
		t: t, endpoint: e, next: next, series: t.metrics.newRouteSeries(e.pattern), active: t.metrics.active.WithLabelValues(knownMethod(e.method)),
	}
}

// endpoint is where a request arrived: a registered route, or, as the zero value, none.
type endpoint struct {
	method, pattern string
	name            string // "METHOD PATTERN"
	ok              string // the message of a request that went well, which most do
}

// label names the endpoint as a request with the given method found it.
func (e *endpoint) label(method string) string {
	switch {
	case method == e.method:
		return e.name
	case e.pattern == "":
		return method
	}
	return method + " " + e.pattern
}

// spanName names the span of a request with the given method, from a bounded set.
func (e *endpoint) spanName(method string) string {
	if method = knownMethod(method); method == otherValue {
		method = "HTTP" // what the semantic conventions put in its place
	}
	return e.label(method)
}

// knownMethod returns the method, or otherValue for one that HTTP does not define: the caller chooses it, and it becomes
// a metric's label.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return otherValue
}

// layer is the telemetry around one route's handler.
type layer struct {
	t        *Telemetry
	endpoint endpoint
	next     http.Handler
	series   *routeSeries
	active   prometheus.Gauge // of the endpoint's method
}

// ServeHTTP implements http.Handler.
func (l *layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{layer: l, start: time.Now()}
	x.Context = x.join(r)
	x.response = response{ResponseWriter: w, ctx: x.Context, head: r.Method == http.MethodHead}
	x.request = r.WithContext(x)
	if r.Body != nil && r.Body != http.NoBody {
		x.body.ReadCloser = r.Body
		x.request.Body = &x.body
	}
	active := l.active
	if r.Method != l.endpoint.method {
		active = l.t.metrics.active.WithLabelValues(knownMethod(r.Method))
	}
	active.Inc()
	defer active.Dec()
	defer x.finish()
	l.next.ServeHTTP(&x.response, x.request)
}

// exchange is one request and its answer. It is the request's context too, which saves the memory of one that only
// leads to it.
type exchange struct {
	context.Context // the caller's, with the trace

	layer     *layer
	start     time.Time
	lot       lot               // that shares of the requests are drawn by
	span      trace.SpanContext // the server's own, or the caller's when tracing is off
	recording trace.Span        // nil when the trace is not sampled
	request   *http.Request
	response  response
	body      countingBody
	record    Record
}

// Value implements context.Context.
func (x *exchange) Value(key any) any {
	if _, ok := key.(exchangeKey); ok {
		return x
	}
	return x.Context.Value(key)
}

// outcome is how an exchange ended.
type outcome struct {
	status    int // 0: none was sent
	severity  slog.Level
	latency   time.Duration
	panicType string // the Go type of what the handler panicked with; empty: it did not
	stack     []byte // where it panicked
	aborted   bool   // the connection has to be given up
}

func (o outcome) panicked() bool { return o.panicType != "" }

// finish is deferred around the handler: it recovers a panic, and then logs, measures and ends the span, once.
func (x *exchange) finish() {
	o := x.conclude(recover())
	x.endSpan(o)
	x.measure(o)
	x.log(o)
	if o.aborted {
		panic(http.ErrAbortHandler)
	}
}

// conclude settles the answer, given what the handler panicked with, and completes the record.
func (x *exchange) conclude(recovered any) outcome {
	var o outcome
	switch recovered {
	case nil:
		x.concludeReturn()
	case http.ErrAbortHandler:
		o.aborted = true
		x.record.ErrorType = ErrorTypeAborted
	default:
		o.panicType = fmt.Sprintf("%T", recovered)
		o.stack = debug.Stack()
		o.aborted = x.concludePanic(recovered)
	}
	o.latency = time.Since(x.start)
	o.status = x.response.status
	if !o.panicked() && x.response.clientGone && !x.record.LateBody {
		o.status = statusClientClosed
		x.record.ErrorType = ErrorTypeClientClosed
	}
	if o.status >= 500 && x.record.ErrorType == "" {
		x.record.ErrorType = strconv.Itoa(o.status)
	}
	o.severity = severityOf(o)
	return o
}

// concludeReturn settles the answer of a handler that returned.
func (x *exchange) concludeReturn() {
	if x.response.status != 0 {
		return
	}
	if clientGone(x.response.ctx) {
		x.response.WriteHeader(statusClientClosed) // nobody reads it
		return
	}
	x.response.sending(http.StatusOK) // which is what net/http does next
}

// concludePanic answers for a handler that panicked, and reports whether the connection has to be given up because part
// of another answer has been sent: the caller must not take that part for the whole.
func (x *exchange) concludePanic(recovered any) (abort bool) {
	x.layer.t.metrics.panics.Inc()
	x.record.ErrorType = ErrorTypePanic
	x.record.Err = fmt.Errorf("panic: %v", recovered)
	if x.response.status != 0 {
		return true
	}
	for _, name := range []string{"Cache-Control", "Content-Encoding", "Content-Length", "Etag", "Last-Modified"} {
		x.response.Header().Del(name) // they described the answer that is not coming
	}
	defer func() {
		if recover() != nil || x.response.status == 0 {
			abort = true // not even the answer for panics can be given
		}
	}()
	x.layer.t.onPanic(&x.response, x.request)
	return false
}

func severityOf(o outcome) slog.Level {
	switch {
	case o.panicked():
		return slog.LevelError
	case o.aborted || o.status >= 400 && o.status < 500 || o.status == http.StatusServiceUnavailable:
		return slog.LevelWarn // the caller's doing, or load that was refused as it should be
	case o.status >= 500:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// measure feeds the metrics of the route.
func (x *exchange) measure(o outcome) {
	series := x.layer.series.of(outcomeLabels{
		method: knownMethod(x.request.Method), status: o.status, errorType: x.record.ErrorType,
		modelName: x.record.ModelName, modelVersion: x.record.ModelVersion,
	})
	if !x.record.Stream {
		series.time(x.start.Add(o.latency), o.latency, x.span)
	}
	series.observe(x.body.size, x.response.size)
}
