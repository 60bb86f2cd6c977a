package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tepalhq/tepal/model"
)

const virginica = `{"sepal_length":6.7,"sepal_width":3.0,"petal_length":5.2,"petal_width":2.3}`

// ndjson answers a body of lines without a network.
func ndjson(t testing.TB, s *Server, body string) []string {
	t.Helper()
	w := answerTo(t, s, ndjsonMedia, body)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.Equal(t, ndjsonMedia, w.Header().Get("Content-Type"))
	return lines(t, w.Body.String())
}

func answerTo(t testing.TB, s *Server, media, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/predict", strings.NewReader(body))
	r.Header.Set("Content-Type", media)
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, r)
	return w
}

// lines takes a text of whole lines apart.
func lines(t testing.TB, text string) []string {
	t.Helper()
	if text == "" {
		return nil
	}
	require.True(t, strings.HasSuffix(text, "\n"), "the last line is whole")
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// oneByOne is what a stream must answer: for each line that is not blank what
// a request with that body gets, problems with the number of the line besides.
func oneByOne(t testing.TB, s *Server, body string) []string {
	t.Helper()
	var want []string
	for i, line := range strings.Split(body, "\n") {
		if len(line) > int(s.config.MaxBodyBytes) {
			// A body says how long it is, and a line does not.
			want = append(want, tooLongLine(i+1, int(s.config.MaxBodyBytes)))
			continue
		}
		if strings.Trim(line, " \t\r") == "" {
			continue
		}
		w := answerTo(t, s, jsonMedia, line)
		answer := strings.TrimSuffix(w.Body.String(), "\n")
		if w.Code != http.StatusOK {
			answer = strings.Replace(answer, `,"error":`, fmt.Sprintf(`,"line":%d,"error":`, i+1), 1)
		}
		want = append(want, answer)
	}
	return want
}

func tooLongLine(number, limit int) string {
	return fmt.Sprintf(`{"type":"https://github.com/tepalhq/tepal/blob/main/docs/problems.md#body-too-large","title":"Request too large","status":413,`+
		`"detail":"the line is longer than the server takes","expected":"at most %d bytes","got":"more","line":%d,"error":"the line is longer than the server takes"}`, limit, number)
}

func TestStreamAnswersEachLineInItsPlace(t *testing.T) {
	const limit = 200
	long := "[" + setosa + "," + strings.Repeat(" ", limit) + virginica + "]"
	full := setosa + strings.Repeat(" ", limit-len(setosa))
	s := start(t, setup{config: Config{MaxBodyBytes: limit, MaxBatch: 2}}, false)
	for _, test := range []struct {
		name, body string
		// statuses are those of the lines, 200 for predictions.
		statuses []int
	}{
		{"nothing", "", nil},
		{"blank lines alone", "\n \n\t\r\n", nil},
		{"one instance", setosa + "\n", []int{200}},
		{"no line end", setosa, []int{200}},
		{"CRLF", setosa + "\r\n" + virginica + "\r\n", []int{200, 200}},
		{"every form", setosa + "\n[" + setosa + "]\n" + `{"instances":[[5.1,3.5,1.4,0.2]]}` + "\n", []int{200, 200, 200}},
		{"a blank line is passed over and counted", "\n\n{}\n", []int{422}},
		{"a list alone", "[5.1,3.5,1.4,0.2]\n" + setosa, []int{422, 200}},
		{"no JSON", "{\n" + setosa + "\nNaN\n", []int{400, 200, 400}},
		{"two on a line", setosa + setosa + "\n" + setosa, []int{400, 200}},
		{"one on two lines", strings.Replace(setosa, ",", ",\n", 1), []int{400, 400}},
		{"a form feed is not blank", "\f\n", []int{400}},
		{"bad UTF-8", "\"\xff\"\n" + setosa, []int{400, 200}},
		{"too many instances", "[[5.1,3.5,1.4,0.2],[5.1,3.5,1.4,0.2],[5.1,3.5,1.4,0.2]]\n" + setosa, []int{413, 200}},
		{"just fits", full + "\n" + full, []int{200, 200}},
		{"too long by one", full + " \n" + full, []int{413, 200}},
		{"too long at the end", setosa + "\n" + long, []int{200, 413}},
		{"longer than what is read at a time", strings.Repeat("x", 3*streamChunk) + "\n" + setosa + "\n" + strings.Repeat("x", 3*streamChunk), []int{413, 200, 413}},
		{"too long, and nothing after it", long + "\n", []int{413}},
		{"blank, and too long", strings.Repeat(" ", limit) + "\n" + strings.Repeat(" ", limit+1) + "\n", []int{413}},
		{"many", strings.Repeat(setosa+"\n{\n\n", 3000), slicesRepeat([]int{200, 400}, 3000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ndjson(t, s.Server, test.body)
			require.Equal(t, oneByOne(t, s.Server, test.body), got)
			var statuses []int
			for _, line := range got {
				var answer struct{ Status int }
				if json.Unmarshal([]byte(line), &answer) != nil || answer.Status == 0 {
					answer.Status = 200 // an array, or an object without a status
				}
				statuses = append(statuses, answer.Status)
			}
			assert.Equal(t, test.statuses, statuses)
		})
	}
	assert.Zero(t, s.memory.Used())
}

func slicesRepeat(list []int, n int) []int {
	var all []int
	for range n {
		all = append(all, list...)
	}
	return all
}

// TestStreamOfLargeLines takes lines that the buffer has to grow for, and gives
// their memory back.
func TestStreamOfLargeLines(t *testing.T) {
	s := start(t, setup{}, false)
	row := "," + virginica
	batch := "[" + setosa + strings.Repeat(row, 9_999) + "]"
	padded := "[" + strings.Repeat(" ", 2*keepBytes) + setosa + "]"
	body := setosa + "\n" + batch + "\n" + padded + "\n" + setosa + "\n" + padded
	want := oneByOne(t, s.Server, body)
	require.Len(t, want, 5)
	require.Equal(t, want, ndjson(t, s.Server, body))
	assert.Zero(t, s.memory.Used())
}

// TestStreamLinesShareTheMemoryOfBodies refuses a line that there is no memory
// for, and goes on.
func TestStreamLinesShareTheMemoryOfBodies(t *testing.T) {
	s := start(t, setup{}, false)
	others := s.memory.Lease()
	require.NoError(t, others.Set(s.memory.Size()-streamChunk))
	defer func() { require.NoError(t, others.Set(0)) }()
	taken := s.memory.Used()
	got := ndjson(t, s.Server, setosa+"\n"+strings.Repeat(" ", 3*streamChunk)+setosa+"\n"+setosa+"\n")
	require.Len(t, got, 3)
	assert.Contains(t, got[0], `"label":"setosa"`)
	assert.Contains(t, got[1], `"status":503,"detail":"the server has no memory left for the line","line":2,`)
	assert.Contains(t, got[2], `"label":"setosa"`)
	assert.Equal(t, taken, s.memory.Used())
	_, metrics := get(t, s.ops+"/metrics")
	assert.Contains(t, metrics, `tepal_admission_shed_total{reason="body-memory"} 1`)
}

// conversation is a stream over a real connection.
type conversation struct {
	t      *testing.T
	conn   net.Conn
	reader *bufio.Reader
	body   *bufio.Reader
}

// converse opens a stream, whose chunks are sent by say.
func converse(t *testing.T, s *running) *conversation {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", s.HTTPAddr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Minute)))
	_, err = io.WriteString(conn, "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
	require.NoError(t, err)
	return &conversation{t: t, conn: conn, reader: bufio.NewReader(conn)}
}

// say sends a piece of the body, hang up the end of it.
func (c *conversation) say(text string) {
	c.t.Helper()
	_, err := fmt.Fprintf(c.conn, "%x\r\n%s\r\n", len(text), text)
	require.NoError(c.t, err)
}

func (c *conversation) hangUp() {
	c.t.Helper()
	_, err := io.WriteString(c.conn, "0\r\n\r\n")
	require.NoError(c.t, err)
}

// hear returns the next line of the answer.
func (c *conversation) hear() string {
	c.t.Helper()
	line, err := c.listen()
	require.NoError(c.t, err)
	return line
}

func (c *conversation) listen() (string, error) {
	c.t.Helper()
	if c.body == nil {
		resp, err := http.ReadResponse(c.reader, nil) //nolint:bodyclose // The connection is closed.
		if err != nil {
			return "", err
		}
		require.Equal(c.t, http.StatusOK, resp.StatusCode)
		require.True(c.t, resp.Close)
		c.body = bufio.NewReader(resp.Body)
	}
	return c.body.ReadString('\n')
}

func (c *conversation) end() {
	c.t.Helper()
	_, err := c.listen()
	require.ErrorIs(c.t, err, io.EOF, "the answer ends as HTTP wants it")
}

// TestStreamAnswersWhileItReads hears the answer to each line before it says
// the next one.
func TestStreamAnswersWhileItReads(t *testing.T) {
	s := start(t, setup{}, false)
	c := converse(t, s)
	for range 3 {
		c.say(setosa + "\n")
		assert.Contains(t, c.hear(), `"label":"setosa"`)
		c.say(virginica[:20])
		c.say(virginica[20:] + "\n{")
		assert.Contains(t, c.hear(), `"label":"virginica"`)
		c.say("\n")
		assert.Contains(t, c.hear(), `"status":400`)
	}
	c.say(setosa)
	c.hangUp()
	assert.Contains(t, c.hear(), `"label":"setosa"`)
	c.end()
}

// TestStreamWaitsForContinue is a client that sends no body before it is asked
// to, as curl with a large file.
func TestStreamWaitsForContinue(t *testing.T) {
	s := start(t, setup{}, false)
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", s.HTTPAddr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Minute)))
	_, err = fmt.Fprintf(conn, "POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n", len(setosa))
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	asked, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", asked)
	_, err = io.WriteString(conn, setosa)
	require.NoError(t, err)
	answer, err := io.ReadAll(reader)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "HTTP/1.1 200 OK\r\n")
	assert.Contains(t, string(answer), `"label":"setosa"`)
}

// TestStreamTakesConstantMemory streams many lines, far more than the limit of
// a body, and compares the heap with that of a short stream.
func TestStreamTakesConstantMemory(t *testing.T) {
	const short, long = 1_000, 200_000
	s := start(t, setup{config: Config{MaxBodyBytes: 1 << 20}}, false)
	require.Greater(t, int64(long*len(setosa)), 10*s.config.MaxBodyBytes)
	heap := func(count int) (most uint64) {
		reader, writer := io.Pipe()
		var sent atomic.Int64
		go func() {
			text := []byte(setosa + "\n")
			for range count {
				if _, err := writer.Write(text); err != nil {
					return
				}
				sent.Add(1)
			}
			_ = writer.Close()
		}()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/predict", reader)
		require.NoError(t, err)
		req.Header.Set("Content-Type", ndjsonMedia)
		patient := client()
		patient.Timeout = 5 * time.Minute
		resp, err := patient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Less(t, sent.Load(), int64(long), "the answer begins while lines are still sent")
		answers := bufio.NewScanner(resp.Body)
		got := 0
		for answers.Scan() {
			if !bytes.Contains(answers.Bytes(), []byte(`"label":"setosa"`)) {
				require.Fail(t, "not the answer", answers.Text())
			}
			if got++; got%(count/10) == 0 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		}
		require.NoError(t, answers.Err())
		require.Equal(t, count, got)
		return most
	}
	first := heap(short)
	assert.Less(t, heap(long), first+1<<20, "200 times as many lines, and no more memory")
	line := logLine(t, s, "POST /predict 200")
	assert.InDelta(t, short, line["rows"], 0)
	_, metrics := get(t, s.ops+"/metrics")
	assert.Contains(t, metrics, fmt.Sprintf("tepal_predictions_total{label=\"setosa\",model_name=\"iris\",model_version=\"1\"} %d\n", short+long))
}

// hasty makes a server impatient with its streams.
func hasty(s *Server) { s.streamTimeout = time.Second }

// TestStreamCutsOffStalledCallers tells a caller who sends no whole line in
// time where the stream ends.
func TestStreamCutsOffStalledCallers(t *testing.T) {
	for _, test := range []struct {
		name  string
		stall func(c *conversation, over <-chan struct{})
	}{
		{"silent", func(*conversation, <-chan struct{}) {}},
		{"in a line", func(c *conversation, _ <-chan struct{}) { c.say(setosa[:10]) }},
		{"dribbling", func(c *conversation, over <-chan struct{}) {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					if _, err := io.WriteString(c.conn, "1\r\n \r\n"); err != nil {
						return
					}
				case <-over:
					return
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, setup{before: hasty}, false)
			c := converse(t, s)
			c.say(setosa + "\n")
			require.Contains(t, c.hear(), `"label":"setosa"`)
			begin := time.Now()
			over, stalled := make(chan struct{}), make(chan struct{})
			go func() { defer close(stalled); test.stall(c, over) }()
			assert.Equal(t, `{"type":"https://github.com/tepalhq/tepal/blob/main/docs/problems.md#request-timeout","title":"Request timeout","status":408,`+
				`"detail":"the body did not arrive in time","expected":"the next line within 1s","line":2,"error":"the body did not arrive in time"}`+"\n", c.hear())
			c.end()
			close(over)
			<-stalled
			assert.GreaterOrEqual(t, time.Since(begin), 500*time.Millisecond)
			line := logLine(t, s, "POST /predict 200")
			assert.Equal(t, "request-timeout", line["problem"])
		})
	}
}

