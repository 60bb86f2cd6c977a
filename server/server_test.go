package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/model/rows"
	"github.com/tepalhq/tepal/telemetry"
)

func TestConfigValidate(t *testing.T) {
	for _, test := range []struct {
		name   string
		config Config
		want   string
	}{
		{"defaults", Config{}, ""},
		{"http-addr", Config{HTTPAddr: "8000"}, `http-addr: "8000" is a port alone: write ":8000", or "localhost:8000" for this machine alone`},
		{"ops-addr", Config{OpsAddr: "a:b:c"}, `ops-addr: "a:b:c" is not HOST:PORT, such as "localhost:8002"`},
		{"a port too high", Config{HTTPAddr: ":99999"}, `http-addr: ":99999": address 99999: invalid port`},
		{"one port for both", Config{HTTPAddr: ":8002"}, "ops-addr: :8002 is http-addr too"},
		{"free ports", Config{HTTPAddr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0"}, ""},
		{"drain-delay", Config{DrainDelay: -1}, "drain-delay: -1ns is negative"},
		{
			"shutdown-timeout", Config{DrainDelay: 5 * time.Second, ShutdownTimeout: 7 * time.Second},
			"shutdown-timeout: 7s leaves no time to drain: it must be longer than drain-delay (5s) and the 2s kept for telemetry",
		},
		{
			"a drain-delay beyond any timeout", Config{DrainDelay: math.MaxInt64, ShutdownTimeout: 30 * time.Second},
			"shutdown-timeout: 30s leaves no time to drain: it must be longer than drain-delay (2562047h47m16.854775807s) and the 2s kept for telemetry",
		},
		{
			"the least shutdown-timeout", Config{ShutdownTimeout: math.MinInt64},
			"shutdown-timeout: -2562047h47m16.854775808s leaves no time to drain: it must be longer than drain-delay (0s) and the 2s kept for telemetry",
		},
		{"max-concurrency", Config{MaxConcurrency: -1}, "max-concurrency: -1 is below 1"},
		{"queue-timeout", Config{QueueTimeout: -time.Second}, "queue-timeout: -1s is not above 0s"},
		{"max-concurrency, beyond reason", Config{MaxConcurrency: math.MaxInt}, "max-concurrency: 9223372036854775807 is above 65536"},
		{"max-connections", Config{MaxConnections: -1}, "max-connections: -1 is outside 1 to 1048576"},
		{"max-connections, beyond reason", Config{MaxConnections: math.MaxInt}, "max-connections: 9223372036854775807 is outside 1 to 1048576"},
		{"memory-budget-bytes", Config{MemoryBudgetBytes: -1}, "memory-budget-bytes: -1 is below 1"},
		// 1000 connections of 40 KiB, 62 and 80 of 24 KiB, 10 slots of 64 KiB.
		{
			"too little memory", Config{MemoryBudgetBytes: 45_000_000, MaxConnections: 1000, MaxConcurrency: 10},
			"memory-budget-bytes: 45000000 is too little: 1000 connections and 10 requests at once take 45105152, and 1048576 must be left for what they share",
		},
		{"just enough", Config{MemoryBudgetBytes: 45_105_152 + 1<<20, MaxConnections: 1000, MaxConcurrency: 10}, ""},
		{"the largest numbers", Config{MaxBodyBytes: math.MaxInt64, MaxBatch: math.MaxInt, MaxQueue: math.MaxInt}, ""},
		{"max-body-bytes", Config{MaxBodyBytes: -5}, "max-body-bytes: -5 is below 1"},
		{"max-batch", Config{MaxBatch: -5}, "max-batch: -5 is below 1"},
		{"drift-window", Config{DriftWindow: time.Second}, "drift-window: 1s is below 1m0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.config.Settle()
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, test.want)
		})
	}
}

func TestTwoServersSideBySide(t *testing.T) {
	one, two := start(t, setup{}, false), start(t, setup{}, false)
	status, _ := post(t, one.url+"/predict", setosa)
	require.Equal(t, http.StatusOK, status)
	_, metrics := get(t, one.ops+"/metrics")
	assert.Contains(t, metrics, `tepal_predictions_total{label="setosa",model_name="iris",model_version="1"} 1`)
	_, metrics = get(t, two.ops+"/metrics")
	assert.Contains(t, metrics, `tepal_predictions_total{label="setosa",model_name="iris",model_version="1"} 0`)
}

