package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSecretsStayOutOfTheLog plants a secret in every setting of telemetry that can hold one, in what a collector answers
// and in every header of traces, and looks for it in all that the process writes.
func TestSecretsStayOutOfTheLog(t *testing.T) {
	const secret = "5ECRET"
	// It refuses, and repeats what it was sent.
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.URL.String()+r.Header.Get("Authorization"), http.StatusUnauthorized)
	}))
	defer collector.Close()
	listening := strings.TrimPrefix(collector.URL, "http://")
	credentials := filepath.Join(t.TempDir(), secret+".json")
	require.NoError(t, os.WriteFile(credentials, []byte(`{"type":"`+secret+`"}`), 0o600))
	const closed = "127.0.0.1:1"
	for name, environment := range map[string][]string{
		"a collector that refuses": {
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:" + secret + "@" + listening + "/" + secret + "?key=" + secret,
			"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20" + secret, "OTEL_METRICS_EXPORTER=otlp",
		},
		"no collector, over HTTP": {"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + secret + ":" + secret + "@" + closed + "/" + secret},
		"no collector, over gRPC": {
			"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + secret + ":" + secret + "@" + closed,
			"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20" + secret, "OTEL_EXPORTER_OTLP_TIMEOUT=200",
		},
		"a header that is not HTTP's": {
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_EXPORTER_OTLP_HEADERS=authorization=" + secret + "%0A",
		},
		"a header with a colon": {"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_EXPORTER_OTLP_HEADERS=authorization: Bearer " + secret},
		"a header that cannot be decoded": {
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_EXPORTER_OTLP_TRACES_HEADERS=authorization=" + secret + "%zz,a b=" + secret,
		},
		"an endpoint that is none":      {"OTEL_TRACES_EXPORTER=otlp,gcp_trace", "OTEL_EXPORTER_OTLP_ENDPOINT=http://u:" + secret + "@h:port"},
		"a target of gRPC that is none": {"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=" + secret + "://u:" + secret + "@h/", "OTEL_EXPORTER_OTLP_TIMEOUT=200"},
		"certificates": {
			"OTEL_EXPORTER_OTLP_ENDPOINT=https://" + listening, "OTEL_EXPORTER_OTLP_CERTIFICATE=/" + secret,
			"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=/" + secret, "OTEL_EXPORTER_OTLP_CLIENT_KEY=/" + secret,
		},
		"a proxy": {"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.invalid", "HTTP_PROXY=http://u:" + secret + "@" + closed},
		"a proxy that is none": {
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.invalid", "HTTP_PROXY=http://u:" + secret + "@h:port",
		},
		"what is in the wrong variable": {
			"OTEL_TRACES_EXPORTER=gcp_trace," + secret, "OTEL_METRICS_EXPORTER=" + secret, "OTEL_TRACES_SAMPLER=" + secret, "OTEL_PROPAGATORS=baggage," + secret,
			"OTEL_RESOURCE_ATTRIBUTES=" + secret, "OTEL_BSP_MAX_QUEUE_SIZE=" + secret,
			"OTEL_SDK_DISABLED=" + secret, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=" + secret, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=" + secret,
		},
		"Google's credentials": {"OTEL_TRACES_EXPORTER=gcp_trace", "GOOGLE_APPLICATION_CREDENTIALS=" + credentials},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/"+secret)
			p := startProcess(t, append(environment, "OTEL_BSP_SCHEDULE_DELAY=1"), "--drain-delay", "0s", "--shutdown-timeout", "3s")
			for _, header := range []string{"baggage", "traceparent", "tracestate", "b3", "X-Cloud-Trace-Context", "Authorization", "Cookie"} {
				askWith(t, p.url, header, "session="+secret+`"`)
			}
			p.line(t, "POST /predict 200")
			complained := func() bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				for _, line := range p.lines {
					if line["severity"] == "WARNING" {
						return true
					}
				}
				return false
			}
			require.Eventually(t, complained, 20*time.Second, time.Millisecond, "the trouble is told")
			require.NoError(t, p.Process.Signal(syscall.SIGTERM))
			_ = p.end() // with 1 where the flush fails
			written, err := json.Marshal(p.lines)
			require.NoError(t, err)
			assert.NotContains(t, string(written), secret)
			assert.NotContains(t, p.errors.String(), secret)
		})
	}
}

// askWith predicts once with a further header.
func askWith(t *testing.T, url, header, value string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/predict", strings.NewReader(instance))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(header, value)
	resp, err := newClient(t).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
}
