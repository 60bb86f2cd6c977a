//go:build others

package loadtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// description has a feature of each type.
const description = `{"name":"toy","version":"1","digest":"sha256:00","task":"classification","classes":["a","b"],"schema":{
	"features":[{"name":"x","type":"number","minimum":1,"maximum":3},{"name":"n","type":"integer","minimum":-2,"maximum":2},
		{"name":"on","type":"boolean"},{"name":"city","type":"string","example":"Bern"}],
	"outputs":[{"name":"l","role":"label"},{"name":"p","role":"probabilities"}]}}`

// target describes a model and gives the same answer to all predictions, after a while.
type target struct {
	status int
	answer string
	delay  time.Duration
	// asked counts predictions, odd those whose instance is not of the schema.
	asked, odd atomic.Int64
}

func (s *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/models":
		_, _ = w.Write([]byte(`{"models":[` + description + `]}`))
	case "/models/toy":
		_, _ = w.Write([]byte(description))
	case "/predict":
		s.asked.Add(1)
		if !fits(r) {
			s.odd.Add(1)
		}
		<-time.After(s.delay)
		w.WriteHeader(s.status)
		_, _ = w.Write([]byte(s.answer))
	default:
		http.NotFound(w, r)
	}
}

// fits reports whether the body is an instance of the schema, within its ranges.
func fits(r *http.Request) bool {
	var row struct {
		X    float64 `json:"x"`
		N    int     `json:"n"`
		On   *bool   `json:"on"`
		City string  `json:"city"`
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	return decoder.Decode(&row) == nil && row.X >= 1 && row.X <= 3 && row.N >= -2 && row.N <= 2 && row.On != nil && row.City == "Bern"
}

// run runs a command in the root of the project.
func run(t *testing.T, name string, args ...string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = ".."
	text, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

const (
	rightAnswer = `{"label":"a","probabilities":{"a":0.75,"b":0.25}}`
	wrongLabel  = `{"label":"c","probabilities":{"a":0.75,"b":0.25}}`
	wrongRange  = `{"label":"a","probabilities":{"a":0.75,"b":1.75}}`
)

// TestK6 runs the scenario by k6 itself: every gate holds, and breaks.
func TestK6(t *testing.T) {
	for name, c := range map[string]struct {
		target *target
		gates  []string
		code   int
		says   string
	}{
		"all gates hold":   {&target{status: 200, answer: rightAnswer}, []string{"MAX_P95=500", "MAX_P99=800", "MAX_ERRORS=0", "MIN_RATE=0.8"}, 0, ""},
		"p95":              {&target{status: 200, answer: rightAnswer, delay: 20 * time.Millisecond}, []string{"MAX_P95=10"}, 99, "http_req_duration{name:/predict}"},
		"p99":              {&target{status: 200, answer: rightAnswer, delay: 20 * time.Millisecond}, []string{"MAX_P99=10"}, 99, "http_req_duration{name:/predict}"},
		"rate":             {&target{status: 200, answer: rightAnswer}, []string{"MIN_RATE=2"}, 99, "http_reqs{name:/predict}"},
		"status":           {&target{status: 503, answer: rightAnswer}, []string{"MAX_ERRORS=0.5"}, 99, "wrong_answers"},
		"label":            {&target{status: 200, answer: wrongLabel}, []string{"MAX_ERRORS=0.5"}, 99, "wrong_answers"},
		"range":            {&target{status: 200, answer: wrongRange}, []string{"MAX_ERRORS=0.5"}, 99, "wrong_answers"},
		"what is not sent": {&target{status: 200, answer: rightAnswer, delay: time.Second}, []string{"CONNECTIONS=1"}, 99, "dropped_iterations"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.target)
			defer server.Close()
			args := []string{"run", "--no-usage-report", "-e", "HOST=" + server.URL, "-e", "RATE=50", "-e", "DURATION=2s"}
			for _, gate := range c.gates {
				args = append(args, "-e", gate)
			}
			output, code := run(t, "bin/k6", append(args, "loadtest/k6.js")...)
			assert.Equal(t, c.code, code, output)
			if c.says != "" {
				assert.Contains(t, output, "thresholds on metrics '"+c.says+"'")
			}
			assert.Positive(t, c.target.asked.Load())
			assert.Zero(t, c.target.odd.Load(), "instances that are not of the schema")
		})
	}
}

// TestLocust runs the guide's users by Locust itself.
func TestLocust(t *testing.T) {
	for name, c := range map[string]struct {
		target *target
		code   int
		says   string
	}{
		"right":  {&target{status: 200, answer: rightAnswer}, 0, ""},
		"status": {&target{status: 503, answer: rightAnswer}, 1, "status 503"},
		"label":  {&target{status: 200, answer: wrongLabel}, 1, "the label is none of the classes"},
		"range":  {&target{status: 200, answer: wrongRange}, 1, "a class has no probability from 0 to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.target)
			defer server.Close()
			output, code := run(t, ".venv/locust/bin/locust", "--locustfile", "loadtest/locustfile.py", "--host", server.URL,
				"--headless", "--users", "10", "--spawn-rate", "10", "--run-time", "4s")
			assert.Equal(t, c.code, code, output)
			assert.Contains(t, output, c.says)
			assert.Positive(t, c.target.asked.Load())
			assert.Zero(t, c.target.odd.Load(), "instances that are not of the schema")
		})
	}
}
