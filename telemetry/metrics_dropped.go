package telemetry

import "github.com/prometheus/client_golang/prometheus"

// drop is a kind of loss: telemetry that was given up so that no request had to wait for it.
type drop struct{ signal, reason string }

// The kinds of loss. What is counted are spans, pushes of all metrics, lines, and rows.
func drops() []drop {
	return []drop{
		{"traces", "queue-full"}, {"traces", "export-failed"}, {"traces", "shutdown"},
		{"metrics", "export-failed"},
		{"logs", "queue-full"}, {"logs", "write-failed"},
		{"drift", "queue-full"},
	}
}

func newDropped(registry *prometheus.Registry) map[drop]prometheus.Counter {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tepal_telemetry_dropped_total",
		Help: "Telemetry given up: spans, pushes of metrics, log lines, rows for drift.",
	}, []string{"signal", "reason"})
	registry.MustRegister(vec)
	counters := make(map[drop]prometheus.Counter)
	for _, d := range drops() {
		counters[d] = vec.WithLabelValues(d.signal, d.reason)
	}
	return counters
}

// Dropped counts n items that were given up. The signal and the reason are a pair of those in drops.
func (m *Metrics) Dropped(signal, reason string, n int) {
	m.dropped[drop{signal, reason}].Add(float64(n))
}
