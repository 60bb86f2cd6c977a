package main

import (
	"cmp"
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// scripts are what shells load. They know nothing of the grammar: each asks
// the hidden command complete, and shows what it answers.
//
//go:embed completion
var scripts embed.FS

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell to print it for: bash, zsh or fish."`
}

// Help teaches what the flags alone do not.
func (completionCmd) Help() string {
	return `Once the shell has loaded the script, the Tab key completes commands, flags, their values and files. The script asks tepal itself what is possible, so it need not be printed again for another version.

Examples:

  source <(tepal completion bash)    # in ~/.bashrc
  source <(tepal completion zsh)     # in ~/.zshrc, after compinit
  tepal completion fish | source     # in ~/.config/fish/config.fish

Or once, into a file that the shell loads when it needs it:

  tepal completion bash > ~/.local/share/bash-completion/completions/tepal
  tepal completion zsh > ~/.zfunc/_tepal    # any folder of $fpath
  tepal completion fish > ~/.config/fish/completions/tepal.fish`
}

// Run prints the script.
func (c *completionCmd) Run(s streams) error {
	script, err := scripts.ReadFile("completion/tepal." + c.Shell)
	if err == nil {
		_, err = s.out.Write(script)
	}
	return err
}

type completeCmd struct {
	Words []string `arg:"" help:"Words of the command line after the program's name, up to the one to complete, which may be empty."`
}

// Run prints what the last word may become: a candidate on each line, with a
// tab and what it means, or the constant files.
func (c *completeCmd) Run(app *kong.Context, s streams) error {
	for _, word := range complete(app.Kong, c.Words) {
		if _, err := fmt.Fprintln(s.out, strings.Join(word, "\t")); err != nil {
			return err
		}
	}
	return nil
}

// files stands for the files there are, of which the shell knows more.
const files = ":files"

// complete returns the words that the last one may become, each alone or with
// what it means.
func complete(app *kong.Kong, words []string) (list [][]string) {
	before, current := words[:len(words)-1], words[len(words)-1]
	trace, _ := kong.Trace(app, before) // goes as far as the words are right; its error is always nil
	command := cmp.Or(trace.Selected(), app.Model.Node)
	arguments := 0
	for _, path := range trace.Path {
		if path.Positional != nil {
			arguments++
		}
	}
	var flags []*kong.Flag
	if !slices.Contains(before, "--") { // which no flag follows
		flags = slices.Concat(command.AllFlags(true)...)
	}
	name, _, assigned := strings.Cut(current, "=")
	this, previous := find(flags, name), (*kong.Flag)(nil)
	if len(before) > 0 {
		previous = find(flags, before[len(before)-1])
	}
	switch {
	case previous != nil && !previous.IsBool():
		list = values(previous.Value, "")
	case assigned && this != nil:
		list = values(this.Value, name+"=")
	case flags != nil && strings.HasPrefix(current, "-"):
		for _, f := range flags {
			list = append(list, []string{"--" + f.Name, firstSentence(f.Help)})
			if f.Short != 0 {
				list = append(list, []string{"-" + string(f.Short), firstSentence(f.Help)})
			}
		}
	case arguments < len(command.Positional):
		list = values(command.Positional[arguments], "")
	default:
		for _, n := range command.Children {
			if !n.Hidden {
				list = append(list, []string{n.Name, firstSentence(n.Help)})
			}
		}
	}
	return slices.DeleteFunc(list, func(c []string) bool {
		return c[0] != files && !strings.HasPrefix(c[0], current)
	})
}

// find returns the flag of that name, dashes included; nil if there is none.
func find(flags []*kong.Flag, name string) *kong.Flag {
	i := slices.IndexFunc(flags, func(f *kong.Flag) bool { return name == "--"+f.Name || name == "-"+string(f.Short) })
	if i < 0 {
		return nil
	}
	return flags[i]
}

// values returns what a flag or an argument may be, each after prefix: what its
// tag complete says, or else enum.
func values(v *kong.Value, prefix string) (list [][]string) {
	known := cmp.Or(v.Tag.Get("complete"), v.Enum)
	if known == files {
		return [][]string{{files}}
	}
	for value := range strings.SplitSeq(known, ",") {
		if value != "" {
			list = append(list, []string{prefix + value})
		}
	}
	return list
}

func firstSentence(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(first, ".")
}
