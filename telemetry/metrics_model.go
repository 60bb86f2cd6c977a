package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxLabels is how many labels of one model get a time series of their own. The labels after them share otherValue.
const maxLabels = 200

// SetReady says whether a model is served.
func (m *Metrics) SetReady(ready bool) { m.ready.Set(oneIf(ready)) }

// SetGolden says how the replay of a model's golden rows ended: proven, unproven or failed.
func (m *Metrics) SetGolden(name, version, status string) {
	for _, s := range []string{"proven", "unproven", "failed"} {
		m.golden.WithLabelValues(labelValue(name), labelValue(version), s).Set(oneIf(s == status))
	}
}

// ForModel makes a model known to the metrics, and returns those that its predictions need. The labels are those that the
// model can predict, in the order of its classes; none for a model that predicts a value. It is called once for each
// model that is loaded, not for each request.
func (m *Metrics) ForModel(name, version, digest string, labels []string) *ModelMetrics {
	name, version = labelValue(name), labelValue(version)
	m.info.WithLabelValues(name, version, labelValue(digest)).Set(1)
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
	return &ModelMetrics{
		predictions: predictions,
		confidence:  m.confidence.WithLabelValues(name, version),
		rows:        m.rows.WithLabelValues(name, version),
		program:     m.program.WithLabelValues(name, version),
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
