package telemetry

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func accessLog(t *testing.T, text string, slow time.Duration) AccessLog {
	t.Helper()
	var a AccessLog
	require.NoError(t, a.UnmarshalText([]byte(text)))
	a.Slow = slow
	return a
}

func TestAccessLogChooses(t *testing.T) {
	low, high := lot(1), lot(1<<63-1) // nearly the first of all lots, and the last
	fine, slow := outcome{status: 200, latency: time.Millisecond}, outcome{status: 200, latency: time.Second}
	refused, failed := outcome{severity: slog.LevelWarn}, outcome{severity: slog.LevelError}
	for _, tt := range []struct {
		access                       string
		low, high, slow, bad, failed bool
	}{
		{"all", true, true, true, true, true},
		{"sampled:0.5", true, false, true, true, true},
		{"sampled:0", false, false, true, true, true},
		{"sampled:1", true, true, true, true, true},
		{"errors", false, false, true, true, true},
		{"off", false, false, true, false, true},
	} {
		a := accessLog(t, tt.access, time.Second)
		assert.Equal(t, tt.low, a.wants(fine, low), tt.access)
		assert.Equal(t, tt.high, a.wants(fine, high), tt.access)
		assert.Equal(t, tt.slow, a.wants(slow, high), tt.access)
		assert.Equal(t, tt.bad, a.wants(refused, high), tt.access)
		assert.Equal(t, tt.failed, a.wants(failed, high), tt.access)
	}
	assert.True(t, AccessLog{}.wants(fine, high), "the zero value logs all")
	assert.False(t, accessLog(t, "errors", 0).wants(slow, low), "nothing is slow")
}

func TestAccessLogRefusesOtherWords(t *testing.T) {
	for _, text := range []string{"", "some", "sampled", "sampled:", "sampled:2", "sampled:-1", "sampled:NaN", "sampled:1%"} {
		var a AccessLog
		require.EqualError(t, a.UnmarshalText([]byte(text)), fmt.Sprintf("%q is none of all, errors, off, and sampled:SHARE with a share from 0 to 1", text))
		var s Share
		require.Error(t, s.UnmarshalText([]byte(text)))
	}
	var s Share
	require.NoError(t, s.UnmarshalText([]byte("off")))
	assert.False(t, s.holds(0))
}

// A share holds the very traces that the SDK's sampler of the same ratio does.
func TestShareIsThatOfTheSampler(t *testing.T) {
	var s Share
	require.NoError(t, s.UnmarshalText([]byte("sampled:0.3")))
	sampler := sdktrace.TraceIDRatioBased(0.3)
	included := 0
	for i := range 1000 {
		var id trace.TraceID
		binary.BigEndian.PutUint64(id[8:], uint64(i)*(1<<64/1000))
		want := sampler.ShouldSample(sdktrace.SamplingParameters{ParentContext: t.Context(), TraceID: id}).Decision == sdktrace.RecordAndSample
		require.Equal(t, want, s.holds(lotOf(id)), i)
		if want {
			included++
		}
	}
	assert.InDelta(t, 300, included, 1)
}

func TestUnwantedRequestsAreStillCounted(t *testing.T) {
	f := newFixture(t, false, func(o *Options) { o.AccessLog = accessLog(t, "errors", 0) })
	ask(t, f.Route("GET", "/x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), "GET", "/x", "")
	assert.Empty(t, f.logs.lines(t))
	assert.Equal(t, 1, f.durations(t, "/x", "GET", "200", "", "", ""))
	ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
	assert.Equal(t, "GET /x 404", f.onlyLine(t)["message"])
}

// What the logger was given beforehand stands on the lines of requests too.
func TestRequestsHaveTheAttributesOfTheLogger(t *testing.T) {
	f := newFixture(t, false, func(o *Options) { o.Logger = o.Logger.With("zone", "a").WithGroup("g").With("n", 1) })
	ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
	line := f.onlyLine(t)
	assert.Equal(t, "GET /x 404", line["message"])
	assert.Equal(t, "a", line["zone"])
	assert.Equal(t, "1", fmt.Sprint(line["g"].(map[string]any)["n"]))
}

// Below the level of the logger there are no lines, whatever the access log asks for.
func TestRequestsAreBelowTheLevel(t *testing.T) {
	logs := &sink{}
	f := newFixture(t, false, func(o *Options) { o.Logger = NewLogger(logs, LogOptions{Level: slog.LevelWarn}) })
	ask(t, f.Route("GET", "/x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), "GET", "/x", "")
	ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
	require.Len(t, logs.lines(t), 1)
	assert.Equal(t, "GET /x 404", logs.lines(t)[0]["message"])
}

// A logger of another make gets the warnings alone.
func TestLoggerOfAnotherMake(t *testing.T) {
	var out bytes.Buffer
	f := newFixture(t, false, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&out, nil)) })
	ask(t, f.Route("GET", "/x", http.NotFoundHandler()), "GET", "/x", "")
	assert.Empty(t, out.String())
	f.registry.MustRegister(brokenCollector{})
	f.scrape(t, "text/plain")
	assert.Contains(t, out.String(), "cannot be read")
}

func TestLogBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{}
		buffer := NewLogBuffer(out)
		log := NewLogger(buffer, LogOptions{})
		request := func(level slog.Level, message string) {
			log.Handler().(*logHandler).request(trace.SpanContext{}, time.Now(), level, message, &requestInfo{})
		}

		request(slog.LevelInfo, "GET /x 200")
		request(slog.LevelInfo, "GET /y 200")
		assert.Empty(t, out.all(), "lines of requests wait")
		time.Sleep(logBufferDelay) //nolint:forbidigo // The bubble's clock, not the machine's.
		synctest.Wait()
		require.Len(t, out.all(), 1, "for 100 ms, and come together")
		assert.Regexp(t, `GET /x 200.*\n.*GET /y 200.*\n$`, out.all()[0])

		request(slog.LevelInfo, "GET /z 200")
		request(slog.LevelWarn, "GET /z 404")
		synctest.Wait()
		require.Len(t, out.all(), 2, "what is a warning does not wait, nor what came before")
		assert.Regexp(t, `GET /z 200.*\n.*GET /z 404.*\n$`, out.all()[1])

		log.Info("ready")
		synctest.Wait()
		assert.Len(t, out.all(), 3, "nor a line about anything else")

		request(slog.LevelInfo, "GET /last 200")
		require.NoError(t, buffer.Flush())
		assert.Len(t, out.all(), 4)
		require.NoError(t, buffer.Flush())
		assert.Len(t, out.all(), 4, "there is nothing more")
	})
}

