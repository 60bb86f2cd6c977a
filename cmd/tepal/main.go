// Command tepal serves tabular models from ONNX files, and predicts, inspects
// and verifies with them at the command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/printable"
	_ "github.com/tepalhq/tepal/telemetry/early" // before what the SDK writes while it is initialised
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
	Serve      serveCmd      `cmd:"" help:"Serve a model over HTTP."`
	Predict    predictCmd    `cmd:"" help:"Predict the rows of a CSV or JSON Lines file."`
	Inspect    inspectCmd    `cmd:"" help:"Show what a model takes and answers."`
	Verify     verifyCmd     `cmd:"" help:"Prove that a model answers as its golden rows expect."`
	Completion completionCmd `cmd:"" help:"Print the script that completes tepal's command line in a shell."`
	Complete   completeCmd   `cmd:"" hidden:""`
	Man        manCmd        `cmd:"" help:"Print the manual page."`
	Version    versionCmd    `cmd:"" help:"Print the version, the commit it was built from, and with which Go for which system."`
}

// description, and the texts of the commands' methods called Help, are in the
// form of Go's doc comments; a line such as "Examples:" is a heading. Help texts
// and manual page are both made of them.
const description = `Serve tabular models (scikit-learn, XGBoost, LightGBM, golearn) from ONNX files, and predict, inspect and verify with them.

A command that is given no model uses the embedded one, a classifier of Iris flowers, so that everything works at once. A flag shows its default after the equals sign, or in capitals what it takes.

Environment:

Every flag can also be set by a variable, TEPAL_ and its name in capitals: --http-addr by TEPAL_HTTP_ADDR. So can the model, by TEPAL_MODEL. What stands on the command line wins over a variable. The variables that tepal serve reads besides stand in its own help.

Exit status:

0 when all went well, 1 when something failed, 2 when the program was called wrongly.

Files:

There is no configuration file. A model is one ONNX file, which is read and never written.

Examples:

  tepal serve
  curl localhost:8000/predict -H 'Content-Type: application/json' \
    -d '{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}'
  tepal inspect model.onnx`

// run is the program: it parses, runs the command, and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	helped := false
	parser, err := newParser(kong.Writers(s.out, s.err), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s),
		// Only --help asks for an exit; what is parsed after that is not used.
		kong.Exit(func(int) { helped = true }))
	if err != nil {
		fmt.Fprintln(s.err, "tepal:", err)
		return exitFailure
	}
	parsed, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		fmt.Fprintf(s.err, "tepal: %s\nRun 'tepal --help', or 'tepal COMMAND --help', for what is possible.\n", printable.Lines(misuse(err)))
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(s.err, "tepal:", printable.Lines(err.Error()))
		if _, usage := errors.AsType[usageError](err); usage {
			return exitUsage
		}
		return exitFailure
	}
	return exitOK
}

// misuse says what is wrong with the command line. Flags for the model, which
// is an argument, would be taken for misspelt ones.
func misuse(err error) string {
	flag, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "unknown flag "), ",")
	if flag == "--model" || flag == "-m" {
		return flag + " is no flag of this command: the model is an argument, as in 'tepal serve model.onnx'"
	}
	return err.Error()
}

// usageError is a setting that is found not to work only when the command runs.
type usageError struct{ error }

// newParser returns the grammar, which help texts, completion and manual page
// are made of too.
func newParser(options ...kong.Option) (*kong.Kong, error) {
	return kong.New(&cli{}, append(options, kong.Name("tepal"), kong.Description(description), kong.DefaultEnvars("TEPAL"),
		serveDefaults(), kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}))...)
}

// modelArg is the model that a command works with.
type modelArg struct {
	Model given `arg:"" optional:"" env:"TEPAL_MODEL" help:"ONNX file; the embedded model when left out." complete:":files"`
}

func (a modelArg) source() repository.Source {
	if a.Model == "" {
		return repository.Source{Name: "iris", Data: artifacts.Iris}
	}
	return repository.Source{Path: string(a.Model)}
}

// given is a text that means something else when it is left out: one that is
// set and empty, as by a variable of a script that is not set, is refused.
type given string

// UnmarshalText reads a text that is not empty.
func (g *given) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("it is set and empty: give a value, or leave it out")
	}
	*g = given(text)
	return nil
}

// digest is the value of a setting that pins a model file's bytes: sha256: and
// 64 hexadecimal digits. One of another form would be met by no file.
type digest string

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// UnmarshalText reads a digest.
func (d *digest) UnmarshalText(text []byte) error {
	if !digestForm.Match(text) {
		return errors.New("it is no digest: give sha256: and 64 hexadecimal digits in lower case, as tepal verify prints them")
	}
	*d = digest(text)
	return nil
}

type versionCmd struct{}

// Run prints the version, the commit it was built from, and with what.
func (versionCmd) Run(s streams) error {
	_, err := fmt.Fprintf(s.out, "tepal %s (commit %s, %s, %s/%s)\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
