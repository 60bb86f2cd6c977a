//go:build unix

// Command bench measures what telemetry costs a request: the same answer from a bare handler, then with each layer added,
// then from the whole server, and from a handler as it is usually instrumented. It exists because such numbers depend on
// the machine and the hour, so they are only worth something when they were measured side by side, and when everybody can
// measure them again. docs/performance.md has the results and says what they mean.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/alecthomas/kong"
)

// cli is the command line. The first command starts the second.
type cli struct {
	Compare compareCmd `cmd:"" default:"withargs" help:"Measure the variants in alternated rounds, and print tables in Markdown."`
	Child   childCmd   `cmd:"" hidden:""`
}

type compareCmd struct {
	Rounds      int           `default:"9" help:"Rounds; each measures every variant once, beginning with another one."`
	Duration    time.Duration `default:"2s" help:"How long each measurement takes, after a quarter of it to warm up."`
	Connections int           `default:"16" help:"Connections that the load is sent over, one request at a time on each."`
	Variants    []string      `placeholder:"NAME,…" help:"Measure these alone, and bare, which the others are compared with."`
	Commit      string        `default:"unknown" help:"What is measured, for the report."`
	Write       string        `placeholder:"FILE" help:"Also put the report between its markers in this file."`
	Profile     string        `placeholder:"DIR" help:"Write a CPU profile of each server into this folder."`
}

// Run measures, and prints the report.
func (c *compareCmd) Run(ctx context.Context) error {
	if c.Rounds < 1 || c.Connections < 1 || c.Duration <= 0 {
		return fmt.Errorf("%d rounds of %v over %d connections measure nothing", c.Rounds, c.Duration, c.Connections)
	}
	b, err := newBench(ctx, c)
	if err != nil {
		return err
	}
	defer b.collector.server.Close()
	for round := range c.Rounds {
		// Another one begins each round, so that none always follows the same neighbour.
		for i := range b.variants {
			at := (round + i) % len(b.variants)
			v := b.variants[at]
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, c.Rounds, v.name)
			if err := b.measure(ctx, at); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	report := b.report()
	fmt.Print(report)
	if c.Write == "" {
		return nil
	}
	return replaceSection(c.Write, report)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	parsed := kong.Parse(&cli{}, kong.Name("bench"), kong.Description("Measure what telemetry costs a request."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	parsed.FatalIfErrorf(parsed.Run())
}
