package telemetry

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exercise makes every metric appear.
func exercise(t *testing.T, f fixture) {
	t.Helper()
	m := f.Metrics()
	m.SetAdmission(func() AdmissionStats {
		return AdmissionStats{InUse: 1, Capacity: 2, QueueDepth: 3, QueueCapacity: 4, BusySlotSeconds: 5, Utilization: 0.5}
	})
	m.Waited(2 * time.Millisecond)
	m.Shed(ShedQueueFull)
	m.SetReady(true)
	m.SetGolden("iris", "1", "proven")
	iris := m.ForModel("iris", "1", "sha256:00", []string{"setosa", "virginica"})
	iris.Predicted(1, 5)
	iris.Confident(0.75)
	iris.Ran(5, 10*time.Microsecond)
	ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
	ask(t, f.Route("GET", "/y", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		RecordFrom(r.Context()).ErrorType = "unknown-path"
		w.WriteHeader(http.StatusNotFound)
	})), "GET", "/y", "")
}

func TestMetricsPassLint(t *testing.T) {
	f := newFixture(t, false)
	exercise(t, f)
	problems, err := testutil.GatherAndLint(f.registry)
	require.NoError(t, err)
	assert.Empty(t, problems)
}

// compare checks the text of the named metrics.
func (f fixture) compare(t *testing.T, want string, names ...string) {
	t.Helper()
	assert.NoError(t, testutil.GatherAndCompare(f.registry, strings.NewReader(want), names...))
}

func TestMetricsBeforeAnythingHappened(t *testing.T) {
	f := newFixture(t, false)
	f.compare(t, `
		# HELP tepal_admission_capacity Slots that admission gives out.
		# TYPE tepal_admission_capacity gauge
		tepal_admission_capacity 0
		# HELP tepal_admission_in_use Slots held by requests being predicted.
		# TYPE tepal_admission_in_use gauge
		tepal_admission_in_use 0
		# HELP tepal_admission_shed_total Requests refused by admission, by reason.
		# TYPE tepal_admission_shed_total counter
		tepal_admission_shed_total{reason="answer-memory"} 0
		tepal_admission_shed_total{reason="batch-memory"} 0
		tepal_admission_shed_total{reason="body-memory"} 0
		tepal_admission_shed_total{reason="client-closed-request"} 0
		tepal_admission_shed_total{reason="connections"} 0
		tepal_admission_shed_total{reason="deadline-exceeded"} 0
		tepal_admission_shed_total{reason="document-memory"} 0
		tepal_admission_shed_total{reason="queue-full"} 0
		tepal_admission_shed_total{reason="queue-timeout"} 0
		# HELP tepal_build_info The build that is running; always 1.
		# TYPE tepal_build_info gauge
		tepal_build_info{commit="abc",goversion="`+runtime.Version()+`",version="1.2.3"} 1
		# HELP tepal_model_ready 1 when a model is loaded, has not failed its proof and is served, else 0.
		# TYPE tepal_model_ready gauge
		tepal_model_ready 0
		# HELP tepal_panics_total Handlers that panicked.
		# TYPE tepal_panics_total counter
		tepal_panics_total 0
	`, "tepal_admission_capacity", "tepal_admission_in_use", "tepal_admission_shed_total", "tepal_build_info",
		"tepal_model_ready", "tepal_panics_total")
}