// TestStreamLivesAsLongAsItMoves goes on for a multiple of the time that a line
// has, kept alive by blank lines.
func TestStreamLivesAsLongAsItMoves(t *testing.T) {
	const patience = 2 * time.Second
	s := start(t, setup{before: func(s *Server) { s.streamTimeout = patience }}, false)
	c := converse(t, s)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * patience); time.Now().Before(end); <-tick.C {
		c.say("\n")
	}
	c.say(setosa + "\n")
	require.Contains(t, c.hear(), `"label":"setosa"`)
	c.hangUp()
	c.end()
}

// TestStreamCutsOffCallersWhoDoNotRead sends lines for ever and takes no
// answer.
func TestStreamCutsOffCallersWhoDoNotRead(t *testing.T) {
	s := start(t, setup{before: hasty}, false)
	c := converse(t, s)
	text := strings.Repeat(setosa+"\n", 400)
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
	var err error
	for err == nil {
		_, err = io.WriteString(c.conn, chunk)
	}
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the server closes the connection: %v", err)
	line := logLine(t, s, "POST /predict aborted")
	assert.Equal(t, "aborted", line["problem"])
	assert.Empty(t, s.admission.slots)
}

// TestStreamOfACallerWhoGoes ends when its caller does, in a line.
func TestStreamOfACallerWhoGoes(t *testing.T) {
	s := start(t, setup{}, false)
	c := converse(t, s)
	c.say(setosa + "\n" + setosa[:10])
	require.Contains(t, c.hear(), `"label":"setosa"`)
	require.NoError(t, c.conn.Close())
	line := logLine(t, s, "POST /predict aborted")
	assert.InDelta(t, 1, line["rows"], 0)
	assert.Empty(t, s.admission.slots)
}

