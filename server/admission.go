package server

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/telemetry"
)

// admission bounds the work under way: slots for requests that are decoded,
// predicted and encoded, and a short queue in front of them. A request whose
// body is still on its way holds neither. It is safe for concurrent use.
type admission struct {
	slots    chan struct{}
	busy     *busyClock
	waiting  atomic.Int64
	maxQueue int64
	timeout  time.Duration
	metrics  *telemetry.Metrics
}

func newAdmission(slots, queue int, timeout time.Duration, m *telemetry.Metrics) *admission {
	a := &admission{
		slots: make(chan struct{}, slots), busy: newBusyClock(), maxQueue: int64(max(queue, 0)), timeout: timeout, metrics: m,
	}
	m.SetAdmission(func() telemetry.AdmissionStats {
		total, average := a.busy.read()
		return telemetry.AdmissionStats{
			InUse: len(a.slots), Capacity: cap(a.slots),
			QueueDepth: int(a.waiting.Load()), QueueCapacity: int(a.maxQueue),
			BusySlotSeconds: total.Seconds(), Utilization: average / float64(cap(a.slots)),
		}
	})
	return a
}

// offer refuses a request for which there would be no place if its body were
// here. It takes nothing: it is there so that an overloaded server does not
// read bodies only to refuse them.
func (a *admission) offer() error {
	if len(a.slots) == cap(a.slots) && a.full(a.waiting.Load()) {
		return a.refuse()
	}
	return nil
}

// full reports whether there is no place behind those who wait: the queue is as
// long as it may be, or so long that whoever comes next would wait in vain, as
// long as slots are held of late. To wait for each slot once is always allowed.
func (a *admission) full(waiting int64) bool {
	slots := int64(cap(a.slots))
	return waiting >= a.maxQueue || waiting >= slots && waiting*a.busy.held.Load()/slots > int64(a.timeout)
}

func (a *admission) refuse() error {
	return a.shed(telemetry.ShedQueueFull, "overloaded", "the server is busy and its queue is full")
}

// acquire takes a slot, waiting for one in turn. Whoever gets one calls
// release; an error is a *model.Error of KindOverloaded, KindDeadline or
// KindCanceled. A caller who closes his side of the connection while he waits is
// asked whether he is there: ctx ends when he is not.
func (a *admission) acquire(ctx context.Context, from caller) (waited time.Duration, err error) {
	select {
	case a.slots <- struct{}{}:
		a.busy.change(1)
		a.metrics.Waited(0)
		return 0, nil
	default:
	}
	if waiting := a.waiting.Add(1); a.full(waiting - 1) {
		a.waiting.Add(-1)
		return 0, a.refuse()
	}
	defer a.waiting.Add(-1)
	start := time.Now()
	timer := time.NewTimer(a.timeout)
	defer timer.Stop()
	for closed := from.closed(); ; {
		select {
		case a.slots <- struct{}{}:
			a.busy.change(1)
			waited = time.Since(start)
			a.metrics.Waited(waited)
			return waited, nil
		case <-closed:
			from.probe()
			closed = nil
		case <-timer.C:
			return time.Since(start), a.shed(telemetry.ShedQueueTimeout, "queue-timeout", fmt.Sprintf("the server was busy for %v", a.timeout))
		case <-ctx.Done():
			return time.Since(start), a.gone(ctx)
		}
	}
}

// gone counts a request whose context ended while it waited.
func (a *admission) gone(ctx context.Context) error {
	err := model.ContextError(ctx)
	if model.KindOf(err) == model.KindDeadline {
		a.metrics.Shed(telemetry.ShedDeadline)
	} else {
		a.metrics.Shed(telemetry.ShedClientClosed)
	}
	return err
}

// release gives a slot back.
func (a *admission) release() {
	a.busy.change(-1)
	<-a.slots
}

func (a *admission) shed(reason telemetry.ShedReason, slug, detail string) error {
	a.metrics.Shed(reason)
	return &model.Error{Kind: model.KindOverloaded, Type: slug, Detail: detail}
}
