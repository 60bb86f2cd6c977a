//go:build real

// The tests of this file start real programs: the binary of Tepal, the OpenTelemetry Collector of tools/otelcol, and the
// machine's Prometheus. `make test-telemetry` builds the first two and runs them; `go test ./...` leaves them out, so that
// it needs none of the three.

package interop

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metricscollector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// patience bounds every wait, poll is the time between two looks.
	patience = 30 * time.Second
	poll     = 20 * time.Millisecond

	// The caller's trace and span, from the examples of W3C Trace Context.
	callerTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	callerSpan  = "00f067aa0ba902b7"

	duration = "http_server_request_duration_seconds"
)

// await looks again and again until done says so. Unlike testify's Eventually it looks from the test's own goroutine, so
// that done may fail the test.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline, ticker := time.After(patience), time.NewTicker(poll)
	defer ticker.Stop()
	for !done() {
		select {
		case <-deadline:
			require.Fail(t, "waited in vain for "+what)
		case <-ticker.C:
		}
	}
}

// program is a process that lives no longer than its test.
type program struct {
	command *exec.Cmd
	exited  chan struct{} // closed when it has ended, with how in err
	err     error

	mu     sync.Mutex
	output bytes.Buffer // both of its outputs
}

// Write takes what the program says.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

func (p *program) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// launch starts a program with nothing in its environment but the variables given.
func launch(t *testing.T, environment []string, name string, arguments ...string) *program {
	t.Helper()
	path, err := exec.LookPath(name)
	require.NoError(t, err, "make test-telemetry builds bin/tepal and bin/otelcol; for prometheus: apt-get install prometheus")
	p := &program{command: exec.CommandContext(t.Context(), path, arguments...), exited: make(chan struct{})}
	p.command.Env = append(environment, "PATH="+os.Getenv("PATH"))
	p.command.Stdout, p.command.Stderr = p, p
	// Asked to stop when the test is over, and killed when it does not.
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }
	p.command.WaitDelay = 10 * time.Second
	require.NoError(t, p.command.Start())
	go func() {
		defer close(p.exited)
		p.err = p.command.Wait()
	}()
	t.Cleanup(func() {
		<-p.exited
		if t.Failed() {
			t.Logf("output of %s:\n%s", name, p)
		}
	})
	return p
}

// says waits until the program writes what the pattern describes, and returns the pattern's groups.
func (p *program) says(t *testing.T, pattern string) []string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	var groups []string
	await(t, pattern, func() bool {
		groups = expression.FindStringSubmatch(p.String())
		return groups != nil
	})
	return groups[1:]
}

// ends asks the program to stop, and waits until it has ended well.
func (p *program) ends(t *testing.T) {
	t.Helper()
	require.NoError(t, p.command.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.exited:
		require.NoError(t, p.err)
	case <-time.After(patience):
		require.Fail(t, "it does not stop")
	}
}

// onward is where the Collector sends what has reached it.
type onward struct {
	mu      sync.Mutex
	spans   []*tracepb.Span
	metrics map[string]*metricspb.Metric // of the last push
}

// ServeHTTP implements OTLP over HTTP.
func (o *onward) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	traces, metrics := &tracecollector.ExportTraceServiceRequest{}, &metricscollector.ExportMetricsServiceRequest{}
	switch r.URL.Path {
	case "/v1/traces":
		err = proto.Unmarshal(body, traces)
	case "/v1/metrics":
		err = proto.Unmarshal(body, metrics)
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, resource := range traces.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			o.spans = append(o.spans, scope.GetSpans()...)
		}
	}
	for _, resource := range metrics.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				o.metrics[m.GetName()] = m
			}
		}
	}
}

// span waits for the span with this name.
func (o *onward) span(t *testing.T, name string) *tracepb.Span {
	t.Helper()
	var found *tracepb.Span
	await(t, "the span "+name, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, s := range o.spans {
			if s.GetName() == name {
				found = s
			}
		}
		return found != nil
	})
	return found
}

// histogram waits for a push with the histogram of one prediction's duration.
func (o *onward) histogram(t *testing.T) *metricspb.HistogramDataPoint {
	t.Helper()
	var found *metricspb.HistogramDataPoint
	await(t, "the metric "+duration, func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		if points := o.metrics[duration].GetHistogram().GetDataPoints(); len(points) == 1 {
			found = points[0]
		}
		return found != nil
	})
	return found
}

