// Package loadtest asks a server for predictions at a given rate, judges the
// answers, and reports how long they took. The loop is open: requests are sent
// when they are due, whether or not earlier ones were answered, as the many
// independent callers of a real service do.
//
// It is the only package that knows vegeta, which sends the requests. vegeta's
// latencies begin when a request is sent, so that those that a slow server
// keeps waiting in the generator would look fast; here each begins when the
// request was due.
package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Options are what to ask of whom. Their tags make them the flags of
// cmd/loadtest, and are what tells of them.
type Options struct {
	Target string        `group:"Target:" default:"http://localhost:8000" help:"Address of the server."`
	Model  string        `group:"Target:" placeholder:"NAME" help:"The target's model to ask; the only one when left out."`
	Wait   time.Duration `group:"Target:" default:"30s" help:"How long to wait for the target to be ready."`

	Rate        Rate          `group:"Load:" xor:"load" placeholder:"RATE" help:"Requests a second; 100 when left out."`
	Stages      Stages        `group:"Load:" xor:"load" placeholder:"RATE/s:TIME,…" help:"Rates one after the other, in place of --rate and --duration."`
	Steps       *Steps        `group:"Load:" xor:"load" placeholder:"FROM,xFACTOR" help:"Raise the rate step by step, each as long as --duration, until a gate breaks or less than 95% of the rate is answered; also FROM,+INCREMENT. The last rate that was held is the knee."`
	Ramp        time.Duration `group:"Load:" default:"0s" help:"Rise from 0 to the first rate over this time, which no gate judges."`
	Duration    time.Duration `group:"Load:" default:"30s" help:"How long to ask at --rate, or at each step."`
	Connections int           `group:"Load:" default:"256" help:"Most requests under way at once; those that find none free start late, and that counts."`
	Timeout     time.Duration `group:"Load:" default:"10s" help:"How long a request may take from when it is sent."`
	Replay      string        `group:"Load:" placeholder:"FILE" help:"Instances to send: JSON Lines, or the log of tepal serve --log-payloads. Without it they are drawn from the model's schema."`
	Seed        uint64        `group:"Load:" default:"1" help:"Seed of what is drawn."`

	Gates Gates `embed:""`

	// Progress is told once a second how the run goes; it may be nil.
	Progress func(Progress) `kong:"-"`
	// Replicas is asked every five seconds for the state of an autoscaler; it may be nil.
	Replicas func(context.Context) (Replicas, error) `kong:"-"`
	// Transport carries the requests; nil for HTTP.
	Transport http.RoundTripper `kong:"-"`
}

// stages are the load; with Steps only what leads to it.
func (o *Options) stages() []Stage {
	rate, list := float64(cmp.Or(o.Rate, 100)), []Stage(o.Stages)
	switch {
	case o.Steps != nil:
		rate = o.Steps.From
	case list != nil:
		rate = list[0].From
	default:
		list = constant(rate, o.Duration)
	}
	if o.Ramp > 0 {
		list = slices.Insert(slices.Clone(list), 0, Stage{To: rate, Duration: o.Ramp, Ramp: true})
	}
	return list
}

