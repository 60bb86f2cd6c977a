package telemetry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// reference answers the request through otelhttp, as it comes, and returns its span; nil when it made none.
func reference(t *testing.T, sampler sdktrace.Sampler, r *http.Request, next http.Handler) sdktrace.ReadOnlySpan {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler), sdktrace.WithSpanProcessor(spans))
	mux := http.NewServeMux()
	mux.Handle("/predict", otelhttp.NewHandler(next, "", otelhttp.WithTracerProvider(provider), otelhttp.WithPropagators(propagation.TraceContext{})))
	mux.ServeHTTP(httptest.NewRecorder(), r)
	if len(spans.Ended()) == 0 {
		return nil
	}
	require.Len(t, spans.Ended(), 1)
	return spans.Ended()[0]
}

// The middleware makes the span that otelhttp makes: name, kind, parent, attributes and status.
func TestServerSpanIsThatOfOtelhttp(t *testing.T) {
	tests := []struct {
		name    string
		request func() *http.Request
		status  int
	}{
		{"plain", func() *http.Request {
			return httptest.NewRequest("POST", "http://tepal.example/predict", strings.NewReader("12345"))
		}, 200},
		{"a port", func() *http.Request { return httptest.NewRequest("GET", "http://tepal.example:8000/predict?a=1", nil) }, 404},
		{"port 80", func() *http.Request { return httptest.NewRequest("GET", "http://tepal.example:80/predict", nil) }, 503},
		{"IPv6", func() *http.Request {
			r := httptest.NewRequest("GET", "http://[::1]:8000/predict", nil)
			r.RemoteAddr = "[2001:db8::1]:5000"
			return r
		}, 500},
		{"IPv6 without a port", func() *http.Request { return httptest.NewRequest("GET", "http://[::1]/predict", nil) }, 200},
		{"a proxy", func() *http.Request {
			r := httptest.NewRequest("GET", "/predict", nil)
			r.Header.Set("X-Forwarded-For", "203.0.113.9, 10.0.0.1")
			r.Header.Set("User-Agent", "curl/8")
			return r
		}, 204},
		{"an unknown method", func() *http.Request { return httptest.NewRequest("FROB", "/predict", nil) }, 405},
		{"HTTP/2", func() *http.Request {
			r := httptest.NewRequest("GET", "/predict", nil)
			r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
			return r
		}, 302},
		{"no address", func() *http.Request {
			r := httptest.NewRequest("GET", "/predict", nil)
			r.RemoteAddr = ""
			return r
		}, 200},
		{"a caller's trace", func() *http.Request {
			r := httptest.NewRequest("GET", "/predict", nil)
			r.Header.Set("Traceparent", exampleTraceparent)
			r.Header.Set("Tracestate", "a=1,b=2")
			return r
		}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, "answer")
			})
			want := reference(t, sdktrace.AlwaysSample(), tt.request(), next)
			f := newFixture(t, true)
			f.Route("POST", "/predict", next).ServeHTTP(httptest.NewRecorder(), tt.request())
			got := f.onlySpan(t)
			assert.Equal(t, want.Name(), got.Name())
			assert.Equal(t, want.SpanKind(), got.SpanKind())
			assert.Equal(t, want.Parent(), got.Parent().WithTraceID(want.Parent().TraceID()).WithTraceFlags(want.Parent().TraceFlags()))
			assert.Equal(t, want.SpanContext().TraceState(), got.SpanContext().TraceState())
			assert.Equal(t, want.Status(), got.Status())
			wanted, found := attributesOf(want.Attributes()), attributesOf(got.Attributes())
			if tt.status >= 500 {
				assert.Equal(t, wanted["http.response.status_code"], found["error.type"], "which the conventions want for a 5xx")
				delete(found, "error.type")
			}
			assert.Equal(t, wanted, found)
		})
	}
}