func TestAddressInUse(t *testing.T) {
	one := start(t, setup{}, false)
	logger := slog.New(slog.DiscardHandler)
	_, err := New(t.Context(), Options{
		Config: Config{HTTPAddr: one.HTTPAddr().String(), OpsAddr: "127.0.0.1:0"}, Source: iris(), Logger: logger,
		NewTelemetry: func(http.HandlerFunc) (*telemetry.Telemetry, error) {
			return telemetry.New(t.Context(), telemetry.Options{Logger: logger})
		},
	})
	require.ErrorContains(t, err, "HTTP server: listen tcp "+one.HTTPAddr().String())
	require.ErrorContains(t, err, "address already in use; --http-addr takes another address")
	_, err = New(t.Context(), Options{
		Config: Config{HTTPAddr: "127.0.0.1:0", OpsAddr: one.HTTPAddr().String()}, Source: iris(), Logger: logger,
		NewTelemetry: func(http.HandlerFunc) (*telemetry.Telemetry, error) {
			return telemetry.New(t.Context(), telemetry.Options{Logger: logger})
		},
	})
	require.ErrorContains(t, err, "address already in use; --ops-addr takes another address")
}

// A person who starts a server is told at once that its model is refused.
func TestEndWithoutModel(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	srv, err := New(t.Context(), Options{
		Config: Config{HTTPAddr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0", DrainDelay: 0},
		Source: repository.Source{Path: "testdata/none.onnx"}, Logger: logger, EndWithoutModel: true,
		NewTelemetry: func(http.HandlerFunc) (*telemetry.Telemetry, error) {
			return telemetry.New(t.Context(), telemetry.Options{Logger: logger})
		},
	})
	require.NoError(t, err)
	require.EqualError(t, srv.Run(t.Context()), "the model is refused: missing: the model file testdata/none.onnx does not exist")
}

func TestTelemetryThatCannotBeBuilt(t *testing.T) {
	_, err := New(t.Context(), Options{
		Config: Config{HTTPAddr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0"}, Logger: slog.New(slog.DiscardHandler),
		NewTelemetry: func(http.HandlerFunc) (*telemetry.Telemetry, error) { return nil, errors.New("no exporter") },
	})
	require.EqualError(t, err, "telemetry: no exporter")
}

// TestStopOrder reads the order of a stop from the log.
func TestStopOrder(t *testing.T) {
	s := start(t, setup{config: Config{DrainDelay: time.Millisecond}}, false)
	require.NoError(t, s.stop())
	var steps []string
	for line := range strings.Lines(s.logs.String()) {
		var record struct{ Message string }
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		steps = append(steps, record.Message)
	}
	assert.Equal(t, []string{
		"listening", "ready", "stopping",
		"not ready", "stop: say not ready", "stop: wait for clients to turn away", "stop: bound input", "stop: stop loading",
		"stop: drain HTTP server", "stop: drain ops server", "stop: stop watching for drift", "stop: flush telemetry", "stopped",
	}, steps)
}

// TestStopLosesNothing keeps asking while the server stops. As behind a load
// balancer, clients go on for a while after the server said not ready, on
// connections that they keep. Every request that was sent must be answered.
func TestStopLosesNothing(t *testing.T) {
	var clients sync.WaitGroup
	s := start(t, setup{config: Config{ShutdownTimeout: 2 * time.Minute}, before: func(s *Server) {
		// In place of a delay: it comes after those steps that Run adds, and before the listener is closed.
		s.lifecycle.add("wait for the test's clients", func(context.Context) error { clients.Wait(); return nil })
	}}, false)
	var mu sync.Mutex
	answered, afterStop := 0, 0
	for range 8 {
		clients.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: 5 * time.Minute}
			for notReady := 0; notReady < 10; {
				req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+"/predict", strings.NewReader(setosa))
				if !assert.NoError(t, err) {
					return
				}
				// A POST that the transport cannot send again on its own.
				req.GetBody = nil
				resp, err := client.Do(req)
				if !assert.NoError(t, err, "a request was lost") {
					return
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				assert.NoError(t, err)
				assert.Equal(t, http.StatusOK, resp.StatusCode)
				assert.Contains(t, string(body), `"label":"setosa"`)
				mu.Lock()
				answered++
				if s.draining.Load() {
					notReady++
					afterStop++
				}
				mu.Unlock()
			}
		})
	}
	require.Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return answered > 100 }, time.Minute, time.Millisecond)
	require.NoError(t, s.stop())
	assert.GreaterOrEqual(t, afterStop, 8*10)
}

