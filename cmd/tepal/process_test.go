package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/artifacts"
)

// process is tepal serve in a process of its own, whose log lines are read as
// they come.
type process struct {
	*exec.Cmd
	url string
	// errors is the standard error; to be read after the end.
	errors bytes.Buffer
	out    io.Closer
	read   chan struct{} // closed when there are no more lines

	mu    sync.Mutex
	lines []map[string]any
}

func startProcess(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return startProgram(t, os.Args[0], env, args...)
}

// startProgram starts another program than the test's own.
func startProgram(t *testing.T, program string, env []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), program, append([]string{"serve", "--http-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0"}, args...)...)}
	p.Env = append(append(os.Environ(), asMain+"=1"), env...)
	p.Stderr = io.MultiWriter(os.Stderr, &p.errors)
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	p.out = out
	p.read = make(chan struct{})
	go func() {
		defer close(p.read)
		reader := bufio.NewReader(out)
		for {
			// A process that is killed may leave a line without an end.
			text, err := reader.ReadBytes('\n')
			if err != nil {
				return
			}
			var line map[string]any
			assert.NoError(t, json.Unmarshal(text, &line), "every line of the log is JSON")
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
	}, time.Minute, time.Millisecond, "no line %q", message)
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
	return &http.Client{Transport: transport, Timeout: time.Minute}
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

// TestSlots: by default there is a slot for each processor, and one processor more. One of those that GOMAXPROCS names is
// the spare one.
func TestSlots(t *testing.T) {
	for gomaxprocs, want := range map[string]int{"": processorsOfGo(), "1": 1, "4": 3} {
		p := startProcess(t, []string{"GOMAXPROCS=" + gomaxprocs}, "--drain-delay", "0s")
		resp, err := newClient(t).Get("http://" + p.line(t, "listening")["ops_addr"].(string) + "/metrics")
		require.NoError(t, err)
		metrics, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Contains(t, string(metrics), fmt.Sprintf("\ntepal_admission_capacity %d\n", want), "GOMAXPROCS=%q", gomaxprocs)
		assert.Contains(t, string(metrics), fmt.Sprintf("\ntepal_admission_queue_capacity %d\n", 128*want), "GOMAXPROCS=%q", gomaxprocs)
	}
}

// processorsOfGo is how many processors Go takes by itself, whatever this process was told.
func processorsOfGo() int {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	runtime.SetDefaultGOMAXPROCS()
	return runtime.GOMAXPROCS(0)
}

// TestSecondSignalEndsAtOnce sends the second signal later, and at the heels of
// the first.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	for _, pause := range []bool{true, false} {
		p := startProcess(t, nil, "--drain-delay", "9m", "--shutdown-timeout", "10m")
		begin := time.Now()
		require.NoError(t, p.Process.Signal(syscall.SIGTERM))
		if pause {
			p.line(t, "stop: say not ready")
		}
		require.NoError(t, p.Process.Signal(syscall.SIGINT))
		err := p.end()
		var ended *exec.ExitError
		require.ErrorAs(t, err, &ended)
		assert.True(t, ended.Sys().(syscall.WaitStatus).Signaled())
		assert.Less(t, time.Since(begin), 5*time.Minute)
	}
}

// TestTraceIsExportedAtTheStop sends a traceparent, and looks for it in the log
// and in the spans that the stop writes. telemetry/interop does so with a real
// collector.
func TestTraceIsExportedAtTheStop(t *testing.T) {
	p := startProcess(t, []string{"OTEL_TRACES_EXPORTER=console"}, "--drain-delay", "0s")
	const traceID, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	_, _, err := predict(t.Context(), newClient(t), p.url, "00-"+traceID+"-"+parent+"-01")
	require.NoError(t, err)
	assert.Equal(t, traceID, p.line(t, "POST /predict 200")["trace_id"])
	// The stop flushes what the batch still holds.
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.end())

	type ids struct{ TraceID, SpanID string }
	type span struct {
		Name        string
		SpanContext ids
		Parent      ids
	}
	byName := make(map[string]span)
	for decoder := json.NewDecoder(&p.errors); decoder.More(); {
		var s span
		require.NoError(t, decoder.Decode(&s))
		byName[s.Name] = s
	}
	request, prediction := byName["POST /predict"], byName["predict iris"]
	assert.Equal(t, traceID, request.SpanContext.TraceID)
	assert.Equal(t, parent, request.Parent.SpanID)
	assert.Equal(t, ids{traceID, request.SpanContext.SpanID}, prediction.Parent)
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

// TestSignalsWhileLoading: whatever is being read, a signal ends every command
// that loads a model. A pipe is a file that takes for ever.
func TestSignalsWhileLoading(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"serve", "--http-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--drain-delay", "0s"}, 0},
		{[]string{"serve", "--check"}, -1},
		{[]string{"verify"}, -1},
		{[]string{"inspect"}, -1},
	} {
		t.Run(strings.Join(c.args[:min(2, len(c.args))], " "), func(t *testing.T) {
			pipe := filepath.Join(t.TempDir(), "pipe")
			require.NoError(t, syscall.Mkfifo(pipe, 0o600))
			p := exec.CommandContext(t.Context(), os.Args[0], append(c.args, pipe)...)
			p.Env = append(os.Environ(), asMain+"=1")
			require.NoError(t, p.Start())
			// This waits until the other side is opened, too.
			f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
			require.NoError(t, err)
			defer f.Close()
			require.NoError(t, p.Process.Signal(syscall.SIGTERM))
			_ = p.Wait()
			assert.Equal(t, c.code, p.ProcessState.ExitCode(), "-1 stands for a process that the signal ended")
		})
	}
}
