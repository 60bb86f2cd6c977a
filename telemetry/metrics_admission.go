package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// waitBuckets are the upper bounds, in seconds, of tepal_admission_wait_seconds. Waits are bounded by the queue timeout,
// so they end earlier than those of a request.
func waitBuckets() []float64 {
	return []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5}
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

// admissionCollector reads the state of admission when the metrics are read, so that they agree with each
// other and keeping them costs a request nothing.
type admissionCollector struct {
	stats atomic.Pointer[func() AdmissionStats]

	inUse, capacity, queueDepth, queueCapacity, busy, utilization *prometheus.Desc
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
		busy:          desc("busy_slot_seconds_total", "Time that slots were held, all slots added up."),
		utilization:   desc("utilization_ratio", "Share of the slots' time that they were held, over the last 15 s."),
	}
}

// Describe implements prometheus.Collector.
func (c *admissionCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.inUse
	ch <- c.capacity
	ch <- c.queueDepth
	ch <- c.queueCapacity
	ch <- c.busy
	ch <- c.utilization
}

// Collect implements prometheus.Collector.
func (c *admissionCollector) Collect(ch chan<- prometheus.Metric) {
	var s AdmissionStats
	if stats := c.stats.Load(); stats != nil {
		s = (*stats)()
	}
	gauge := func(desc *prometheus.Desc, value float64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	gauge(c.inUse, float64(s.InUse))
	gauge(c.capacity, float64(s.Capacity))
	gauge(c.queueDepth, float64(s.QueueDepth))
	gauge(c.queueCapacity, float64(s.QueueCapacity))
	gauge(c.utilization, s.Utilization)
	ch <- prometheus.MustNewConstMetric(c.busy, prometheus.CounterValue, s.BusySlotSeconds)
}
