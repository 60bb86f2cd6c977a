package drift

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tepalhq/tepal/model"
)

// maxFeatures is how many features have time series; the report has all of them.
const maxFeatures = 200

type descs struct {
	psi, samples, missing, outside, outputPSI, outputSamples *prometheus.Desc
}

func newDescs(m *model.Model) descs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, prometheus.Labels{"model_name": m.Name, "model_version": m.Version})
	}
	return descs{
		psi:           desc("tepal_drift_psi", "Population stability index of a feature's values in the window against training.", "feature"),
		samples:       desc("tepal_drift_samples", "Values of a feature in the window.", "feature"),
		missing:       desc("tepal_feature_missing_total", "Values of a feature that were missing.", "feature"),
		outside:       desc("tepal_feature_out_of_range_total", "Values of a feature outside the range seen in training.", "feature"),
		outputPSI:     desc("tepal_drift_output_psi", "Population stability index of the answers in the window against training."),
		outputSamples: desc("tepal_drift_output_samples", "Answers in the window."),
	}
}

// Describe implements prometheus.Collector.
func (d *Monitor) Describe(ch chan<- *prometheus.Desc) {
	s := d.descs
	for _, desc := range []*prometheus.Desc{s.psi, s.samples, s.missing, s.outside, s.outputPSI, s.outputSamples} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector. What has no index has no series of one.
func (d *Monitor) Collect(ch chan<- prometheus.Metric) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fold()
	gauges := func(v Variable, psi, samples *prometheus.Desc, labels ...string) {
		if v.PSI != nil {
			ch <- prometheus.MustNewConstMetric(psi, prometheus.GaugeValue, *v.PSI, labels...)
		}
		ch <- prometheus.MustNewConstMetric(samples, prometheus.GaugeValue, float64(v.Samples), labels...)
	}
	features := len(d.model.Schema.Features)
	for _, t := range d.tracks[:min(features, maxFeatures)] {
		gauges(t.variable(d.window), d.descs.psi, d.descs.samples, t.name)
		ch <- prometheus.MustNewConstMetric(d.descs.missing, prometheus.CounterValue, float64(t.missing), t.name)
		ch <- prometheus.MustNewConstMetric(d.descs.outside, prometheus.CounterValue, float64(t.outside), t.name)
	}
	if features < len(d.tracks) {
		gauges(d.tracks[features].variable(d.window), d.descs.outputPSI, d.descs.outputSamples)
	}
}
