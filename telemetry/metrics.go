package telemetry

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// otherValue is the label value that stands for all those outside a bounded set, OpenTelemetry's word for it.
const otherValue = "_OTHER"

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

// Metrics is what other packages count and measure. Its methods may be called concurrently.
type Metrics struct {
	http   httpMetrics
	panics prometheus.Counter
	active map[string]prometheus.Gauge // by knownMethod

	model      modelVecs
	modelReady prometheus.Gauge

	admission     *admissionCollector
	admissionWait prometheus.Histogram
	admissionShed map[ShedReason]prometheus.Counter

	streamed *prometheus.CounterVec // by error type

	dropped map[drop]prometheus.Counter
}

// newMetrics registers everything this package measures with the given registry, which must be empty.
func newMetrics(registry *prometheus.Registry, version, commit string) *Metrics {
	m := &Metrics{
		http: newHTTPMetrics(registry),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tepal_panics_total",
			Help: "Handlers that panicked.",
		}),
		active: newActiveRequests(registry),
		model:  newModelVecs(registry),
		modelReady: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tepal_model_ready",
			Help: "1 when the model served has proven that it answers correctly, else 0.",
		}),
		admission: newAdmissionCollector(),
		admissionWait: prometheus.NewHistogram(both(prometheus.HistogramOpts{
			Name:    "tepal_admission_wait_seconds",
			Help:    "Time that a request waited for a slot.",
			Buckets: waitBuckets(),
		})),
		admissionShed: newShed(registry),
		streamed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tepal_stream_lines_total",
			Help: "Lines of streams that were answered, by the problem's type.",
		}, []string{"error_type"}),
		dropped: newDropped(registry),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tepal_build_info",
		Help: "The build that is running; always 1.",
	}, []string{"version", "commit", "goversion"})
	build.WithLabelValues(labelValue(version), labelValue(commit), runtime.Version()).Set(1)
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build, m.panics, m.modelReady, m.admission, m.admissionWait, m.streamed,
	)
	// There from the start, so that the first of them is a rise that an alert sees.
	m.Streamed("", 0)
	m.Streamed("internal-error", 0)
	return m
}

// both makes a histogram of durations keep its classic buckets and native ones beside them, for scrapers that ask for
// protobuf. Sizes, rows and shares have classic ones alone: native ones would cost each request more than they tell.
func both(o prometheus.HistogramOpts) prometheus.HistogramOpts {
	o.NativeHistogramBucketFactor = 1.1 // a quantile is then off by 5 % at most
	o.NativeHistogramMaxBucketNumber = 160
	o.NativeHistogramMinResetDuration = time.Hour
	return o
}

func newShed(registry *prometheus.Registry) map[ShedReason]prometheus.Counter {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tepal_admission_shed_total",
		Help: "Requests refused by admission, by reason.",
	}, []string{"reason"})
	registry.MustRegister(vec)
	shed := make(map[ShedReason]prometheus.Counter)
	for _, reason := range []ShedReason{ShedQueueFull, ShedQueueTimeout, ShedClientClosed, ShedBodyMemory, ShedDeadline} {
		shed[reason] = vec.WithLabelValues(string(reason))
	}
	return shed
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

// Streamed counts n lines of streams that were answered by a problem of that type, by predictions when it is empty.
func (m *Metrics) Streamed(errorType string, n int) {
	m.streamed.WithLabelValues(labelValue(errorType)).Add(float64(n))
}

// labelValue makes s fit to be a label's value, which has to be valid UTF-8.
func labelValue(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
