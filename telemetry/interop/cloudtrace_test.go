package interop

import (
	"bytes"
	"context"
	"encoding/hex"
	"log"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloud.google.com/go/trace/apiv2/tracepb"
	cloudtrace "github.com/GoogleCloudPlatform/opentelemetry-operations-go/exporter/trace"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/tepalhq/tepal/telemetry"
)

// cloudTrace is Google's service.
type cloudTrace struct {
	tracepb.UnimplementedTraceServiceServer
	batches chan *tracepb.BatchWriteSpansRequest
	refuse  bool
}

func (c *cloudTrace) BatchWriteSpans(_ context.Context, batch *tracepb.BatchWriteSpansRequest) (*emptypb.Empty, error) {
	c.batches <- batch
	if c.refuse {
		return nil, status.Error(codes.PermissionDenied, "the account may not write traces")
	}
	return &emptypb.Empty{}, nil
}

// serve starts the service, and returns the exporter's options for it.
func (c *cloudTrace) serve(t *testing.T) []cloudtrace.Option {
	t.Helper()
	c.batches = make(chan *tracepb.BatchWriteSpansRequest, 100)
	server := grpc.NewServer()
	tracepb.RegisterTraceServiceServer(server, c)
	return []cloudtrace.Option{cloudtrace.WithTraceClientOptions([]option.ClientOption{
		option.WithEndpoint(serve(t, server)),
		option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
	})}
}

func text(span *tracepb.Span, key string) string {
	return span.GetAttributes().GetAttributeMap()[key].GetStringValue().GetValue()
}

func TestCloudTrace(t *testing.T) {
	service := &cloudTrace{}
	options := service.serve(t)
	setEnv(t, map[string]string{
		"OTEL_TRACES_EXPORTER": "gcp_trace", "GOOGLE_CLOUD_PROJECT": "demo", "OTEL_RESOURCE_ATTRIBUTES": gkeResource,
	})
	tel := newTelemetry(t, telemetry.Options{CloudTraceOptions: options})
	want := endSpan(t, tel, "POST /predict")
	stop(t, tel)
	assertDropped(t, tel, 0, 0)

	require.Len(t, service.batches, 1)
	batch := <-service.batches
	assert.Equal(t, "projects/demo", batch.GetName())
	require.Len(t, batch.GetSpans(), 1)
	span := batch.GetSpans()[0]
	assert.Equal(t, "projects/demo/traces/"+want.TraceID().String()+"/spans/"+want.SpanID().String(), span.GetName())
	assert.Equal(t, "POST /predict", span.GetDisplayName().GetValue())
	assert.Equal(t, tracepb.Span_SERVER, span.GetSpanKind())
	// The labels by which Cloud Trace finds the container, and the resource as it is.
	for key, value := range map[string]string{
		"g.co/r/k8s_container/location": "europe-west1", "g.co/r/k8s_container/cluster_name": "main",
		"g.co/r/k8s_container/namespace_name": "models", "g.co/r/k8s_container/pod_name": "iris-7d9f-x2x",
		"g.co/r/k8s_container/container_name": "iris-api", "cloud.account.id": "demo", "service.name": "tepal",
	} {
		assert.Equal(t, value, text(span, key), key)
	}
}

// Both get each span, from queues of their own.
func TestCloudTraceBesideOTLP(t *testing.T) {
	service, c := &cloudTrace{}, newCollector()
	options := service.serve(t)
	setEnv(t, map[string]string{
		"OTEL_TRACES_EXPORTER": "gcp_trace,otlp", "GOOGLE_CLOUD_PROJECT": "demo", "OTEL_EXPORTER_OTLP_ENDPOINT": c.serveHTTP(t, nil),
	})
	tel := newTelemetry(t, telemetry.Options{CloudTraceOptions: options})
	want := endSpan(t, tel, "span")
	stop(t, tel)
	require.Len(t, service.batches, 1)
	require.Len(t, c.traces, 1)
	assert.Equal(t, want.SpanID().String(), (<-service.batches).GetSpans()[0].GetSpanId())
	spans, _ := spansOf(t, (<-c.traces).message)
	assert.Equal(t, want.SpanID().String(), hex.EncodeToString(spans[0].GetSpanId()))
}

func TestCloudTraceThatRefuses(t *testing.T) {
	service := &cloudTrace{refuse: true}
	options := service.serve(t)
	setEnv(t, map[string]string{"OTEL_TRACES_EXPORTER": "gcp_trace", "GOOGLE_CLOUD_PROJECT": "demo"})
	errs := captureErrors(t)
	tel := newTelemetry(t, telemetry.Options{CloudTraceOptions: options})
	for range 3 {
		endSpan(t, tel, "span")
	}
	stop(t, tel)
	assertDropped(t, tel, 3, 0)
	require.Len(t, errs(), 1, "a failed batch is told once")
	assert.ErrorContains(t, errs()[0], "the account may not write traces")
}

// Without credentials nothing fails at the start, and when they come later, as a mounted secret may, the next batch uses
// them: here for the project.
func TestCloudTraceWaitsForCredentials(t *testing.T) {
	service := &cloudTrace{}
	options := service.serve(t)
	file := filepath.Join(t.TempDir(), "credentials.json")
	setEnv(t, map[string]string{
		"OTEL_TRACES_EXPORTER": "gcp_trace", "GOOGLE_APPLICATION_CREDENTIALS": file, "OTEL_BSP_SCHEDULE_DELAY": "1", // ms
	})
	var printed bytes.Buffer
	log.SetOutput(&printed)
	defer log.SetOutput(os.Stderr)
	errs := captureErrors(t)
	tel := newTelemetry(t, telemetry.Options{CloudTraceOptions: options})
	endSpan(t, tel, "too early")
	require.Eventually(t, func() bool { return len(errs()) > 0 }, time.Minute, time.Millisecond)
	assert.ErrorContains(t, errs()[0], "gcp_trace: ")

	require.NoError(t, os.WriteFile(file, []byte(`{"type":"service_account","project_id":"late"}`), 0o600))
	endSpan(t, tel, "in time")
	stop(t, tel)
	assertDropped(t, tel, 1, 0)
	require.Len(t, service.batches, 1)
	batch := <-service.batches
	assert.Equal(t, "projects/late", batch.GetName())
	assert.Equal(t, "in time", batch.GetSpans()[0].GetDisplayName().GetValue())
	// At most its notice of deprecation, once for the process: a failed batch prints nothing of its own.
	assert.LessOrEqual(t, bytes.Count(printed.Bytes(), []byte("\n")), 1, "%s", printed.Bytes())
}
