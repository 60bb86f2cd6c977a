// Command train learns a random forest from a CSV file and writes it as an
// ONNX artifact that Tepal, or anything else that reads ONNX, can serve. It is
// the only program here that links golearn: what is learnt leaves it as data,
// and the server never runs the code that learnt it.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/onnx"
)

const description = `Learn a random forest from a CSV file and write it as an ONNX artifact.

The file has a header, a column with the label, and numbers in every other column. The artifact carries, besides the forest, what a server needs to know of it: names, units and ranges, how good it was found to be, and golden rows with the answers that golearn gives, which are replayed before the model is called ready.

Without flags it learns data/iris.csv and writes artifacts/iris.onnx. The same data, flags and seed write the same bytes. A flag shows its default after the equals sign, or in capitals what it takes.

Exit status:

0 when the artifact is written, 1 when something is wrong with the data or the disk, 2 when the program was called wrongly.

Examples:

  train --unit cm
  train --data wine.csv --label quality --out wine.onnx --trees 200`

// command holds the flags.
type command struct {
	Data  string   `group:"Data:" default:"data/iris.csv" help:"CSV file to learn from."`
	Label string   `group:"Data:" placeholder:"COLUMN" help:"Column that holds the label; the last one when left out. All others are features. Labels that are all integers stay integers."`
	Unit  []string `group:"Data:" sep:"none" placeholder:"[FEATURE=]UNIT" help:"Unit of a feature, such as weight=kg, or of all that are not named, such as cm. May be repeated."`

	settings

	Folds int `group:"Check:" default:"10" help:"Folds of the stratified cross-validation, which tells how good the model is."`

	Out          string `group:"Artifact:" placeholder:"FILE" help:"File to write; artifacts/iris.onnx for data/iris.csv, and so on, when left out."`
	Name         string `group:"Artifact:" placeholder:"NAME" help:"What clients call the model by; the name of the file to write, without its ending, when left out."`
	ModelVersion int64  `group:"Artifact:" default:"1" help:"The model's version."`
}

// AfterApply derives the names that were not given and checks what the types do
// not; kong calls it once all flags are read.
func (c *command) AfterApply() error {
	if c.Out == "" {
		c.Out = filepath.Join("artifacts", stem(c.Data)+".onnx")
	}
	if c.Name == "" {
		c.Name = stem(c.Out)
	}
	for _, flag := range []struct {
		name          string
		value, lowest int64
	}{
		{"trees", int64(c.Trees), 1},
		{"depth", int64(c.Depth), 1},
		{"features", int64(c.Features), 0},
		{"min-leaf", int64(c.MinLeaf), 1},
		{"folds", int64(c.Folds), 2},
		{"model-version", c.ModelVersion, 1},
	} {
		if flag.value < flag.lowest {
			return fmt.Errorf("--%s is %d, and the least is %d", flag.name, flag.value, flag.lowest)
		}
	}
	if !model.ValidName(c.Name) {
		return fmt.Errorf("%q is no name for a model: it takes 1 to 128 letters, digits, '.', '_' and '-', and starts with a letter or digit; give another with --name", c.Name)
	}
	return nil
}

// stem is a file's name without folder and ending.
func stem(path string) string {
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

// usageError is a flag that does not fit the data.
type usageError struct{ error }

// The exit codes.
const (
	exitOK = iota
	exitFailure
	exitUsage
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program, and returns its exit code.
func run(args []string, stdout, stderr io.Writer) int {
	var c command
	helped := false
	parser, err := kong.New(&c,
		kong.Name("train"),
		kong.Description(description),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}),
		kong.Writers(stdout, stderr),
		// Only --help asks for an exit; what is parsed after that is not used.
		kong.Exit(func(int) { helped = true }))
	if err != nil {
		fmt.Fprintf(stderr, "train: %v\n", err)
		return exitFailure
	}
	_, err = parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		return usage(stderr, err)
	}
	err = c.run(stdout, stderr)
	var wrong usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &wrong):
		return usage(stderr, err)
	}
	fmt.Fprintf(stderr, "train: %v\n", err)
	return exitFailure
}