// TestStopWaitsForRequestsUnderWay stops while a body is still being sent.
func TestStopWaitsForRequestsUnderWay(t *testing.T) {
	s := start(t, setup{}, false)
	conn := upload(t, s, len(setosa))
	waitInFlight(t, s)
	_, err := io.WriteString(conn, setosa[:10])
	require.NoError(t, err)
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	require.Eventually(t, s.draining.Load, time.Minute, time.Millisecond)
	_, err = io.WriteString(conn, setosa[10:])
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Contains(t, string(body), `"label":"setosa"`)
	assert.True(t, resp.Close, "the client is told to come back on a new connection")
	require.NoError(t, <-stopped)
}

// TestStopAnswersKeptConnections asks on a connection that was idle when the
// server decided to stop, without any drain delay.
func TestStopAnswersKeptConnections(t *testing.T) {
	s := start(t, setup{}, false)
	conn := upload(t, s, len(setosa))
	reader := bufio.NewReader(conn)
	ask := func() (closing bool) {
		_, err := io.WriteString(conn, setosa)
		require.NoError(t, err)
		resp, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
		return resp.Close
	}
	require.False(t, ask())
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	require.Eventually(t, s.draining.Load, time.Minute, time.Millisecond)
	head(t, conn, len(setosa))
	require.True(t, ask())
	require.NoError(t, <-stopped)
}

// TestHangingCollectorDoesNotHoldTheStop flushes into nothing.
func TestHangingCollectorDoesNotHoldTheStop(t *testing.T) {
	s := start(t, setup{}, false)
	s.lifecycle.flush = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	begin := time.Now()
	require.NoError(t, s.stop(), "no request was lost")
	assert.Less(t, time.Since(begin), DefaultShutdownTimeout-FlushReserve)
	line := logLine(t, s, "stop: flush telemetry")
	assert.Equal(t, "WARNING", line["severity"])
}

// TestStopWhileLoadingIsNoFault stops a server before its model is there.
func TestStopWhileLoadingIsNoFault(t *testing.T) {
	out := &logs{}
	logger := telemetry.NewLogger(out, telemetry.LogOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	s, err := New(ctx, Options{
		Config: Config{HTTPAddr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0"}, Source: iris(), Logger: logger,
		NewTelemetry: func(http.HandlerFunc) (*telemetry.Telemetry, error) {
			return telemetry.New(ctx, telemetry.Options{Logger: logger})
		},
	})
	require.NoError(t, err)
	cancel()
	require.NoError(t, s.Run(ctx))
	assert.NotContains(t, out.String(), "ERROR")
}

// TestStopIsBounded stops while a request is computed that does not end, and
// must not wait for it.
func TestStopIsBounded(t *testing.T) {
	s := start(t, setup{config: Config{ShutdownTimeout: FlushReserve + 100*time.Millisecond}}, false)
	release := make(chan struct{})
	defer close(release)
	serveProgram(t, s, func([]model.Tensor) error { <-release; return errors.New("it is over") })
	_, err := io.WriteString(upload(t, s, len(`{"x":1}`)), `{"x":1}`)
	require.NoError(t, err)
	waitInFlight(t, s)
	err = s.stopAnyhow()
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "drain HTTP server: ")
	assert.Contains(t, s.logs.String(), `"message":"stop: flush telemetry"`)
}

// waitInFlight waits until the server has seen a request.
func waitInFlight(t *testing.T, s *running) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, metrics := get(t, s.ops+"/metrics")
		return strings.Contains(metrics, "http_server_active_requests{http_request_method=\"POST\"} 1\n")
	}, time.Minute, time.Millisecond)
}