// TestStreamOfBrokenChunks says which line could not be read.
func TestStreamOfBrokenChunks(t *testing.T) {
	s := start(t, setup{}, false)
	c := converse(t, s)
	c.say(setosa + "\n" + setosa[:10])
	_, err := io.WriteString(c.conn, "zz\r\n")
	require.NoError(t, err)
	require.Contains(t, c.hear(), `"label":"setosa"`)
	assert.Contains(t, c.hear(), `"status":400,"detail":"the body could not be read to its end","line":2,`)
	c.end()
}

// TestStreamHoldsNoSlotWhileItWaits has more streams open than there are slots.
func TestStreamHoldsNoSlotWhileItWaits(t *testing.T) {
	s := start(t, setup{config: Config{MaxConcurrency: 1, MaxQueue: -1}}, false)
	for range 20 {
		c := converse(t, s)
		c.say(setosa + "\n" + setosa[:10])
		require.Contains(t, c.hear(), `"label":"setosa"`)
	}
	status, body := post(t, s.url+"/predict", setosa)
	require.Equal(t, http.StatusOK, status, body)
}

// TestStreamIsShedLineByLine takes the slots away in the middle: one line is
// refused, and the others wait for the time after which a client would come
// back.
func TestStreamIsShedLineByLine(t *testing.T) {
	s := start(t, setup{config: Config{MaxConcurrency: 1, MaxQueue: -1}}, false)
	c := converse(t, s)
	c.say(setosa + "\n")
	require.Contains(t, c.hear(), `"label":"setosa"`)
	fill(s.Server)
	c.say(strings.Repeat(setosa+"\n", 100))
	assert.Contains(t, c.hear(), `"status":503,"detail":"the server is busy and its queue is full","line":2,`)
	<-s.admission.slots
	begin := time.Now()
	for range 99 {
		require.Contains(t, c.hear(), `"label":"setosa"`)
	}
	assert.Greater(t, time.Since(begin), retryAfter*time.Second/2)
	c.hangUp()
	c.end()
	_, metrics := get(t, s.ops+"/metrics")
	assert.Contains(t, metrics, `tepal_admission_shed_total{reason="queue-full"} 1`)
	assert.Contains(t, metrics, `tepal_stream_lines_total{error_type="overloaded"} 1`)
	assert.Contains(t, metrics, `tepal_stream_lines_total{error_type=""} 100`)
}

