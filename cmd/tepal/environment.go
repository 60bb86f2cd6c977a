package main

import (
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/tepalhq/tepal/spelling"
)

const prefix = "TEPAL_"

// meant are the variables for what other programs call otherwise, by a word in the name. It is never written to.
var meant = map[string]string{
	"PORT": "TEPAL_HTTP_ADDR", "HOST": "TEPAL_HTTP_ADDR", "ADDR": "TEPAL_HTTP_ADDR", "ADDRESS": "TEPAL_HTTP_ADDR", "LISTEN": "TEPAL_HTTP_ADDR", "BIND": "TEPAL_HTTP_ADDR",
	"METRICS": "TEPAL_OPS_ADDR", "DIGEST": "TEPAL_MODEL_DIGEST",
}

// warnUnknown logs every TEPAL_ variable that the command does not read, with
// the one that is likely meant, if any: a setting that is misspelt, or meant for
// another command, is otherwise silently not made.
func warnUnknown(logger *slog.Logger, command *kong.Node) {
	var known []string
	for _, value := range command.Values() {
		known = append(known, value.Tag.Envs...)
	}
	slices.Sort(known)
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, prefix) || slices.Contains(known, name) {
			continue
		}
		attrs := []any{"variable", name}
		if nearest := nearestVariable(name, known); nearest != "" {
			attrs = append(attrs, "nearest", nearest)
		}
		logger.Warn("unknown variable", attrs...)
	}
}

// nearestVariable returns the known variable that name stands for: one that is
// spelt nearly so, or one of the same meaning; "" when there is none.
func nearestVariable(name string, known []string) string {
	var rests []string
	for _, candidate := range known {
		rests = append(rests, strings.TrimPrefix(candidate, prefix))
	}
	rest := strings.TrimPrefix(name, prefix)
	if near := spelling.Nearest(rest, rests); near != "" {
		return prefix + near
	}
	for word := range strings.SplitSeq(rest, "_") {
		if variable := meant[word]; slices.Contains(known, variable) {
			return variable
		}
	}
	return ""
}
