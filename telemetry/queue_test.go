package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// exporterFunc is a span exporter that is told batch by batch what to do.
type exporterFunc func(ctx context.Context, n int) error

func (f exporterFunc) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	return f(ctx, len(spans))
}
func (exporterFunc) Shutdown(context.Context) error { return nil }

// endedSpan is a span as a processor gets it.
func endedSpan(flags trace.TraceFlags) sdktrace.ReadOnlySpan {
	return tracetest.SpanStub{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: flags,
	})}.Snapshot()
}

// queueFixture is a queue whose losses can be read.
type queueFixture struct {
	*queue
	metrics *Metrics
	abandon context.CancelFunc
}

func newQueueFixture(t *testing.T, size int, export exporterFunc) queueFixture {
	t.Helper()
	clearOTel(t)
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
	abandoned, abandon := context.WithCancel(context.Background())
	t.Cleanup(abandon)
	m := newMetrics(prometheus.NewRegistry(), "", "")
	return queueFixture{newQueue(abandoned, export, &settings{queueSize: size, batches: []sdktrace.BatchSpanProcessorOption{sdktrace.WithMaxQueueSize(size)}}, m), m, abandon}
}

func (f queueFixture) end(n int) {
	span := endedSpan(trace.FlagsSampled)
	for range n {
		f.OnEnd(span)
	}
}

// losses returns the counts of spans lost to a full queue, to failed exports and to the shutdown.
func losses(m *Metrics) [3]int {
	return [3]int{
		int(testutil.ToFloat64(m.dropped.WithLabelValues("traces", "queue-full"))),
		int(testutil.ToFloat64(m.dropped.WithLabelValues("traces", "export-failed"))),
		int(testutil.ToFloat64(m.dropped.WithLabelValues("traces", "shutdown"))),
	}
}

func TestQueueFull(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	exported := 0
	f := newQueueFixture(t, 5, func(_ context.Context, n int) error {
		entered <- struct{}{}
		<-proceed
		exported += n
		return nil
	})
	f.OnEnd(endedSpan(0)) // not sampled: neither exported nor lost
	f.end(2)
	<-entered // with a batch of 2 the exporter hangs; 3 of 5 places are left
	f.end(10)
	assert.Equal(t, [3]int{7, 0, 0}, losses(f.metrics))
	span := endedSpan(trace.FlagsSampled)
	assert.Zero(t, testing.AllocsPerRun(100, func() { f.OnEnd(span) })) // and 101 more that find it full
	assert.Equal(t, [3]int{108, 0, 0}, losses(f.metrics))

	go func() {
		for range entered { // the batches after the first
		}
	}()
	close(proceed)
	require.NoError(t, f.Shutdown(t.Context()))
	close(entered)
	assert.Equal(t, 5, exported)
	assert.Equal(t, [3]int{108, 0, 0}, losses(f.metrics))
}

func TestQueueCountsFailedExports(t *testing.T) {
	f := newQueueFixture(t, 100, func(_ context.Context, n int) error {
		if n == 1 {
			return errors.New("OTLP partial success: no room (0 spans rejected)")
		}
		return errors.New("refused")
	})
	f.end(7)
	require.NoError(t, f.Shutdown(t.Context()))
	// Batches of 2, 2, 2 and 1. Nothing of the last was rejected.
	assert.Equal(t, [3]int{0, 6, 0}, losses(f.metrics))
	f.end(4)
	assert.Equal(t, [3]int{0, 6, 4}, losses(f.metrics), "after the shutdown")
	require.NoError(t, f.Shutdown(t.Context()))
	assert.Equal(t, [3]int{0, 6, 4}, losses(f.metrics), "a second shutdown changes nothing")
}

func TestQueueGivesUpWhenTheTimeIsOver(t *testing.T) {
	exports := make(chan error, 10)
	f := newQueueFixture(t, 100, func(ctx context.Context, _ int) error {
		<-ctx.Done()
		exports <- ctx.Err()
		return ctx.Err()
	})
	f.end(3)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := f.Shutdown(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "3 spans were given up")
	assert.Equal(t, [3]int{0, 0, 3}, losses(f.metrics))

	f.abandon()
	for range 2 { // batches of 2 and 1 end, and are not counted again
		require.ErrorIs(t, <-exports, context.Canceled)
	}
	assert.Equal(t, [3]int{0, 0, 3}, losses(f.metrics))
}

// Whatever happens at the same time, each span is exported or counted, once.
func TestQueueLosesNoCount(t *testing.T) {
	var ended, exported, calls atomic.Int64
	tenth := make(chan struct{})
	f := newQueueFixture(t, 16, func(_ context.Context, n int) error {
		call := calls.Add(1)
		if call == 10 {
			close(tenth)
		}
		if call%3 == 0 {
			return errors.New("refused")
		}
		exported.Add(int64(n))
		return nil
	})
	var ending sync.WaitGroup
	stopped := make(chan struct{})
	for range 8 {
		ending.Go(func() {
			for {
				f.end(100)
				ended.Add(100)
				select {
				case <-stopped:
					return
				default:
				}
			}
		})
	}
	<-tenth
	if err := f.Shutdown(t.Context()); err != nil { // while spans end
		require.ErrorContains(t, err, "spans were given up")
	}
	close(stopped)
	ending.Wait()
	lost := losses(f.metrics)
	assert.NotZero(t, exported.Load())
	assert.NotZero(t, lost[1])
	assert.Equal(t, ended.Load(), exported.Load()+int64(lost[0]+lost[1]+lost[2]), "exported %v, lost %v", exported.Load(), lost)
}

func TestLost(t *testing.T) {
	for _, tt := range []struct {
		err  error
		n    int
		want int
	}{
		{nil, 512, 0},
		{errors.New("connection refused"), 512, 512},
		{errors.New("OTLP partial success: empty message (3 spans rejected)"), 512, 3},
		{fmt.Errorf("traces export: %w", errors.New("OTLP partial success: 7 (of 9) are bad (7 spans rejected)")), 512, 7},
		{errors.New("OTLP partial success: too old (2 metric data points rejected)"), 1, 1},
		{errors.New("OTLP partial success: please upgrade (0 metric data points rejected)"), 1, 0},
		{errors.New("OTLP partial success: m (900 spans rejected)"), 512, 512},
		{errors.New("OTLP partial success: m (-5 spans rejected)"), 512, 0},
		{errors.New("OTLP partial success: in words of its own"), 512, 512},
		{errors.New("OTLP partial success: in words (of its own)"), 512, 512},
	} {
		assert.Equal(t, tt.want, lost(tt.err, tt.n), "%v", tt.err)
	}
}
