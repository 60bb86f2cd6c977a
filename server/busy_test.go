package server

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// after lets the bubble's clock run on.
func after(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // The bubble's clock, not the machine's.
}

// The expectations are areas: slots held, times for how long.
func TestBusyClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBusyClock()
		total, average := c.read()
		assert.Zero(t, total)
		assert.Zero(t, average)

		c.change(1)
		after(2 * time.Second)
		c.change(1)
		after(3 * time.Second)
		total, average = c.read()
		assert.Equal(t, 8*time.Second, total, "one slot for 2 s, two for 3 s, and they are still held")
		assert.InDelta(t, 8.0/5, average, 1e-9, "over the 5 s there have been")

		c.change(-2)
		after(10 * time.Second)
		_, average = c.read()
		assert.InDelta(t, 8.0/15, average, 1e-9)
		after(3 * time.Second) // the window has lost the first 3 s: 2 of one slot, 1 of two
		_, average = c.read()
		assert.InDelta(t, 4.0/15, average, 1e-9)
		after(time.Hour)
		total, average = c.read()
		assert.Equal(t, 8*time.Second, total)
		assert.Zero(t, average, "what is long past does not count")
	})
}

// What happens between two notes may be put a step earlier or later in time, and is never lost.
func TestBusyClockOfManyShortRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBusyClock()
		for range 6000 { // a minute of 10 ms: one slot held for 4 ms of them
			c.change(1)
			after(4 * time.Millisecond)
			c.change(-1)
			after(6 * time.Millisecond)
		}
		total, average := c.read()
		assert.Equal(t, 24*time.Second, total)
		assert.InDelta(t, 0.4, average, 0.001)
		after(busyWindow)
		_, average = c.read()
		assert.InDelta(t, 0, average, 0.001)
	})
}

func TestAdmissionUtilization(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestAdmission(t, 4, 1, time.Second)
		for range 2 {
			_, err := a.acquire(t.Context(), caller{})
			assert.NoError(t, err)
		}
		after(10 * time.Second)
		a.release()
		total, average := a.busy.read()
		assert.Equal(t, 20*time.Second, total)
		assert.InDelta(t, 2, average, 1e-9)
		after(20 * time.Second)
		_, average = a.busy.read()
		assert.InDelta(t, 1, average, 1e-9, "the other slot is still held")
	})
}
