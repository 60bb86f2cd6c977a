//go:build linux

// Command bench measures servers side by side: Tepal, with each layer of its telemetry and without; a bare handler; the
// usual service in Python; and Tepal with other models, batches, processors and paces of its garbage collector. It exists
// because such numbers depend on the machine and the hour, so they are only worth something when they were measured
// together, and when everybody can measure them again. docs/performance.md has the results and says what they mean.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/tepalhq/tepal/model/repository"
)

// cli is the command line. The first command starts the second.
type cli struct {
	Compare compareCmd `cmd:"" default:"withargs" help:"Measure the variants of a suite in alternated rounds, and print tables in Markdown."`
	Child   childCmd   `cmd:"" hidden:""`
}

type compareCmd struct {
	Suite    string        `arg:"" enum:"telemetry,peers,scale,gc" help:"What to measure: telemetry, peers, scale or gc."`
	Rounds   int           `default:"5" help:"Rounds; each measures every variant once, beginning with another one."`
	Duration time.Duration `default:"2s" help:"How long each measurement takes, after a quarter of it to warm up."`
	Variants []string      `placeholder:"NAME,…" help:"Measure these alone, and the first, which the others are compared with; --write does nothing then."`
	Commit   string        `default:"unknown" help:"What is measured, for the report."`
	Write    string        `placeholder:"FILE" help:"Also put the report between its markers in this file, and its plots beside it."`
}

// Run measures, and prints the report.
func (c *compareCmd) Run(ctx context.Context) error {
	if c.Rounds < 1 || c.Duration <= 0 {
		return fmt.Errorf("%d rounds of %v measure nothing", c.Rounds, c.Duration)
	}
	b, err := newBench(c)
	if err != nil {
		return err
	}
	defer b.collector.Close()
	for round := range c.Rounds {
		// Another one begins each round, so that none always follows the same neighbour.
		for i := range b.variants {
			at := (round + i) % len(b.variants)
			v := &b.variants[at]
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, c.Rounds, v.name)
			s, err := b.measure(ctx, v)
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			b.samples[v.name] = append(b.samples[v.name], s)
		}
	}
	report, err := b.report(ctx)
	if err != nil {
		return err
	}
	fmt.Print(report)
	if c.Write == "" || len(c.Variants) > 0 {
		return nil
	}
	return b.write(report)
}

// bench starts the processes, sends the load and collects the samples.
type bench struct {
	*compareCmd
	suite
	collector *collector
	samples   map[string][]sample // by variant, then by round
}

// sample is what one round found of one variant.
type sample struct {
	ready time.Duration           // from its start
	loads []outcome               // in the order of the suite's
	spans float64                 // exported for each request
	alone testing.BenchmarkResult // of the handler without a network; zero where there is none
	rows  int                     // in each request
	size  float64                 // on the disk
}

// outcome is what one load found.
type outcome struct {
	requests int
	took     time.Duration
	usage    // of the server, for these requests
	p50, p99 time.Duration
}

func newBench(c *compareCmd) (*bench, error) {
	b := &bench{compareCmd: c, suite: suites()[c.Suite](), samples: make(map[string][]sample)}
	for _, name := range c.Variants {
		if _, err := find(b.variants, name); err != nil {
			return nil, err
		}
	}
	if len(c.Variants) > 0 {
		first := b.variants[0].name
		b.variants = slices.DeleteFunc(b.variants, func(v variant) bool { return v.name != first && !slices.Contains(c.Variants, v.name) })
	}
	b.collector = newCollector()
	return b, nil
}

// questions are the requests to a variant, and the answers to the first of them as far as bare gives them.
func questions(ctx context.Context, v *variant) (requests, answers [][]byte, err error) {
	served, err := repository.Open(ctx, v.source())
	if err != nil {
		return nil, nil, err
	}
	handler, _, err := bare(ctx, served, nil)
	if err != nil {
		return nil, nil, err
	}
	expected := newCaller(ctx, handler)
	for i, body := range bodies(&served.Schema, max(1, v.rows)) {
		requests = append(requests, request(body))
		if i < 16 && v.rows == 0 && !v.other {
			answers = append(answers, slices.Clone(expected.call(body)))
		}
	}
	return requests, answers, nil
}

// measure takes a sample of the variant.
func (b *bench) measure(ctx context.Context, v *variant) (s sample, err error) {
	requests, answers, err := questions(ctx, v)
	if err != nil {
		return s, err
	}
	s.rows = max(1, v.rows)
	if s.size, err = diskUse(v.size); err != nil {
		return s, err
	}
	spans, all := b.collector.spans.Load(), len(answers)
	err = b.run(ctx, v, func(p *process) error {
		if s.ready, err = p.ready(ctx); err != nil {
			return err
		}
		if err := check(ctx, p.addr, requests, answers); err != nil {
			return err
		}
		warm, err := load{connections: 16}.send(ctx, p.addr, requests, b.Duration/4)
		all += len(warm)
		for i := 0; err == nil && i < len(b.loads); i++ {
			var o outcome
			l := b.loads[i]
			if l.share > 0 {
				l.rate = l.share * s.loads[i-1].rate()
			}
			o, err = b.load(ctx, p, l, requests)
			s.loads = append(s.loads, o)
			all += o.requests
		}
		return err
	})
	// At its end the server has sent the spans that were left.
	s.spans = float64(b.collector.spans.Load()-spans) / float64(all)
	if err == nil && b.alone && v.build != nil {
		err = b.run(ctx, v, func(p *process) error { return p.read(&s.alone) }, "--alone", b.Duration.String())
	}
	return s, err
}

// run runs the variant's program for as long as f takes.
func (b *bench) run(ctx context.Context, v *variant, f func(*process) error, args ...string) (err error) {
	p, err := b.start(ctx, v, args...)
	if err != nil {
		return err
	}
	if err = f(p); err != nil {
		_ = p.stop() // what went wrong before says more
		return err
	}
	return p.stop()
}

// load sends one load, and asks what the server used for it.
func (b *bench) load(ctx context.Context, p *process, l load, requests [][]byte) (o outcome, err error) {
	before, err := p.usage()
	if err != nil {
		return o, err
	}
	start := time.Now()
	took, err := l.send(ctx, p.addr, requests, b.Duration)
	if err != nil {
		return o, err
	}
	o.requests, o.took = len(took), time.Since(start)
	o.p50, o.p99 = took[len(took)/2], took[len(took)*99/100]
	after, err := p.usage()
	o.usage = after.since(before)
	return o, err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	parsed := kong.Parse(&cli{}, kong.Name("bench"), kong.Description("Measure servers side by side."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	parsed.FatalIfErrorf(parsed.Run())
}
