package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tepalhq/tepal/artifacts"
)

// process is tepal serve in a process of its own, whose log lines are read as
// they come.
type process struct {
	*exec.Cmd
	url  string
	out  io.Closer
	read chan struct{} // closed when there are no more lines

	mu    sync.Mutex
	lines []map[string]any
}

func startProcess(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), os.Args[0], append([]string{"serve", "--http-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0"}, args...)...)}
	p.Env = append(append(os.Environ(), asMain+"=1"), env...)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	p.out = out
	p.read = make(chan struct{})
	go func() {
		defer close(p.read)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			var line map[string]any
			assert.NoError(t, json.Unmarshal(scanner.Bytes(), &line), "every line of the log is JSON")
			p.mu.Lock()
			p.lines = append(p.lines, line)
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.end() // which may have been waited for before
	})
	p.url = "http://" + p.line(t, "listening")["http_addr"].(string)
	p.line(t, "ready")
	return p
}

// end waits until the process has ended and all that it wrote is read, which
// Wait alone would cut short.
func (p *process) end() error {
	<-p.read
	return p.Wait()
}

// line waits for a log line with the given message.
func (p *process) line(t *testing.T, message string) map[string]any {
	t.Helper()
	var found map[string]any
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, line := range p.lines {
			if line["message"] == message {
				found = line
				return true
			}
		}
		return false
	}, 20*time.Second, time.Millisecond, "no line %q", message)
	return found
}

const instance = `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`

// predict asks once; closing tells that the server wants the connection closed.
func predict(ctx context.Context, client *http.Client, url, traceparent string) (body string, closing bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/predict", strings.NewReader(instance))
	if err != nil {
		return "", false, err
	}
	req.Header.Set("Content-Type", "application/json")
	if traceparent != "" {
		req.Header.Set("Traceparent", traceparent)
	}
	// A POST that the transport cannot send again on its own.
	req.GetBody = nil
	resp, err := client.Do(req)
	if err != nil {
		return "", false, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), resp.Close, err
}

func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// TestSIGTERMUnderLoad ends the process while clients ask as fast as they can.
// They go on through the drain delay, as clients behind a load balancer do.
func TestSIGTERMUnderLoad(t *testing.T) {
	p := startProcess(t, nil, "--drain-delay", "2s")
	var clients sync.WaitGroup
	for range 4 {
		client := newClient(t)
		clients.Go(func() {
			for toldToClose := 0; toldToClose < 10; {
				body, closing, err := predict(context.Background(), client, p.url, "")
				if !assert.NoError(t, err, "a request was lost") {
					return
				}
				assert.Contains(t, body, `"label":"setosa"`)
				if closing {
					toldToClose++
				}
			}
		})
	}
	p.line(t, "POST /predict 200")
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	clients.Wait()
	require.NoError(t, p.end(), "a stop by SIGTERM is a success")
	p.line(t, "stopped")
}

// TestLoggedPayloadsReplay predicts again what a server has logged, in each
// format, and expects the same answers.
func TestLoggedPayloadsReplay(t *testing.T) {
	for _, format := range []string{"gcp", "ecs", "plain"} {
		p := startProcess(t, []string{"TEPAL_LOG_FORMAT=" + format}, "--log-payloads", "sampled:1", "--drain-delay", "0s")
		_, _, err := predict(t.Context(), newClient(t), p.url, "")
		require.NoError(t, err)
		line := p.line(t, "payload")
		log, err := json.Marshal(line)
		require.NoError(t, err)
		want, err := json.Marshal(line["predictions"].([]any)[0])
		require.NoError(t, err)
		got := runTepal(t, string(log), "predict", "--from", "log")
		require.Equal(t, 0, got.code, got.err)
		assert.JSONEq(t, string(want), got.out)
	}
}

// TestClosedOutput: whoever read the log has gone, and the server goes on.
func TestClosedOutput(t *testing.T) {
	p := startProcess(t, nil, "--drain-delay", "0s")
	require.NoError(t, p.out.Close())
	<-p.read
	for range 3 {
		body, _, err := predict(t.Context(), newClient(t), p.url, "")
		require.NoError(t, err)
		assert.Contains(t, body, `"label":"setosa"`)
	}
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.end())
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := startProcess(t, nil, "--drain-delay", "20s")
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	p.line(t, "stop: say not ready")
	begin := time.Now()
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	err := p.end()
	var ended *exec.ExitError
	require.ErrorAs(t, err, &ended)
	assert.True(t, ended.Sys().(syscall.WaitStatus).Signaled())
	assert.Less(t, time.Since(begin), 10*time.Second)
}

// TestTraceReachesTheCollector sends a traceparent, and looks for it in the log
// and in what an OTLP receiver was sent.
func TestTraceReachesTheCollector(t *testing.T) {
	received := make(chan *collector.ExportTraceServiceRequest, 16)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		var request collector.ExportTraceServiceRequest
		assert.NoError(t, proto.Unmarshal(body, &request))
		received <- &request
	}))
	defer receiver.Close()
	p := startProcess(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + receiver.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test",
	}, "--drain-delay", "0s")
	const traceID, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	_, _, err := predict(t.Context(), newClient(t), p.url, "00-"+traceID+"-"+parent+"-01")
	require.NoError(t, err)
	assert.Equal(t, traceID, p.line(t, "POST /predict 200")["trace_id"])
	// The stop flushes what the batch still holds.
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.end())
	close(received)

	byName := make(map[string]*spans.Span)
	for request := range received {
		for _, resource := range request.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				for _, span := range scope.Spans {
					byName[span.Name] = span
				}
			}
		}
	}
	require.Contains(t, byName, "POST /predict")
	require.Contains(t, byName, "predict iris")
	request := byName["POST /predict"]
	assert.Equal(t, traceID, hex.EncodeToString(request.TraceId))
	assert.Equal(t, parent, hex.EncodeToString(request.ParentSpanId))
	assert.True(t, bytes.Equal(request.SpanId, byName["predict iris"].ParentSpanId))
}

// TestVariables sets flags by their variables; a flag wins, and a variable that
// is none is pointed out.
func TestVariables(t *testing.T) {
	p := startProcess(t, []string{"TEPAL_HTTP_ADDR=nonsense", "TEPAL_DRAIN_DELAY=0s", "TEPAL_DRAIN_DELEY=1s", "TEPAL_LOG_LEVEL=debug"})
	line := p.line(t, "unknown variable")
	assert.Equal(t, "WARNING", line["severity"])
	assert.Equal(t, "TEPAL_DRAIN_DELEY", line["variable"])
	assert.Equal(t, "TEPAL_DRAIN_DELAY", line["nearest"])
	require.NoError(t, p.Process.Signal(syscall.SIGINT))
	require.NoError(t, p.end())
}

// TestVariablesOfOtherCommands: what only another command reads is pointed out
// as well, and what names the model is not.
func TestVariablesOfOtherCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "flowers.onnx")
	require.NoError(t, os.WriteFile(file, artifacts.Iris, 0o600))
	p := startProcess(t, []string{"TEPAL_MODEL=" + file, "TEPAL_OUTPUT=answers.csv", "TEPAL_DRAIN_DELAY=0s"})
	require.NoError(t, p.Process.Signal(syscall.SIGINT))
	require.NoError(t, p.end())
	p.mu.Lock()
	defer p.mu.Unlock()
	var unknown []any
	for _, line := range p.lines {
		if line["message"] == "unknown variable" {
			unknown = append(unknown, line["variable"])
		}
	}
	assert.Equal(t, []any{"TEPAL_OUTPUT"}, unknown)
}
