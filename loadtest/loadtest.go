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
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Options are what to ask of whom.
type Options struct {
	// Target is the address of the server, as in http://localhost:8000.
	Target string
	// Model is one of the target's; it may be empty when there is only one.
	Model string
	// Replay is a file of instances; when empty, they are drawn from the schema by Seed.
	Replay string
	Seed   uint64
	// Stages are the load. With Steps they are only what leads to it, and each
	// step takes StepDuration.
	Stages       []Stage
	Steps        *Steps
	StepDuration time.Duration
	// Connections bounds the requests that are under way at once.
	Connections int
	// Timeout bounds each request, Wait how long the target may take to be ready.
	Timeout, Wait time.Duration
	Gates         Gates
	// Progress is told once a second how the run goes; it may be nil.
	Progress func(Progress)
	// Replicas is asked every five seconds for the state of an autoscaler; it may be nil.
	Replicas func(context.Context) (Replicas, error)
	// Transport carries the requests; nil for HTTP.
	Transport http.RoundTripper
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
	if o.Replicas != nil {
		watching, stop := context.WithCancel(ctx)
		r.scaling = r.watch(watching)
		defer func() {
			stop()
			for range r.scaling { // until it has ended
			}
		}()
	}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	return r.report(isOver(ctx)), nil
}

// runner is a run under way.
type runner struct {
	Options
	recorder
	client   *http.Client
	model    *model
	protocol Protocol
	targets  []vegeta.Target
	next     atomic.Uint64
	start    time.Time
	ticks    <-chan time.Time
	told     time.Duration
	scaling  <-chan func()
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
		instances, err = r.replay()
	}
	for _, instance := range instances {
		r.targets = append(r.targets, r.protocol.Target(instance))
	}
	return err
}

func (r *runner) replay() ([][]byte, error) {
	file, err := os.Open(r.Replay)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	instances, err := r.model.replay(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Replay, err)
	}
	return instances, nil
}

// maxSteps ends a search for the knee that finds none.
const maxSteps = 100

// load runs the stages, and then raises the rate step by step until one breaks
// a gate.
func (r *runner) load(ctx context.Context) error {
	if len(r.Stages) > 0 {
		if err := r.attack(ctx, r.Stages); err != nil {
			return err
		}
	}
	if r.Steps == nil {
		return nil
	}
	for rate := r.Steps.From; rate <= maxRate && len(r.phases) < maxSteps; rate = rate*r.Steps.Factor + r.Steps.Increment {
		if err := r.attack(ctx, []Stage{{From: rate, To: rate, Duration: r.StepDuration}}); err != nil {
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
	plan, err := newSchedule(stages)
	if err != nil {
		return err
	}
	p := &pacer{schedule: plan, timer: time.NewTimer(0), done: ctx.Done(), counts: make(map[uint64]time.Duration)}
	first, offset, until := len(r.phases), time.Since(r.start), plan.end()+grace
	for i, s := range stages {
		r.phases = append(r.phases, &phase{s, tally{start: offset + plan.ends[i] - s.Duration, length: s.Duration}})
	}
	attacker := vegeta.NewAttacker(vegeta.Client(r.client), vegeta.MaxWorkers(uint64(r.Connections)))
	results := attacker.Attack(func(t *vegeta.Target) error {
		*t = r.targets[(r.next.Add(1)-1)%uint64(len(r.targets))]
		return nil
	}, p, 0, "")
	sent := uint64(0)
	for done := ctx.Done(); results != nil; {
		select {
		case result, ok := <-results:
			if !ok {
				results = nil
				break
			}
			sent++
			// The schedule, not the moment of sending, is where latency begins.
			stage, _ := plan.at(result.Seq)
			due := p.began.Sub(r.start) + p.start(result.Seq)
			r.add(sample{
				phase: r.phases[first+stage], due: due, done: max(due, result.End().Sub(r.start)),
				sent: result.Latency, failure: verdict(r.protocol, result),
			})
		case <-r.ticks:
			r.tell()
		case apply := <-r.scaling:
			apply()
		case <-done:
			attacker.Stop()
			done, until = nil, time.Since(r.start)-offset
		}
	}
	r.settle(plan, first, sent, until)
	return nil
}

// settle records the requests that were due and never sent, because all
// connections were busy until the end: leaving them out would hide the worst.
// What they waited until then is the least that they would have taken.
func (r *runner) settle(plan *schedule, first int, sent uint64, until time.Duration) {
	offset := r.phases[first].start
	for n := sent; n < plan.total; n++ {
		stage, due := plan.at(n)
		if due > until {
			break
		}
		r.add(sample{phase: r.phases[first+stage], due: offset + due, done: offset + until, failure: notSent})
	}
	for _, p := range r.phases[first:] {
		p.length = max(0, min(p.length, offset+until-p.start))
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