// stopAnyhow stops a server whose stop is expected to fail.
func (r *running) stopAnyhow() error {
	err := r.stop()
	r.stop = func() error { return nil }
	return err
}

// upload opens a connection and sends the head of a prediction request.
func upload(t *testing.T, s *running, length int) net.Conn {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", s.HTTPAddr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Minute)))
	head(t, conn, length)
	return conn
}

// head sends the head of a prediction request.
func head(t *testing.T, conn net.Conn, length int) {
	t.Helper()
	_, err := fmt.Fprintf(conn, "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
	require.NoError(t, err)
}

// TestSlowUploadsHoldNoSlot fills the server with bodies that do not come to
// an end, many more than it has slots and places, and asks beside them.
func TestSlowUploadsHoldNoSlot(t *testing.T) {
	s := start(t, setup{config: Config{MaxConcurrency: 1, MaxQueue: -1}}, false)
	for range 20 {
		_, err := io.WriteString(upload(t, s, len(setosa)), setosa[:10])
		require.NoError(t, err)
	}
	status, body := post(t, s.url+"/predict", setosa)
	require.Equal(t, http.StatusOK, status, body)
}

// TestSheddingComesBeforeTheBody refuses a request whose body never comes.
func TestSheddingComesBeforeTheBody(t *testing.T) {
	s := start(t, setup{config: Config{MaxConcurrency: 1, MaxQueue: -1}, before: fill}, false)
	conn := upload(t, s, 1000)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.Equal(t, "1", resp.Header.Get("Retry-After"))
	_, metrics := get(t, s.ops+"/metrics")
	assert.Contains(t, metrics, `tepal_admission_shed_total{reason="queue-full"} 1`)
}

// TestRefusedUploadsDoNotHoldTheStop: a client that was refused and sends no
// more of its body is given up soon.
func TestRefusedUploadsDoNotHoldTheStop(t *testing.T) {
	s := start(t, setup{config: Config{MaxConcurrency: 1, MaxQueue: -1}, before: fill}, false)
	conn := upload(t, s, 1000)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	assert.True(t, resp.Close)
	begin := time.Now()
	require.NoError(t, s.stop())
	assert.Less(t, time.Since(begin), readTimeout/2)
}

// TestBrokenChunksEndTheConnection: what follows a body that cannot be read to
// its end is no request.
func TestBrokenChunksEndTheConnection(t *testing.T) {
	const start1 = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct{ name, media, body string }{
		{"at once", "application/json", "zz\r\n"},
		{"in the middle", "application/json", "2\r\n[[\r\nzz\r\n"},
		{"behind a refusal", "text/plain", "zz\r\n"},
		{"in the trailer", "application/json", "2\r\n[]\r\n0\r\nbroken\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, setup{}, false)
			var dialer net.Dialer
			conn, err := dialer.DialContext(t.Context(), "tcp", s.HTTPAddr().String())
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Minute)))
			_, err = fmt.Fprintf(conn, start1+"%sGET /models/smuggled HTTP/1.1\r\nHost: x\r\n\r\n", test.media, test.body)
			require.NoError(t, err)
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			assert.Equal(t, 1, strings.Count(string(answer), "HTTP/1.1 "), string(answer))
			assert.Contains(t, string(answer), "Connection: close")
		})
	}
}

// TestBodiesInMemoryAreBounded sends large bodies that do not come to an end,
// until the server takes no more; small ones are still answered.
func TestBodiesInMemoryAreBounded(t *testing.T) {
	const large = 1 << 20
	s := start(t, setup{config: Config{MaxBodyBytes: large, MaxConnections: 100, MemoryBudgetBytes: 32 << 20}}, false)
	text := strings.Repeat(" ", large-1)
	for s.memory.Used()+2*large <= s.memory.Size() {
		conn := upload(t, s, large)
		before := s.memory.Used()
		_, err := io.WriteString(conn, text)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return s.memory.Used() == before+large }, time.Minute, time.Millisecond)
	}
	refused := 0
	for range 4 {
		conn := upload(t, s, large)
		// The server may close while this is still being written.
		_, _ = io.WriteString(conn, text)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Second)))
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			refused = resp.StatusCode
			require.NoError(t, resp.Body.Close())
			break
		}
	}
	require.Equal(t, http.StatusServiceUnavailable, refused)
	status, _ := post(t, s.url+"/predict", setosa)
	require.Equal(t, http.StatusOK, status)
	_, metrics := get(t, s.ops+"/metrics")
	assert.Contains(t, metrics, `tepal_admission_shed_total{reason="body-memory"} 1`)
}

