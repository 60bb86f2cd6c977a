package telemetry

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// ask sends one request through the handler, without a network.
func ask(t *testing.T, h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.7:1234"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// bothWays runs a test with tracing off and on: what is logged and counted must not depend on it.
func bothWays(t *testing.T, test func(t *testing.T, f fixture), adjust ...func(*Options)) {
	t.Helper()
	for _, tracing := range []bool{false, true} {
		t.Run(fmt.Sprintf("tracing=%t", tracing), func(t *testing.T) { test(t, newFixture(t, tracing, adjust...)) })
	}
}

// durations returns how many requests were measured under the given labels, in the order of their declaration.
func (f fixture) durations(t *testing.T, labels ...string) int {
	t.Helper()
	families, err := f.registry.Gather()
	require.NoError(t, err)
	names := []string{"http_route", "http_request_method", "http_response_status_code", "error_type", "model_name", "model_version"}
	for _, family := range families {
		if family.GetName() != "http_server_request_duration_seconds" {
			continue
		}
		for _, metric := range family.GetMetric() {
			got := map[string]string{}
			for _, pair := range metric.GetLabel() {
				got[pair.GetName()] = pair.GetValue()
			}
			want := map[string]string{}
			for i, name := range names {
				want[name] = labels[i]
			}
			if assert.ObjectsAreEqual(want, got) {
				return int(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

func TestRouteLogsOneLine(t *testing.T) {
	bothWays(t, func(t *testing.T, f fixture) {
		h := f.Route("POST", "/predict", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			record := RecordFrom(r.Context())
			record.ModelName, record.ModelVersion, record.Rows, record.QueueWait = "iris", "1", 3, 2*time.Millisecond
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "twelve bytes")
		}))
		w := ask(t, h, "POST", "/predict?verbose=1", `{"a":1}`, "User-Agent", "curl/8", "Traceparent", exampleTraceparent)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, "twelve bytes", w.Body.String())

		line := f.onlyLine(t)
		assert.Equal(t, "INFO", line["severity"])
		assert.Equal(t, "POST /predict 200", line["message"])
		assert.Equal(t, exampleTraceID, line["trace_id"])
		assert.Equal(t, "projects/demo/traces/"+exampleTraceID, line["logging.googleapis.com/trace"])
		assert.Equal(t, "iris", line["model"])
		assert.Equal(t, "1", line["model_version"])
		assert.Equal(t, "3", fmt.Sprint(line["rows"]))
		assert.Equal(t, "0.002s", line["queue_wait"])
		assert.NotContains(t, line, "problem")
		assert.NotContains(t, line, "error")
		assert.NotContains(t, line, "stack")

		request := httpRequest(t, line)
		assert.Regexp(t, `^\d+(\.\d+)?s$`, request["latency"])
		delete(request, "latency")
		assert.Equal(t, "200", fmt.Sprint(request["status"]))
		delete(request, "status")
		assert.Equal(t, map[string]any{
			"requestMethod": "POST", "requestUrl": "/predict?verbose=1", "remoteIp": "192.0.2.7", "userAgent": "curl/8",
			"requestSize": "7", "responseSize": "12", "protocol": "HTTP/1.1",
		}, request)
	})
}

func TestRouteOutcomes(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc

		status   int
		severity string
		problem  string // also the metric's error_type
		cause    string // error in the log
	}{
		{"nothing written", func(http.ResponseWriter, *http.Request) {}, 200, "INFO", "", ""},
		{"not modified", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, 304, "INFO", "", ""},
		{"bad input", func(w http.ResponseWriter, r *http.Request) {
			RecordFrom(r.Context()).ErrorType = "invalid_instance"
			RecordFrom(r.Context()).Err = errors.New("a payload value")
			w.WriteHeader(422)
		}, 422, "WARNING", "invalid_instance", ""},
		{"4xx without a type", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 404, "WARNING", "", ""},
		{"shed", func(w http.ResponseWriter, r *http.Request) {
			RecordFrom(r.Context()).ErrorType = "overloaded"
			w.WriteHeader(503)
		}, 503, "WARNING", "overloaded", ""},
		{"internal error", func(w http.ResponseWriter, r *http.Request) {
			RecordFrom(r.Context()).ErrorType = "internal"
			RecordFrom(r.Context()).Err = errors.New("the cause")
			w.WriteHeader(500)
		}, 500, "ERROR", "internal", "the cause"},
		{"5xx without a type", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(504) }, 504, "ERROR", "504", ""},
		{"the first status counts", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(201)
			w.WriteHeader(500)
		}, 201, "INFO", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, f fixture) {
				ask(t, f.Route("POST", "/x", tt.handler), "POST", "/x", "")
				line := f.onlyLine(t)
				assert.Equal(t, fmt.Sprintf("POST /x %d", tt.status), line["message"])
				assert.Equal(t, tt.severity, line["severity"])
				assert.Equal(t, tt.problem, textOf(line["problem"]))
				assert.Equal(t, tt.cause, textOf(line["error"]))
				assert.Equal(t, 1, f.durations(t, "/x", "POST", strconv.Itoa(tt.status), tt.problem, "", ""))
				if f.spans == nil {
					return
				}
				span := f.onlySpan(t)
				attrs := attributesOf(span.Attributes())
				assert.Equal(t, strconv.Itoa(tt.status), attrs["http.response.status_code"])
				assert.Equal(t, tt.problem, attrs["error.type"])
				if tt.status >= 500 {
					assert.Equal(t, codes.Error, span.Status().Code)
				} else {
					assert.Equal(t, codes.Unset, span.Status().Code)
				}
			})
		})
	}
}

