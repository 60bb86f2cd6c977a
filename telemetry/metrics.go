package telemetry

import (
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// otherValue is the label value that stands for all those outside a bounded set, OpenTelemetry's word for it.
const otherValue = "_OTHER"

// ShedReason says why a request was refused by admission. The set is closed: it is a metric's label.
type ShedReason string

// The reasons to refuse a request.
const (
	ShedQueueFull      ShedReason = "queue-full"          // every slot was taken, and every place in the queue from which one would come in time
	ShedQueueTimeout   ShedReason = "queue-timeout"       // it waited as long as it may
	ShedClientClosed   ShedReason = ErrorTypeClientClosed // its caller went away while it waited
	ShedBodyMemory     ShedReason = "body-memory"         // there was no memory for its body
	ShedBatchMemory    ShedReason = "batch-memory"        // there was no memory for its instances
	ShedAnswerMemory   ShedReason = "answer-memory"       // there was no memory for its answer
	ShedDocumentMemory ShedReason = "document-memory"     // there was no memory for the document it asked for
	ShedConnections    ShedReason = "connections"         // it came on a connection beyond their limit
	ShedDeadline       ShedReason = "deadline-exceeded"   // its own deadline passed while it waited
)

// ClosedReason says why a connection was closed in favour of others. The set is closed: it is a metric's label.
type ClosedReason string

// The reasons to close a connection.
const (
	ClosedIdle   ClosedReason = "idle"   // it was kept and had no request under way
	ClosedSilent ClosedReason = "silent" // its first request did not come
	ClosedExtra  ClosedReason = "extra"  // it was beyond the limit, and so were too many after it
)

// Metrics is what other packages count and measure. Its methods may be called concurrently.
type Metrics struct {
	// Of each request, by OpenTelemetry's conventions for HTTP servers.
	duration, requestSize, responseSize *prometheus.HistogramVec
	problems                            *prometheus.CounterVec
	active                              *prometheus.GaugeVec
	panics                              prometheus.Counter

	// Of models.
	ready                     prometheus.Gauge
	info, golden              *prometheus.GaugeVec
	predictions               *prometheus.CounterVec
	confidence, rows, program *prometheus.HistogramVec

	admission atomic.Pointer[func() AdmissionStats]
	waits     prometheus.Observer
	shed      *prometheus.CounterVec
	streamed  *prometheus.CounterVec
	dropped   *prometheus.CounterVec

	memory atomic.Pointer[func() MemoryStats]
	closed *prometheus.CounterVec
}

// newMetrics registers everything this package measures with the given registry, which must be empty.
func newMetrics(registry *prometheus.Registry, version, commit string) *Metrics {
	registry.MustRegister(without{collectors.NewGoCollector(), "go_memstats_alloc_bytes"}, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	c := catalogue{promauto.With(registry)}
	c.gauge("tepal_build_info", "The build that is running; always 1.", "version", "commit", "goversion").
		WithLabelValues(labelValue(version), labelValue(commit), runtime.Version()).Set(1)
	m := &Metrics{
		duration: c.durations("http_server_request_duration_seconds", "Time from the first look at a request to the end of its handler.",
			durationBuckets(), "http_route", "http_request_method", "http_response_status_code", "error_type", "model_name", "model_version"),
		requestSize: c.histogram("http_server_request_body_size_bytes", "Size of the bodies of requests.",
			sizeBuckets(), "http_route", "http_request_method", "http_response_status_code"),
		responseSize: c.histogram("http_server_response_body_size_bytes", "Size of the bodies of answers.",
			sizeBuckets(), "http_route", "http_request_method", "http_response_status_code"),
		problems: c.counter("tepal_problems_total", "Requests that went wrong, by the problem's type.", "http_route", "error_type"),
		active:   c.gauge("http_server_active_requests", "Requests being answered now.", "http_request_method"),
		panics:   c.counter("tepal_panics_total", "Handlers that panicked.").WithLabelValues(),

		ready:       c.gauge("tepal_model_ready", "1 when a model is loaded, has not failed its proof and is served, else 0.").WithLabelValues(),
		info:        c.gauge("tepal_model_info", "The models served; always 1.", "model_name", "model_version", "model_digest"),
		golden:      c.gauge("tepal_model_golden_status", "1 for the outcome of the last replay of the model's golden rows, else 0.", "model_name", "model_version", "status"),
		predictions: c.counter("tepal_predictions_total", "Predictions answered, by the label predicted.", "model_name", "model_version", "label"),
		confidence: c.histogram("tepal_prediction_confidence_ratio", "Highest probability of each prediction, of models that answer probabilities.",
			confidenceBuckets(), "model_name", "model_version"),
		rows: c.histogram("tepal_request_rows", "Instances in a request that was predicted.", rowBuckets(), "model_name", "model_version"),
		program: c.durations("tepal_program_row_seconds", "Time that the model's program took, divided by the instances of the request.",
			programBuckets(), "model_name", "model_version"),

		waits:    c.durations("tepal_admission_wait_seconds", "Time that a request waited for a slot.", waitBuckets()).WithLabelValues(),
		shed:     c.counter("tepal_admission_shed_total", "Requests refused by admission, by reason.", "reason"),
		streamed: c.counter("tepal_stream_lines_total", "Lines of streams that were answered, by the problem's type.", "error_type"),
		dropped: c.counter("tepal_telemetry_dropped_total", "Telemetry given up: spans, pushes of metrics, log lines, rows for drift.",
			"signal", "reason"),

		closed: c.counter("tepal_connections_closed_total", "Connections closed to make room for others, by reason.", "reason"),
	}
	m.declareAdmission(c)
	m.declareMemory(c)
	m.showZeros()
	return m
}

// without is a collector but for one of its metrics. The Go collector has a gauge go_memstats_alloc_bytes beside a counter
// go_memstats_alloc_bytes_total. In OpenMetrics both are the family go_memstats_alloc_bytes, and a strict parser refuses all
// metrics for it. The gauge is the one to spare: go_memstats_heap_alloc_bytes is the same number.
type without struct {
	prometheus.Collector
	name string
}

// Collect implements prometheus.Collector.
func (w without) Collect(metrics chan<- prometheus.Metric) {
	all, prefix := make(chan prometheus.Metric), `Desc{fqName: "`+w.name+`",`
	go func() {
		defer close(all)
		w.Collector.Collect(all)
	}()
	for metric := range all {
		if !strings.HasPrefix(metric.Desc().String(), prefix) {
			metrics <- metric
		}
	}
}

// declareAdmission declares what is read from admission whenever the metrics are, so that keeping it costs a request
// nothing.
func (m *Metrics) declareAdmission(c catalogue) {
	read := func(value func(AdmissionStats) float64) func() float64 {
		return func() float64 {
			if stats := m.admission.Load(); stats != nil {
				return value((*stats)())
			}
			return 0
		}
	}
	gauge := func(name, help string, value func(AdmissionStats) float64) {
		c.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read(value))
	}
	gauge("tepal_admission_in_use", "Slots held by requests being predicted.", func(s AdmissionStats) float64 { return float64(s.InUse) })
	gauge("tepal_admission_capacity", "Slots that admission gives out.", func(s AdmissionStats) float64 { return float64(s.Capacity) })
	gauge("tepal_admission_queue_depth", "Requests waiting for a slot.", func(s AdmissionStats) float64 { return float64(s.QueueDepth) })
	gauge("tepal_admission_queue_capacity", "Requests that may wait for a slot.", func(s AdmissionStats) float64 { return float64(s.QueueCapacity) })
	gauge("tepal_admission_utilization_ratio", "Share of the slots' time that they were held, over the last 15 s.",
		func(s AdmissionStats) float64 { return s.Utilization })
	c.NewCounterFunc(prometheus.CounterOpts{Name: "tepal_admission_busy_slot_seconds_total", Help: "Time that slots were held, all slots added up."},
		read(func(s AdmissionStats) float64 { return s.BusySlotSeconds }))
}

// declareMemory declares what is read of the memory budget whenever the metrics are.
func (m *Metrics) declareMemory(c catalogue) {
	gauge := func(name, help string, value func(MemoryStats) float64) {
		c.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if stats := m.memory.Load(); stats != nil {
				return value((*stats)())
			}
			return 0
		})
	}
	gauge("tepal_memory_budget_bytes", "Memory that connections, bodies, batches, answers and documents may take together.",
		func(s MemoryStats) float64 { return float64(s.Budget) })
	gauge("tepal_memory_used_bytes", "Memory of the budget that is taken.", func(s MemoryStats) float64 { return float64(s.Used) })
	gauge("tepal_connections", "Connections that are open.", func(s MemoryStats) float64 { return float64(s.Connections) })
	gauge("tepal_connections_limit", "Connections that may be open.", func(s MemoryStats) float64 { return float64(s.MaxConnections) })
}

