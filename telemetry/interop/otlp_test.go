package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metricscollector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracecollector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/tepalhq/tepal/telemetry"
)

// collector receives OTLP over both of its protocols.
type collector struct {
	tracecollector.UnimplementedTraceServiceServer
	traces  chan received[*tracecollector.ExportTraceServiceRequest]
	metrics chan received[*metricscollector.ExportMetricsServiceRequest]

	refuse   bool  // everything, for good
	rejected int64 // spans or points of each request
}

type received[M any] struct {
	message M
	tenant  string // a header
}

func newCollector() *collector {
	return &collector{
		traces:  make(chan received[*tracecollector.ExportTraceServiceRequest], 100),
		metrics: make(chan received[*metricscollector.ExportMetricsServiceRequest], 100),
	}
}

func (c *collector) exportTraces(tenant string, m *tracecollector.ExportTraceServiceRequest) *tracecollector.ExportTraceServiceResponse {
	c.traces <- received[*tracecollector.ExportTraceServiceRequest]{m, tenant}
	if c.rejected == 0 {
		return &tracecollector.ExportTraceServiceResponse{}
	}
	return &tracecollector.ExportTraceServiceResponse{PartialSuccess: &tracecollector.ExportTracePartialSuccess{RejectedSpans: c.rejected}}
}

func (c *collector) exportMetrics(tenant string, m *metricscollector.ExportMetricsServiceRequest) *metricscollector.ExportMetricsServiceResponse {
	c.metrics <- received[*metricscollector.ExportMetricsServiceRequest]{m, tenant}
	if c.rejected == 0 {
		return &metricscollector.ExportMetricsServiceResponse{}
	}
	return &metricscollector.ExportMetricsServiceResponse{PartialSuccess: &metricscollector.ExportMetricsPartialSuccess{RejectedDataPoints: c.rejected}}
}

// Export implements the gRPC service for traces.
func (c *collector) Export(ctx context.Context, m *tracecollector.ExportTraceServiceRequest) (*tracecollector.ExportTraceServiceResponse, error) {
	if c.refuse {
		return nil, status.Error(codes.PermissionDenied, "refused")
	}
	return c.exportTraces(tenantOf(ctx), m), nil
}

// metricsService implements the gRPC service for metrics, whose method has the same name.
type metricsService struct {
	metricscollector.UnimplementedMetricsServiceServer
	*collector
}

func (s metricsService) Export(ctx context.Context, m *metricscollector.ExportMetricsServiceRequest) (*metricscollector.ExportMetricsServiceResponse, error) {
	if s.refuse {
		return nil, status.Error(codes.PermissionDenied, "refused")
	}
	return s.exportMetrics(tenantOf(ctx), m), nil
}

func tenantOf(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	if values := md.Get("x-tenant"); len(values) > 0 {
		return values[0]
	}
	return ""
}

// ServeHTTP implements OTLP over HTTP.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	switch {
	case c.refuse:
		w.WriteHeader(http.StatusForbidden)
		return
	case err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf":
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var response proto.Message
	switch r.URL.Path {
	case "/v1/traces":
		m := &tracecollector.ExportTraceServiceRequest{}
		if err = proto.Unmarshal(body, m); err == nil {
			response = c.exportTraces(r.Header.Get("X-Tenant"), m)
		}
	case "/v1/metrics":
		m := &metricscollector.ExportMetricsServiceRequest{}
		if err = proto.Unmarshal(body, m); err == nil {
			response = c.exportMetrics(r.Header.Get("X-Tenant"), m)
		}
	}
	if response == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer, err := proto.Marshal(response)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

// serveHTTP and serveGRPC start the collector on a port of its own, with TLS if there is a certificate, and return its
// endpoint.
func (c *collector) serveHTTP(t *testing.T, certificate *tls.Certificate) string {
	t.Helper()
	server := httptest.NewUnstartedServer(c)
	if certificate != nil {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.URL
}

func (c *collector) serveGRPC(t *testing.T, certificate *tls.Certificate) string {
	t.Helper()
	scheme := "http://"
	var options []grpc.ServerOption
	if certificate != nil {
		scheme = "https://"
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(certificate)))
	}
	server := grpc.NewServer(options...)
	tracecollector.RegisterTraceServiceServer(server, c)
	metricscollector.RegisterMetricsServiceServer(server, metricsService{collector: c})
	return scheme + serve(t, server)
}

// serve runs a gRPC server until the test ends, and returns its address.
func serve(t *testing.T, server *grpc.Server) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		assert.NoError(t, <-served)
	})
	return listener.Addr().String()
}