func usage(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "train: %v\ntrain --help tells what the flags mean\n", err)
	return exitUsage
}

func (c *command) run(stdout, stderr io.Writer) error {
	data, err := os.ReadFile(c.Data)
	if err != nil {
		return err
	}
	t, err := readTable(c.Data, data, c.Label)
	if err != nil {
		return err
	}
	if err := c.fit(t); err != nil {
		return err
	}
	units, err := c.units(t.features)
	if err != nil {
		return err
	}
	// Better now than after the work.
	if _, err := os.Stat(filepath.Dir(c.Out)); err != nil {
		return fmt.Errorf("the folder of %s: %w", c.Out, err)
	}
	progress := newProgress(stderr, (c.Folds+1)*c.Trees)
	artifact, md, err := c.train(t, units, progress.step)
	progress.clear()
	if err != nil {
		return err
	}
	if err := writeFile(c.Out, artifact); err != nil {
		return fmt.Errorf("writing %s: %w", c.Out, err)
	}
	if err := report(stdout, t, c, md.Metrics); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "\n%s: %s version %d, %d bytes, %s\n", c.Out, md.Name, md.Version, len(artifact), count(len(md.Golden.Rows), "golden row"))
	return err
}

// fit resolves and checks the flags that depend on the data.
func (c *command) fit(t *table) error {
	if c.Features == 0 {
		c.Features = int(math.Round(math.Sqrt(float64(len(t.features)))))
	}
	if c.Features > len(t.features) {
		return usageError{fmt.Errorf("--features is %d, and %s has %s", c.Features, t.file, count(len(t.features), "feature"))}
	}
	if c.Folds > len(t.rows) {
		return usageError{fmt.Errorf("--folds is %d, and %s has %s", c.Folds, t.file, count(len(t.rows), "row"))}
	}
	return nil
}

// units reads the --unit flags: a unit for each feature that has one.
func (c *command) units(features []string) (map[string]string, error) {
	units := make(map[string]string)
	for _, flag := range c.Unit {
		feature, unit, named := strings.Cut(flag, "=")
		switch {
		case !named:
			for _, name := range features {
				units[name] = cmp.Or(units[name], flag)
			}
		case slices.Contains(features, feature):
			units[feature] = unit
		default:
			return nil, usageError{fmt.Errorf("--unit %s: there is no feature %q; the features are %s", flag, feature, strings.Join(features, ", "))}
		}
	}
	return units, nil
}

// train makes the artifact's bytes, and the metadata in it.
func (c *command) train(t *table, units map[string]string, grown func()) (artifact []byte, md *onnx.Metadata, err error) {
	defer func() {
		// golearn answers what it does not expect with a panic, and nothing of
		// that may reach the user as a stack.
		if r := recover(); r != nil {
			err = fmt.Errorf("the training failed: %v", r)
		}
	}()
	metrics := crossValidate(t, c.settings, c.Folds, grown)
	f := trainForest(t, c.settings, streamForest, grown)
	votes := f.votes(t.rows)
	m := f.export(c.Name, t.classes)
	m.ModelVersion = c.ModelVersion
	md = &onnx.Metadata{
		Name: c.Name, Version: c.ModelVersion, Schema: newSchema(t, units), Metrics: metrics,
		Training: newTraining(t, c, votes), Golden: goldenRows(f, t, votes, c.chance(streamTies)),
	}
	if err := m.SetMetadata(md); err != nil {
		return nil, nil, err
	}
	return m.Marshal(), md, nil
}

// writeFile replaces a file as a whole: whoever reads it meanwhile, or after a
// failure, finds the old bytes or the new ones.
func writeFile(path string, data []byte) error {
	temporary := path + ".new"
	err := os.WriteFile(temporary, data, 0o644)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	return err
}
