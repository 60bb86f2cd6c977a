package loadtest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	right = `{"label":"a","probabilities":{"a":0.75,"b":0.25},"model":{"name":"toy","version":"1","digest":"sha256:00"}}`
	toy   = `{"name":"toy","version":"1","digest":"sha256:00","task":"classification","classes":["a","b"],"schema":{
		"features":[{"name":"x","type":"number","minimum":1,"maximum":3},{"name":"n","type":"integer","minimum":-2,"maximum":2},
			{"name":"on","type":"boolean"},{"name":"city","type":"string","example":"Bern"}],
		"outputs":[{"name":"l","role":"label"},{"name":"p","role":"probabilities"}]}}`
)

// fake is a target in the test's own time: it has no network, so that the time
// of a synctest bubble is all that passes.
type fake struct {
	model string
	// answer is asked for each prediction, by its number from 0: after how long, with what.
	answer func(n int) (after time.Duration, status int, body string)
	// notReady is how many probes are told to wait.
	notReady, probes atomic.Int64
	n                atomic.Int64
	bodies           chan string
}

func always(after time.Duration) func(int) (time.Duration, int, string) {
	return func(int) (time.Duration, int, string) { return after, http.StatusOK, right }
}

func (f *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	after, status, body := time.Duration(0), http.StatusOK, ""
	switch req.URL.Path {
	case "/ready_check":
		body = `{"status":"ready"}`
		if f.probes.Add(1) <= f.notReady.Load() {
			status, body = http.StatusServiceUnavailable, `{"status":"not ready"}`
		}
	case "/models":
		body = `{"models":[` + f.model + `]}`
	case "/models/toy":
		body = f.model
	case "/predict":
		after, status, body = f.answer(int(f.n.Add(1)) - 1)
		if f.bodies != nil {
			sent, err := io.ReadAll(req.Body)
			if err != nil {
				return nil, err
			}
			select {
			case f.bodies <- string(sent):
			default:
			}
		}
	default:
		status = http.StatusNotFound
	}
	if after > 0 {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	return &http.Response{Status: http.StatusText(status), StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

// bubble runs a load test in its own time.
func bubble(t *testing.T, f *fake, o Options) (report *Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		report, err = Run(t.Context(), defaults(f, o))
		require.NoError(t, err)
	})
	return report
}

func defaults(f *fake, o Options) Options {
	if f.model == "" {
		f.model = toy
	}
	o.Target, o.Transport, o.Wait = "http://fake", f, 10*time.Second
	if o.Connections == 0 {
		o.Connections = 256
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	return o
}

func ramp(to float64, d time.Duration) []Stage { return []Stage{{To: to, Duration: d, Ramp: true}} }

// around allows what a bucket of the histogram rounds away.
func around(t *testing.T, want time.Duration, got Seconds, what string) {
	t.Helper()
	require.InDelta(t, want.Seconds(), got.Seconds(), want.Seconds()/64+1e-6, what)
}

func noReplicas(context.Context) (Replicas, error) { return Replicas{}, io.ErrUnexpectedEOF }
