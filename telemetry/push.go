package telemetry

import (
	"context"
	"encoding/hex"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// newPushExporter builds what sends metrics by OTLP.
func newPushExporter(ctx context.Context, how otlp) (sdkmetric.Exporter, error) {
	if how.overGRPC {
		var options []otlpmetricgrpc.Option
		if how.timeout > 0 {
			options = append(options, otlpmetricgrpc.WithTimeout(how.timeout))
		}
		return otlpmetricgrpc.New(ctx, options...)
	}
	var options []otlpmetrichttp.Option
	if how.timeout > 0 {
		options = append(options, otlpmetrichttp.WithTimeout(how.timeout))
	}
	return otlpmetrichttp.New(ctx, options...)
}

// newMeterProvider returns what sends the metrics of /metrics to a collector, again and again and once more when it is
// shut down: the same names, labels and values, as cumulative sums, gauges, summaries and histograms.
//
// Our histograms have two forms, and a histogram of OpenTelemetry has only one. Explicit buckets, with their exemplars,
// are sent unless OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION is base2_exponential_bucket_histogram. Then the
// native form is sent as exponential histograms, for which the bridge from Prometheus knows no exemplars.
func newMeterProvider(exporter sdkmetric.Exporter, res *resource.Resource, registry *prometheus.Registry, m *Metrics) *sdkmetric.MeterProvider {
	gather := registry.Gather
	if _, native := exporter.Aggregation(sdkmetric.InstrumentKindHistogram).(sdkmetric.AggregationBase2ExponentialHistogram); !native {
		gather = classic(gather)
	}
	reader := sdkmetric.NewPeriodicReader(
		&pushExporter{exporter, m.dropped.WithLabelValues("metrics", "export-failed")},
		sdkmetric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(prometheus.GathererFunc(gather)))),
	)
	return sdkmetric.NewMeterProvider(sdkmetric.WithResource(res), sdkmetric.WithReader(reader))
}

// classic returns gather without the native form of histograms, which the bridge would prefer. The types are those of
// Prometheus's protobuf messages.
func classic[F interface{ GetMetric() []M }, M interface{ GetHistogram() H }, H proto.Message](gather func() ([]F, error)) func() ([]F, error) {
	return func() ([]F, error) {
		families, err := gather()
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				histogram := metric.GetHistogram().ProtoReflect()
				if !histogram.IsValid() {
					continue // another type
				}
				for _, native := range []protoreflect.Name{"zero_threshold", "zero_count", "positive_span", "negative_span"} {
					histogram.Clear(histogram.Descriptor().Fields().ByName(native))
				}
			}
		}
		return families, err
	}
}

// pushExporter counts failed pushes, and makes the ids of exemplars binary. The bridge leaves them in hexadecimal, twice as
// long as OTLP allows, and a collector refuses everything that arrives together with such an id.
type pushExporter struct {
	sdkmetric.Exporter
	failed prometheus.Counter
}

// Export implements sdkmetric.Exporter.
func (e *pushExporter) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	for _, scope := range metrics.ScopeMetrics {
		for _, metric := range scope.Metrics {
			// No other metric of ours has exemplars.
			if histogram, ok := metric.Data.(metricdata.Histogram[float64]); ok {
				mendExemplars(histogram.DataPoints)
			}
		}
	}
	err := e.Exporter.Export(ctx, metrics)
	e.failed.Add(float64(lost(err, 1)))
	return err
}

func mendExemplars(points []metricdata.HistogramDataPoint[float64]) {
	for _, point := range points {
		for i := range point.Exemplars {
			e := &point.Exemplars[i]
			for _, id := range []*[]byte{&e.TraceID, &e.SpanID} {
				if binary, err := hex.DecodeString(string(*id)); err == nil {
					*id = binary
				}
			}
		}
	}
}
