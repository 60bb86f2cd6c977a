package loadtest

import (
	"errors"
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
		*l = append(*l, Stage{From: r, To: r, Duration: d})
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

// schedule says when each request of an attack is meant to be sent. It is what
// makes the loop open: no answer, however late, moves a later request.
type schedule struct {
	stages []Stage
	// ends are the stages' ends, in time and in requests.
	ends  []time.Duration
	sums  []float64
	total uint64
}

func newSchedule(stages []Stage) (*schedule, error) {
	s := &schedule{stages: stages}
	var end time.Duration
	var sum float64
	for _, stage := range stages {
		end += stage.Duration
		sum += (stage.From + stage.To) / 2 * stage.Duration.Seconds()
		s.ends, s.sums = append(s.ends, end), append(s.sums, sum)
	}
	// A rounding error must not ask for one more request at the very end.
	if s.total = uint64(math.Ceil(sum - 1e-6)); s.total == 0 {
		return nil, errors.New("the load asks for no request")
	}
	return s, nil
}

func (s *schedule) end() time.Duration { return s.ends[len(s.ends)-1] }

// at returns the stage of the n-th request, counted from 0, and when it is due
// after the start of the attack.
func (s *schedule) at(n uint64) (int, time.Duration) {
	i, sum, start := 0, 0.0, time.Duration(0)
	// The tolerance is that of total: request 500 opens the second stage after 500.
	for ; i < len(s.stages)-1 && float64(n) >= s.sums[i]-1e-6; i++ {
		sum, start = s.sums[i], s.ends[i]
	}
	return i, start + s.stages[i].after(float64(n)-sum)
}

const (
	// grace is how long after the end a request that is late is still sent.
	grace = time.Second
	// timerSlack is how late a timer may fire; more than that is counted.
	timerSlack = 2 * time.Millisecond
)

// pacer hands the schedule to vegeta, and notes what vegeta keeps to itself:
// when the attack began, and from when the latency of each request counts.
// That is when it was due. The fraction of a millisecond by which the timer of
// this process fires late is not the server's, so a request that is late for
// no other reason counts from the moment when the timer fired; one that found
// all connections busy counts from when it was due.
type pacer struct {
	*schedule
	timer *time.Timer
	done  <-chan struct{}
	began time.Time
	woke  time.Duration
	// counts are the starts of the requests under way, by their number.
	mu     sync.Mutex
	counts map[uint64]time.Duration
}

// Pace implements vegeta.Pacer. It waits itself, to see when the timer fired.
func (p *pacer) Pace(elapsed time.Duration, hits uint64) (time.Duration, bool) {
	if p.began.IsZero() {
		p.began = time.Now().Add(-elapsed)
	}
	if hits >= p.total || elapsed > p.end()+grace {
		return 0, true
	}
	_, due := p.at(hits)
	if due > elapsed {
		p.timer.Reset(due - elapsed)
		select {
		case <-p.timer.C:
		case <-p.done:
			return 0, true
		}
		if woke := time.Since(p.began); woke-due <= timerSlack {
			p.woke = woke
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[hits] = max(due, p.woke)
	return 0, false
}

// start returns from when the latency of a request counts, once.
func (p *pacer) start(n uint64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer delete(p.counts, n)
	return p.counts[n]
}

// Rate implements vegeta.Pacer; an attack does not ask for it.
func (p *pacer) Rate(time.Duration) float64 { return 0 }
