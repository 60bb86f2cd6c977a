package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One rule holds for all routes: percent-encoding of a character that needs none changes nothing, and an encoded slash is
// no slash (RFC 3986, sections 6.2.2.2 and 2.2).
func TestPathsAreCanonical(t *testing.T) {
	s := start(t, setup{}, false)
	const row = `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{http.MethodPost, "/%70redict", 200}, {http.MethodPost, "/predic%74", 200}, {http.MethodPost, "/%50redict", 404},
		{http.MethodGet, "/models/ir%69s", 200}, {http.MethodGet, "/model%73/iris", 200}, {http.MethodGet, "/models/ir%69s/drift", 200},
		{http.MethodGet, "/live%5fcheck", 200}, {http.MethodGet, "/live%5Fcheck", 200}, {http.MethodGet, "/%72eady_check", 200},
		{http.MethodGet, "/models%2Firis", 404}, {http.MethodGet, "/models/iris%2Fdrift", 404}, {http.MethodPost, "/predict%2F", 404},
		{http.MethodGet, "/%70redict", 405}, {http.MethodPost, "/models/ir%69s", 405}, {http.MethodGet, "/models/100%25", 404},
	} {
		for _, base := range []string{s.url, s.ops} {
			if base == s.ops && !strings.Contains(tt.path, "check") {
				continue
			}
			status, body := askFor(t, tt.method, base+tt.path, row)
			assert.Equal(t, tt.want, status, "%s %s: %s", tt.method, tt.path, body)
		}
	}
	status, _ := askFor(t, http.MethodGet, s.ops+"/%6detrics", "")
	assert.Equal(t, 200, status)
}

func TestUnknownPathsNameTheNearest(t *testing.T) {
	s := start(t, setup{}, false)
	for path, want := range map[string]string{
		"/predict/": "/predict", "/predict//": "/predict", "/models/iris/": "/models/iris", "/Predict": "/predict", "/prediction": "/predict",
		"/ready": "/readyz", "/live-check": "/live_check", "/": "", "/favicon.ico": "", "/" + strings.Repeat("predict", 1000): "",
	} {
		_, body := askFor(t, http.MethodPost, s.url+path, "{}")
		assert.Contains(t, body, `docs/problems.md#unknown-path"`)
		if want == "" {
			assert.NotContains(t, body, `"expected"`, path)
		} else {
			assert.Contains(t, body, `"expected":"`+want+`"`, path)
		}
	}
	_, body := askFor(t, http.MethodGet, s.ops+"/metrics/", "")
	assert.Contains(t, body, `"expected":"/metrics"`)
}

func askFor(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}