// textOf is the value of a field that may be missing.
func textOf(value any) string {
	text, _ := value.(string)
	return text
}

func TestRouteSpan(t *testing.T) {
	f := newFixture(t, true)
	h := f.Route("POST", "/predict", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		RecordFrom(r.Context()).ModelName = "iris"
	}))
	ask(t, h, "POST", "/predict?secret=1", "12345", "Traceparent", exampleTraceparent, "User-Agent", "curl/8")

	span := f.onlySpan(t)
	assert.Equal(t, "POST /predict", span.Name())
	assert.Equal(t, trace.SpanKindServer, span.SpanKind())
	assert.Equal(t, exampleTraceID, span.SpanContext().TraceID().String())
	assert.Equal(t, exampleParentID, span.Parent().SpanID().String())
	assert.True(t, span.Parent().IsRemote())
	assert.Equal(t, map[string]string{
		"http.request.method": "POST", "http.route": "/predict", "http.response.status_code": "200", "http.request.body.size": "5",
		"url.scheme": "http", "url.path": "/predict", "server.address": "example.com", "network.protocol.version": "1.1",
		"network.peer.address": "192.0.2.7", "network.peer.port": "1234", "client.address": "192.0.2.7", "user_agent.original": "curl/8",
	}, attributesOf(span.Attributes()))
	assert.Equal(t, span.SpanContext().SpanID().String(), f.onlyLine(t)["span_id"])
}

func TestMethodsAreBounded(t *testing.T) {
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	tests := []struct {
		name    string
		handler func(f fixture) http.Handler
		method  string
		span    string
		message string
		route   string
		label   string
	}{
		{"the route's own", func(f fixture) http.Handler { return f.Route("GET", "/a/{b}", ok) }, "GET", "GET /a/{b}", "GET /a/{b} 200", "/a/{b}", "GET"},
		{"another", func(f fixture) http.Handler { return f.Route("GET", "/a/{b}", ok) }, "HEAD", "HEAD /a/{b}", "HEAD /a/{b} 200", "/a/{b}", "HEAD"},
		{"unknown", func(f fixture) http.Handler { return f.Route("GET", "/a/{b}", ok) }, "FROB", "HTTP /a/{b}", "FROB /a/{b} 200", "/a/{b}", "_OTHER"},
		{"unmatched", func(f fixture) http.Handler { return f.Unmatched(ok) }, "GET", "GET", "GET 200", "", "GET"},
		{"unmatched and unknown", func(f fixture) http.Handler { return f.Unmatched(ok) }, "get", "HTTP", "get 200", "", "_OTHER"},
		{"long", func(f fixture) http.Handler { return f.Unmatched(ok) }, strings.Repeat("X", 1000), "HTTP", strings.Repeat("X", 32) + "… 200", "", "_OTHER"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, true)
			ask(t, tt.handler(f), tt.method, "/a/b", "")
			assert.Equal(t, tt.span, f.onlySpan(t).Name())
			assert.Equal(t, tt.message, f.onlyLine(t)["message"])
			assert.Equal(t, 1, f.durations(t, tt.route, tt.label, "200", "", "", ""))
			route, ok := attributesOf(f.onlySpan(t).Attributes())["http.route"]
			assert.Equal(t, tt.route != "", ok)
			assert.Equal(t, tt.route, route)
		})
	}
}

