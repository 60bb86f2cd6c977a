// Command tepal serves tabular models from ONNX files, and predicts, inspects
// and verifies with them at the command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/alecthomas/kong"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model/repository"
)

// version and commit are stamped by the linker; the Makefile says how.
var (
	version = "dev"
	commit  = "unknown"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are the standard ones of the process, or a test's.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// cli is the command line. Every flag also has a variable, TEPAL_ and its name;
// so has the argument that names a model.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Serve a model over HTTP."`
	Predict predictCmd `cmd:"" help:"Predict the rows of a CSV or JSON Lines file."`
	Inspect inspectCmd `cmd:"" help:"Show what a model takes and answers."`
	Verify  verifyCmd  `cmd:"" help:"Prove that a model answers as its golden rows expect."`
	Version versionCmd `cmd:"" help:"Show the version."`
}

const description = `Tepal serves tabular models (scikit-learn, XGBoost, LightGBM, golearn) from ONNX files.

Without a MODEL every command uses the embedded Iris classifier, so this works at once:

  tepal serve
  curl localhost:8000/predict -H 'Content-Type: application/json' \
    -d '{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}'

Every flag can be set by a variable: --http-addr by TEPAL_HTTP_ADDR, and MODEL by TEPAL_MODEL; what stands on the command line wins over a variable.
Exit codes: 0 success, 1 failure, 2 wrong usage.`

// exit is what a help flag throws to leave the parser.
type exit int

// run is the program: it parses, runs the command, and returns the exit code.
func run(ctx context.Context, args []string, s streams) (code int) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	parser, err := kong.New(&cli{},
		kong.Name("tepal"), kong.Description(description), kong.DefaultEnvars("TEPAL"), serveDefaults(),
		kong.Writers(s.out, s.err), kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s),
	)
	if err != nil {
		fmt.Fprintln(s.err, "tepal:", err)
		return exitFailure
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return usage(s, err)
	}
	err = parsed.Run(environment{parsed.Selected()})
	var wrong usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		return usage(s, err)
	}
	fmt.Fprintln(s.err, "tepal:", err)
	return exitFailure
}

// usageError is a fault in how the program was called that the parser cannot see.
type usageError struct{ error }

func usage(s streams, err error) int {
	fmt.Fprintf(s.err, "tepal: %v\nRun 'tepal --help', or 'tepal COMMAND --help', for what is possible.\n", err)
	return exitUsage
}

// modelArg is the model that a command works with.
type modelArg struct {
	Model string `arg:"" optional:"" env:"TEPAL_MODEL" help:"ONNX file; the embedded Iris classifier when left out." placeholder:"MODEL.onnx"`
}

func (a modelArg) source() repository.Source {
	return repository.Source{Path: a.Model, Name: embeddedName(a.Model), Data: artifacts.Iris}
}

// embeddedName names the embedded model, and leaves a file to its own name.
func embeddedName(path string) string {
	if path == "" {
		return "iris"
	}
	return ""
}

type versionCmd struct{}

// Run prints the version, the commit it was built from, and with what.
func (versionCmd) Run(s streams) error {
	_, err := fmt.Fprintf(s.out, "tepal %s (commit %s, %s, %s/%s)\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
