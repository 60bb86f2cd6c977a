package main

import (
	"cmp"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const prefix = "TEPAL_"

// warnUnknown logs every TEPAL_ variable that the command does not read, with
// the nearest one that it does: a setting that is misspelt, or meant for another
// command, is otherwise silently not made.
func warnUnknown(logger *slog.Logger, command *kong.Node) {
	var known []string
	for _, value := range command.Values() {
		known = append(known, value.Tag.Envs...)
	}
	slices.Sort(known)
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, prefix) && !slices.Contains(known, name) {
			logger.Warn("unknown variable", "variable", name, "nearest", nearest(name, known))
		}
	}
}

// nearest returns the candidate that the fewest edits make of name.
func nearest(name string, candidates []string) string {
	return slices.MinFunc(candidates, func(a, b string) int {
		return cmp.Compare(distance(name, a), distance(name, b))
	})
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
