package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is what the service calls.
type harness struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string // method, path, body, content type, and traceparent up to the trace's id
}

func newHarness(t *testing.T) *harness {
	h := &harness{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path == "/fail" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.calls = append(h.calls, fmt.Sprintf("%s %s %s %s %.35s", r.Method, r.URL.Path, body, r.Header.Get("Content-Type"), r.Header.Get("Traceparent")))
	}))
	t.Cleanup(h.Close)
	return h
}

// start runs the service until the test ends.
func start(t *testing.T) (url string) {
	t.Helper()
	t.Setenv("OTEL_PROPAGATORS", "")
	t.Setenv("OTEL_SDK_DISABLED", "")
	handler, err := newHandler(t.Context(), &http.Transport{DisableKeepAlives: true})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func post(t *testing.T, url, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewBufferString(body))
	require.NoError(t, err)
	request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

func TestCallsInTheTraceOfTheRequest(t *testing.T) {
	h := newHarness(t)
	url := start(t)
	status, answer := post(t, url+"/test", fmt.Sprintf(
		`[{"url":"%[1]s/1","arguments":[{"url":"x","arguments":[]}]},{"url":"%[1]s/2","arguments":[]}]`, h.URL))
	assert.Equal(t, http.StatusOK, status, answer)
	assert.Equal(t, []string{
		`POST /1 [{"url":"x","arguments":[]}] application/json 00-4bf92f3577b34da6a3ce929d0e0e4736`,
		`POST /2 [] application/json 00-4bf92f3577b34da6a3ce929d0e0e4736`,
	}, h.calls)
}

func TestFaults(t *testing.T) {
	h := newHarness(t)
	url := start(t)
	for _, tt := range []struct {
		path, body string
		status     int
		answer     string
	}{
		{"/test", "not JSON", http.StatusBadRequest, "invalid character"},
		{"/test", "[" + strings.Repeat(" ", maxBody) + "]", http.StatusBadRequest, "request body too large"},
		{"/test", `[{"url":"http://127.0.0.1:1"}]`, http.StatusBadGateway, "127.0.0.1:1"},
		{"/test", `[{"url":"%zz"}]`, http.StatusBadGateway, "invalid URL escape"},
		{"/test", `[{"url":"` + h.URL + `/fail"}]`, http.StatusBadGateway, "/fail answered 500"},
		{"/other", `[]`, http.StatusNotFound, "not found"},
	} {
		status, answer := post(t, url+tt.path, tt.body)
		assert.Equal(t, tt.status, status, answer)
		assert.Contains(t, answer, tt.answer)
	}
}

func TestListen(t *testing.T) {
	t.Setenv("OTEL_PROPAGATORS", "")
	assert.ErrorContains(t, listen(t.Context(), "127.0.0.1:no port"), "no port")
	t.Setenv("OTEL_PROPAGATORS", "jaeger")
	assert.ErrorContains(t, listen(t.Context(), "127.0.0.1:0"), "OTEL_PROPAGATORS")
}