// TestRefusalsDoNotSpoilTheConnection asks on connections that are kept: what
// is refused before its body is read, and then what is not. Nothing may be
// lost and nothing answered by another's fault.
func TestRefusalsDoNotSpoilTheConnection(t *testing.T) {
	for _, test := range []struct {
		name   string
		header http.Header
		setup  setup
		status int
	}{
		{"media type", http.Header{"Content-Type": {"text/plain"}}, setup{}, http.StatusUnsupportedMediaType},
		{"accept", http.Header{"Accept": {"text/csv"}}, setup{}, http.StatusNotAcceptable},
		{"accept nothing in particular", http.Header{"Accept": {""}}, setup{}, http.StatusOK},
		{"stream", http.Header{"Content-Type": {ndjsonMedia}}, setup{}, http.StatusOK},
		{"stream of a line that is no JSON", http.Header{"Content-Type": {ndjsonMedia}, "X-Body": {"{"}}, setup{}, http.StatusOK},
		{"stream not accepted", http.Header{"Content-Type": {ndjsonMedia}, "Accept": {"application/json"}}, setup{}, http.StatusNotAcceptable},
		{"stream overload", http.Header{"Content-Type": {ndjsonMedia}}, setup{config: Config{MaxConcurrency: 1, MaxQueue: -1}, before: fill}, http.StatusServiceUnavailable},
		{"overload", nil, setup{config: Config{MaxConcurrency: 1, MaxQueue: -1}, before: fill}, http.StatusServiceUnavailable},
		{"too large", nil, setup{config: Config{MaxBodyBytes: 10}}, http.StatusRequestEntityTooLarge},
		{"invalid", http.Header{"X-Body": {"[]"}}, setup{}, http.StatusUnprocessableEntity},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, test.setup, false)
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: 5 * time.Minute}
			ask := func(method, path, body string, header http.Header) int {
				req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
				require.NoError(t, err)
				req.GetBody = nil
				req.Header.Set("Content-Type", "application/json")
				for name, values := range header {
					req.Header[name] = values
				}
				resp, err := client.Do(req)
				require.NoError(t, err)
				_, err = io.Copy(io.Discard, resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				return resp.StatusCode
			}
			body := setosa
			if b := test.header.Get("X-Body"); b != "" {
				body = b
			}
			for range 50 {
				require.Equal(t, test.status, ask(http.MethodPost, "/predict", body, test.header))
				require.Equal(t, http.StatusOK, ask(http.MethodGet, "/models", "", nil))
			}
			_, metrics := get(t, s.ops+"/metrics")
			assert.Contains(t, metrics, "tepal_panics_total 0\n")
			assert.NotContains(t, s.logs.String(), `"severity":"ERROR"`)
		})
	}
}

// programFunc is a program made of a function.
type programFunc func(outputs []model.Tensor) error

func (f programFunc) Run(_ context.Context, _, outputs []model.Tensor) error { return f(outputs) }

// serveProgram serves a model of one feature and one value that runs f.
func serveProgram(t *testing.T, s *running, f programFunc) {
	t.Helper()
	m := &model.Model{
		Name: "made", Version: "1", Program: f,
		Schema: model.Schema{
			Task:     model.Regression,
			Features: []model.Feature{{Name: "x", Type: model.Float64}},
			Inputs:   []model.Input{{Name: "x", Type: model.Float64, Columns: 1}},
			Outputs:  []model.Output{{Name: "y", Role: model.RoleValue, Type: model.Float64}},
		},
	}
	s.metrics.Store(s.telemetry.Metrics().ForModel(m.Name, m.Version, m.Digest, nil))
	s.repository.Serve(&repository.Served{Model: m, Codec: rows.New(m)})
}

const plain500 = `{"type":"https://github.com/tepalhq/tepal/blob/main/docs/problems.md#internal-error","title":"Internal error","status":500,` +
	`"detail":"the server failed to answer; its log has the reason","error":"the server failed to answer; its log has the reason"}` + "\n"