// certificate makes a certificate for 127.0.0.1 that vouches for itself, and the file of it.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// attributes returns attributes as text.
func attributes(list []*commonpb.KeyValue) map[string]string {
	m := make(map[string]string, len(list))
	for _, a := range list {
		m[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return m
}

// spansOf returns the spans of a request and their resource.
func spansOf(t *testing.T, request *tracecollector.ExportTraceServiceRequest) ([]*tracepb.Span, map[string]string) {
	t.Helper()
	require.Len(t, request.GetResourceSpans(), 1)
	var spans []*tracepb.Span
	for _, scope := range request.GetResourceSpans()[0].GetScopeSpans() {
		spans = append(spans, scope.GetSpans()...)
	}
	return spans, attributes(request.GetResourceSpans()[0].GetResource().GetAttributes())
}

// metricsOf returns the metrics of a request by name, and their resource.
func metricsOf(t *testing.T, request *metricscollector.ExportMetricsServiceRequest) (map[string]*metricspb.Metric, map[string]string) {
	t.Helper()
	require.Len(t, request.GetResourceMetrics(), 1)
	metrics := map[string]*metricspb.Metric{}
	for _, scope := range request.GetResourceMetrics()[0].GetScopeMetrics() {
		for _, m := range scope.GetMetrics() {
			metrics[m.GetName()] = m
		}
	}
	return metrics, attributes(request.GetResourceMetrics()[0].GetResource().GetAttributes())
}

// What a pod of ours is given by the downward API.
const gkeResource = "cloud.provider=gcp,cloud.platform=gcp_kubernetes_engine,cloud.account.id=demo,cloud.region=europe-west1," +
	"k8s.cluster.name=main,k8s.namespace.name=models,k8s.pod.name=iris-7d9f-x2x,k8s.container.name=iris-api"

// Spans and metrics arrive, with their resource and the headers, when the process stops.
func TestOTLP(t *testing.T) {
	cert, ca := certificate(t)
	c := newCollector()
	httpURL, grpcURL := c.serveHTTP(t, nil), c.serveGRPC(t, nil)
	httpsURL, grpcsURL := c.serveHTTP(t, &cert), c.serveGRPC(t, &cert)
	for name, variables := range map[string]map[string]string{
		"http":     {"OTEL_EXPORTER_OTLP_ENDPOINT": httpURL, "OTEL_METRICS_EXPORTER": "otlp"},
		"explicit": {"OTEL_EXPORTER_OTLP_ENDPOINT": httpURL, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_TRACES_EXPORTER": "OTLP", "OTEL_METRICS_EXPORTER": "OTLP"},
		"signals": {
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": httpURL + "/v1/traces", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
			"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": grpcURL, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_METRICS_EXPORTER": "otlp",
		},
		"grpc": {"OTEL_EXPORTER_OTLP_ENDPOINT": grpcURL, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_METRICS_EXPORTER": "otlp"},
		"grpc without a scheme": {
			"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:" + grpcURL[len("http://127.0.0.1:"):], "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
			"OTEL_EXPORTER_OTLP_INSECURE": "true", "OTEL_METRICS_EXPORTER": "otlp",
		},
		"https": {"OTEL_EXPORTER_OTLP_ENDPOINT": httpsURL, "OTEL_EXPORTER_OTLP_CERTIFICATE": ca, "OTEL_METRICS_EXPORTER": "otlp"},
		"grpc over TLS": {
			"OTEL_EXPORTER_OTLP_ENDPOINT": grpcsURL, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_CERTIFICATE": ca,
			"OTEL_METRICS_EXPORTER": "otlp",
		},
	} {
		t.Run(name, func(t *testing.T) {
			variables["OTEL_EXPORTER_OTLP_HEADERS"] = "x-tenant=a%20b"
			variables["OTEL_RESOURCE_ATTRIBUTES"] = gkeResource
			setEnv(t, variables)
			tel := newTelemetry(t, telemetry.Options{Version: "1.2.3"})
			want := endSpan(t, tel, "last words")
			stop(t, tel)
			assertDropped(t, tel, 0, 0)

			require.Len(t, c.traces, 1)
			traces := <-c.traces
			assert.Equal(t, "a b", traces.tenant)
			spans, resource := spansOf(t, traces.message)
			require.Len(t, spans, 1)
			assert.Equal(t, "last words", spans[0].GetName())
			assert.Equal(t, want.TraceID().String(), hex.EncodeToString(spans[0].GetTraceId()))

			require.Len(t, c.metrics, 1)
			pushed := <-c.metrics
			assert.Equal(t, "a b", pushed.tenant)
			metrics, metricsResource := metricsOf(t, pushed.message)
			assert.Equal(t, resource, metricsResource)
			build := metrics["tepal_build_info"].GetGauge().GetDataPoints()
			require.Len(t, build, 1)
			assert.Equal(t, "1.2.3", attributes(build[0].GetAttributes())["version"])
			assert.True(t, metrics["tepal_telemetry_dropped_total"].GetSum().GetIsMonotonic())
			assert.Contains(t, metrics, "process_start_time_seconds")

			for key, value := range map[string]string{
				"service.name": "tepal", "service.version": "1.2.3", "cloud.account.id": "demo", "k8s.cluster.name": "main",
				"k8s.namespace.name": "models", "k8s.pod.name": "iris-7d9f-x2x", "k8s.container.name": "iris-api",
			} {
				assert.Equal(t, value, resource[key], key)
			}
		})
	}
}

// Without the certificate, nothing is sent to who cannot be trusted.
func TestOTLPRefusesUnknownCertificates(t *testing.T) {
	cert, _ := certificate(t)
	c := newCollector()
	for protocol, endpoint := range map[string]string{"http/protobuf": c.serveHTTP(t, &cert), "grpc": c.serveGRPC(t, &cert)} {
		t.Run(protocol, func(t *testing.T) {
			setEnv(t, map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
				"OTEL_EXPORTER_OTLP_TIMEOUT": "500", // ms
			})
			tel := newTelemetry(t, telemetry.Options{})
			endSpan(t, tel, "span")
			stop(t, tel)
			assert.Empty(t, c.traces)
			assertDropped(t, tel, 1, 0)
		})
	}
}

// What a collector refuses, whole or in part, is counted.
func TestOTLPRejections(t *testing.T) {
	for name, tt := range map[string]struct {
		collector     collector
		spans, pushes float64
	}{
		"whole": {collector{refuse: true}, 5, 1},
		"part":  {collector{rejected: 2}, 2, 1},
	} {
		for _, protocol := range []string{"http/protobuf", "grpc"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				c := newCollector()
				c.refuse, c.rejected = tt.collector.refuse, tt.collector.rejected
				endpoint := c.serveHTTP(t, nil)
				if protocol == "grpc" {
					endpoint = c.serveGRPC(t, nil)
				}
				setEnv(t, map[string]string{
					"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_METRICS_EXPORTER": "otlp",
				})
				tel := newTelemetry(t, telemetry.Options{})
				for range 5 {
					endSpan(t, tel, "span")
				}
				require.Error(t, tel.Shutdown(t.Context()), "the last push failed")
				assertDropped(t, tel, tt.spans, tt.pushes)
			})
		}
	}
}

// A receiver of traces that hangs leaves time for the last push, which tells what was given up.
func TestLastPushTellsOfTheSpansGivenUp(t *testing.T) {
	hanging := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-hanging:
		}
	}))
	defer silent.Close()
	defer close(hanging)
	c := newCollector()
	setEnv(t, map[string]string{
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":  silent.URL,
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": c.serveHTTP(t, nil) + "/v1/metrics", "OTEL_METRICS_EXPORTER": "otlp",
	})
	tel := newTelemetry(t, telemetry.Options{})
	for range 3 {
		endSpan(t, tel, "span")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	started := time.Now()
	require.ErrorContains(t, tel.Shutdown(ctx), "3 spans were given up")
	assert.Less(t, time.Since(started), 5*time.Second)
	require.Len(t, c.metrics, 1)
	metrics, _ := metricsOf(t, (<-c.metrics).message)
	dropped := map[string]float64{}
	for _, point := range metrics["tepal_telemetry_dropped_total"].GetSum().GetDataPoints() {
		dropped[attributes(point.GetAttributes())["reason"]] += point.GetAsDouble()
	}
	assert.Equal(t, map[string]float64{"shutdown": 3, "queue-full": 0, "export-failed": 0, "write-failed": 0}, dropped)
}

// Metrics are pushed again and again.
func TestPushes(t *testing.T) {
	c := newCollector()
	setEnv(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": c.serveHTTP(t, nil), "OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "10", // ms
	})
	tel := newTelemetry(t, telemetry.Options{})
	for range 3 {
		<-c.metrics
	}
	stop(t, tel)
}
