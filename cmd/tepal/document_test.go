package main

import (
	"flag"
	"fmt"
	"go/doc/comment"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the generated parts of docs/cli.md anew")

// TestDocument holds docs/cli.md to the grammar: how each command is called,
// its help text, its arguments and flags. With -update it writes them.
func TestDocument(t *testing.T) {
	const path = "../../docs/cli.md"
	const mark = "\n<!-- from here on by hand -->"
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	parser, err := newParser()
	require.NoError(t, err)
	rest, whole := string(page), ""
	for _, command := range parser.Model.Leaves(true) {
		head := "\n## tepal " + command.Name + "\n\n"
		before, after, ok := strings.Cut(rest, head)
		require.True(t, ok, head)
		have, after, ok := strings.Cut(after, mark)
		require.True(t, ok, head)
		want := described(command)
		if !*update {
			assert.Equal(t, want, have, "run: go test ./cmd/tepal -run TestDocument -update")
		}
		whole += before + head + want + mark
		rest = after
	}
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(whole+rest), 0o600))
	}
}

// described is a command in Markdown.
func described(command *kong.Node) string {
	text := fmt.Sprintf("    tepal %s\n\n%s\n", command.Summary(), command.Help)
	if command.Detail != "" {
		printer := comment.Printer{TextWidth: 120, TextCodePrefix: "    "}
		text += "\n" + string(printer.Text(new(comment.Parser).Parse(command.Detail)))
	}
	if len(command.Positional)+len(command.Flags) == 0 {
		return text
	}
	text += "\n| argument or flag | variable | default | what |\n| --- | --- | --- | --- |\n"
	for _, argument := range command.Positional {
		text += tableRow("<"+argument.Name+">", argument)
	}
	for _, flag := range command.Flags {
		if flag.Hidden {
			continue
		}
		name := "--" + flag.Name
		if flag.Short != 0 {
			name += "`, `-" + string(flag.Short)
		}
		text += tableRow(name, flag.Value)
	}
	return text
}

func tableRow(name string, v *kong.Value) string {
	cells := []string{name, strings.Join(v.Tag.Envs, "`, `"), v.Default}
	for i, cell := range cells {
		if cell != "" {
			cells[i] = "`" + cell + "`"
		}
	}
	return "| " + strings.Join(append(cells, v.Help), " | ") + " |\n"
}
