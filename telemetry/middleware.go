package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	meternoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
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

// Bounds, in bytes, on what a caller chooses and a log line repeats.
const (
	maxLoggedMethod = 32
	maxLoggedText   = 2048
)

// Record is what a handler knows about the request it answers. The handler fills it, and the log line, the metrics and
// the span are made from it when the handler returns. It belongs to the request's goroutine.
type Record struct {
	ModelName    string        // of the model asked, once it is known to exist: it becomes a metric's label
	ModelVersion string        // likewise
	Rows         int           // instances in the request
	ErrorType    string        // the problem's type as a short word from a closed set, empty for success
	Err          error         // the internal cause of a 5xx; it is logged and never sent
	QueueWait    time.Duration // time spent waiting for admission
}

type recordKey struct{}

// RecordFrom returns the Record of the request that ctx belongs to. It is never nil: outside a request it is one that
// nobody reads.
func RecordFrom(ctx context.Context) *Record {
	if record, ok := ctx.Value(recordKey{}).(*Record); ok {
		return record
	}
	return &Record{}
}

// Route wraps the handler of one route in its telemetry: a server span "METHOD PATTERN", one log line, the duration
// histogram, the in-flight gauge, and recovery from panics. The method and the pattern are those the route is registered
// with.
func (t *Telemetry) Route(method, pattern string, next http.Handler) http.Handler {
	return t.instrument(endpoint{method: method, pattern: pattern, name: method + " " + pattern}, next)
}

// Unmatched wraps the handler that answers what no route matches. Its spans are named by the method alone, and its
// route is empty, so that callers cannot make names up.
func (t *Telemetry) Unmatched(next http.Handler) http.Handler {
	return t.instrument(endpoint{}, next)
}

func (t *Telemetry) instrument(e endpoint, next http.Handler) http.Handler {
	handler := &layer{t: t, endpoint: e, next: next}
	if !t.tracing {
		return handler
	}
	options := []otelhttp.Option{
		otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithPropagators(t.propagator),
		otelhttp.WithMeterProvider(meternoop.NewMeterProvider()),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return e.spanName(r.Method) }),
	}
	if e.pattern != "" {
		options = append(options, otelhttp.WithSpanOptions(trace.WithAttributes(semconv.HTTPRoute(e.pattern))))
	}
	return otelhttp.NewHandler(handler, e.name, options...)
}

// endpoint is where a request arrived: a registered route, or, as the zero value, none.
type endpoint struct {
	method, pattern string
	name            string // "METHOD PATTERN"
}

