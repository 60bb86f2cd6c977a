// Command loadtest asks a server for predictions at a given rate and reports
// how it bore that. It is the command line and exit codes of the package loadtest.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/tepalhq/tepal/loadtest"
)

const description = `Ask a server for predictions at a given rate, check its answers, and report how long they took.

The loop is open: a request is sent when it is due, whether or not earlier ones were answered, and its latency begins then.

A flag shows its default after the equals sign, or in capitals what it takes.

Exit status:

0 when all gates held, 1 when one broke, the target was not ready or the run was interrupted, 2 when the program was called wrongly.

Examples:

  loadtest --rate 500 --duration 1m --max-p99 20ms --max-errors 0
  loadtest --target http://localhost:8000 --stages 100/s:30s,500/s:30s --html report.html
  loadtest --steps 500,x1.5 --duration 15s --max-p99 20ms`

// command holds the flags.
type command struct {
	loadtest.Options

	JSON string `name:"json" group:"Report:" placeholder:"FILE" help:"Write the report for programs."`
	HTML string `name:"html" group:"Report:" placeholder:"FILE" help:"Write the report for a browser, with plots, in one file."`

	KubeDeployment string `group:"Cluster:" placeholder:"NAME" help:"Show what the autoscaler of this deployment does meanwhile, by kubectl."`
	KubeNamespace  string `group:"Cluster:" placeholder:"NAME" help:"Its namespace; that of kubectl's context when left out."`
}

// Validate checks what the types do not; kong calls it.
func (c *command) Validate() error {
	for name, d := range map[string]time.Duration{"duration": c.Duration, "timeout": c.Timeout, "wait": c.Wait} {
		if d <= 0 {
			return fmt.Errorf("--%s: %v is not above 0s", name, d)
		}
	}
	for name, d := range map[string]time.Duration{"ramp": c.Ramp, "max-p95": c.Gates.MaxP95, "max-p99": c.Gates.MaxP99} {
		if d < 0 {
			return fmt.Errorf("--%s: %v is below 0s", name, d)
		}
	}
	if c.Connections < 1 {
		return fmt.Errorf("--connections: %d is below 1", c.Connections)
	}
	if c.KubeNamespace != "" && c.KubeDeployment == "" {
		return errors.New("--kube-namespace: whose? give --kube-deployment too")
	}
	if u, err := url.Parse(c.Target); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("--target: %q is no address such as http://localhost:8000", c.Target)
	}
	return nil
}

// The exit codes.
const (
	exitOK = iota
	exitFailure
	exitUsage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the load and the second one the process.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program, and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c command
	helped := false
	parser, err := kong.New(&c,
		kong.Name("loadtest"), kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}), kong.Writers(stdout, stderr),
		// Only --help asks for an exit; what is parsed after that is not used.
		kong.Exit(func(int) { helped = true }))
	if err != nil {
		fmt.Fprintf(stderr, "loadtest: %v\n", err)
		return exitFailure
	}
	_, err = parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "loadtest: %v\nloadtest --help tells what the flags mean\n", err)
		return exitUsage
	}
	if c.KubeDeployment != "" {
		c.Replicas = loadtest.Kubectl(c.KubeNamespace, c.KubeDeployment)
	}
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.Progress = func(p loadtest.Progress) { fmt.Fprintf(stderr, "\r%s\x1b[K", p) }
	}
	report, err := loadtest.Run(ctx, c.Options)
	if err == nil {
		err = c.write(report, stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "loadtest: %v\n", err)
		return exitFailure
	}
	for _, g := range report.Broken() {
		fmt.Fprintf(stderr, "loadtest: gate broken: %v\n", g)
	}
	if report.Interrupted || len(report.Broken()) > 0 {
		return exitFailure
	}
	return exitOK
}

func (c *command) write(r *loadtest.Report, stdout io.Writer) error {
	errs := []error{r.WriteTable(stdout)}
	for path, write := range map[string]func(io.Writer) error{c.JSON: r.WriteJSON, c.HTML: r.WriteHTML} {
		if path == "" {
			continue
		}
		file, err := os.Create(path)
		if err == nil {
			err = errors.Join(write(file), file.Close())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
