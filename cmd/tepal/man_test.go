package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// page is the manual page as of a day.
func page(t *testing.T) string {
	t.Helper()
	parser, err := newParser()
	require.NoError(t, err)
	page, err := manual(parser.Model.Node, "2026-01-02")
	require.NoError(t, err)
	return page
}

func TestManual(t *testing.T) {
	text := page(t)
	var sections []string
	for _, found := range regexp.MustCompile(`(?m)^\.SH (.+)$`).FindAllStringSubmatch(text, -1) {
		sections = append(sections, found[1])
	}
	assert.Equal(t, []string{"NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "ENVIRONMENT", "EXIT STATUS", "FILES", "EXAMPLES"}, sections)
	for _, want := range []string{
		".TH TEPAL 1 \"2026-01-02\" \"tepal dev\"\n",
		".SH NAME\ntepal \\- serve tabular models ",
		"\\fBtepal\\fR predict [<model> [<file>]] [flags]\n.br\n",
		".SS \"tepal verify [<model>] [flags]\"\nProve that a model answers as its golden rows expect.\n",
		".TP\n\\fB\\-o, \\-\\-output=FILE\\fR\nFile to write, ",
		".PP\nExamples:\n.PP\n.EX\n    tepal inspect\n",
		"     \\-d \\(aq{\"sepal_length\":5.1,",
	} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "complete \\-\\-", "what only scripts call is not for people")
}

func TestManualIsPrinted(t *testing.T) {
	got := runTepal(t, "", "man")
	require.Equal(t, 0, got.code, got.err)
	_, body, _ := strings.Cut(got.out, "\n.ad l\n")
	_, want, _ := strings.Cut(page(t), "\n.ad l\n")
	assert.Equal(t, want, body)
}

func TestEscape(t *testing.T) {
	assert.Equal(t, `a\-b \(aqc\(aq \e \(ti/d \(ga \(ha`, escape("a-b 'c' \\ ~/d ` ^"))
	assert.Equal(t, "\\&.x\n\\&.y\n\\(aqz a.b", escape(".x\n.y\n'z a.b"))
}