// TestStopLetsStreamsEnd goes on with a stream while the server stops.
func TestStopLetsStreamsEnd(t *testing.T) {
	s := start(t, setup{}, false)
	c := converse(t, s)
	c.say(setosa + "\n")
	require.Contains(t, c.hear(), `"label":"setosa"`)
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	require.Eventually(t, s.draining.Load, time.Minute, time.Millisecond)
	for range 3 {
		c.say(virginica + "\n")
		require.Contains(t, c.hear(), `"label":"virginica"`)
	}
	c.hangUp()
	c.end()
	require.NoError(t, <-stopped)
}

// TestStopEndsStreams stops a server with streams that do not end: each is told
// where it ends, and nothing counts as lost.
func TestStopEndsStreams(t *testing.T) {
	for _, test := range []struct {
		name string
		say  func(c *conversation, over <-chan struct{})
	}{
		{"waiting", func(*conversation, <-chan struct{}) {}},
		{"busy", func(c *conversation, over <-chan struct{}) {
			for {
				select {
				case <-over:
					return
				default:
					if _, err := fmt.Fprintf(c.conn, "%x\r\n%s\n\r\n", len(virginica)+1, virginica); err != nil {
						return
					}
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, setup{config: Config{ShutdownTimeout: FlushReserve + 6*time.Second}}, false)
			c := converse(t, s)
			c.say(setosa + "\n")
			require.Contains(t, c.hear(), `"label":"setosa"`)
			over, said := make(chan struct{}), make(chan struct{})
			go func() { defer close(said); test.say(c, over) }()
			stopped := make(chan error, 1)
			go func() { stopped <- s.stop() }()
			answered, last := 1, ""
			for {
				if last = c.hear(); !strings.Contains(last, `"label":"virginica"`) {
					break
				}
				answered++
			}
			assert.Contains(t, last, fmt.Sprintf(`#server-stopping","title":"Stopping","status":503,`+
				`"detail":"the server stops before this line, which is not answered, nor is any after it","line":%d,`, answered+1))
			c.end()
			close(over)
			<-said
			require.NoError(t, <-stopped)
			assert.Equal(t, "server-stopping", logLine(t, s, "POST /predict 200")["problem"])
		})
	}
}

// TestStreamSurvivesFaultsOfTheProgram: a line that the program fails for is
// answered without the cause, which is logged once.
func TestStreamSurvivesFaultsOfTheProgram(t *testing.T) {
	s := start(t, setup{}, false)
	calls := 0
	serveProgram(t, s, func(out []model.Tensor) error {
		if calls++; calls%2 == 0 {
			return errors.New("the disk of host db-7 is full")
		}
		out[0].Resize(model.Float64, 1, 1)
		out[0].Float64s[0] = 2.5
		return nil
	})
	got := ndjson(t, s.Server, strings.Repeat("{\"x\":1}\n", 4))
	require.Len(t, got, 4)
	for i, want := range []string{`"value":2.5`, `"status":500,"detail":"the server failed to answer; its log has the reason","line":2,`, `"value":2.5`, `"line":4,`} {
		assert.Contains(t, got[i], want)
	}
	fault := logLine(t, s, "a line could not be answered")
	assert.Equal(t, "ERROR", fault["severity"])
	assert.InDelta(t, 2, fault["line"], 0)
	assert.Contains(t, fault["error"], "db-7")
	assert.Equal(t, 1, strings.Count(s.logs.String(), "db-7"))
}

// TestStreamOfAPanic gives the connection up, so that nobody takes a part of
// the answers for all, and gives the slot back.
func TestStreamOfAPanic(t *testing.T) {
	s := start(t, setup{}, false)
	serveProgram(t, s, func([]model.Tensor) error { panic("a fault") })
	c := converse(t, s)
	c.say("{\n")
	require.Contains(t, c.hear(), `"status":400`)
	c.say("{\"x\":1}\n")
	_, err := c.listen()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Empty(t, s.admission.slots)
	assert.Equal(t, "panic", logLine(t, s, "POST /predict aborted")["problem"])
}

// TestStreamTelemetryIsBounded: whatever the lines, a stream has one span, one
// log line and no share in the latencies.
func TestStreamTelemetryIsBounded(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	s := start(t, setup{processors: []sdktrace.SpanProcessor{spans}}, false)
	header := http.Header{"Content-Type": {ndjsonMedia}, "Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	status, _ := do(t, http.MethodPost, s.url+"/predict", strings.Repeat(setosa+"\n{}\n["+setosa+","+virginica+"]\n", 100), header)
	require.Equal(t, http.StatusOK, status)
	line := logLine(t, s, "POST /predict 200")
	assert.InDelta(t, 300, line["rows"], 0)
	assert.Equal(t, "iris", line["model"])
	assert.NotContains(t, line, "problem")
	require.Eventually(t, func() bool { return len(spans.Ended()) == 1 }, time.Minute, time.Millisecond)
	assert.Equal(t, "POST /predict", spans.Ended()[0].Name())
	assert.Empty(t, spans.Ended()[0].Events())
	_, metrics := get(t, s.ops+"/metrics")
	for _, want := range []string{
		`tepal_stream_lines_total{error_type=""} 200`,
		`tepal_stream_lines_total{error_type="missing-feature"} 100`,
		`tepal_predictions_total{label="setosa",model_name="iris",model_version="1"} 200`,
		`tepal_predictions_total{label="virginica",model_name="iris",model_version="1"} 100`,
		`http_server_request_duration_seconds_count{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/predict",model_name="iris",model_version="1"} 0`,
		`http_server_response_body_size_bytes_count{http_request_method="POST",http_response_status_code="200",http_route="/predict"} 1`,
	} {
		assert.Contains(t, metrics, want+"\n")
	}
	_, drift := get(t, s.url+"/models/iris/drift")
	assert.Contains(t, drift, `"samples":300`)
}

// TestStreamLogsPayloads logs instances and predictions of lines, where asked.
func TestStreamLogsPayloads(t *testing.T) {
	config := Config{}
	require.NoError(t, config.LogPayloads.UnmarshalText([]byte("sampled:1")))
	s := start(t, setup{config: config}, false)
	ndjson(t, s.Server, setosa+"\n{}\n"+virginica+"\n")
	assert.Equal(t, 2, strings.Count(s.logs.String(), `"message":"payload"`))
}

// BenchmarkPredict answers requests without a network: a batch of the largest
// size in each form, and a stream. The time for a row is that of one processor.
func BenchmarkPredict(b *testing.B) {
	const rows = DefaultMaxBatch
	list := "[6.7,3.0,5.2,2.3]"
	for _, bench := range []struct{ name, media, body string }{
		{"objects", jsonMedia, "[" + strings.Repeat(virginica+",", rows-1) + virginica + "]"},
		{"arrays", jsonMedia, "[" + strings.Repeat(list+",", rows-1) + list + "]"},
		{"stream", ndjsonMedia, strings.Repeat(virginica+"\n", rows)},
		{"stream-of-100", ndjsonMedia, strings.Repeat("["+strings.Repeat(virginica+",", 99)+virginica+"]\n", rows/100)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			handler := serving(b)
			var w sink
			r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/predict", nil)
			r.Header.Set("Content-Type", bench.media)
			r.ContentLength = int64(len(bench.body))
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.body)))
			for b.Loop() {
				clear(w.header)
				r.Body = io.NopCloser(strings.NewReader(bench.body))
				w.status = 0
				handler.ServeHTTP(&w, r)
				if w.status != 0 && w.status != http.StatusOK {
					b.Fatal(w.status)
				}
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}

// sink takes answers and forgets them.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header {
	if s.header == nil {
		s.header = make(http.Header)
	}
	return s.header
}

func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) Flush()                      {}