func TestAdmissionMetrics(t *testing.T) {
	f := newFixture(t, false)
	stats := AdmissionStats{InUse: 3, Capacity: 4, QueueDepth: 5, QueueCapacity: 6, BusySlotSeconds: 1.5, Utilization: 0.25}
	f.Metrics().SetAdmission(func() AdmissionStats { return stats })
	want := func() string {
		var text strings.Builder
		for _, m := range []struct {
			name, help string
			value      int
		}{
			{"capacity", "Slots that admission gives out.", stats.Capacity},
			{"in_use", "Slots held by requests being predicted.", stats.InUse},
			{"queue_capacity", "Requests that may wait for a slot.", stats.QueueCapacity},
			{"queue_depth", "Requests waiting for a slot.", stats.QueueDepth},
		} {
			fmt.Fprintf(&text, "# HELP tepal_admission_%s %s\n# TYPE tepal_admission_%[1]s gauge\ntepal_admission_%[1]s %[3]d\n", m.name, m.help, m.value)
		}
		text.WriteString(`
			# HELP tepal_admission_busy_slot_seconds_total Time that slots were held, all slots added up.
			# TYPE tepal_admission_busy_slot_seconds_total counter
			tepal_admission_busy_slot_seconds_total 1.5
			# HELP tepal_admission_utilization_ratio Share of the slots' time that they were held, over the last 15 s.
			# TYPE tepal_admission_utilization_ratio gauge
			tepal_admission_utilization_ratio 0.25
		`)
		return text.String()
	}
	names := []string{"tepal_admission_capacity", "tepal_admission_in_use", "tepal_admission_queue_capacity", "tepal_admission_queue_depth",
		"tepal_admission_busy_slot_seconds_total", "tepal_admission_utilization_ratio"}
	f.compare(t, want(), names...)
	stats.InUse, stats.QueueDepth = 0, 0 // read anew each time
	f.compare(t, want(), names...)

	f.Metrics().Shed(ShedQueueTimeout)
	f.Metrics().Shed(ShedQueueTimeout)
	assert.InDelta(t, 2, testutil.ToFloat64(f.metrics.shed.WithLabelValues("queue-timeout")), 0)

	f.Metrics().Waited(0)
	f.Metrics().Waited(3 * time.Millisecond)
	f.Metrics().Waited(time.Minute)
	f.compare(t, `
		# HELP tepal_admission_wait_seconds Time that a request waited for a slot.
		# TYPE tepal_admission_wait_seconds histogram
		tepal_admission_wait_seconds_bucket{le="0.0001"} 1
		tepal_admission_wait_seconds_bucket{le="0.00025"} 1
		tepal_admission_wait_seconds_bucket{le="0.0005"} 1
		tepal_admission_wait_seconds_bucket{le="0.001"} 1
		tepal_admission_wait_seconds_bucket{le="0.0025"} 1
		tepal_admission_wait_seconds_bucket{le="0.005"} 2
		tepal_admission_wait_seconds_bucket{le="0.01"} 2
		tepal_admission_wait_seconds_bucket{le="0.025"} 2
		tepal_admission_wait_seconds_bucket{le="0.05"} 2
		tepal_admission_wait_seconds_bucket{le="0.1"} 2
		tepal_admission_wait_seconds_bucket{le="0.25"} 2
		tepal_admission_wait_seconds_bucket{le="0.5"} 2
		tepal_admission_wait_seconds_bucket{le="1"} 2
		tepal_admission_wait_seconds_bucket{le="2.5"} 2
		tepal_admission_wait_seconds_bucket{le="+Inf"} 3
		tepal_admission_wait_seconds_sum 60.003
		tepal_admission_wait_seconds_count 3
	`, "tepal_admission_wait_seconds")
}

func TestModelMetrics(t *testing.T) {
	f := newFixture(t, false)
	iris := f.Metrics().ForModel("iris", "1", "sha256:00", []string{"setosa", "versicolor", "virginica"})
	iris.Predicted(0, 1)
	iris.Predicted(2, 10)
	iris.Predicted(2, 1)
	value := f.Metrics().ForModel("price", "2", "sha256:11", nil)
	value.Predicted(0, 4)
	f.Metrics().SetReady(true)
	f.compare(t, `
		# HELP tepal_model_info The models served; always 1.
		# TYPE tepal_model_info gauge
		tepal_model_info{model_digest="sha256:00",model_name="iris",model_version="1"} 1
		tepal_model_info{model_digest="sha256:11",model_name="price",model_version="2"} 1
		# HELP tepal_model_ready 1 when a model is loaded, has not failed its proof and is served, else 0.
		# TYPE tepal_model_ready gauge
		tepal_model_ready 1
		# HELP tepal_predictions_total Predictions answered, by the label predicted.
		# TYPE tepal_predictions_total counter
		tepal_predictions_total{label="setosa",model_name="iris",model_version="1"} 1
		tepal_predictions_total{label="versicolor",model_name="iris",model_version="1"} 0
		tepal_predictions_total{label="virginica",model_name="iris",model_version="1"} 11
		tepal_predictions_total{label="",model_name="price",model_version="2"} 4
	`, "tepal_model_info", "tepal_model_ready", "tepal_predictions_total")

	f.Metrics().SetReady(false)
	assert.Zero(t, testutil.ToFloat64(f.metrics.ready))
	assert.Zero(t, testing.AllocsPerRun(100, func() { iris.Predicted(1, 1) }))
}

