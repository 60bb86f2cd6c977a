package main

import (
	"embed"
	"go/doc/comment"
	"io"
	"regexp"
	"runtime/debug"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

//go:embed tepal.1.tmpl
var manTemplate embed.FS

type manCmd struct{}

// Help teaches what the flags alone do not.
func (manCmd) Help() string {
	return `The page has all that the help texts have, as roff.

Examples:

  tepal man | man -l -
  tepal man > ~/.local/share/man/man1/tepal.1    # and from then on: man tepal`
}

// Run prints the page, as of the commit that the program was built from; if the
// build did not see the repository, as of no day.
func (manCmd) Run(app *kong.Context, s streams) error {
	var day string
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.time" {
				day, _, _ = strings.Cut(setting.Value, "T")
			}
		}
	}
	page, err := manual(app.Model.Node, day)
	if err == nil {
		_, err = io.WriteString(s.out, page)
	}
	return err
}

// manual fills the template from the grammar and the texts that --help shows.
func manual(app *kong.Node, day string) (string, error) {
	page, err := template.New("tepal.1.tmpl").Funcs(template.FuncMap{
		"escape": escape, "prose": prose, "value": kong.DefaultHelpValueFormatter,
		"lines": func(help string) string { return strings.TrimPrefix(prose(help, false), ".PP\n") },
	}).ParseFS(manTemplate, "*")
	if err != nil {
		return "", err
	}
	const second = "\n\nEnvironment:\n"
	about, sections, _ := strings.Cut(app.Help, second)
	purpose, _, _ := strings.Cut(about, ".\n")
	var out strings.Builder
	err = page.Execute(&out, map[string]any{
		"App": app, "Date": day, "Version": version,
		"Purpose": strings.ToLower(purpose[:1]) + purpose[1:], "About": about, "Sections": second + sections,
	})
	// Roff has it that a paragraph begins with a section.
	return regexp.MustCompile(`(?m)^(\.S[HS] .*\n)\.PP\n`).ReplaceAllString(out.String(), "$1"), err
}

// prose writes a help text in roff. It reads it as kong does, which is as Go
// reads a doc comment. In sections, a paragraph that ends in a colon is a head.
func prose(help string, sections bool) string {
	var out strings.Builder
	printer := comment.Printer{TextWidth: 70, TextCodePrefix: "    "}
	for _, block := range new(comment.Parser).Parse(help).Content {
		text := escape(string(printer.Text(&comment.Doc{Content: []comment.Block{block}})))
		head, isHead := strings.CutSuffix(text, ":\n")
		_, isParagraph := block.(*comment.Paragraph)
		switch {
		case isHead && sections:
			out.WriteString(".SH " + strings.ToUpper(head) + "\n")
		case isParagraph:
			out.WriteString(".PP\n" + text)
		default:
			out.WriteString(".PP\n.EX\n" + text + ".EE\n")
		}
	}
	return out.String()
}

// escape makes text of what roff would take for a request, a dash or a quote.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "\n.", "\n\\&.").Replace("\n" + text)[1:]
}
