package drift

import (
	"math"
	"time"
)

// panes is how many pieces the window has. Counts leave it a pane at a time, so it holds between 59/60 of its length
// and all of it.
const panes = 60

// window counts in cells over the last panes: constant memory, whatever is counted.
type window struct {
	start        time.Time
	length, pane time.Duration
	// current numbers the panes since start; its counts, and those of the panes before it, are in ring, which has a
	// row of cells for each pane. live is the sum of all of them.
	current int64
	ring    [][]uint32
	live    []uint64
}

func newWindow(length time.Duration, cells int) *window {
	w := &window{
		start: time.Now(), length: length, pane: length / panes,
		ring: make([][]uint32, panes), live: make([]uint64, cells),
	}
	for i := range w.ring {
		w.ring[i] = make([]uint32, cells)
	}
	return w
}

// advance moves the window to the present: panes that fall out of it are emptied.
func (w *window) advance() {
	now := int64(time.Since(w.start) / w.pane)
	for range min(now-w.current, panes) {
		w.current++
		pane := w.ring[w.current%panes]
		for cell, n := range pane {
			w.live[cell] -= uint64(n)
		}
		clear(pane)
	}
	w.current = now
}

// add counts one in a cell. A pane's count stops at its highest number: it must leave the window as it came in.
func (w *window) add(cell int) {
	n := &w.ring[w.current%panes][cell]
	if *n < math.MaxUint32 {
		*n++
		w.live[cell]++
	}
}