func TestLabelsAreBounded(t *testing.T) {
	f := newFixture(t, false)
	labels := make([]string, 1000)
	for i := range labels {
		labels[i] = fmt.Sprint(i)
	}
	m := f.Metrics().ForModel("many", "1", "sha256:00", labels)
	m.Predicted(199, 1)
	m.Predicted(200, 2)
	m.Predicted(999, 3)
	assert.Equal(t, 201, testutil.CollectAndCount(f.metrics.predictions))
	assert.InDelta(t, 1, testutil.ToFloat64(f.metrics.predictions.WithLabelValues("many", "1", "199")), 0)
	assert.InDelta(t, 5, testutil.ToFloat64(f.metrics.predictions.WithLabelValues("many", "1", "_OTHER")), 0)
}

// A label's value must be UTF-8, and the names come from a file that somebody else made.
func TestLabelsAreMadeValid(t *testing.T) {
	f := newFixture(t, false)
	f.Metrics().ForModel("a\xff", "\xff", "\xff", []string{"\xff"}).Predicted(0, 1)
	h := f.Route("GET", "/x", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		RecordFrom(r.Context()).ModelName = "a\xff"
		RecordFrom(r.Context()).ErrorType = "\xff"
	}))
	ask(t, h, "GET", "/x", "")
	assert.Equal(t, 1, f.durations(t, "/x", "GET", "200", "\uFFFD", "a\uFFFD", ""))
}

func TestMetricsHandler(t *testing.T) {
	f := newFixture(t, false)
	exercise(t, f)
	contentType, body := f.scrape(t, "text/plain")
	assert.Contains(t, contentType, "text/plain; version=0.0.4")
	for _, want := range []string{
		`tepal_predictions_total{label="virginica",model_name="iris",model_version="1"} 5`,
		`http_server_request_duration_seconds_count{error_type="",http_request_method="GET",http_response_status_code="404",http_route="/x",model_name="",model_version=""} 1`,
		"go_goroutines ", "process_start_time_seconds ",
	} {
		assert.Contains(t, body, want)
	}
	contentType, body = f.scrape(t, "application/openmetrics-text;version=1.0.0")
	assert.Contains(t, contentType, "application/openmetrics-text; version=1.0.0")
	assert.True(t, strings.HasSuffix(body, "# EOF\n"))
}

func TestMetricsHandlerLogsWhatItCannotCollect(t *testing.T) {
	f := newFixture(t, false)
	f.registry.MustRegister(brokenCollector{})
	_, body := f.scrape(t, "text/plain")
	assert.Contains(t, body, "tepal_build_info", "the other metrics are answered")
	assert.Equal(t, "WARNING", f.onlyLine(t)["severity"])
	assert.Contains(t, f.onlyLine(t)["message"], "cannot be read")
}

type brokenCollector struct{}

func (brokenCollector) Describe(chan<- *prometheus.Desc) {}
func (brokenCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "", nil, nil), fmt.Errorf("cannot be read"))
}

// A family of OpenMetrics is named once, whatever the suffixes of its samples: a strict parser refuses all metrics otherwise.
// testdata/openmetrics.py asks the parser of Prometheus's client for Python.
func TestOpenMetricsFamiliesAreUnique(t *testing.T) {
	f := newFixture(t, true)
	ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
	_, body := f.scrape(t, "application/openmetrics-text; version=1.0.0")
	families, types := map[string]bool{}, 0
	for line := range strings.Lines(body) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != "#" || fields[1] != "TYPE" {
			continue
		}
		types++
		assert.False(t, families[fields[2]], "%s stands twice", fields[2])
		families[fields[2]] = true
	}
	assert.Greater(t, types, 50)
	for name := range families {
		for _, suffix := range []string{"_total", "_created", "_bucket", "_count", "_sum", "_info"} {
			if base, ok := strings.CutSuffix(name, suffix); ok {
				assert.False(t, families[base], "samples of %s look like those of %s", name, base)
			}
		}
	}
	assert.Contains(t, body, "go_memstats_heap_alloc_bytes ")
}

// net/http sends no body to a HEAD, so none is counted.
func TestAnswersToHeadAreEmpty(t *testing.T) {
	f := newFixture(t, true)
	h := f.Route("GET", "/x", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "12345") }))
	for _, tt := range []struct {
		method string
		size   string
	}{{http.MethodHead, "0"}, {http.MethodGet, "5"}} {
		ask(t, h, tt.method, "/x", "")
		lines := f.logs.lines(t)
		assert.Equal(t, tt.size, httpRequest(t, lines[len(lines)-1])["responseSize"])
	}
	_, body := f.scrape(t, "text/plain")
	assert.Contains(t, body, `http_server_response_body_size_bytes_sum{http_request_method="HEAD",http_response_status_code="200",http_route="/x"} 0`)
}
