//go:build shells

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// typeIntoZsh gives zsh a terminal, waits until it is ready, types each line
// with an echo before it, and prints what the echo printed between brackets.
const typeIntoZsh = `
zmodload zsh/zpty
zpty z "PS1='READY>' zsh -f -i"
zpty -w z "$1; print LOA''DED"
zpty -r z out '*LOADED*READY>*'
shift
for keys; do
  zpty -w -n z "$keys"$'\C-a'"echo -E '[' "$'\C-e'" ']'"$'\n'
  zpty -r z out $'*\n\\[ *\\]*READY>*'
  print -r -- ${${out##*\[ }%%\]*}
done
zpty -d z
`

// TestZsh loads the script both ways that its help names.
func TestZsh(t *testing.T) {
	folder := t.TempDir()
	script := runTepal(t, "", "completion", "zsh")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "_tepal"), []byte(script.out), 0o600))
	for way, load := range map[string]string{
		"sourced":   "autoload -U compinit; compinit -D -u; source <(tepal completion zsh)",
		"in $fpath": "fpath=(" + folder + " $fpath); autoload -U compinit; compinit -D -u",
	} {
		args := []string{"-f", "-c", typeIntoZsh, "zsh", load}
		var want []string
		for _, line := range typed {
			args = append(args, line.keys)
			want = append(want, line.want)
		}
		out, err := shell(t, "zsh", args...).CombinedOutput()
		require.NoError(t, err, string(out))
		var got []string
		for line := range strings.Lines(string(out)) {
			got = append(got, strings.TrimSpace(line))
		}
		assert.Equal(t, want, got, way)
	}
}

// TestFish asks fish what it offers for the last word of a line.
func TestFish(t *testing.T) {
	for line, want := range map[string]string{
		"tepal comp":                               "completion\tPrint the script that completes tepal's command line in a shell\n",
		"tepal serve --log-f":                      "--log-format\tForm of the log's lines: gcp, ecs, plain, console, or auto, which is console on a terminal and gcp elsewhere\n",
		"tepal serve --log-format ":                "auto\nconsole\necs\ngcp\nplain\n",
		"tepal predict --from=js":                  "--from=jsonl\n",
		"tepal serve --access-log sam":             "sampled:0.01\n",
		"tepal predict ros":                        "roses.csv\n",
		"tepal predict -o ros":                     "roses.csv\n",
		"tepal predict --output=two":               "--output=two words.csv\n",
		"tepal predict two\\ words.csv --t":        "--to\tFormat of the output: jsonl or csv\n",
		"tepal serve --drain-delay ros":            "",
		"tepal version ros":                        "",
		"tepal completion f":                       "fish\n",
		"tepal serve --access-log sampled:0.01 ro": "roses.csv\n",
	} {
		fish := shell(t, "fish", "--no-config", "--command", "tepal completion fish | source; complete -C $argv[1]", line)
		out, err := fish.CombinedOutput()
		require.NoError(t, err, string(out))
		assert.Equal(t, want, string(out), line)
	}
}

// TestMandoc: the page has no fault that mandoc knows, and reads as it was
// meant: what roff would change in an example comes out as it stands.
func TestMandoc(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	require.NoError(t, err, "install it: apt-get install mandoc")
	run := func(arg string) string {
		command := exec.CommandContext(t.Context(), mandoc, arg)
		command.Stdin = strings.NewReader(page(t))
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	assert.Empty(t, run("-Tlint"))
	read := run("-Tutf8")
	// mandoc makes bold of a character, a backspace and the character again.
	for i := strings.IndexByte(read, '\b'); i > 0; i = strings.IndexByte(read, '\b') {
		read = read[:i-1] + read[i+1:]
	}
	for _, example := range []string{
		`-d '{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}'`,
		`tepal completion bash > ~/.local/share/bash-completion/completions/tepal`,
		`-o, --output=FILE`, `--http-addr=":8000"`,
	} {
		assert.Contains(t, read, example)
	}
}