// When callers are trusted, whether a request is sampled and what is handed on of its trace is what the SDK would say.
func TestSamplingIsThatOfOtelhttp(t *testing.T) {
	sampled, unsampled := exampleTraceparent, strings.TrimSuffix(exampleTraceparent, "01")+"00"
	for _, ratio := range []string{"0", "0.7", "1"} { // the example's id is at 0.64
		number, err := strconv.ParseFloat(ratio, 64)
		require.NoError(t, err)
		for name, sampler := range samplersOf(number) {
			for _, traceparent := range []string{"", sampled, unsampled} {
				t.Run(strings.Join([]string{name, ratio, traceparent}, " "), func(t *testing.T) {
					if traceparent == "" && ratio == "0.7" {
						traceparent = sampled // two random ids have nothing in common
					}
					request := func() *http.Request {
						r := httptest.NewRequest("GET", "/predict", nil)
						if traceparent != "" {
							r.Header.Set("Traceparent", traceparent)
						}
						return r
					}
					var handed propagation.HeaderCarrier
					next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						handed = propagation.HeaderCarrier{}
						propagation.TraceContext{}.Inject(r.Context(), handed)
					})
					f := newFixture(t, true, func(o *Options) {
						o.TrustCallers = true
						t.Setenv(envSampler, name)
						t.Setenv(envSamplerArg, ratio)
					})
					want := reference(t, sampler, request(), next)
					theirs := handed.Get("traceparent")
					f.Route("GET", "/predict", next).ServeHTTP(httptest.NewRecorder(), request())
					ours := handed.Get("traceparent")
					assert.Equal(t, want != nil, len(f.spans.Ended()) == 1)
					if traceparent != "" {
						assert.Equal(t, theirs[:36], ours[:36], "version and trace id")
						assert.Equal(t, theirs[53:], ours[53:], "flags")
					}
					assert.NotEqual(t, exampleParentID, ours[36:52], "the span is another")
					assert.Equal(t, f.onlyLine(t)["span_id"], ours[36:52])
				})
			}
		}
	}
}

// OTLP refuses a whole batch for one attribute that is not UTF-8, and callers choose these.
func TestAttributesAreUTF8(t *testing.T) {
	f := newFixture(t, true)
	h := f.Unmatched(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("\xff") }))
	r := httptest.NewRequest("GET", "/%ff"+strings.Repeat("ä", 2000), nil)
	r.Host, r.RemoteAddr, r.Method, r.Proto = "h\xff:1", "\xff:1", "G\xff", "HTTP/\xff"
	r.Header.Set("User-Agent", "x\xffy")
	r.Header.Set("X-Forwarded-For", "\xfe, 10.0.0.1")
	h.ServeHTTP(httptest.NewRecorder(), r)
	span := f.onlySpan(t)
	for key, value := range attributesOf(span.Attributes()) {
		assert.True(t, utf8.ValidString(value), key)
	}
	for key, value := range attributesOf(span.Events()[0].Attributes) {
		assert.True(t, utf8.ValidString(value), key)
	}
	assert.True(t, utf8.ValidString(span.Status().Description))
	assert.True(t, utf8.ValidString(span.Name()))
}

func TestANewTraceIsRandomAndHasNoParent(t *testing.T) {
	f := newFixture(t, true)
	ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
	span := f.onlySpan(t)
	assert.False(t, span.Parent().SpanID().IsValid())
	assert.True(t, span.SpanContext().TraceFlags().IsRandom(), "Trace Context level 2, section 3.2.2.5.2")
	assert.Equal(t, span.SpanContext().TraceID().String(), f.onlyLine(t)["trace_id"])
}

func TestPartsOfARequest(t *testing.T) {
	f := newFixture(t, true)
	h := f.Route("POST", "/predict", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		record := RecordFrom(r.Context())
		record.Event(EventSlot)
		record.QueueWait = 1500 * time.Microsecond
		prediction := record.StartPrediction("iris", "1", "sha256:00", 3, 8)
		prediction.Fail("the prediction failed")
		prediction.End()
		record.Event(EventEncoded)
	}))
	ask(t, h, "POST", "/predict", "")
	spans := f.spans.Ended()
	require.Len(t, spans, 2)
	prediction, request := spans[0], spans[1]
	assert.Equal(t, "predict iris", prediction.Name())
	assert.Equal(t, trace.SpanKindInternal, prediction.SpanKind())
	assert.Equal(t, request.SpanContext().SpanID(), prediction.Parent().SpanID())
	assert.Equal(t, sdktrace.Status{Code: codes.Error, Description: "the prediction failed"}, prediction.Status())
	assert.Equal(t, map[string]string{
		"tepal.model.name": "iris", "tepal.model.version": "1", "tepal.model.digest": "sha256:00",
		"tepal.rows": "3", "tepal.batch.size": "8", "tepal.queue.wait": "0.0015",
	}, attributesOf(prediction.Attributes()))
	assert.Equal(t, "github.com/tepalhq/tepal/telemetry", prediction.InstrumentationScope().Name)
	require.Len(t, request.Events(), 2)
	slot, encoded := request.Events()[0], request.Events()[1]
	assert.Equal(t, []string{"slot acquired", "encoded"}, []string{slot.Name, encoded.Name})
	assert.False(t, prediction.StartTime().Before(slot.Time))
	assert.False(t, encoded.Time.Before(prediction.EndTime()))
}

