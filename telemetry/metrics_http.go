package telemetry

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// outcomeLabels tell the requests of a route apart. Each comes from a bounded set.
type outcomeLabels struct {
	method                  string
	status                  int // 0: none was sent
	errorType               string
	modelName, modelVersion string
}

// routeSeries are the series of one route, found once for each kind of outcome: looking five labels up in three metrics
// would be the dearest part of measuring a request. Safe for concurrent use.
type routeSeries struct {
	metrics *Metrics
	route   string
	last    atomic.Pointer[series] // mostly the one asked for next

	mu    sync.RWMutex
	known map[outcomeLabels]*series
}

func (m *Metrics) newRouteSeries(route string) *routeSeries {
	return &routeSeries{metrics: m, route: route, known: make(map[outcomeLabels]*series)}
}

// of returns the series of an outcome.
func (r *routeSeries) of(labels outcomeLabels) *series {
	if s := r.last.Load(); s != nil && s.labels == labels {
		return s
	}
	r.mu.RLock()
	s := r.known[labels]
	r.mu.RUnlock()
	if s == nil {
		s = r.resolve(labels)
		r.mu.Lock()
		r.known[labels] = s
		r.mu.Unlock()
	}
	r.last.Store(s)
	return s
}

func (r *routeSeries) resolve(labels outcomeLabels) *series {
	code := ""
	if labels.status != 0 {
		code = strconv.Itoa(labels.status)
	}
	errorType, bounds := labelValue(labels.errorType), durationBuckets()
	s := &series{
		labels: labels, bounds: bounds, exemplars: make([]atomic.Int64, len(bounds)+1),
		duration: r.metrics.duration.WithLabelValues(
			r.route, labels.method, code, errorType, labelValue(labels.modelName), labelValue(labels.modelVersion)),
		requestSize:  r.metrics.requestSize.WithLabelValues(r.route, labels.method, code),
		responseSize: r.metrics.responseSize.WithLabelValues(r.route, labels.method, code),
	}
	if errorType != "" {
		s.problems = r.metrics.problems.WithLabelValues(r.route, errorType)
	}
	return s
}

// series are what one kind of outcome on one route feeds.
type series struct {
	labels                              outcomeLabels
	duration, requestSize, responseSize prometheus.Observer
	problems                            prometheus.Counter // nil for success

	bounds    []float64      // of the buckets of durations
	exemplars []atomic.Int64 // when each of those last got one, in Unix nanoseconds
}

// exemplarPause is how long a bucket keeps its exemplar at least. Exemplars are dear, and scrapes are seconds apart.
const exemplarPause = 100 * time.Millisecond

// time measures how long a request took that was answered at the given time. One whose trace is sampled leaves its ids as the
// exemplar, unless another has just done so.
func (s *series) time(end time.Time, latency time.Duration, span trace.SpanContext) {
	seconds := latency.Seconds()
	if withExemplar, ok := s.duration.(prometheus.ExemplarObserver); ok && span.IsSampled() && s.exemplarDue(end, seconds) {
		withExemplar.ObserveWithExemplar(seconds, prometheus.Labels{traceKey: span.TraceID().String(), spanKey: span.SpanID().String()})
	} else {
		s.duration.Observe(seconds)
	}
}

// observe measures the rest of an answered request.
func (s *series) observe(requestSize, responseSize int64) {
	s.requestSize.Observe(float64(requestSize))
	s.responseSize.Observe(float64(responseSize))
	if s.problems != nil {
		s.problems.Inc()
	}
}

// exemplarDue reports whether the bucket of a duration is to get an exemplar again.
func (s *series) exemplarDue(now time.Time, seconds float64) bool {
	bucket, _ := slices.BinarySearch(s.bounds, seconds)
	last := &s.exemplars[bucket]
	before := last.Load()
	return now.UnixNano()-before >= int64(exemplarPause) && last.CompareAndSwap(before, now.UnixNano())
}
