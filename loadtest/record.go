package loadtest

import "time"

// maxBins bounds the plots and the memory of a run of any length: when there
// would be more, each two neighbours become one of twice the width.
const maxBins = 300

// tally is what came of a stretch of time, a stage or a bin of the plots.
// Requests belong to the one in which they were due, right answers to the one
// in which they arrived.
type tally struct {
	start, length time.Duration
	right         uint64
	failures      map[string]uint64
	// latency is of all requests, and counts from when each was due; sent counts
	// from when it was really sent, which is what one would report without the
	// correction.
	latency, sent histogram
}

func (t *tally) merge(o *tally) {
	t.length += o.length
	t.right += o.right
	t.latency.merge(&o.latency)
	t.sent.merge(&o.sent)
	for kind, n := range o.failures {
		t.fail(kind, n)
	}
}

func (t *tally) fail(kind string, n uint64) {
	if t.failures == nil {
		t.failures = make(map[string]uint64)
	}
	t.failures[kind] += n
}

// phase is a stage that has begun.
type phase struct {
	Stage
	tally
}

// sample is a request and what came of it. Times count from the run's start.
type sample struct {
	phase *phase
	due   time.Duration
	// done is when the answer, or the failure, was there; sent is how long that
	// took from when the request was really sent.
	done, sent time.Duration
	// failure is its kind; "" for a right answer.
	failure string
}

// recorder sorts samples into phases and bins. One goroutine uses it.
type recorder struct {
	phases []*phase
	width  time.Duration
	bins   []*tally
	// recent is what was recorded since progress was told.
	recent tally
	errors uint64
}

func (r *recorder) bin(at time.Duration) *tally {
	for ; at/r.width >= maxBins; r.width *= 2 {
		for i, b := range r.bins {
			if i%2 == 0 {
				r.bins[i/2] = b
			} else {
				r.bins[i/2].merge(b)
			}
		}
		r.bins = r.bins[:(len(r.bins)+1)/2]
	}
	for int(at/r.width) >= len(r.bins) {
		r.bins = append(r.bins, &tally{})
	}
	return r.bins[at/r.width]
}

func (r *recorder) add(s sample) {
	if s.failure == "" {
		r.bin(s.done).right++
		r.recent.right++
		for _, p := range r.phases {
			if p.start <= s.done && s.done < p.start+p.length {
				p.right++
			}
		}
	} else {
		r.errors++
	}
	for _, t := range []*tally{r.bin(s.due), &s.phase.tally, &r.recent} {
		t.latency.add(s.done - s.due)
		t.sent.add(s.sent)
		if s.failure != "" {
			t.fail(s.failure, 1)
		}
	}
}

// points are the bins with their places. The end of the load cuts the last one
// off; when little is left of it, it belongs to the one before.
func (r *recorder) points() []*tally {
	last := r.phases[len(r.phases)-1]
	end, bins := last.start+last.length, r.bins
	if n := len(bins) - 1; n > 0 {
		if rest := end - time.Duration(n)*r.width; rest >= 0 && rest < r.width/10 {
			bins[n-1].merge(bins[n])
			bins = bins[:n]
		}
	}
	for i, b := range bins {
		if b.start, b.length = time.Duration(i)*r.width, r.width; i == len(bins)-1 && b.start < end {
			b.length = min(r.width, end-b.start)
		}
	}
	return bins
}
