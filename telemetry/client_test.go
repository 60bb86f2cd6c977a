package telemetry

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// roundTripper is a transport as a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// relay sends a request with the headers through the middleware to a handler that calls somebody else, and returns the
// headers of that call.
func relay(t *testing.T, tel *Telemetry, header http.Header) http.Header {
	t.Helper()
	var sent []http.Header
	client := &http.Client{Transport: tel.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r.Header)
		return &http.Response{StatusCode: http.StatusTeapot, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}))}
	handler := tel.Route(http.MethodGet, "/x", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		call, err := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://elsewhere.example/y?z=1", strings.NewReader("body"))
		if !assert.NoError(t, err) {
			return
		}
		call.Header.Set("X-Own", "kept")
		response, err := client.Do(call)
		if !assert.NoError(t, err) {
			return
		}
		assert.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusTeapot, response.StatusCode)
		assert.NotContains(t, call.Header, "Traceparent", "the caller's request stays as it is")
	}))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil)
	request.Header = header
	handler.ServeHTTP(httptest.NewRecorder(), request)
	require.Len(t, sent, 1)
	assert.Equal(t, "kept", sent[0].Get("X-Own"))
	return sent[0]
}

func TestTransport(t *testing.T) {
	f := newFixture(t, true)
	sent := relay(t, f.Telemetry, http.Header{
		"Traceparent": {exampleTraceparent}, "Tracestate": {"a@@b=1", "", "congo=t61rcWkgMzE"}, "Baggage": {"userId=alice"},
	})
	spans := f.spans.Ended()
	require.Len(t, spans, 2)
	client, server := spans[0], spans[1]
	assert.Equal(t, trace.SpanKindClient, client.SpanKind())
	assert.Equal(t, "HTTP POST", client.Name())
	assert.Equal(t, codes.Error, client.Status().Code, "4xx is an error of the client")
	assert.Equal(t, server.SpanContext().SpanID(), client.Parent().SpanID())
	assert.Equal(t, exampleParentID, server.Parent().SpanID().String())
	attributes := attributesOf(client.Attributes())
	assert.Equal(t, "http://elsewhere.example/y?z=1", attributes["url.full"])
	assert.Equal(t, "elsewhere.example", attributes["server.address"])
	assert.Equal(t, "418", attributes["http.response.status_code"])

	assert.Equal(t, []string{"00-" + exampleTraceID + "-" + client.SpanContext().SpanID().String() + "-01"}, sent["Traceparent"])
	assert.Equal(t, []string{"a@@b=1,congo=t61rcWkgMzE"}, sent["Tracestate"])
	assert.Equal(t, []string{"userId=alice"}, sent["Baggage"])
}

func TestTransportWithoutABase(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Header.Get("Traceparent"))
	}))
	defer server.Close()
	f := newFixture(t, true)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	client := &http.Client{Transport: f.Transport(nil)}
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	client.CloseIdleConnections()
	assert.Contains(t, response.Header.Get("X-Seen"), f.onlySpan(t).SpanContext().SpanID().String())
}

// TestPropagationFromCallerToCallee goes through the middleware and the transport, with tracing and without.
func TestPropagationFromCallerToCallee(t *testing.T) {
	const ids = exampleTraceID + "-" + exampleParentID
	for _, tt := range []struct {
		name          string
		parent, state []string
		flags         string // sent on; empty: the trace is a new one, with a random id
		wantState     string
	}{
		{"sampled", []string{"00-" + ids + "-01"}, []string{"foo=1"}, "01", "foo=1"},
		{"not sampled", []string{"00-" + ids + "-00"}, []string{"foo=1"}, "00", "foo=1"},
		{"with a random id", []string{"00-" + ids + "-02"}, nil, "02", ""},
		{"sampled with a random id", []string{"00-" + ids + "-03"}, nil, "03", ""},
		{"a later version", []string{"cc-" + ids + "-ff-more"}, []string{"foo=1"}, "03", "foo=1"},
		{"several lines of tracestate", []string{"00-" + ids + "-00"}, []string{"foo=1", "", "bar=2"}, "00", "foo=1,bar=2"},
		{"keys of level 2", []string{"00-" + ids + "-00"}, []string{"foo=1,1@@a=2,bar=3"}, "00", "foo=1,1@@a=2,bar=3"},
		{"a tracestate with a fault", []string{"00-" + ids + "-00"}, []string{"foo=1,BAR=2"}, "00", ""},
		{"two traceparents", []string{"00-" + ids + "-01", "00-" + ids + "-01"}, []string{"foo=1"}, "", ""},
		{"version ff", []string{"ff-" + ids + "-01"}, []string{"foo=1"}, "", ""},
		{"tracestate alone", nil, []string{"foo=1"}, "", ""},
		{"nothing", nil, nil, "", ""},
	} {
		for _, tracing := range []bool{true, false} {
			name := tt.name
			if !tracing {
				name += " without tracing"
			}
			t.Run(name, func(t *testing.T) {
				f := newFixture(t, tracing)
				in := http.Header{}
				if tt.parent != nil {
					in["Traceparent"] = tt.parent
				}
				if tt.state != nil {
					in["Tracestate"] = tt.state
				}
				sent := relay(t, f.Telemetry, in)
				parent := sent.Get("Traceparent")
				assert.Equal(t, tt.wantState, sent.Get("Tracestate"))
				switch {
				case tt.flags == "" && tracing:
					assert.Regexp(t, `^00-[0-9a-f]{32}-[0-9a-f]{16}-03$`, parent)
					assert.NotContains(t, parent, exampleTraceID)
				case tt.flags == "":
					assert.Empty(t, parent, "nobody would record its span")
				case tracing:
					assert.Regexp(t, `^00-`+exampleTraceID+`-[0-9a-f]{16}-`+tt.flags+`$`, parent)
					assert.NotContains(t, parent, exampleParentID)
				default:
					assert.Equal(t, "00-"+ids+"-"+tt.flags, parent, "as it came: there is no span of ours")
				}
			})
		}
	}
}
