package telemetry

import (
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// durationBuckets are the upper bounds, in seconds, of http_server_request_duration_seconds: steps of 1, 2.5, 5 from
// 50 µs to 10 s. A small model answers in tens of microseconds, so the usual 5 ms as the lowest bound would put every
// request into one bucket; the upper end is where a caller has given up.
func durationBuckets() []float64 {
	return []float64{
		50e-6, 100e-6, 250e-6, 500e-6,
		1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3,
		0.1, 0.25, 0.5, 1, 2.5, 5, 10,
	}
}

// waitBuckets are the upper bounds, in seconds, of tepal_admission_wait_seconds. Waits are bounded by the queue timeout,
// so they end earlier than those of a request.
func waitBuckets() []float64 {
	return []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5}
}

// otherValue is the label value that stands for all those outside a bounded set, OpenTelemetry's word for it.
const otherValue = "_OTHER"

// maxLabels is how many labels of one model get a time series of their own. The labels after them share otherValue.
const maxLabels = 200

// ShedReason says why a request was refused by admission. The set is closed: it is a metric's label.
type ShedReason string

// The reasons to refuse a request.
const (
	ShedQueueFull    ShedReason = "queue-full"          // every slot and every place in the queue was taken
	ShedQueueTimeout ShedReason = "queue-timeout"       // it waited as long as it may
	ShedClientClosed ShedReason = ErrorTypeClientClosed // its caller went away while it waited
	ShedBodyMemory   ShedReason = "body-memory"         // the bodies in memory were as large as they may be
	ShedDeadline     ShedReason = "deadline-exceeded"   // its own deadline passed while it waited
)

// AdmissionStats is the state of admission at one moment.
type AdmissionStats struct {
	InUse         int // slots held
	Capacity      int // slots there are
	QueueDepth    int // requests waiting for a slot
	QueueCapacity int // requests that may wait
}

// Metrics is what other packages count and measure. Its methods may be called concurrently.
type Metrics struct {
	requestDuration *prometheus.HistogramVec
	inFlight        prometheus.Gauge
	panics          prometheus.Counter

	predictions *prometheus.CounterVec
	modelInfo   *prometheus.GaugeVec
	modelReady  prometheus.Gauge

	admission     *admissionCollector
	admissionWait prometheus.Histogram
	admissionShed map[ShedReason]prometheus.Counter
}

// newMetrics registers everything this package measures with the given registry, which must be empty.
func newMetrics(registry *prometheus.Registry, version, commit string) *Metrics {
	m := &Metrics{
		requestDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "http_server_request_duration_seconds",
			Help:    "Time from the first look at a request to the end of its handler.",
			Buckets: durationBuckets(),
		}, []string{"http_route", "http_request_method", "http_response_status_code", "error_type", "model_name", "model_version"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tepal_http_requests_in_flight",
			Help: "Requests being answered now.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tepal_panics_total",
			Help: "Handlers that panicked.",
		}),
		predictions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tepal_predictions_total",
			Help: "Predictions answered, by the label predicted.",
		}, []string{"model_name", "model_version", "label"}),
		modelInfo: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tepal_model_info",
			Help: "The models served; always 1.",
		}, []string{"model_name", "model_version", "model_digest"}),
		modelReady: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tepal_model_ready",
			Help: "1 when the model served has proven that it answers correctly, else 0.",
		}),
		admission: newAdmissionCollector(),
		admissionWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tepal_admission_wait_seconds",
			Help:    "Time that a request waited for a slot.",
			Buckets: waitBuckets(),
		}),
		admissionShed: make(map[ShedReason]prometheus.Counter),
	}
	shed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tepal_admission_shed_total",
		Help: "Requests refused by admission, by reason.",
	}, []string{"reason"})
	for _, reason := range []ShedReason{ShedQueueFull, ShedQueueTimeout, ShedClientClosed, ShedBodyMemory, ShedDeadline} {
		m.admissionShed[reason] = shed.WithLabelValues(string(reason))
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tepal_build_info",
		Help: "The build that is running; always 1.",
	}, []string{"version", "commit", "goversion"})
	build.WithLabelValues(labelValue(version), labelValue(commit), runtime.Version()).Set(1)

	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build,
		m.requestDuration, m.inFlight, m.panics,
		m.predictions, m.modelInfo, m.modelReady,
		m.admission, m.admissionWait, shed,
	)
	return m
}

