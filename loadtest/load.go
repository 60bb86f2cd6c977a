package loadtest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Stage is a stretch of time in which the rate goes evenly from one value to
// another, in requests a second.
type Stage struct {
	From, To float64
	Duration time.Duration
	// Ramp marks a stage that leads to the load: it is shown, and judged by no gate.
	Ramp bool
}

func (s Stage) name() string {
	if s.Ramp {
		return "ramp to " + perSecond(s.To)
	}
	return perSecond(s.To)
}

// after returns how long after its start the stage has asked for n requests:
// the root of From·t + slope·t²/2 = n.
func (s Stage) after(n float64) time.Duration {
	if n <= 0 {
		return 0
	}
	slope := (s.To - s.From) / s.Duration.Seconds()
	return time.Duration(2 * n / (s.From + math.Sqrt(math.Max(0, s.From*s.From+2*slope*n))) * float64(time.Second))
}

func constant(rate float64, d time.Duration) []Stage {
	return []Stage{{From: rate, To: rate, Duration: d}}
}

// Stages are a load given stage by stage.
type Stages []Stage

// UnmarshalText reads RATE/s:TIME, with commas between stages.
func (l *Stages) UnmarshalText(text []byte) error {
	for part := range strings.SplitSeq(string(text), ",") {
		rate, length, _ := strings.Cut(part, ":")
		r, err := parseRate(rate)
		d, fault := time.ParseDuration(length)
		if err != nil || fault != nil || d <= 0 {
			return fmt.Errorf("%q is no RATE/s:TIME, such as 100/s:30s", part)
		}
		*l = append(*l, constant(r, d)...)
	}
	return nil
}

// Steps is a search for the knee: a stage for each rate, each higher than the
// one before, until one cannot be held.
type Steps struct{ From, Factor, Increment float64 }

// UnmarshalText reads FROM,xFACTOR or FROM,+INCREMENT.
func (s *Steps) UnmarshalText(text []byte) error {
	from, step, _ := strings.Cut(string(text), ",")
	rate, err := parseRate(from)
	by, fault := strconv.ParseFloat(strings.TrimLeft(step, "x+"), 64)
	switch {
	case err == nil && fault == nil && strings.HasPrefix(step, "x") && by > 1 && by <= 100:
		*s = Steps{From: rate, Factor: by}
	case err == nil && fault == nil && strings.HasPrefix(step, "+") && by > 0 && by <= maxRate:
		*s = Steps{From: rate, Factor: 1, Increment: by}
	default:
		return fmt.Errorf("%q is no FROM,xFACTOR or FROM,+INCREMENT, such as 100,x1.5", text)
	}
	return nil
}

// Rate is a number of requests a second.
type Rate float64

// UnmarshalText reads a number, with or without /s behind it.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*(*float64)(r), err = parseRate(string(text))
	return err
}

// maxRate is far beyond what one generator sends; it keeps the arithmetic sane.
const maxRate = 1e7

func parseRate(text string) (float64, error) {
	rate, err := strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64)
	if err != nil || !(rate >= 0.01 && rate <= maxRate) {
		return 0, fmt.Errorf("%q is no rate from 0.01 to 10 million requests a second, such as 100/s", text)
	}
	return rate, nil
}

// requests is how many the stage asks for.
func (s Stage) requests() float64 { return (s.From + s.To) / 2 * s.Duration.Seconds() }

// schedule hands out, one by one, when the requests of an attack are due. It is
// what makes the loop open: no answer, however late, moves a later request.
type schedule struct {
	phases []*phase // those that ask for more
	// n is how many were handed out, before how many of them by earlier phases.
	n, before float64
}

// next returns when the next request is due, and the phase that asks for it.
func (s *schedule) next() (p *phase, due time.Duration, more bool) {
	for ; len(s.phases) > 0; s.phases = s.phases[1:] {
		p = s.phases[0]
		end := s.before + p.requests()
		// A rounding error must not ask for one more request at the very end.
		if s.n < end-1e-6 {
			due = p.start + p.after(s.n-s.before)
			s.n++
			return p, due, true
		}
		s.before = end
	}
	return nil, 0, false
}

const (
	// grace is how long after the end a request that is late is still sent.
	grace = time.Second
	// timerSlack is how late a timer may fire; more than that is counted.
	timerSlack = 2 * time.Millisecond
)

// slot is a request's place in the load.
type slot struct {
	phase *phase
	// counts is from when its latency counts. That is when it was due. The
	// fraction of a millisecond by which the timer of this process fires late is
	// not the server's, so a request that is late for no other reason counts from
	// the moment when the timer fired; one that found all connections busy counts
	// from when it was due.
	counts time.Duration
}

// pacer hands the schedule to vegeta, and notes what vegeta keeps to itself: the
// slot of each request. Its times are those of the run, which began at start.
type pacer struct {
	schedule
	start time.Time
	// until is the latest that a request is sent.
	until time.Duration
	done  <-chan struct{}
	timer *time.Timer
	woke  time.Duration
	// slots are those of the requests under way, by their number.
	mu    sync.Mutex
	slots map[uint64]slot
}

// Pace implements vegeta.Pacer. It waits itself, to see when the timer fired.
func (p *pacer) Pace(_ time.Duration, number uint64) (wait time.Duration, stop bool) {
	phase, due, more := p.next()
	now := time.Since(p.start)
	if !more || now > p.until {
		return 0, true
	}
	if due > now {
		p.timer.Reset(due - now)
		select {
		case <-p.timer.C:
		case <-p.done:
			return 0, true
		}
		if woke := time.Since(p.start); woke-due <= timerSlack {
			p.woke = woke
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots[number] = slot{phase, max(due, p.woke)}
	return 0, false
}

// Rate implements vegeta.Pacer; an attack does not ask for it.
func (p *pacer) Rate(time.Duration) float64 { return 0 }

// take returns the slot of a request, once.
func (p *pacer) take(number uint64) slot {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer delete(p.slots, number)
	return p.slots[number]
}