func TestFaultsOfTheProgramStayInTheLog(t *testing.T) {
	const secret = "the disk of host db-7 is full"
	for _, test := range []struct {
		name string
		run  programFunc
		log  string
	}{
		{"error", func([]model.Tensor) error { return errors.New(secret) }, secret},
		{"panic", func([]model.Tensor) error { panic(secret) }, "panic: " + secret},
		{"too few rows", func(out []model.Tensor) error { out[0].Resize(model.Float64, 0, 1); return nil }, "0 rows for 1 instances"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, setup{}, false)
			serveProgram(t, s, test.run)
			header := http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
			status, body := do(t, http.MethodPost, s.url+"/predict", `{"x":1}`, header)
			assert.Equal(t, http.StatusInternalServerError, status)
			assert.Equal(t, plain500, body)
			line := logLine(t, s, "POST /predict 500")
			assert.Contains(t, line["error"], test.log)
			assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", line["trace_id"])
			assert.Equal(t, "internal-error", line["problem"])
			assert.Equal(t, test.name == "panic", line["stack"] != nil)
			// The server lives, and so does its slot.
			serveProgram(t, s, func(out []model.Tensor) error {
				out[0].Resize(model.Float64, 1, 1)
				out[0].Float64s[0] = 2.5
				return nil
			})
			for range DefaultMaxConcurrency() + 1 {
				status, body = post(t, s.url+"/predict", `{"x":1}`)
				require.Equal(t, http.StatusOK, status)
			}
			assert.JSONEq(t, `{"value":2.5,"model":{"name":"made","version":"1","digest":""}}`, body)
		})
	}
}

// logLine waits for the line with the given message and returns its fields.
func logLine(t *testing.T, s *running, message string) map[string]any {
	t.Helper()
	var fields map[string]any
	require.Eventually(t, func() bool {
		for line := range strings.Lines(s.logs.String()) {
			if strings.Contains(line, `"message":"`+message+`"`) {
				return json.Unmarshal([]byte(line), &fields) == nil
			}
		}
		return false
	}, time.Minute, time.Millisecond, "no line %q", message)
	return fields
}

// TestOneTraceJoinsSpansLogAndCaller follows a traceparent through the server.
func TestOneTraceJoinsSpansLogAndCaller(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	s := start(t, setup{processors: []sdktrace.SpanProcessor{spans}}, false)
	const traceID, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	header := http.Header{"Traceparent": {"00-" + traceID + "-" + parent + "-01"}}
	status, _ := do(t, http.MethodPost, s.url+"/predict", "["+setosa+","+setosa+"]", header)
	require.Equal(t, http.StatusOK, status)

	line := logLine(t, s, "POST /predict 200")
	assert.Equal(t, traceID, line["trace_id"])
	assert.Equal(t, "iris", line["model"])
	assert.InDelta(t, 2, line["rows"], 0)
	require.Eventually(t, func() bool { return len(spans.Ended()) == 2 }, time.Minute, time.Millisecond)
	prediction, request := spans.Ended()[0], spans.Ended()[1]
	assert.Equal(t, "predict iris", prediction.Name())
	var events []string
	for _, event := range request.Events() {
		events = append(events, event.Name)
	}
	assert.Equal(t, []string{"body read", "slot acquired", "decoded", "encoded"}, events)
	assert.Equal(t, "POST /predict", request.Name())
	assert.Equal(t, parent, request.Parent().SpanID().String())
	assert.Equal(t, trace.SpanKindServer, request.SpanKind())
	assert.Equal(t, line["span_id"], request.SpanContext().SpanID().String())
	assert.Contains(t, prediction.Attributes(), attribute.Int("tepal.rows", 2))
	assert.Contains(t, prediction.Attributes(), attribute.Int("tepal.batch.size", 2))
	assert.Equal(t, traceID, prediction.SpanContext().TraceID().String())
	assert.Equal(t, request.SpanContext().SpanID(), prediction.Parent().SpanID())
	_, metrics := do(t, http.MethodGet, s.ops+"/metrics", "", http.Header{"Accept": {"application/openmetrics-text;version=1.0.0"}})
	exemplar := regexp.MustCompile(`http_server_request_duration_seconds_bucket\{.*http_route="/predict".* # (\{.*\})`).FindStringSubmatch(metrics)
	require.NotNil(t, exemplar)
	assert.Contains(t, exemplar[1], `trace_id="`+traceID+`"`)
	assert.Contains(t, exemplar[1], `span_id="`+request.SpanContext().SpanID().String()+`"`)
}