// launchCollector starts a Collector with the settings of make observe that also sends on. It returns its endpoints.
func launchCollector(t *testing.T) (to *onward, grpcURL, httpURL string) {
	t.Helper()
	to = &onward{metrics: map[string]*metricspb.Metric{}}
	server := httptest.NewServer(to)
	t.Cleanup(server.Close)
	p := launch(t, []string{"OTLP_GRPC_PORT=0", "OTLP_HTTP_PORT=0", "OTLP_ONWARD=" + server.URL}, "../../bin/otelcol",
		"--config", "../observe/collector.yaml",
		"--config", "yaml:service::pipelines::traces::exporters: [otlp_http/onward]",
		"--config", "yaml:service::pipelines::metrics::exporters: [otlp_http/onward]")
	return to, "http://" + p.says(t, `Starting GRPC server.*"endpoint":"([^"]+)"`)[0],
		"http://" + p.says(t, `Starting HTTP server.*"endpoint":"([^"]+)"`)[0]
}

// launchTepal starts the server, its traces and metrics going to a Collector, and returns its addresses when it is ready.
func launchTepal(t *testing.T, grpcURL, httpURL string, environment ...string) (p *program, address, ops string) {
	t.Helper()
	p = launch(t, append(environment,
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=always_on",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+grpcURL,
		"OTEL_METRICS_EXPORTER=otlp",
		"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="+httpURL+"/v1/metrics",
	), "../../bin/tepal", "serve", "--http-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--drain-delay", "0s")
	listening := p.says(t, `"http_addr":"([^"]+)","ops_addr":"([^"]+)"`)
	p.says(t, `"message":"ready"`)
	return p, listening[0], listening[1]
}

// prometheus is the address of one.
type prometheus string

// launchPrometheus starts one with the settings of make observe, looking at the ops port given. Versions before 3.8 keep
// one form of each histogram: the native one when asked, else the classic one.
func launchPrometheus(t *testing.T, ops string, native bool) prometheus {
	t.Helper()
	settings, err := os.ReadFile("../observe/prometheus.yaml")
	require.NoError(t, err)
	rules, err := filepath.Abs("../alerts")
	require.NoError(t, err)
	text := strings.NewReplacer("127.0.0.1:8002", ops, "../alerts", rules).Replace(string(settings))
	version := launch(t, nil, "prometheus", "--version").says(t, `version (\d+)\.(\d+)`)
	major, _ := strconv.Atoi(version[0])
	if minor, _ := strconv.Atoi(version[1]); major < 3 || major == 3 && minor < 8 {
		text = regexp.MustCompile(`(?m)^.*_histograms: true\n`).ReplaceAllString(text, "")
	}
	features := "exemplar-storage"
	if native {
		features += ",native-histograms"
	}
	file := filepath.Join(t.TempDir(), "prometheus.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	p := launch(t, nil, "prometheus", "--config.file", file, "--storage.tsdb.path", t.TempDir(),
		"--web.listen-address", "127.0.0.1:0", "--enable-feature", features)
	return prometheus(p.says(t, `"Listening on" .*address=(127\.0\.0\.1:\d+)`)[0])
}

// ask sends a request to the API and decodes the answer's data; it reports whether there is any.
func (p prometheus) ask(t *testing.T, path string, query url.Values, data any) bool {
	t.Helper()
	status, body := fetch(t, http.MethodGet, fmt.Sprintf("http://%s/api/v1/%s?%s", p, path, query.Encode()), "", nil)
	answer := struct{ Data any }{data}
	return status == http.StatusOK && json.Unmarshal(body, &answer) == nil
}

// value waits until a query has one result, and returns it.
func (p prometheus) value(t *testing.T, query string) float64 {
	t.Helper()
	var got float64
	await(t, query, func() bool {
		var data struct {
			Result []struct{ Value [2]any }
		}
		if !p.ask(t, "query", url.Values{"query": {query}}, &data) || len(data.Result) != 1 {
			return false
		}
		number, isText := data.Result[0].Value[1].(string)
		var err error
		got, err = strconv.ParseFloat(number, 64)
		return isText && err == nil
	})
	return got
}

// exemplar waits until a query has an exemplar, and returns its labels and value.
func (p prometheus) exemplar(t *testing.T, query string) (labels map[string]string, value string) {
	t.Helper()
	type exemplar struct {
		Labels map[string]string
		Value  string
	}
	var found []exemplar
	await(t, "an exemplar of "+query, func() bool {
		var series []struct{ Exemplars []exemplar }
		now := time.Now()
		p.ask(t, "query_exemplars", url.Values{
			"query": {query},
			"start": {now.Add(-time.Hour).Format(time.RFC3339)}, "end": {now.Add(time.Minute).Format(time.RFC3339)},
		}, &series)
		found = nil
		for _, s := range series {
			found = append(found, s.Exemplars...)
		}
		return len(found) > 0
	})
	return found[0].Labels, found[0].Value
}

// fetch makes a request on a connection of its own.
func fetch(t *testing.T, method, address, body string, header map[string]string) (int, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, answer
}

// predict asks for one prediction, in the caller's trace.
func predict(t *testing.T, address string) {
	t.Helper()
	status, answer := fetch(t, http.MethodPost, "http://"+address+"/predict",
		`{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`, map[string]string{
			"Content-Type": "application/json",
			"Traceparent":  "00-" + callerTrace + "-" + callerSpan + "-01",
		})
	require.Equal(t, http.StatusOK, status, "%s", answer)
}