// spanName names the span of a request with the given method, from a bounded set.
func (e endpoint) spanName(method string) string {
	if method == e.method {
		return e.name
	}
	method = knownMethod(method)
	if method == otherValue {
		method = "HTTP" // what the semantic conventions put in its place
	}
	if e.pattern == "" {
		return method
	}
	return method + " " + e.pattern
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

// layer is the handler between the span and the route's own handler.
type layer struct {
	t        *Telemetry
	endpoint endpoint
	next     http.Handler
}

// ServeHTTP implements http.Handler.
func (l *layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{layer: l, start: time.Now()}
	ctx := r.Context()
	if !l.t.tracing && r.Header["Traceparent"] != nil {
		// With no span to carry it, the caller's trace id still belongs in the log.
		ctx = l.t.propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	x.response = response{ResponseWriter: w, ctx: ctx}
	x.request = r.WithContext(context.WithValue(ctx, recordKey{}, &x.record))
	if r.ContentLength < 0 {
		x.body = &countingBody{ReadCloser: r.Body}
		x.request.Body = x.body
	}
	l.t.metrics.inFlight.Inc()
	defer x.finish()
	l.next.ServeHTTP(&x.response, x.request)
}

// exchange is one request and its answer.
type exchange struct {
	layer    *layer
	start    time.Time
	request  *http.Request
	response response
	body     *countingBody // nil when the request said how long its body is
	record   Record
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

// finish is deferred around the handler: it recovers a panic, and then logs, measures and marks the span, once.
func (x *exchange) finish() {
	defer x.layer.t.metrics.inFlight.Dec()
	o := x.conclude(recover())
	x.markSpan(o)
	x.layer.t.metrics.observeRequest(
		x.layer.endpoint.pattern, knownMethod(x.request.Method), o.status, &x.record, o.latency)
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
	if !o.panicked() && x.response.clientGone {
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
		x.response.WriteHeader(statusClientClosed) // nobody reads it, but otelhttp notes it on the span
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

// markSpan adds to the span what otelhttp does not know.
func (x *exchange) markSpan(o outcome) {
	span := trace.SpanFromContext(x.request.Context())
	if !span.IsRecording() {
		return
	}
	if x.record.ErrorType != "" {
		span.SetAttributes(semconv.ErrorTypeKey.String(x.record.ErrorType))
	}
	if o.panicked() {
		span.AddEvent(semconv.ExceptionEventName, trace.WithAttributes(
			semconv.ExceptionType(o.panicType),
			semconv.ExceptionMessage(x.record.Err.Error()),
			semconv.ExceptionStacktrace(string(o.stack)),
		))
		span.SetStatus(codes.Error, x.record.Err.Error())
	}
	if o.aborted {
		// The panic that gives the connection up passes otelhttp by before it has noted these.
		if o.status != 0 {
			span.SetAttributes(semconv.HTTPResponseStatusCode(o.status))
		}
		span.SetStatus(codes.Error, x.record.ErrorType)
	}
}

// log writes the one line of this request.
func (x *exchange) log(o outcome) {
	ctx := x.request.Context()
	handler := x.layer.t.log.Handler()
	if !handler.Enabled(ctx, o.severity) {
		return
	}
	// The handler is called without the slog.Logger, which would look up the caller's place in the source in vain.
	line := slog.NewRecord(time.Now(), o.severity, x.message(o), 0)
	line.AddAttrs(slog.Attr{Key: "httpRequest", Value: x.httpRequest(o)})
	record := &x.record
	if record.ModelName != "" {
		line.AddAttrs(slog.String("model", record.ModelName), slog.String("model_version", record.ModelVersion))
	}
	if record.Rows > 0 {
		line.AddAttrs(slog.Int("rows", record.Rows))
	}
	if record.QueueWait > 0 {
		line.AddAttrs(slog.Duration("queue_wait", record.QueueWait))
	}
	if record.ErrorType != "" {
		line.AddAttrs(slog.String("problem", record.ErrorType))
	}
	// The cause of a 4xx is in the answer, and may repeat the payload, which is not logged.
	if record.Err != nil && (o.status >= 500 || o.panicked() || o.aborted) {
		line.AddAttrs(slog.Any("error", record.Err))
	}
	if o.panicked() {
		line.AddAttrs(slog.String("stack", string(o.stack)))
	}
	_ = handler.Handle(ctx, line) // a log that cannot be written has nowhere to say so
}

// message is the line's text: "POST /predict 200".
func (x *exchange) message(o outcome) string {
	name := x.layer.endpoint.name
	if x.request.Method != x.layer.endpoint.method {
		name = clip(x.request.Method, maxLoggedMethod)
		if pattern := x.layer.endpoint.pattern; pattern != "" {
			name += " " + pattern
		}
	}
	if o.aborted {
		return name + " aborted"
	}
	return name + " " + strconv.Itoa(o.status)
}

// httpRequest is the group that Cloud Logging shows as a request. 64-bit numbers are strings there.
func (x *exchange) httpRequest(o outcome) slog.Value {
	r := x.request
	attrs := make([]slog.Attr, 0, 9)
	attrs = append(attrs,
		slog.String("requestMethod", clip(r.Method, maxLoggedMethod)),
		slog.String("requestUrl", clip(r.URL.RequestURI(), maxLoggedText)),
		slog.Duration("latency", o.latency),
		slog.String("remoteIp", remoteIP(r.RemoteAddr)),
		slog.String("requestSize", strconv.FormatInt(x.requestSize(), 10)),
		slog.String("responseSize", strconv.FormatInt(x.response.size, 10)),
		slog.String("protocol", r.Proto),
	)
	if o.status != 0 {
		attrs = append(attrs, slog.Int("status", o.status))
	}
	if agent := r.UserAgent(); agent != "" {
		attrs = append(attrs, slog.String("userAgent", clip(agent, maxLoggedText)))
	}
	return slog.GroupValue(attrs...)
}

// requestSize is the length of the body in bytes: as declared, else as read.
func (x *exchange) requestSize() int64 {
	if x.body != nil {
		return x.body.size
	}
	return x.request.ContentLength
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