func TestWhatACallerChoosesIsClipped(t *testing.T) {
	f := newFixture(t, false)
	h := f.Unmatched(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	ask(t, h, "GET", "/"+strings.Repeat("a", 5000), "", "User-Agent", strings.Repeat("b", 5000))
	request := httpRequest(t, f.onlyLine(t))
	assert.Equal(t, "/"+strings.Repeat("a", 2047)+"…", request["requestUrl"])
	assert.Equal(t, strings.Repeat("b", 2048)+"…", request["userAgent"])
}

func TestRemoteIP(t *testing.T) {
	for addr, want := range map[string]string{"192.0.2.7:1234": "192.0.2.7", "[2001:db8::1]:80": "2001:db8::1", "@": "@", "": ""} {
		f := newFixture(t, false)
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/x", nil)
		r.RemoteAddr = addr
		f.Route("GET", "/x", http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		assert.Equal(t, want, httpRequest(t, f.onlyLine(t))["remoteIp"])
	}
}

func TestRequestSizeOfAnUndeclaredLength(t *testing.T) {
	bothWays(t, func(t *testing.T, f fixture) {
		h := f.Route("POST", "/x", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			assert.Equal(t, "12345", string(body))
		}))
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/x", io.MultiReader(strings.NewReader("12345")))
		require.EqualValues(t, -1, r.ContentLength)
		h.ServeHTTP(httptest.NewRecorder(), r)
		assert.Equal(t, "5", httpRequest(t, f.onlyLine(t))["requestSize"])
	})
}

func TestRecordFromOutsideARequest(t *testing.T) {
	record := RecordFrom(t.Context())
	require.NotNil(t, record)
	record.Rows = 1
	assert.Zero(t, RecordFrom(t.Context()).Rows)
}

func TestInFlight(t *testing.T) {
	f := newFixture(t, false)
	h := f.Route("GET", "/x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.active.WithLabelValues("GET")), 0)
	}))
	ask(t, h, "GET", "/x", "")
	ask(t, f.Route("GET", "/panic", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(1) })), "GET", "/panic", "")
	assert.Zero(t, testutil.ToFloat64(f.metrics.active.WithLabelValues("GET")))
}

func TestTracingOffKeepsTheCallersTrace(t *testing.T) {
	f := newFixture(t, false)
	h := f.Route("GET", "/x", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.False(t, trace.SpanFromContext(r.Context()).IsRecording())
	}))
	ask(t, h, "GET", "/x", "", "Traceparent", exampleTraceparent)
	line := f.onlyLine(t)
	assert.Equal(t, exampleTraceID, line["trace_id"])
	assert.Equal(t, exampleParentID, line["span_id"])

	ask(t, h, "GET", "/x", "")
	ask(t, h, "GET", "/x", "")
	lines := f.logs.lines(t)
	require.Len(t, lines, 3)
	for _, line := range lines[1:] {
		assert.Regexp(t, "^[0-9a-f]{32}$", line["trace_id"], "a request without a trace begins one")
		assert.Regexp(t, "^[0-9a-f]{16}$", line["span_id"])
		assert.Equal(t, false, line["logging.googleapis.com/trace_sampled"])
	}
	assert.NotEqual(t, lines[1]["trace_id"], lines[2]["trace_id"])
}

