// Package drift tells whether what a model is asked, and what it answers, is still distributed as in training: for each
// feature and for the output it compares a sliding window of live values with the histogram that the artifact carries,
// by the population stability index.
//
// It exists to keep that off the request's path and its memory constant. [Monitor.Observe] only copies numbers into a
// bounded buffer; they are sorted into bins later, by [Monitor.Run] or by whoever reads the result. docs/drift.md
// has the formula and how to read it.
package drift

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tepalhq/tepal/model"
)

// foldInterval is how long rows wait in the buffer at most while Run runs. It only decides which pane of the window
// they count in, and a pane of the shortest window takes as long.
const foldInterval = time.Second

// MinWindow is the shortest window that there is a use for.
const MinWindow = panes * foldInterval

// Monitor watches one model. Its methods may be called concurrently. It is a collector of Prometheus metrics.
type Monitor struct {
	model   *model.Model
	buffer  *buffer
	dropped func(rows int)
	descs   descs

	mu     sync.Mutex
	window *window
	// tracks are those of the features in their order, and then that of the output, if there is one to watch.
	tracks []*track
}

// New returns a monitor of the model over the last window, which is at least MinWindow. Rows for which there is no room
// because they are not folded quickly enough are reported to dropped; it must be quick and safe for concurrent use.
func New(m *model.Model, window time.Duration, dropped func(rows int)) *Monitor {
	d := &Monitor{model: m, dropped: dropped, descs: newDescs(m)}
	for i := range m.Schema.Features {
		d.tracks = append(d.tracks, featureTrack(&m.Schema.Features[i]))
	}
	if output := outputTrack(m); output != nil {
		d.tracks = append(d.tracks, output)
	}
	cells := 0
	for _, t := range d.tracks {
		t.at = cells
		cells += t.cells()
	}
	d.window = newWindow(window, cells)
	d.buffer = newBuffer(len(d.tracks))
	return d
}

// Model returns the model that is watched.
func (d *Monitor) Model() *model.Model { return d.model }

// Observe takes in a batch of the model and the answers to it. It never waits, and keeps neither of the two.
func (d *Monitor) Observe(b *model.Batch, p *model.Predictions) {
	for done := 0; done < p.Rows; {
		k := d.buffer.acquire()
		if k == nil {
			d.dropped(p.Rows - done)
			return
		}
		done += d.fill(k, b, p, done)
		d.buffer.release(k)
	}
}

// fill copies rows into the block, from the given one on and as many as it has room for, and returns their number.
func (d *Monitor) fill(k *block, b *model.Batch, p *model.Predictions, from int) int {
	width := d.buffer.width
	n := min(d.buffer.rows-k.rows, p.Rows-from)
	free := k.values[k.rows*width:]
	features := d.model.Schema.Features
	for i := range features {
		f := &features[i]
		columns := d.model.Schema.Inputs[f.Input].Columns
		copyColumn(free[i:], width, &b.Inputs[f.Input], from*columns+f.Column, columns, n)
	}
	switch {
	case len(d.tracks) == len(features):
	case d.tracks[len(features)].labels == nil:
		copyColumn(free[len(features):], width, p.Value(), from, 1, n)
	default:
		for i := range n {
			class := float64(p.Class(from + i))
			if class < 0 {
				class = math.NaN()
			}
			free[i*width+len(features)] = class
		}
	}
	k.rows += n
	return n
}

// copyColumn copies n values of the tensor, step apart from the first on, to places that are width apart. A text has no
// place on a scale and is 0, which counts as a value; none is missing.
func copyColumn(to []float64, width int, t *model.Tensor, first, step, n int) {
	switch t.Type {
	case model.Float32:
		copyNumbers(to, width, t.Float32s[first:], step, n)
	case model.Float64:
		copyNumbers(to, width, t.Float64s[first:], step, n)
	case model.Int32:
		copyNumbers(to, width, t.Int32s[first:], step, n)
	case model.Int64:
		copyNumbers(to, width, t.Int64s[first:], step, n)
	default:
		for i := range n {
			to[i*width] = 0
			if t.Type == model.Bool && t.Bools[first+i*step] {
				to[i*width] = 1
			}
		}
	}
}

func copyNumbers[N float32 | float64 | int32 | int64](to []float64, width int, from []N, step, n int) {
	for i := range n {
		to[i*width] = float64(from[i*step])
	}
}

// Run sorts what was observed into bins, until ctx ends. Without it that happens only when the result is read.
func (d *Monitor) Run(ctx context.Context) {
	ticker := time.NewTicker(foldInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-d.buffer.wake:
		}
		d.mu.Lock()
		d.fold()
		d.mu.Unlock()
	}
}

// fold moves the window to the present and counts into it what was observed. The caller holds the lock; then whatever
// an Observe has taken in that has returned is counted.
func (d *Monitor) fold() {
	d.window.advance()
	d.buffer.drain(func(values []float64) {
		for i, t := range d.tracks {
			for at := i; at < len(values); at += len(d.tracks) {
				t.count(d.window, values[at])
			}
		}
	})
}

var _ prometheus.Collector = (*Monitor)(nil)
