package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// queue is the SDK's batch processor with its losses counted: the SDK drops spans without a word and keeps the number to
// itself. So a span is refused here before the SDK would have to drop it, and each span that OnEnd gets is, in the end,
// either exported or counted once.
type queue struct {
	sdktrace.SpanProcessor // the SDK's
	size                   int64

	// pending is how many spans wait or are being exported. Shutdown adds closed, which makes the queue full for ever.
	pending atomic.Int64
	closing sync.Once

	full, failed, shutdown prometheus.Counter
}

const closed = 1 << 62

// newQueue starts a queue for one exporter. It has room for the size in the settings, spans that are being exported included. When
// abandoned ends, so does an export that is still under way.
func newQueue(abandoned context.Context, exporter sdktrace.SpanExporter, s *settings, m *Metrics) *queue {
	q := &queue{
		size:     int64(s.queueSize),
		full:     m.dropped.WithLabelValues("traces", "queue-full"),
		failed:   m.dropped.WithLabelValues("traces", "export-failed"),
		shutdown: m.dropped.WithLabelValues("traces", "shutdown"),
	}
	q.SpanProcessor = sdktrace.NewBatchSpanProcessor(&queueExporter{exporter, q, abandoned}, s.batches...)
	return q
}

// OnEnd queues a span, or counts it as dropped. It never waits.
func (q *queue) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return // as the SDK does
	}
	for {
		n := q.pending.Load()
		switch {
		case n >= closed:
			q.shutdown.Inc()
		case n >= q.size:
			q.full.Inc()
		case q.pending.CompareAndSwap(n, n+1):
			q.SpanProcessor.OnEnd(span)
		default:
			continue // another span came in between
		}
		return
	}
}

// Shutdown exports what is queued. It returns when that is done or when ctx ends; what is left then is given up.
func (q *queue) Shutdown(ctx context.Context) error {
	err := plainly(q.SpanProcessor.Shutdown(ctx))
	q.closing.Do(func() {
		if left := q.pending.Add(closed) - closed; left > 0 {
			q.shutdown.Add(float64(left))
			err = errors.Join(err, fmt.Errorf("%d spans were given up", left))
		}
	})
	return err
}

// queueExporter is the exporter of a queue, as the SDK's batch processor sees it. Exports end when abandoned does: the
// batch processor would go on sending to a dead endpoint long after Shutdown has run out of time.
type queueExporter struct {
	sdktrace.SpanExporter
	queue     *queue
	abandoned context.Context
}

// ExportSpans exports a batch and counts what is lost.
func (e *queueExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(e.abandoned, cancel)
	defer stop()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if left := e.queue.pending.Add(-int64(len(spans))); left < closed { // else Shutdown has counted them
		e.queue.failed.Add(float64(lost(err, len(spans))))
	}
	return err
}

// lost tells how many of n items were lost by an export that ended with err. A collector may take some and reject the
// others; the OTLP exporters tell that by an error whose type is internal to them, so its text has to do.
func lost(err error, n int) int {
	if err == nil {
		return 0
	}
	if _, rest, ok := strings.Cut(err.Error(), "OTLP partial success: "); ok {
		var rejected int
		if i := strings.LastIndex(rest, " ("); i >= 0 {
			if _, err := fmt.Sscanf(rest[i:], " (%d ", &rejected); err == nil {
				return min(max(rejected, 0), n)
			}
		}
	}
	return n
}