func TestPanicBeforeTheAnswer(t *testing.T) {
	answer := func(o *Options) {
		o.OnPanic = func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "/x", r.URL.Path)
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"status":500}`)
		}
	}
	bothWays(t, func(t *testing.T, f fixture) {
		h := f.Route("POST", "/x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			RecordFrom(r.Context()).ModelName = "iris"
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("X-Kept", "yes")
			panic("the secret reason")
		}))
		w := ask(t, h, "POST", "/x", "", "Traceparent", exampleTraceparent)
		assert.Equal(t, http.StatusInternalServerError, w.Code)
		assert.Equal(t, `{"status":500}`, w.Body.String())
		assert.Equal(t, http.Header{"Content-Type": {"application/problem+json"}, "X-Kept": {"yes"}}, w.Header())

		line := f.onlyLine(t)
		assert.Equal(t, "ERROR", line["severity"])
		assert.Equal(t, "POST /x 500", line["message"])
		assert.Equal(t, "panic: the secret reason", line["error"])
		assert.Equal(t, "panic", line["problem"])
		assert.Equal(t, exampleTraceID, line["trace_id"])
		assert.Contains(t, line["stack"], "telemetry.TestPanicBeforeTheAnswer")
		assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.panics), 0)
		assert.Equal(t, 1, f.durations(t, "/x", "POST", "500", "panic", "iris", ""))
		if f.spans == nil {
			return
		}
		span := f.onlySpan(t)
		assert.Equal(t, codes.Error, span.Status().Code)
		require.Len(t, span.Events(), 1)
		assert.Equal(t, "exception", span.Events()[0].Name)
		event := attributesOf(span.Events()[0].Attributes)
		assert.Equal(t, "string", event["exception.type"])
		assert.Equal(t, "panic: the secret reason", event["exception.message"])
		assert.Contains(t, event["exception.stacktrace"], "telemetry.TestPanicBeforeTheAnswer")
		attrs := attributesOf(span.Attributes())
		assert.Equal(t, "500", attrs["http.response.status_code"])
		assert.Equal(t, "panic", attrs["error.type"])
	}, answer)
}

func TestPanicTypeIsTheServersToName(t *testing.T) {
	f := newFixture(t, false, func(o *Options) {
		o.OnPanic = func(w http.ResponseWriter, r *http.Request) {
			RecordFrom(r.Context()).ErrorType = "internal_error"
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	ask(t, f.Route("GET", "/x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New("e")) })), "GET", "/x", "")
	assert.Equal(t, "internal_error", f.onlyLine(t)["problem"])
	assert.Equal(t, "panic: e", f.onlyLine(t)["error"])
}

func TestPanicWithoutOnPanic(t *testing.T) {
	f := newFixture(t, false)
	w := ask(t, f.Route("GET", "/x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("p") })), "GET", "/x", "")
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.Equal(t, "Internal Server Error\n", w.Body.String())
}

func TestPanicThatCannotBeAnswered(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		onPanic http.HandlerFunc
		status  string
	}{
		{"part of the answer was sent", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			panic("p")
		}, func(http.ResponseWriter, *http.Request) { t.Error("an answer was begun already") }, "200"},
		{"OnPanic panics", func(http.ResponseWriter, *http.Request) { panic("p") },
			func(http.ResponseWriter, *http.Request) { panic("again") }, ""},
		{"OnPanic does not answer", func(http.ResponseWriter, *http.Request) { panic("p") },
			func(http.ResponseWriter, *http.Request) {}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, f fixture) {
				h := f.Route("GET", "/x", tt.handler)
				assert.PanicsWithValue(t, http.ErrAbortHandler, func() { ask(t, h, "GET", "/x", "") })
				line := f.onlyLine(t)
				assert.Equal(t, "ERROR", line["severity"])
				assert.Equal(t, "GET /x aborted", line["message"])
				assert.Equal(t, "panic: p", line["error"])
				assert.Contains(t, line["stack"], "goroutine")
				assert.Equal(t, 1, f.durations(t, "/x", "GET", tt.status, "panic", "", ""))
				if f.spans != nil {
					span := f.onlySpan(t)
					assert.Equal(t, codes.Error, span.Status().Code)
					assert.Len(t, span.Events(), 1)
					assert.Equal(t, tt.status, attributesOf(span.Attributes())["http.response.status_code"])
				}
			}, func(o *Options) { o.OnPanic = tt.onPanic })
		})
	}
}

func TestAbort(t *testing.T) {
	bothWays(t, func(t *testing.T, f fixture) {
		h := f.Route("GET", "/x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		assert.PanicsWithValue(t, http.ErrAbortHandler, func() { ask(t, h, "GET", "/x", "") })
		line := f.onlyLine(t)
		assert.Equal(t, "WARNING", line["severity"])
		assert.Equal(t, "GET /x aborted", line["message"])
		assert.Equal(t, "aborted", line["problem"])
		assert.NotContains(t, line, "stack")
		assert.NotContains(t, httpRequest(t, line), "status")
		assert.Zero(t, testutil.ToFloat64(f.metrics.panics))
		assert.Equal(t, 1, f.durations(t, "/x", "GET", "", "aborted", "", ""))
		if f.spans != nil {
			assert.Equal(t, codes.Error, f.onlySpan(t).Status().Code)
			assert.Empty(t, f.onlySpan(t).Events())
		}
	})
}

// The server lives on after panics, and tells its client when an answer is not whole.
func TestPanicsOverTheNetwork(t *testing.T) {
	f := newFixture(t, true)
	mux := http.NewServeMux()
	mux.Handle("/before", f.Route("GET", "/before", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("p") })))
	mux.Handle("/middle", f.Route("GET", "/middle", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		assert.NoError(t, http.NewResponseController(w).Flush())
		panic("p")
	})))
	server := httptest.NewServer(mux)
	defer server.Close()

	response, err := server.Client().Get(server.URL + "/before")
	require.NoError(t, err)
	assert.Equal(t, http.StatusInternalServerError, response.StatusCode)
	require.NoError(t, response.Body.Close())

	response, err = server.Client().Get(server.URL + "/middle")
	require.NoError(t, err)
	_, err = io.ReadAll(response.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, response.Body.Close())

	response, err = server.Client().Get(server.URL + "/before")
	require.NoError(t, err)
	assert.Equal(t, http.StatusInternalServerError, response.StatusCode)
	require.NoError(t, response.Body.Close())
}

func TestClientGone(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"nothing written", func(http.ResponseWriter, *http.Request) {}},
		{"answered in vain", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }},
		{"given up by the handler", func(w http.ResponseWriter, r *http.Request) {
			RecordFrom(r.Context()).ErrorType = "overloaded"
			w.WriteHeader(http.StatusServiceUnavailable)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, f fixture) {
				ctx, cancel := context.WithCancel(t.Context())
				h := f.Route("GET", "/x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					cancel()
					tt.handler(w, r)
				}))
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/x", nil))
				line := f.onlyLine(t)
				assert.Equal(t, "GET /x 499", line["message"])
				assert.Equal(t, "WARNING", line["severity"])
				assert.Equal(t, "client-closed-request", line["problem"])
				assert.Equal(t, "499", fmt.Sprint(httpRequest(t, line)["status"]))
				assert.Equal(t, 1, f.durations(t, "/x", "GET", "499", "client-closed-request", "", ""))
				if f.spans != nil {
					assert.Equal(t, "client-closed-request", attributesOf(f.onlySpan(t).Attributes())["error.type"])
				}
			})
		})
	}

	t.Run("over the network", func(t *testing.T) {
		f := newFixture(t, true)
		arrived := make(chan struct{})
		server := httptest.NewServer(f.Route("GET", "/x", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-r.Context().Done()
		})))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/x", nil)
		require.NoError(t, err)
		_, err = server.Client().Do(r) //nolint:bodyclose // there is no response
		require.ErrorIs(t, err, context.Canceled)
		server.Close() // waits for the handler
		assert.Equal(t, "GET /x 499", f.onlyLine(t)["message"])
		assert.Equal(t, "499", attributesOf(f.onlySpan(t).Attributes())["http.response.status_code"])
		assert.Equal(t, codes.Unset, f.onlySpan(t).Status().Code)
	})
}

func TestClientIsNotGone(t *testing.T) {
	contexts := map[string]func(context.Context) (context.Context, context.CancelFunc){
		"after the answer began": context.WithCancel,
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithDeadline(ctx, time.Unix(0, 0))
		},
		"cancelled with a cause": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(errors.New("the server stops"))
			return ctx, func() {}
		},
	}
	for name, derive := range contexts {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, false)
			ctx, cancel := derive(t.Context())
			defer cancel()
			h := f.Route("GET", "/x", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusGatewayTimeout)
				cancel()
				_, _ = io.WriteString(w, "x")
			}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/x", nil))
			assert.Equal(t, "GET /x 504", f.onlyLine(t)["message"])
		})
	}
}

func TestResponseWriterKeepsItsAbilities(t *testing.T) {
	bothWays(t, func(t *testing.T, f fixture) {
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("x", 100_000)), 0o600))
		mux := http.NewServeMux()
		mux.Handle("/flush", f.Route("GET", "/flush", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			controller := http.NewResponseController(w)
			assert.NoError(t, controller.Flush())
			assert.NoError(t, controller.SetWriteDeadline(time.Now().Add(time.Minute)))
			assert.NoError(t, controller.SetReadDeadline(time.Now().Add(time.Minute)))
			assert.NoError(t, controller.EnableFullDuplex())
		})))
		mux.Handle("/hijack", f.Route("GET", "/hijack", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if !assert.NoError(t, err) {
				return
			}
			defer conn.Close()
			_, _ = buffered.WriteString("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			assert.NoError(t, buffered.Flush())
		})))
		mux.Handle("/file", f.Route("GET", "/file", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, file)
		})))
		server := httptest.NewServer(mux)
		defer server.Close()
		for path, status := range map[string]int{"/flush": 200, "/hijack": 204, "/file": 200} {
			response, err := server.Client().Get(server.URL + path)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, status, response.StatusCode, path)
		}
		server.Close()
		sizes := map[any]any{}
		for _, line := range f.logs.lines(t) {
			sizes[line["message"]] = httpRequest(t, line)["responseSize"]
		}
		assert.Equal(t, "100000", sizes["GET /file 200"])
	})
}

func TestResponseWriterWithoutFlush(t *testing.T) {
	f := newFixture(t, false)
	w := &plainWriter{header: http.Header{}}
	f.Route("GET", "/x", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		assert.ErrorIs(t, http.NewResponseController(w).Flush(), http.ErrNotSupported)
		w.WriteHeader(http.StatusAccepted)
	})).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/x", nil))
	assert.Equal(t, http.StatusAccepted, w.status)
	assert.Equal(t, "GET /x 202", f.onlyLine(t)["message"])
}

// Latency is the handler's time, told exactly.
func TestLatency(t *testing.T) {
	logs := &sink{}
	clearOTel(t)
	synctest.Test(t, func(t *testing.T) {
		tel, err := New(t.Context(), Options{Logger: NewLogger(logs, LogOptions{})})
		require.NoError(t, err)
		h := tel.Route("GET", "/x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			time.Sleep(1234567 * time.Nanosecond) //nolint:forbidigo // The bubble's clock, not the machine's.
		}))
		ask(t, h, "GET", "/x", "")
		assert.Equal(t, "0.001234567s", httpRequest(t, logs.lines(t)[0])["latency"])
		buckets := prometheus.NewRegistry()
		require.NoError(t, buckets.Register(tel.metrics.duration))
		assert.NoError(t, testutil.GatherAndCompare(buckets, strings.NewReader(`
			# HELP http_server_request_duration_seconds Time from the first look at a request to the end of its handler.
			# TYPE http_server_request_duration_seconds histogram
			`+bucketLines(durationBuckets(), 0.001234567)+`
			`+sample("_sum", "", "0.001234567")+`
			`+sample("_count", "", "1")+`
		`)))
	})
}

// bucketLines is the text of the histogram's buckets after one observation.
func bucketLines(bounds []float64, observed float64) string {
	var lines []string
	for _, bound := range bounds {
		count := "0"
		if observed <= bound {
			count = "1"
		}
		lines = append(lines, sample("_bucket", `,le="`+strconv.FormatFloat(bound, 'g', -1, 64)+`"`, count))
	}
	return strings.Join(append(lines, sample("_bucket", `,le="+Inf"`, "1")), "\n")
}

func sample(suffix, label, value string) string {
	return `http_server_request_duration_seconds` + suffix + `{error_type="",http_request_method="GET",http_response_status_code="200",` +
		`http_route="/x",model_name="",model_version=""` + label + `} ` + value
}

func TestRequestsThatArriveTogether(t *testing.T) {
	f := newFixture(t, true)
	server := httptest.NewServer(f.Route("POST", "/x", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rows, err := strconv.Atoi(r.URL.Query().Get("rows"))
		assert.NoError(t, err)
		RecordFrom(r.Context()).Rows = rows
		fmt.Fprint(w, rows)
	})))
	defer server.Close()
	const requests = 64
	errs := make(chan error, requests)
	for i := range requests {
		go func() {
			response, err := server.Client().Post(fmt.Sprintf("%s/x?rows=%d", server.URL, i+1), "text/plain", nil)
			if err == nil {
				err = response.Body.Close()
			}
			errs <- err
		}()
	}
	for range requests {
		require.NoError(t, <-errs)
	}
	server.Close()
	lines := f.logs.lines(t)
	require.Len(t, lines, requests)
	for _, line := range lines {
		assert.Equal(t, fmt.Sprintf("/x?rows=%v", line["rows"]), httpRequest(t, line)["requestUrl"])
	}
	assert.Len(t, f.spans.Ended(), requests)
}

// A request as bytes, with what a hostile client can put into one.
func TestHostileRequestsAreOneLineEach(t *testing.T) {
	f := newFixture(t, true)
	server := httptest.NewServer(f.Unmatched(http.NotFoundHandler()))
	defer server.Close()
	for _, request := range []string{
		"GET /%0a%22%7d%0d%00 HTTP/1.1\r\nHost: h\r\nUser-Agent: \"}\\\xff\xfe\r\nConnection: close\r\n\r\n",
		"GET http://user:password@h/p?q HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"OPTIONS * HTTP/1.0\r\n\r\n",          // answered by net/http
		"G{}\t / HTTP/1.1\r\nHost: h\r\n\r\n", // refused by net/http
		"!#$%&'*+-.^_`|~ /\xff HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(conn, request)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, bufio.NewReader(conn))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	server.Close()
	require.Len(t, f.logs.lines(t), 3)
	for _, line := range f.logs.lines(t) {
		assert.NotContains(t, fmt.Sprint(line), "password")
	}
	for _, write := range f.logs.writes {
		assertOneObject(t, write)
	}
}

func BenchmarkRoute(b *testing.B) {
	for _, name := range []string{"off", "unsampled", "sampled"} {
		b.Run(name, func(b *testing.B) {
			b.Setenv(envSampler, map[string]string{"off": "", "unsampled": "always_off", "sampled": "always_on"}[name])
			opts := Options{Logger: NewLogger(io.Discard, LogOptions{Project: "demo"})}
			if name != "off" {
				opts.SpanProcessors = append(opts.SpanProcessors, discardSpans{})
			}
			tel, err := New(b.Context(), opts)
			require.NoError(b, err)
			h := tel.Route("POST", "/predict", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				record := RecordFrom(r.Context())
				record.ModelName, record.ModelVersion, record.Rows = "iris", "1", 1
				w.WriteHeader(http.StatusOK)
			}))
			r := httptest.NewRequestWithContext(b.Context(), "POST", "/predict", strings.NewReader("{}"))
			w := &plainWriter{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
