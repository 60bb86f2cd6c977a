package telemetry

import (
	"context"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
)

// pushes is a metric exporter that keeps the last push.
type pushes struct {
	aggregation sdkmetric.Aggregation
	err         error
	resource    *resource.Resource
	metrics     map[string]metricdata.Aggregation
}

func (p *pushes) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality {
	return metricdata.CumulativeTemporality
}
func (p *pushes) Aggregation(sdkmetric.InstrumentKind) sdkmetric.Aggregation { return p.aggregation }
func (p *pushes) ForceFlush(context.Context) error                           { return nil }
func (p *pushes) Shutdown(context.Context) error                             { return nil }
func (p *pushes) Export(_ context.Context, got *metricdata.ResourceMetrics) error {
	p.resource, p.metrics = got.Resource, map[string]metricdata.Aggregation{}
	for _, scope := range got.ScopeMetrics {
		for _, m := range scope.Metrics {
			p.metrics[m.Name] = m.Data
		}
	}
	return p.err
}

// measured is a registry with metrics of every form that we have.
func measured(t *testing.T) (*prometheus.Registry, *Metrics) {
	t.Helper()
	registry := prometheus.NewRegistry()
	m := newMetrics(registry, "1.2.3", "abc")
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "seconds", Help: "h", Buckets: []float64{0.5, 1, 2}, NativeHistogramBucketFactor: 1.1,
	})
	events := prometheus.NewCounter(prometheus.CounterOpts{Name: "events_total", Help: "h"})
	registry.MustRegister(seconds, events)
	ids := prometheus.Labels{"trace_id": exampleTraceID, "span_id": exampleParentID}
	seconds.Observe(0.25)
	seconds.Observe(1)
	seconds.(prometheus.ExemplarObserver).ObserveWithExemplar(1.5, ids)
	seconds.(prometheus.ExemplarObserver).ObserveWithExemplar(4, ids)
	events.Add(2)
	return registry, m
}

func assertExemplar(t *testing.T, value float64, got metricdata.Exemplar[float64]) {
	t.Helper()
	assert.InDelta(t, value, got.Value, 0)
	assert.Equal(t, exampleTraceID, hex.EncodeToString(got.TraceID))
	assert.Equal(t, exampleParentID, hex.EncodeToString(got.SpanID))
	assert.Empty(t, got.FilteredAttributes)
}

func TestPushExplicitBuckets(t *testing.T) {
	registry, m := measured(t)
	got := &pushes{aggregation: sdkmetric.AggregationDefault{}}
	res := resource.NewSchemaless(attribute.String("service.name", "x"))
	p := newMeterProvider(got, res, registry, m)
	require.NoError(t, p.Shutdown(t.Context()), "pushes for the last time")

	assert.Equal(t, "x", attributesOf(got.resource.Attributes())["service.name"])
	require.IsType(t, metricdata.Histogram[float64]{}, got.metrics["seconds"])
	histogram := got.metrics["seconds"].(metricdata.Histogram[float64])
	assert.Equal(t, metricdata.CumulativeTemporality, histogram.Temporality)
	require.Len(t, histogram.DataPoints, 1)
	point := histogram.DataPoints[0]
	assert.Equal(t, []float64{0.5, 1, 2}, point.Bounds)
	assert.Equal(t, []uint64{1, 1, 1, 1}, point.BucketCounts)
	assert.InDelta(t, 6.75, point.Sum, 0)
	require.Len(t, point.Exemplars, 2)
	assertExemplar(t, 1.5, point.Exemplars[0])
	assertExemplar(t, 4, point.Exemplars[1])

	sum := got.metrics["events_total"].(metricdata.Sum[float64])
	assert.True(t, sum.IsMonotonic)
	assert.InDelta(t, 2, sum.DataPoints[0].Value, 0)
	dropped := got.metrics["tepal_telemetry_dropped_total"].(metricdata.Sum[float64])
	assert.Len(t, dropped.DataPoints, 7, "each pair of a signal and a reason")
	// Every metric of /metrics is there, those without a value excepted.
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, got.metrics, len(families))
	for _, family := range families {
		assert.Contains(t, got.metrics, family.GetName())
		if family.GetName() == "seconds" {
			assert.NotEmpty(t, family.GetMetric()[0].GetHistogram().GetPositiveSpan(), "/metrics has lost its native form")
		}
	}
}

func TestPushExponential(t *testing.T) {
	registry, m := measured(t)
	got := &pushes{aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}}
	require.NoError(t, newMeterProvider(got, resource.Empty(), registry, m).Shutdown(t.Context()))
	require.IsType(t, metricdata.ExponentialHistogram[float64]{}, got.metrics["seconds"])
	point := got.metrics["seconds"].(metricdata.ExponentialHistogram[float64]).DataPoints[0]
	// Factor 1.1 is met by 2^(1/8), scale 3: eight buckets to each power of 2, the upper bound included. So 0.25 = 2^-2
	// ends the bucket at -17, 1 that at -1, 1.5 is in that at 4 (2^0.585, and 0.585 × 8 = 4.68), and 4 ends that at 15.
	assert.Equal(t, int32(3), point.Scale)
	counts := map[int32]uint64{}
	for i, n := range point.PositiveBucket.Counts {
		if n != 0 {
			counts[point.PositiveBucket.Offset+int32(i)] = n
		}
	}
	assert.Equal(t, map[int32]uint64{-17: 1, -1: 1, 4: 1, 15: 1}, counts)
	assert.Equal(t, uint64(4), point.Count)
	assert.Empty(t, point.Exemplars, "the bridge can send exemplars now: so should we")
}

func TestPushFailures(t *testing.T) {
	for _, tt := range []struct {
		err    error
		failed float64
	}{
		{errors.New("refused"), 1},
		{errors.New("OTLP partial success: too old (2 metric data points rejected)"), 1},
		{errors.New("OTLP partial success: please upgrade (0 metric data points rejected)"), 0},
	} {
		registry, m := measured(t)
		p := newMeterProvider(&pushes{err: tt.err}, resource.Empty(), registry, m)
		require.ErrorIs(t, p.Shutdown(t.Context()), tt.err)
		assert.InDelta(t, tt.failed, testutil.ToFloat64(m.dropped.WithLabelValues("metrics", "export-failed")), 0)
	}
}

func TestPushAlone(t *testing.T) {
	clearOTel(t)
	addr, shut := silentEndpoint(t)
	t.Setenv(envMetricsExporter, "otlp,OTLP")
	t.Setenv(envMetricsEndpoint, "http://"+addr+"/v1/metrics")
	tel, err := New(t.Context(), Options{})
	require.NoError(t, err)
	assert.False(t, tel.tracing, "spans have nowhere to go")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, tel.Shutdown(ctx), context.Canceled)
	require.NoError(t, tel.Shutdown(t.Context()), "a second time does nothing")
	shut()
}
