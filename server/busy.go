package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// The window that utilisation is told of, and how often the way there is noted.
const (
	busyWindow = 15 * time.Second
	busyStep   = busyWindow / 15
	busyNotes  = 34 // two for each step of the window, and one on either side
	heldShare  = 16 // the part of the average that the last request has
)

// busyClock adds up the time that slots are held, as an integral over time, so that slots which are still held count for
// as long as they have been. It is safe for concurrent use.
type busyClock struct {
	// held is for how long a slot is held, in nanoseconds: the average of late.
	held atomic.Int64

	mu    sync.Mutex
	start time.Time
	inUse int
	now   busyNote
	// notes are earlier states, a ring that next writes to; all are the start at first.
	notes [busyNotes]busyNote
	next  int
	// ended is the integral when a slot was last given back.
	ended time.Duration
}

// busyNote is the state at one moment: the time since the start, and the slot-seconds that were held until then.
type busyNote struct {
	at   time.Duration
	busy time.Duration
}

func newBusyClock() *busyClock { return &busyClock{start: time.Now()} }

// change says that from now on more slots are held, or less.
func (c *busyClock) change(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	c.inUse += by
	if by < 0 {
		// Between two ends the integral grows by as much as a slot is held, on average.
		held := c.held.Load()
		c.held.Store(held + (int64(c.now.busy-c.ended)-held)/heldShare)
		c.ended = c.now.busy
	}
}

// advance brings the integral up to date. It notes the state once in a while, and before and after a time in which
// nothing changed, so that the way between two notes is straight but for a step.
func (c *busyClock) advance() {
	at := time.Since(c.start)
	if at-c.now.at >= busyStep {
		c.note()
	}
	c.now.busy += time.Duration(c.inUse) * (at - c.now.at)
	c.now.at = at
	if last := c.notes[(c.next+busyNotes-1)%busyNotes]; at-last.at >= busyStep {
		c.note()
	}
}

func (c *busyClock) note() {
	c.notes[c.next] = c.now
	c.next = (c.next + 1) % busyNotes
}

// read returns the slot-seconds since the start, and how many slots were held in the window on average.
func (c *busyClock) read() (total time.Duration, average float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	from := c.before(c.now.at - busyWindow)
	if c.now.at <= from.at {
		return c.now.busy, float64(c.inUse)
	}
	return c.now.busy, float64(c.now.busy-from.busy) / float64(c.now.at-from.at)
}

// before returns the state at the given time, in between two notes by a straight line.
func (c *busyClock) before(at time.Duration) busyNote {
	later := c.now
	for i := range busyNotes {
		note := c.notes[(c.next+2*busyNotes-1-i)%busyNotes]
		if note.at <= at {
			if later.at == note.at {
				return note
			}
			part := float64(at-note.at) / float64(later.at-note.at)
			return busyNote{at: at, busy: note.busy + time.Duration(part*float64(later.busy-note.busy))}
		}
		later = note
	}
	return later
}