func TestProbesAreNeitherLoggedNorCountedNorTraced(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	s := start(t, setup{processors: []sdktrace.SpanProcessor{spans}}, false)
	logLine(t, s, "ready") // the last line of the start
	before := s.logs.String()
	for _, base := range []string{s.url, s.ops} {
		for _, path := range []string{"/live_check", "/livez", "/ready_check", "/readyz"} {
			status, _ := get(t, base+path)
			require.Equal(t, http.StatusOK, status)
		}
	}
	_, metrics := get(t, s.ops+"/metrics")
	assert.NotContains(t, metrics, "http_server_request_duration_seconds_count")
	assert.Empty(t, spans.Ended())
	assert.Equal(t, before, s.logs.String())
}

func TestNotReadyIsLoggedWithItsReason(t *testing.T) {
	source := repository.Source{Path: "testdata/none.onnx"}
	s := start(t, setup{source: &source}, true)
	line := logLine(t, s, "not ready")
	assert.Equal(t, "ERROR", line["severity"])
	assert.Equal(t, "missing: the model file testdata/none.onnx does not exist", line["reason"])
	_, body := get(t, s.url+"/ready_check")
	assert.JSONEq(t, `{"status":"not ready","reason":"missing: the model file testdata/none.onnx does not exist"}`, body)
	_, metrics := get(t, s.ops+"/metrics")
	assert.Contains(t, metrics, "tepal_model_ready 0")
}

// TestProtocolErrorsGoToTheLogger makes net/http itself complain, by a handler
// that answers twice.
func TestProtocolErrorsGoToTheLogger(t *testing.T) {
	s := start(t, setup{}, false)
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	twice := s.newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.WriteHeader(http.StatusOK)
	}))
	served := make(chan error, 1)
	go func() { served <- twice.Serve(listener) }()
	status, _ := get(t, "http://"+listener.Addr().String()+"/")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, twice.Shutdown(t.Context()))
	require.ErrorIs(t, <-served, http.ErrServerClosed)
	for line := range strings.Lines(s.logs.String()) {
		if strings.Contains(line, "superfluous response.WriteHeader") {
			var fields map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &fields))
			require.Equal(t, "WARNING", fields["severity"])
			return
		}
	}
	t.Fatal("net/http's complaint is not in the log: " + s.logs.String())
}

func TestOpsRoutes(t *testing.T) {
	s := start(t, setup{}, false)
	for path, want := range map[string]string{
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/cmdline":           "server.test",
		"/debug/pprof/goroutine?debug=1": "goroutine profile",
		"/metrics":                       "tepal_build_info",
	} {
		status, body := get(t, s.ops+path)
		assert.Equal(t, http.StatusOK, status, path)
		assert.Contains(t, body, want, path)
		status, _ = get(t, s.url+path)
		assert.Equal(t, http.StatusNotFound, status, "the public port has no %s", path)
	}
	status, _ := get(t, s.ops+"/nothing")
	assert.Equal(t, http.StatusNotFound, status)
	status, _ = post(t, s.ops+"/metrics", "")
	assert.Equal(t, http.StatusMethodNotAllowed, status)
}

func TestAccepts(t *testing.T) {
	for _, test := range []struct {
		header string
		want   bool
	}{
		{"application/json", true},
		{"text/html, application/*;q=0.5", true},
		{"text/html", false},
		{"*/*;q=0", false},
		{"*/*;q=0, application/json", true},
		{"application/json;q=0, */*", false},
		{"application/json;q=broken", true},
		{"", false},
		{";;;,,,", false},
		{"application/problem+json", false},
	} {
		assert.Equal(t, test.want, accepts([]string{test.header}, "application/json"), test.header)
	}
	assert.True(t, accepts([]string{"text/html", "application/json"}, "application/json"), "several headers are one list")
}