// FuzzStream gives any bytes to a stream: it answers each line that is not
// blank as a request with that line as its body is answered.
func FuzzStream(f *testing.F) {
	for _, seed := range []string{
		"", "\n", setosa, setosa + "\r\n\r\n" + virginica, "[" + setosa + "]\n{\n", "{\"instances\":[[1,2,3,4]]}\n[[1,2,3]]",
		"\x00\n\xff\n", strings.Repeat(" ", 130) + "\n" + strings.Repeat("x", 130), "[1,2,3,4]\n[]\n{}\n\"\n\"",
	} {
		f.Add([]byte(seed), byte(3))
	}
	s := start(f, setup{config: Config{MaxBodyBytes: 120, MaxBatch: 2}}, false)
	f.Fuzz(func(t *testing.T, body []byte, step byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/predict", &steps{rest: body, step: int(step) + 1})
		r.Header.Set("Content-Type", ndjsonMedia)
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
		got := lines(t, w.Body.String())
		require.Equal(t, oneByOne(t, s.Server, string(body)), got)
		for _, line := range got {
			require.True(t, json.Valid([]byte(line)), line)
		}
		require.Zero(t, s.memory.Used())
		require.Empty(t, s.admission.slots)
	})
}

// steps is a body that comes in pieces.
type steps struct {
	rest []byte
	step int
}

