package main

import (
	"fmt"
	"go/doc/comment"
	"io"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type manCmd struct{}

// Help teaches what the flags alone do not.
func (manCmd) Help() string {
	return `The page has all that the help texts have, as roff.

Examples:

  tepal man | man -l -
  tepal man > ~/.local/share/man/man1/tepal.1    # and from then on: man tepal`
}

// Run prints the page.
func (manCmd) Run(app *kong.Context, s streams) error {
	_, err := io.WriteString(s.out, manual(app.Model.Node, commitDate()))
	return err
}

// commitDate is the day of the commit that the program was built from; empty
// when the build did not see the repository.
func commitDate() string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			day, _, _ := strings.Cut(s.Value, "T")
			return day
		}
	}
	return ""
}

// manual writes the grammar, and the texts that --help shows, as a page in the
// macros of man(7).
func manual(app *kong.Node, date string) string {
	about := parse(app.Help)
	sections := slices.IndexFunc(about, isHead)
	leaves := app.Leaves(true)
	w := &roff{}
	// Names stay whole at the end of a line, to be copied.
	w.printf(".nr HY 0\n.TH %s 1 \"%s\" \"%s %s\"\n.ad l\n.SH NAME\n", strings.ToUpper(app.Name), date, app.Name, version)
	name := text(about[0])
	w.printf("%s \\- %s\n.SH SYNOPSIS\n", app.Name, escape(strings.ToLower(name[:1])+strings.TrimSuffix(name[1:], ".")))
	for i, command := range leaves {
		if i > 0 {
			w.printf(".br\n")
		}
		w.printf("\\fB%s\\fR %s\n", app.Name, escape(command.Summary()))
	}
	w.printf(".SH DESCRIPTION\n%s\n", escape(text(about[0])))
	w.blocks(about[1:sections], false)
	w.printf(".SH COMMANDS\n")
	for _, command := range leaves {
		w.printf(".SS \"%s %s\"\n", app.Name, escape(command.Summary()))
		w.printf("%s\n", escape(command.Help))
		for _, argument := range command.Positional {
			w.value(argument.Summary(), argument)
		}
		for _, flag := range command.Flags {
			w.value(flag.String(), flag.Value)
		}
		w.blocks(parse(command.Detail), false)
	}
	w.printf(".SH OPTIONS\nEvery command takes these beside its own.\n")
	for _, flag := range app.Flags {
		w.value(flag.String(), flag.Value)
	}
	w.blocks(about[sections:], true)
	return w.String()
}

// parse reads a help text as kong does, which is as Go reads a doc comment.
func parse(help string) []comment.Block { return new(comment.Parser).Parse(help).Content }

// text is a block in lines of a moderate length.
func text(b comment.Block) string {
	printer := comment.Printer{TextWidth: 70, TextCodePrefix: "    "}
	return strings.TrimRight(string(printer.Text(&comment.Doc{Content: []comment.Block{b}})), "\n")
}

// isHead reports whether a block is a line such as "Exit status:".
func isHead(b comment.Block) bool {
	return regexp.MustCompile(`^[A-Z][a-z ]*:$`).MatchString(text(b))
}

// escape makes text of what roff would take for a request, a dash or a quote.
func escape(text string) string {
	escaped := strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "\n.", "\n\\&.").Replace("\n" + text)
	return escaped[1:]
}

// roff is a page in the making.
type roff struct{ strings.Builder }

func (w *roff) printf(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// blocks writes paragraphs, and anything else as it stands. A head begins a
// section if there may be any; it begins a paragraph by itself.
func (w *roff) blocks(list []comment.Block, sections bool) {
	for i, b := range list {
		if isHead(b) && sections {
			w.printf(".SH %s\n", strings.ToUpper(strings.TrimSuffix(text(b), ":")))
			continue
		}
		if i == 0 || !sections || !isHead(list[i-1]) {
			w.printf(".PP\n")
		}
		if _, ok := b.(*comment.Paragraph); ok {
			w.printf("%s\n", escape(text(b)))
		} else {
			w.printf(".EX\n%s\n.EE\n", escape(text(b)))
		}
	}
}

// value writes a flag or an argument, and the text that --help has of it.
func (w *roff) value(name string, v *kong.Value) {
	w.printf(".TP\n\\fB%s\\fR\n", escape(name))
	for _, b := range parse(kong.DefaultHelpValueFormatter(v)) {
		w.printf("%s\n", escape(text(b)))
	}
}
