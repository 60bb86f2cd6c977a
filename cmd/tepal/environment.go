package main

import (
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// environment knows the variables that the command line reads.
type environment struct{ app *kong.Application }

const prefix = "TEPAL_"

// warnUnknown logs every TEPAL_ variable that no flag reads, with the nearest
// one that there is: a misspelt setting is otherwise silently not made.
func (e environment) warnUnknown(logger *slog.Logger) {
	known := e.variables()
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, prefix) && !slices.Contains(known, name) {
			logger.Warn("unknown variable", "variable", name, "nearest", nearest(name, known))
		}
	}
}

func (e environment) variables() []string {
	var names []string
	for _, node := range append([]*kong.Node{e.app.Node}, e.app.Leaves(false)...) {
		for _, flag := range node.Flags {
			names = append(names, flag.Envs...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// nearest returns the candidate that the fewest edits make of name.
func nearest(name string, candidates []string) string {
	best, least := "", len(name)+1
	for _, c := range candidates {
		if d := distance(name, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two strings, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substituted := diagonal
			if a[i] != b[j] {
				substituted++
			}
			diagonal = row[j+1]
			row[j+1] = min(substituted, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