// ForModel makes a model known to the metrics, and returns the counters that its predictions need. The labels are those
// that the model can predict, in the order of its classes; none for a model that predicts a value. It is called once for
// each model that is loaded, not for each request.
func (m *Metrics) ForModel(name, version, digest string, labels []string) *ModelMetrics {
	name, version = labelValue(name), labelValue(version)
	m.modelInfo.WithLabelValues(name, version, labelValue(digest)).Set(1)
	if len(labels) == 0 {
		labels = []string{""}
	}
	predictions := make([]prometheus.Counter, len(labels))
	for class, label := range labels {
		if class >= maxLabels {
			label = otherValue
		}
		predictions[class] = m.predictions.WithLabelValues(name, version, labelValue(label))
	}
	return &ModelMetrics{predictions: predictions}
}

// SetReady says whether the model served has proven itself.
func (m *Metrics) SetReady(ready bool) {
	value := 0.0
	if ready {
		value = 1
	}
	m.modelReady.Set(value)
}

// SetAdmission tells where the state of admission is read from whenever the metrics are. Until it is called, all of it
// is 0. The function must be quick and safe for concurrent use.
func (m *Metrics) SetAdmission(stats func() AdmissionStats) { m.admission.stats.Store(&stats) }

// Waited records how long a request waited for its slot; 0 for one that found a slot free.
func (m *Metrics) Waited(d time.Duration) { m.admissionWait.Observe(d.Seconds()) }

// Shed counts a request that admission refused. The reason must be one of the constants of this package.
func (m *Metrics) Shed(reason ShedReason) { m.admissionShed[reason].Inc() }

// observeRequest measures a request that has been answered. The status is 0 when none was sent.
func (m *Metrics) observeRequest(route, method string, status int, record *Record, d time.Duration) {
	code := ""
	if status != 0 {
		code = strconv.Itoa(status)
	}
	m.requestDuration.WithLabelValues(
		route, method, code, labelValue(record.ErrorType), labelValue(record.ModelName), labelValue(record.ModelVersion),
	).Observe(d.Seconds())
}

// ModelMetrics counts the predictions of one model. Safe for concurrent use.
type ModelMetrics struct {
	predictions []prometheus.Counter // by class
}

// Predicted counts n predictions of the label at the given place in the labels that ForModel was given; of class 0 for a
// model that predicts a value.
func (m *ModelMetrics) Predicted(class, n int) { m.predictions[class].Add(float64(n)) }

// labelValue makes s fit to be a label's value, which has to be valid UTF-8.
func labelValue(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// admissionCollector reads the state of admission when the metrics are read, so that its four gauges agree with each
// other and keeping them costs a request nothing.
type admissionCollector struct {
	stats atomic.Pointer[func() AdmissionStats]

	inUse, capacity, queueDepth, queueCapacity *prometheus.Desc
}

func newAdmissionCollector() *admissionCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("tepal_admission_"+name, help, nil, nil)
	}
	return &admissionCollector{
		inUse:         desc("in_use", "Slots held by requests being predicted."),
		capacity:      desc("capacity", "Slots that admission gives out."),
		queueDepth:    desc("queue_depth", "Requests waiting for a slot."),
		queueCapacity: desc("queue_capacity", "Requests that may wait for a slot."),
	}
}

// Describe implements prometheus.Collector.
func (c *admissionCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.inUse
	ch <- c.capacity
	ch <- c.queueDepth
	ch <- c.queueCapacity
}

// Collect implements prometheus.Collector.
func (c *admissionCollector) Collect(ch chan<- prometheus.Metric) {
	var s AdmissionStats
	if stats := c.stats.Load(); stats != nil {
		s = (*stats)()
	}
	send := func(desc *prometheus.Desc, value int) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value))
	}
	send(c.inUse, s.InUse)
	send(c.capacity, s.Capacity)
	send(c.queueDepth, s.QueueDepth)
	send(c.queueCapacity, s.QueueCapacity)
}