func TestPartsCostNothingWhenNotSampled(t *testing.T) {
	for _, f := range []fixture{newFixture(t, false), newFixture(t, true, func(*Options) { t.Setenv(envSampler, "always_off") })} {
		h := f.Route("POST", "/predict", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			record := RecordFrom(r.Context())
			assert.Zero(t, testing.AllocsPerRun(100, func() {
				record.Event(EventDecoded)
				span := record.StartPrediction("iris", "1", "sha256:00", 3, 3)
				span.Fail("nobody hears it")
				span.End()
			}))
		}))
		ask(t, h, "POST", "/predict", "")
	}
	(&Record{}).Event(EventRead) // outside a request
}

func TestExemplars(t *testing.T) {
	for _, sampler := range []string{"always_on", "always_off"} {
		f := newFixture(t, true, func(*Options) { t.Setenv(envSampler, sampler) })
		ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
		families, err := f.registry.Gather()
		require.NoError(t, err)
		exemplars := map[string]string{}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				for _, bucket := range metric.GetHistogram().GetBucket() {
					for _, pair := range bucket.GetExemplar().GetLabel() {
						exemplars[pair.GetName()] = pair.GetValue()
					}
				}
			}
		}
		if sampler == "always_off" {
			assert.Empty(t, exemplars, "no trace is kept that it could lead to")
			continue
		}
		assert.Equal(t, map[string]string{
			"trace_id": f.onlySpan(t).SpanContext().TraceID().String(), "span_id": f.onlySpan(t).SpanContext().SpanID().String(),
		}, exemplars)
	}
}

// A bucket, whose upper bound is in it, keeps its exemplar for 100 ms; the others do not wait for it.
func TestExemplarsPause(t *testing.T) {
	bounds := durationBuckets()
	s := &series{bounds: bounds, exemplars: make([]atomic.Int64, len(bounds)+1)}
	start := time.Unix(1_700_000_000, 0)
	for _, step := range []struct {
		after   time.Duration
		seconds float64
		due     bool
	}{
		{0, 0.0012, true},
		{99 * time.Millisecond, 0.0012, false},
		{99 * time.Millisecond, 0.0025, false}, // the bucket from 1 ms to 2.5 ms still
		{99 * time.Millisecond, 0.0026, true},
		{99 * time.Millisecond, 11, true}, // beyond the last bound
		{100 * time.Millisecond, 0.0012, true},
		{199 * time.Millisecond, 0.0012, false},
		{198 * time.Millisecond, 0.0026, false},
		{199 * time.Millisecond, 11, true},
	} {
		assert.Equal(t, step.due, s.exemplarDue(start.Add(step.after), step.seconds), "%v: %v s", step.after, step.seconds)
	}
}

// Scrapers that ask for protobuf get durations as native histograms, beside the classic ones.
func TestDurationsAreNativeToo(t *testing.T) {
	f := newFixture(t, false)
	exercise(t, f)
	families, err := f.registry.Gather()
	require.NoError(t, err)
	var native []string
	for _, family := range families {
		if h := family.GetMetric()[0].GetHistogram(); h != nil && h.Schema != nil {
			native = append(native, family.GetName())
			assert.NotEmpty(t, h.GetBucket(), family.GetName())
		}
	}
	assert.Subset(t, native, []string{"http_server_request_duration_seconds", "tepal_admission_wait_seconds", "tepal_program_row_seconds"})
}

// A context that a handler keeps past its request still has the trace.
func TestContextOutlivesTheRequest(t *testing.T) {
	f := newFixture(t, false)
	var kept context.Context
	ask(t, f.Route("GET", "/x", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { kept = r.Context() })), "GET", "/x", "")
	f.log.ErrorContext(kept, "later", "error", errors.New("e"))
	lines := f.logs.lines(t)
	require.Len(t, lines, 2)
	assert.Equal(t, lines[0]["trace_id"], lines[1]["trace_id"])
}
