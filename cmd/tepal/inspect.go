package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/printable"
)

type inspectCmd struct {
	modelArg
	JSON bool `name:"json" help:"Print the document that GET /models/NAME answers."`
}

// Help teaches what the flags alone do not.
func (inspectCmd) Help() string {
	return `Prints the name, version, digest, features with unit, training range and example, classes, operators, metrics, what is odd about the file, and whether the golden rows are answered as expected. Golden rows are rows in the file with the answers that its trainer got. A proof that fails is shown and no failure; tepal verify is for that.

Examples:

  tepal inspect
  tepal inspect --json model.onnx`
}

// Run prints the model's document. A failed proof is part of it and no
// failure; verify is for that.
func (c *inspectCmd) Run(ctx context.Context, s streams) error {
	served, err := repository.Open(ctx, c.source())
	if served == nil {
		return err
	}
	document := served.Document(served.Golden)
	if c.JSON {
		encoder := json.NewEncoder(printable.NewWriter(s.out))
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(document)
	}
	return printDocument(s.out, &document)
}

func printDocument(out io.Writer, d *model.Document) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	// The texts are the file's, and may hold anything.
	line := func(format string, values ...any) {
		for i, value := range values {
			if text, ok := value.(string); ok {
				values[i] = printable.Text(text)
			}
		}
		fmt.Fprintf(table, format, values...)
	}
	line("model\t%s version %s (%s)\n", d.Name, d.Version, d.Task)
	line("digest\t%s\n", d.Digest)
	line("size\t%d bytes\n", d.Size)
	line("golden\t%s\n", goldenText(&d.Golden))
	for _, text := range d.Warnings {
		line("warning\t%s\n", text)
	}
	line("operators\t%s\n", operatorsText(d.Operators))
	if d.Classes != nil {
		line("classes\t%s\n", strings.Join(d.Classes.Texts(), ", "))
	}
	if d.Training != nil {
		line("trained\tby %s on %s (%d rows, %s)\n", d.Training.Trainer, d.Training.Data, d.Training.Rows, d.Training.Digest)
	}
	if d.Metrics != nil {
		line("metrics\t%s\n", d.Metrics.Method)
		for _, name := range slices.Sorted(maps.Keys(d.Metrics.Values)) {
			line("  %s\t%.4f\n", name, d.Metrics.Values[name])
		}
	}
	line("\nfeature\ttype\tunit\tminimum\tmaximum\texample\n")
	for i := range d.Schema.Features {
		f := &d.Schema.Features[i]
		example := ""
		if f.Example != nil {
			example = fmt.Sprint(f.Example)
		}
		line("%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, f.JSONType, f.Unit, bound(f.Minimum), bound(f.Maximum), example)
	}
	return table.Flush()
}

func bound(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}

func goldenText(g *model.GoldenDocument) string {
	switch g.Status {
	case model.GoldenProven:
		return fmt.Sprintf("proven: %d golden rows answered as expected", g.Rows)
	case model.GoldenUnproven:
		return "unproven: the file carries no golden rows"
	default:
		return string(g.Status) + ": " + g.Reason
	}
}

func operatorsText(operators map[string]int) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(operators)) {
		list = append(list, fmt.Sprintf("%s ×%d", name, operators[name]))
	}
	return strings.Join(list, ", ")
}

// printWarnings writes what is odd about a model's file, a line each.
func printWarnings(w io.Writer, m *repository.Served) {
	for _, text := range m.Warnings {
		fmt.Fprintf(w, "tepal: warning: %s\n", printable.Text(text))
	}
}

// summary is a model in a line, fit to be shown.
func summary(m *repository.Served) string {
	return printable.Text(fmt.Sprintf("%s version %s, %s, %s", m.Name, m.Version, m.Digest, goldenText(&m.Golden)))
}