// accessLine is what the log says about a request.
type accessLine struct {
	TraceID     string `json:"trace_id"`
	SpanID      string `json:"span_id"`
	HTTPRequest struct{ Latency string }
}

// logged waits for the line about the prediction. It returns it, and the latency in it in seconds.
func logged(t *testing.T, p *program) (accessLine, float64) {
	t.Helper()
	var line accessLine
	require.NoError(t, json.Unmarshal([]byte(p.says(t, `(?m)^(\{.*"message":"POST /predict 200".*\})$`)[0]), &line))
	latency, err := time.ParseDuration(line.HTTPRequest.Latency)
	require.NoError(t, err)
	return line, latency.Seconds()
}

// One request has one trace id, one span id and one duration wherever it leaves a mark: in the log, in the spans and the
// metrics that reach the Collector, and in what Prometheus reads and stores, in both forms of the histogram.
func TestRealOneRequestEverywhere(t *testing.T) {
	to, grpcURL, httpURL := launchCollector(t)
	tepal, address, ops := launchTepal(t, grpcURL, httpURL, "OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_METRIC_EXPORT_INTERVAL=200")
	classic, native := launchPrometheus(t, ops, false), launchPrometheus(t, ops, true)
	predict(t, address)

	line, seconds := logged(t, tepal)
	assert.Equal(t, callerTrace, line.TraceID)

	t.Run("spans in the Collector", func(t *testing.T) {
		server := to.span(t, "POST /predict")
		assert.Equal(t, callerTrace, hex.EncodeToString(server.GetTraceId()))
		assert.Equal(t, callerSpan, hex.EncodeToString(server.GetParentSpanId()))
		assert.Equal(t, line.SpanID, hex.EncodeToString(server.GetSpanId()))
		prediction := to.span(t, "predict iris")
		assert.Equal(t, callerTrace, hex.EncodeToString(prediction.GetTraceId()))
		assert.Equal(t, line.SpanID, hex.EncodeToString(prediction.GetParentSpanId()))
	})
	t.Run("metrics in the Collector", func(t *testing.T) {
		point := to.histogram(t)
		assert.EqualValues(t, 1, point.GetCount())
		assert.InDelta(t, seconds, point.GetSum(), 1e-9)
		require.Len(t, point.GetExemplars(), 1)
		assert.Equal(t, callerTrace, hex.EncodeToString(point.GetExemplars()[0].GetTraceId()))
		assert.Equal(t, line.SpanID, hex.EncodeToString(point.GetExemplars()[0].GetSpanId()))
	})
	t.Run("classic histogram in Prometheus", func(t *testing.T) {
		labels, value := classic.exemplar(t, duration+"_bucket")
		assert.Equal(t, map[string]string{"trace_id": callerTrace, "span_id": line.SpanID}, labels)
		observed, err := strconv.ParseFloat(value, 64)
		require.NoError(t, err)
		assert.InDelta(t, seconds, observed, 1e-9)
		assert.InDelta(t, 1, classic.value(t, duration+`_bucket{le="+Inf"}`), 0)
		assert.InDelta(t, seconds, classic.value(t, duration+"_sum"), 1e-9)
	})
	t.Run("native histogram in Prometheus", func(t *testing.T) {
		assert.InDelta(t, 1, native.value(t, "histogram_count("+duration+")"), 0)
		assert.InDelta(t, seconds, native.value(t, "histogram_sum("+duration+")"), 1e-9)
		// With factor 1.1 the next bounds are 2^(1/8) apart, 9.05 %, so no quantile is further from the truth.
		assert.InEpsilon(t, seconds, native.value(t, "histogram_quantile(0.5, "+duration+")"), 0.0906)
		labels, _ := native.exemplar(t, duration)
		assert.Equal(t, callerTrace, labels["trace_id"])
	})
}

// What nobody had sent yet when the process was told to stop is sent before it ends.
func TestRealStopSendsTheLast(t *testing.T) {
	to, grpcURL, httpURL := launchCollector(t)
	tepal, address, _ := launchTepal(t, grpcURL, httpURL, // ten minutes: nothing goes before the stop
		"OTEL_BSP_SCHEDULE_DELAY=600000", "OTEL_METRIC_EXPORT_INTERVAL=600000")
	predict(t, address)
	tepal.ends(t)
	line, _ := logged(t, tepal)
	server := to.span(t, "POST /predict")
	assert.Equal(t, callerTrace, hex.EncodeToString(server.GetTraceId()))
	assert.Equal(t, line.SpanID, hex.EncodeToString(server.GetSpanId()))
	to.span(t, "predict iris")
	assert.EqualValues(t, 1, to.histogram(t).GetCount())
}