// Run waits for the target, loads it, and reports. When the context ends, the
// report is of what was sent until then. An error means that there is no report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Transport == nil {
		own := &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableCompression: true,
			MaxConnsPerHost: o.Connections, MaxIdleConnsPerHost: o.Connections, IdleConnTimeout: time.Minute,
		}
		defer own.CloseIdleConnections()
		o.Transport = own
	}
	r := &runner{Options: o, recorder: recorder{width: time.Second}, client: &http.Client{
		Transport: o.Transport, Timeout: o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if err := r.prepare(ctx, strings.TrimRight(o.Target, "/")); err != nil {
		return nil, err
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	r.ticks, r.start = second.C, time.Now()
	var watching sync.WaitGroup
	watched, stop := context.WithCancel(ctx)
	if o.Replicas != nil {
		watching.Go(func() { r.watch(watched) })
	}
	err := r.load(ctx)
	stop()
	watching.Wait()
	if err != nil {
		return nil, err
	}
	return r.report(isOver(ctx)), nil
}

// runner is a run under way.
type runner struct {
	Options
	recorder
	client   *http.Client
	model    *description
	protocol Protocol
	targets  []vegeta.Target
	next     atomic.Uint64
	start    time.Time
	ticks    <-chan time.Time
	told     time.Duration
	// replicas and trouble are what was seen of the autoscaler; one goroutine
	// writes them, and ends before they are read.
	replicas []Replicas
	trouble  string
	// held is the last step that passed its gates, verdicts are those on the last.
	held     *Summary
	verdicts []Verdict
}

// prepare waits for the target and makes the requests.
func (r *runner) prepare(ctx context.Context, base string) (err error) {
	if err := awaitReady(ctx, r.client, base, r.Wait); err != nil {
		return err
	}
	if r.model, err = describe(ctx, r.client, base, r.Model); err != nil {
		return err
	}
	r.protocol = newREST(base, r.model)
	var instances [][]byte
	if r.Replay == "" {
		instances, err = r.model.draw(r.Seed)
	} else {
		instances, err = r.model.replayFile(r.Replay)
	}
	for _, instance := range instances {
		r.targets = append(r.targets, r.protocol.Target(instance))
	}
	return err
}

// maxSteps ends a search for the knee that finds none.
const maxSteps = 100

// load runs the stages, and then raises the rate step by step until one breaks
// a gate.
func (r *runner) load(ctx context.Context) error {
	if stages := r.stages(); len(stages) > 0 {
		if err := r.attack(ctx, stages); err != nil {
			return err
		}
	}
	if r.Steps == nil {
		return nil
	}
	for rate := r.Steps.From; rate <= maxRate && len(r.phases) < maxSteps; rate = rate*r.Steps.Factor + r.Steps.Increment {
		if err := r.attack(ctx, constant(rate, r.Duration)); err != nil {
			return err
		}
		if isOver(ctx) {
			break // a step cut short shows nothing
		}
		last := r.phases[len(r.phases)-1]
		step := last.summary(last.name())
		if r.verdicts = r.Gates.ofStep().judge(step); len(broken(r.verdicts)) > 0 {
			break
		}
		r.held = &step
	}
	return nil
}

func isOver(ctx context.Context) bool { return ctx.Err() != nil }

// attack sends what the stages ask for, and records each request.
func (r *runner) attack(ctx context.Context, stages []Stage) error {
	first, end := len(r.phases), time.Since(r.start)
	for _, s := range stages {
		r.phases = append(r.phases, &phase{s, tally{start: end, length: s.Duration}})
		end += s.Duration
	}
	plan := schedule{phases: r.phases[first:]}
	p := &pacer{schedule: plan, start: r.start, until: end + grace, done: ctx.Done(), timer: time.NewTimer(0), slots: make(map[uint64]slot)}
	if _, _, asks := plan.next(); !asks {
		return errors.New("the load asks for no request")
	}
	attacker := vegeta.NewAttacker(vegeta.Client(r.client), vegeta.MaxWorkers(uint64(r.Connections)))
	results := attacker.Attack(func(t *vegeta.Target) error {
		*t = r.targets[(r.next.Add(1)-1)%uint64(len(r.targets))]
		return nil
	}, p, 0, "")
	sent, until := 0, p.until
	for done := ctx.Done(); results != nil; {
		select {
		case result, ok := <-results:
			if !ok {
				results = nil
				break
			}
			sent++
			// The schedule, not the moment of sending, is where latency begins.
			due := p.take(result.Seq)
			r.add(sample{
				phase: due.phase, due: due.counts, done: max(due.counts, result.End().Sub(r.start)),
				sent: result.Latency, failure: verdict(r.protocol, result),
			})
		case <-r.ticks:
			r.tell()
		case <-done:
			attacker.Stop()
			done, until = nil, time.Since(r.start)
		}
	}
	r.settle(r.phases[first:], sent, until)
	return nil
}

// settle records the requests that were due and never sent, because all
// connections were busy until the end: leaving them out would hide the worst.
// What they waited until then is the least that they would have taken.
func (r *runner) settle(phases []*phase, sent int, until time.Duration) {
	plan := schedule{phases: phases}
	for range sent {
		plan.next()
	}
	for p, due, more := plan.next(); more && due <= until; p, due, more = plan.next() {
		r.add(sample{phase: p, due: due, done: until, failure: notSent})
	}
	for _, p := range phases {
		p.length = max(0, min(p.length, until-p.start))
	}
}

// Progress is how a run goes: what came since the last time it was told.
type Progress struct {
	Elapsed time.Duration
	// Asked is the rate aimed at now, Rate the right answers a second.
	Asked, Rate float64
	P50, P99    Seconds
	// Errors counts from the run's start.
	Errors uint64
}

func (p Progress) String() string {
	return fmt.Sprintf("%v  asked %s  right %s  p50 %v  p99 %v  errors %d", p.Elapsed.Round(time.Second),
		perSecond(p.Asked), perSecond(p.Rate), p.P50, p.P99, p.Errors)
}

// tell hands on the progress.
func (r *runner) tell() {
	now := time.Since(r.start)
	if r.Progress != nil {
		h := &r.recent.latency
		p := Progress{
			Elapsed: now, Rate: float64(r.recent.right) / (now - r.told).Seconds(), P50: h.quantile(0.5), P99: h.quantile(0.99), Errors: r.errors,
		}
		for _, phase := range r.phases {
			if phase.start <= now {
				p.Asked = phase.From + (phase.To-phase.From)*min(1, float64(now-phase.start)/float64(phase.Duration))
			}
		}
		r.Progress(p)
	}
	r.recent, r.told = tally{}, now
}
