package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/tepalhq/tepal/model"
)

// report prints how good the model was found to be.
func report(w io.Writer, t *table, c *command, m *model.Metrics) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s, %s, %d classes of %s\n", t.file, count(len(t.rows), "row"), count(len(t.features), "feature"), t.classes.Len(), t.label)
	fmt.Fprintf(&text, "%s of depth %d at most, %d of %s at each node, %s or more in a leaf, seed %d\n\n",
		count(c.Trees, "tree"), c.Depth, c.Features, count(len(t.features), "feature"), count(c.MinLeaf, "row"), c.Seed)
	fmt.Fprintf(&text, "accuracy %.4f in stratified %d-fold cross-validation (standard deviation %.4f, folds from %.4f to %.4f)\n\n",
		m.Values[accuracyMean], c.Folds, m.Values[accuracySpread], m.Values[accuracyLowest], m.Values[accuracyHighest])

	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "class\tprecision\trecall\tF1\trows")
	for _, class := range m.Classes {
		fmt.Fprintf(table, "%s\t%.4f\t%.4f\t%.4f\t%d\n", class.Class, class.Precision, class.Recall, class.F1, class.Support)
	}
	fmt.Fprintf(table, "\nis \\ answered\t%s\n", strings.Join(t.classes.Texts(), "\t"))
	for i, counts := range m.Confusion {
		fmt.Fprint(table, t.classes.Text(i))
		for _, n := range counts {
			fmt.Fprintf(table, "\t%d", n)
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// progress shows on a terminal how many trees are grown, and nothing
// elsewhere.
type progress struct {
	out         io.Writer
	done, total int
}

// newProgress shows progress on w if that is a terminal.
func newProgress(w io.Writer, total int) *progress {
	if file, ok := w.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		w = io.Discard
	}
	return &progress{out: w, total: total}
}

// step counts one more tree.
func (p *progress) step() {
	p.done++
	fmt.Fprintf(p.out, "\rgrowing trees: %d of %d", p.done, p.total)
}

// clear takes the line away.
func (p *progress) clear() { fmt.Fprint(p.out, "\r\x1b[K") }
