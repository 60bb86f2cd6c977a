package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/telemetry"
)

// newTestAdmission is an admission whose metrics nobody reads.
func newTestAdmission(t *testing.T, slots, queue int, timeout time.Duration) *admission {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Options{})
	require.NoError(t, err)
	return newAdmission(slots, queue, timeout, tel.Metrics())
}

// taken is what an acquire came to.
type taken struct {
	waited time.Duration
	err    error
}

func acquire(ctx context.Context, a *admission) <-chan taken {
	done := make(chan taken, 1)
	go func() {
		waited, err := a.acquire(ctx, caller{})
		done <- taken{waited, err}
	}()
	synctest.Wait()
	return done
}

func requireProblem(t *testing.T, err error, kind model.Kind, slug string) {
	t.Helper()
	var e *model.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, kind, e.Kind)
	require.Equal(t, slug, e.Type)
}

func TestAdmissionGivesSlotsAndThenPlacesInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestAdmission(t, 2, 1, time.Second)
		for range 2 {
			waited, err := a.acquire(t.Context(), caller{})
			require.NoError(t, err)
			require.Zero(t, waited)
		}
		require.NoError(t, a.offer(), "there is a place in the queue")
		first := acquire(t.Context(), a)
		requireProblem(t, a.offer(), model.KindOverloaded, "overloaded")
		_, err := a.acquire(t.Context(), caller{})
		requireProblem(t, err, model.KindOverloaded, "overloaded")

		time.Sleep(300 * time.Millisecond) //nolint:forbidigo // The bubble's clock, not the machine's.
		a.release()
		got := <-first
		require.NoError(t, got.err)
		assert.Equal(t, 300*time.Millisecond, got.waited)
		require.NoError(t, a.offer())
	})
}

func TestAdmissionWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestAdmission(t, 1, 1, time.Second)
		_, err := a.acquire(t.Context(), caller{})
		require.NoError(t, err)
		start := time.Now()
		waited, err := a.acquire(t.Context(), caller{})
		requireProblem(t, err, model.KindOverloaded, "queue-timeout")
		assert.Equal(t, time.Second, waited)
		assert.Equal(t, time.Second, time.Since(start))
		require.NoError(t, a.offer(), "its place is free again")
	})
}

func TestAdmissionForgetsCallersWhoHaveGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestAdmission(t, 1, 1, time.Minute)
		_, err := a.acquire(t.Context(), caller{})
		require.NoError(t, err)

		gone, cancel := context.WithCancel(t.Context())
		first := acquire(gone, a)
		cancel()
		requireProblem(t, (<-first).err, model.KindCanceled, "client-closed-request")

		late, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, err = a.acquire(late, caller{})
		requireProblem(t, err, model.KindDeadline, "deadline-exceeded")

		next := acquire(t.Context(), a)
		a.release()
		require.NoError(t, (<-next).err, "both gave their place up")
	})
}

func TestAdmissionWithoutQueue(t *testing.T) {
	a := newTestAdmission(t, 1, -1, time.Minute)
	require.NoError(t, a.offer())
	_, err := a.acquire(t.Context(), caller{})
	require.NoError(t, err)
	requireProblem(t, a.offer(), model.KindOverloaded, "overloaded")
	_, err = a.acquire(t.Context(), caller{})
	requireProblem(t, err, model.KindOverloaded, "overloaded")
}

// TestAdmissionRefusesWhoWouldWaitInVain: for how long slots are held bounds the
// queue, where that is shorter than it may be.
func TestAdmissionRefusesWhoWouldWaitInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots = 2
		a := newTestAdmission(t, slots, 1000, time.Second)
		take := func() {
			for range slots {
				_, err := a.acquire(t.Context(), caller{})
				require.NoError(t, err)
			}
		}
		giveBack := func() {
			for range slots {
				a.release()
			}
		}
		for _, test := range []struct {
			held time.Duration
			// places are those whose holders get a slot within the second, one more for each slot that is held already.
			places int
		}{
			{100 * time.Millisecond, 20}, {10 * time.Millisecond, 200}, {time.Minute, slots},
		} {
			for range 500 {
				take()
				time.Sleep(test.held) //nolint:forbidigo // The bubble's clock, not the machine's.
				giveBack()
			}
			take()
			gone, cancel := context.WithCancel(t.Context())
			var waiting []<-chan taken
			for a.offer() == nil {
				waiting = append(waiting, acquire(gone, a))
			}
			assert.InDelta(t, test.places, len(waiting), 1+float64(test.places)/20, test.held)
			_, err := a.acquire(t.Context(), caller{})
			requireProblem(t, err, model.KindOverloaded, "overloaded")
			cancel()
			for _, w := range waiting {
				requireProblem(t, (<-w).err, model.KindCanceled, "client-closed-request")
			}
			giveBack()
		}
	})
}