// showZeros makes the series whose labels are known from the start, so that the first count is a rise that an alert sees.
func (m *Metrics) showZeros() {
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace, otherValue,
	} {
		m.active.WithLabelValues(method)
	}
	for _, reason := range []ShedReason{ShedQueueFull, ShedQueueTimeout, ShedClientClosed, ShedBodyMemory, ShedBatchMemory, ShedAnswerMemory, ShedDocumentMemory, ShedConnections, ShedDeadline} {
		m.shed.WithLabelValues(string(reason))
	}
	for _, reason := range []ClosedReason{ClosedIdle, ClosedSilent, ClosedExtra} {
		m.closed.WithLabelValues(string(reason))
	}
	m.Streamed("", 0)
	m.Streamed("internal-error", 0)
	for _, reason := range []string{"queue-full", "export-failed", "shutdown"} {
		m.Dropped("traces", reason, 0)
	}
	m.Dropped("metrics", "export-failed", 0)
	m.Dropped("logs", "queue-full", 0)
	m.Dropped("logs", "write-failed", 0)
	m.Dropped("drift", "queue-full", 0)
}

// catalogue declares metrics in a registry.
type catalogue struct{ promauto.Factory }

func (c catalogue) counter(name, help string, labels ...string) *prometheus.CounterVec {
	return c.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func (c catalogue) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return c.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

// histogram declares one of sizes, rows or shares, with classic buckets alone: native ones would cost each request more
// than they tell.
func (c catalogue) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return c.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// durations declares a histogram with classic buckets and native ones beside them, for scrapers that ask for protobuf.
func (c catalogue) durations(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return c.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1, // a quantile is then off by 5 % at most
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}

// The upper bounds of buckets. Those of durations are in seconds, those of sizes in bytes.

// durationBuckets are steps of 1, 2.5, 5 from 50 µs to 10 s. A small model answers in tens of microseconds, so the usual
// 5 ms as the lowest bound would put every request into one bucket; the upper end is where a caller has given up.
func durationBuckets() []float64 {
	return []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
}

// sizeBuckets are powers of four from 64 B to 16 MiB.
func sizeBuckets() []float64 { return prometheus.ExponentialBuckets(64, 4, 10) }

// waitBuckets end earlier than those of a request, since waits are bounded by the queue timeout.
func waitBuckets() []float64 {
	return []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5}
}