// stuckWriter takes nothing until it is released.
type stuckWriter struct {
	sink
	release chan struct{}
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	<-w.release
	return w.sink.Write(p)
}

// A reader that stops reading costs lines, which are counted, and whoever asks that all be written a second, once. When it
// reads again, what was held arrives in its order.
func TestLogBufferOfAReaderThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuckWriter{release: make(chan struct{})}
		buffer := NewLogBuffer(out)
		var lost int
		buffer.onLost(func(reason string, lines int) {
			assert.Equal(t, "queue-full", reason)
			lost += lines
		})
		const lines = 300
		start := time.Now()
		for i := range lines {
			_, err := fmt.Fprintf(buffer, "%-999d\n", i)
			require.NoError(t, err)
			synctest.Wait()
		}
		assert.Zero(t, time.Since(start), "no line waits")
		kept := (logBufferBegin+999)/1000 + logBufferBytes/1000 // being written, and held
		assert.Equal(t, lines-kept, lost)
		const urgent = logBufferReserve / 1000
		for i := range urgent {
			_, err := fmt.Fprintf(urgentLines{buffer}, "%-999d\n", lines+i)
			require.NoError(t, err)
		}
		assert.Equal(t, lines-kept, lost, "urgent lines have a reserve")
		require.NoError(t, buffer.Flush())
		require.NoError(t, buffer.Flush())
		assert.Equal(t, logPatience, time.Since(start), "one second in all")

		close(out.release)
		synctest.Wait()
		_, err := fmt.Fprintf(buffer, "%-999d\n", lines+urgent)
		require.NoError(t, err)
		require.NoError(t, buffer.Flush())
		var got []int
		for line := range strings.Lines(strings.Join(out.all(), "")) {
			n, err := strconv.Atoi(strings.TrimSpace(line))
			require.NoError(t, err)
			got = append(got, n)
		}
		assert.Len(t, got, kept+urgent+1)
		assert.IsIncreasing(t, got)

		_, err = buffer.Write(make([]byte, 3*logBufferBytes))
		require.NoError(t, err)
		require.NoError(t, buffer.Flush())
		require.NoError(t, buffer.Flush())
		synctest.Wait()
		assert.Equal(t, []int{logBufferBytes, logBufferBytes}, []int{cap(buffer.held), cap(buffer.spare)}, "a long line leaves no memory behind")
		assert.Equal(t, lines-kept, lost)
	})
}

// Whatever the reader of the log does, no request waits for it, nor any line below WARN; a warning of the server's own
// waits for a second at most.
func TestWhoWaitsForTheLog(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		t.Run(level.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &stuckWriter{release: make(chan struct{})}
				log := NewLogger(NewLogBuffer(out), LogOptions{})
				start := time.Now()
				for range 1000 {
					log.Handler().(*logHandler).request(trace.SpanContext{}, time.Now(), level, strings.Repeat("x", 999), &requestInfo{})
				}
				assert.Zero(t, time.Since(start), "requests")
				log.Log(t.Context(), level, "about the server", "text", strings.Repeat("x", 999))
				patience := time.Duration(0)
				if level >= slog.LevelWarn {
					patience = logPatience
				}
				assert.Equal(t, patience, time.Since(start), "the server's own line")
				close(out.release)
				synctest.Wait()
				// Errors of requests have used the reserve up too.
				assert.Equal(t, level == slog.LevelWarn, strings.Contains(strings.Join(out.all(), ""), "about the server"), "a warning is lost last")
			})
		})
	}
}

// flakyWriter fails as often as it is told to.
type flakyWriter struct{ fail bool }

func (w *flakyWriter) Write(p []byte) (int, error) {
	if w.fail {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestLostLinesAreCounted(t *testing.T) {
	out := &flakyWriter{fail: true}
	buffer := NewLogBuffer(out)
	f := newFixture(t, false, func(o *Options) { o.LogBuffer = buffer })
	for range 3 {
		_, err := buffer.Write([]byte("{}\n"))
		require.NoError(t, err)
	}
	require.ErrorIs(t, buffer.Flush(), io.ErrShortWrite)
	out.fail = false
	_, err := buffer.Write([]byte("{}\n"))
	require.NoError(t, err)
	require.NoError(t, buffer.Flush(), "a fault that has passed is forgotten")
	_, body := f.scrape(t, "text/plain")
	assert.Contains(t, body, `tepal_telemetry_dropped_total{reason="write-failed",signal="logs"} 3`)
}