func (s *steps) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(len(s.rest), s.step)])
	s.rest = s.rest[n:]
	return n, nil
}

// TestBatchesTakeBoundedMemory sends batches of the largest size on many
// connections at once: what each holds is in proportion to its text, and is
// shared by those that follow.
func TestBatchesTakeBoundedMemory(t *testing.T) {
	const callers, each = 16, 2
	// Of 10,000 instances of Iris: the body, the answer, their numbers, and as much again for buffers that grew.
	const budget = 8 << 20
	s := start(t, setup{config: Config{QueueTimeout: 5 * time.Minute}}, false)
	body := "[" + strings.Repeat(virginica+",", DefaultMaxBatch-1) + virginica + "]"
	// What is in use, without what the collector has not come to yet: that depends on the machine.
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most := heap(), int64(0)
	var sent sync.WaitGroup
	done := make(chan struct{})
	for range callers {
		sent.Go(func() {
			for range each {
				req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+"/predict", strings.NewReader(body))
				if !assert.NoError(t, err) {
					return
				}
				req.Header.Set("Content-Type", jsonMedia)
				resp, err := client().Do(req)
				if !assert.NoError(t, err) {
					return
				}
				size, err := io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				assert.NoError(t, err)
				assert.Equal(t, http.StatusOK, resp.StatusCode)
				assert.Greater(t, size, int64(DefaultMaxBatch*len(`{"label":"virginica"},`)))
			}
		})
	}
	go func() { sent.Wait(); close(done) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for open := true; open; {
		select {
		case <-tick.C:
			most = max(most, heap())
		case <-done:
			open = false
		}
	}
	t.Logf("at most %d KiB for each of %d callers", (most-before)/callers>>10, callers)
	assert.Less(t, most-before, int64(callers*budget))
	// A caller has its answer before the handler has given back what the body took.
	require.Eventually(t, func() bool { return s.memory.Used() == 0 }, time.Minute, time.Millisecond)
}
