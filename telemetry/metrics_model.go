package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxLabels is how many labels of one model get a time series of their own. The labels after them share otherValue.
const maxLabels = 200

// rowBuckets are the upper bounds of the instances in a request, up to the usual --max-batch.
func rowBuckets() []float64 {
	return []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000}
}

// programBuckets are the upper bounds, in seconds, of the program's time for a row: from a small tree's 100 ns on.
func programBuckets() []float64 {
	return []float64{100e-9, 250e-9, 500e-9, 1e-6, 2.5e-6, 5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 10e-3, 0.1}
}

// confidenceBuckets are the upper bounds of the highest probability of a prediction, closer where models mostly are.
func confidenceBuckets() []float64 {
	return []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1}
}

// modelVecs are the metrics of all models.
type modelVecs struct {
	info        *prometheus.GaugeVec
	golden      *prometheus.GaugeVec
	predictions *prometheus.CounterVec
	confidence  *prometheus.HistogramVec
	rows        *prometheus.HistogramVec
	program     *prometheus.HistogramVec
}

func newModelVecs(registry *prometheus.Registry) modelVecs {
	model := []string{"model_name", "model_version"}
	v := modelVecs{
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tepal_model_info",
			Help: "The models served; always 1.",
		}, append(model, "model_digest")),
		golden: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tepal_model_golden_status",
			Help: "1 for the outcome of the last replay of the model's golden rows, else 0.",
		}, append(model, "status")),
		predictions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tepal_predictions_total",
			Help: "Predictions answered, by the label predicted.",
		}, append(model, "label")),
		confidence: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tepal_prediction_confidence_ratio",
			Help:    "Highest probability of each prediction.",
			Buckets: confidenceBuckets(),
		}, model),
		rows: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "tepal_request_rows",
			Help:    "Instances in a request that was predicted.",
			Buckets: rowBuckets(),
		}, model),
		program: prometheus.NewHistogramVec(both(prometheus.HistogramOpts{
			Name:    "tepal_program_row_seconds",
			Help:    "Time that the model's program took, divided by the instances of the request.",
			Buckets: programBuckets(),
		}), model),
	}
	registry.MustRegister(v.info, v.golden, v.predictions, v.confidence, v.rows, v.program)
	return v
}

// SetGolden says how the replay of a model's golden rows ended: proven, absent or failed.
func (m *Metrics) SetGolden(name, version, status string) {
	for _, s := range []string{"proven", "absent", "failed"} {
		value := 0.0
		if s == status {
			value = 1
		}
		m.model.golden.WithLabelValues(labelValue(name), labelValue(version), s).Set(value)
	}
}

// ForModel makes a model known to the metrics, and returns those that its predictions need. The labels are those that the
// model can predict, in the order of its classes; none for a model that predicts a value. It is called once for each
// model that is loaded, not for each request.
func (m *Metrics) ForModel(name, version, digest string, labels []string) *ModelMetrics {
	name, version = labelValue(name), labelValue(version)
	m.model.info.WithLabelValues(name, version, labelValue(digest)).Set(1)
	if len(labels) == 0 {
		labels = []string{""}
	}
	predictions := make([]prometheus.Counter, len(labels))
	for class, label := range labels {
		if class >= maxLabels {
			label = otherValue
		}
		predictions[class] = m.model.predictions.WithLabelValues(name, version, labelValue(label))
	}
	return &ModelMetrics{
		predictions: predictions,
		confidence:  m.model.confidence.WithLabelValues(name, version),
		rows:        m.model.rows.WithLabelValues(name, version),
		program:     m.model.program.WithLabelValues(name, version),
	}
}

// ModelMetrics measures the predictions of one model. Safe for concurrent use.
type ModelMetrics struct {
	predictions               []prometheus.Counter // by class
	confidence, rows, program prometheus.Observer
}

// Predicted counts n predictions of the label at the given place in the labels that ForModel was given; of class 0 for a
// model that predicts a value.
func (m *ModelMetrics) Predicted(class, n int) { m.predictions[class].Add(float64(n)) }

// Confident records the highest probability of a prediction, from 0 to 1.
func (m *ModelMetrics) Confident(probability float64) { m.confidence.Observe(probability) }

// Ran records that the program evaluated the instances of a request in the given time.
func (m *ModelMetrics) Ran(rows int, d time.Duration) {
	m.rows.Observe(float64(rows))
	if rows > 0 {
		m.program.Observe(d.Seconds() / float64(rows))
	}
}
