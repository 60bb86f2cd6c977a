package loadtest

import (
	"math"
	"math/bits"
	"time"
)

// histogram counts latencies in buckets whose width grows with the value, as
// an HDR histogram's does: 64 for each doubling, so that no percentile is off
// by more than a 64th, and a few kilobytes hold any number of latencies.
type histogram struct {
	// counts is as long as the greatest latency asks for.
	counts []uint64
	n      uint64
	sum    time.Duration
	max    time.Duration
}

// Values are microseconds. Below 2<<subBits each has its own bucket.
const subBits = 6

func bucket(d time.Duration) int {
	v := uint64(max(0, d.Microseconds()))
	shift := max(0, bits.Len64(v)-subBits-1)
	return shift<<subBits + int(v>>shift)
}

// edge is the least latency of bucket i.
func edge(i int) time.Duration {
	shift := max(0, i>>subBits-1)
	return time.Duration(i-shift<<subBits) << shift * time.Microsecond
}

func (h *histogram) grow(n int) {
	h.counts = append(h.counts, make([]uint64, max(0, n-len(h.counts)))...)
}

func (h *histogram) add(d time.Duration) {
	i := bucket(d)
	h.grow(i + 1)
	h.counts[i]++
	h.n++
	h.sum += d
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	h.grow(len(o.counts))
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.n += o.n
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// quantile returns the latency that a share q of all do not exceed, rounded up
// to its bucket's upper edge; 0 when there are none.
func (h *histogram) quantile(q float64) Seconds {
	rank := uint64(math.Ceil(q * float64(h.n)))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return Seconds{min(edge(i+1), h.max)}
		}
	}
	return Seconds{}
}