// rowBuckets go up to the usual --max-batch.
func rowBuckets() []float64 {
	return []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000}
}

// programBuckets begin with a small tree's 100 ns.
func programBuckets() []float64 {
	return []float64{100e-9, 250e-9, 500e-9, 1e-6, 2.5e-6, 5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 10e-3, 0.1}
}

// confidenceBuckets are closer where models mostly are.
func confidenceBuckets() []float64 {
	return []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1}
}

// AdmissionStats is the state of admission at one moment.
type AdmissionStats struct {
	InUse         int // slots held
	Capacity      int // slots there are
	QueueDepth    int // requests waiting for a slot
	QueueCapacity int // requests that may wait

	BusySlotSeconds float64 // time that slots were held, all of them added up, since the start
	Utilization     float64 // the busy slot-seconds of the last seconds by those there were, 0 to 1
}

// MemoryStats is the state of the memory budget at one moment, in bytes, and of the connections to the public address.
type MemoryStats struct {
	Budget, Used                int64
	Connections, MaxConnections int
}

// SetMemory tells where the state of the memory budget is read from, as SetAdmission does for that of admission.
func (m *Metrics) SetMemory(stats func() MemoryStats) { m.memory.Store(&stats) }

// Closed counts a connection that was closed in favour of others. The reason must be one of the constants of this package.
func (m *Metrics) Closed(reason ClosedReason) { m.closed.WithLabelValues(string(reason)).Inc() }

// SetAdmission tells where the state of admission is read from whenever the metrics are. Until it is called, all of it
// is 0. The function must be quick and safe for concurrent use.
func (m *Metrics) SetAdmission(stats func() AdmissionStats) { m.admission.Store(&stats) }

// Waited records how long a request waited for its slot; 0 for one that found a slot free.
func (m *Metrics) Waited(d time.Duration) { m.waits.Observe(d.Seconds()) }

// Shed counts a request that admission refused. The reason must be one of the constants of this package.
func (m *Metrics) Shed(reason ShedReason) { m.shed.WithLabelValues(string(reason)).Inc() }

// Streamed counts n lines of streams that were answered by a problem of that type, by predictions when it is empty.
func (m *Metrics) Streamed(errorType string, n int) {
	m.streamed.WithLabelValues(labelValue(errorType)).Add(float64(n))
}

// Dropped counts n items of telemetry that were given up so that no request had to wait for them: spans, pushes of all
// metrics, lines, or rows. The signal and the reason are a pair of those in showZeros.
func (m *Metrics) Dropped(signal, reason string, n int) {
	m.dropped.WithLabelValues(signal, reason).Add(float64(n))
}

// oneIf is the value of a gauge that says yes or no.
func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// labelValue makes s fit to be a label's value, which has to be valid UTF-8.
func labelValue(s string) string { return strings.ToValidUTF8(s, invalidRuneValue) }
