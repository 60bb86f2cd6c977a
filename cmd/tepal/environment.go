package main

import (
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// environment knows the variables that the running command reads.
type environment struct{ command *kong.Node }

const prefix = "TEPAL_"

// warnUnknown logs every TEPAL_ variable that the command does not read, with
// the nearest one that it does: a setting that is misspelt, or meant for another
// command, is otherwise silently not made.
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
	for _, flag := range e.command.Flags {
		names = append(names, flag.Envs...)
	}
	for _, argument := range e.command.Positional {
		names = append(names, argument.Tag.Envs...)
	}
	slices.Sort(names)
	return names
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
