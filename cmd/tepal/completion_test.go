package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCandidates: what may come next, by what stands before it.
func TestCandidates(t *testing.T) {
	for line, want := range map[string]string{
		"":                                "serve predict inspect verify completion man version",
		"ver":                             "verify version",
		"sing":                            "",
		"-":                               "--help -h",
		"completion ":                     "bash zsh fish",
		"completion bash ":                "",
		"man ":                            "",
		"serve --log-":                    "--log-level --log-format --log-payloads",
		"serve --log-l":                   "--log-level",
		"serve --log-level ":              "debug info warn error",
		"serve --log-format e":            "ecs",
		"serve --log-format=":             "--log-format=auto --log-format=gcp --log-format=ecs --log-format=plain --log-format=console",
		"serve --log-format=ecs --sl":     "--slow",
		"serve --access-log s":            "sampled:0.01",
		"serve --drain-delay ":            "",
		"serve --check":                   "--check",
		"serve --check ":                  ":files",
		"serve --no-such-flag=":           "",
		"serve ":                          ":files",
		"serve model.onnx ":               "",
		"serve model.onnx --che":          "--check",
		"serve -- --che":                  ":files",
		"predict --to csv -o ":            ":files",
		"predict --output=an":             ":files",
		"predict -m model.onnx --from js": "jsonl",
		"predict -":                       "--help -h --from --to --output -o",
		"predict - --t":                   "--to",
		"predict - ":                      ":files",
		"predict - - ":                    "",
		"inspect serve --":                "--help --json",
	} {
		got := runTepal(t, "", append([]string{"complete", "--"}, strings.Split(line, " ")...)...)
		require.Equal(t, 0, got.code, got.err)
		var words []string
		for answer := range strings.Lines(got.out) {
			word, _, _ := strings.Cut(strings.TrimSpace(answer), "\t")
			words = append(words, word)
		}
		assert.Equal(t, want, strings.Join(words, " "), line)
	}
}

func TestCandidatesSayWhatTheyMean(t *testing.T) {
	got := runTepal(t, "", "complete", "--", "ver")
	assert.Equal(t, ran{0, "verify\tProve that a model answers as its golden rows expect\nversion\tPrint the version, the commit it was built from, and with which Go for which system\n", ""}, got)
}

// shell is a command that runs a shell where tepal is this program, in a folder
// with some files.
func shell(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	require.NoError(t, err, "install it: apt-get install %s", name)
	dir, bin := t.TempDir(), t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "tepal")))
	for _, file := range []string{"roses.csv", "two words.csv"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), nil, 0o600))
	}
	command := exec.CommandContext(t.Context(), path, args...)
	command.Dir = dir
	command.Env = []string{
		"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"TERM=dumb", "INPUTRC=/dev/null", asMain + "=1",
	}
	// An interactive shell would take the terminal that the tests run in.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return command
}

// typed are lines as a person types them, with the Tab key, and what they are
// then. All shells are held to them.
var typed = []struct{ keys, want string }{
	{"tepal comp\tb\t", "tepal completion bash"},
	{"tepal serve --log-f\tec\t", "tepal serve --log-format ecs"},
	{"tepal predict --from=js\t", "tepal predict --from=jsonl"},
	{"tepal serve --access-log sam\t", "tepal serve --access-log sampled:0.01"},
	{"tepal serve --access-log sampled:0.01 --sl\t", "tepal serve --access-log sampled:0.01 --slow"},
	{"tepal predict ros\t", "tepal predict roses.csv"},
	{"tepal predict -o ros\t", "tepal predict -o roses.csv"},
	{"tepal predict --output=two\t", "tepal predict --output=two words.csv"},
	{"tepal predict two\\ words.csv --t\t", "tepal predict two words.csv --to"},
	{"tepal serve --drain-delay ros\t", "tepal serve --drain-delay ros"},
	{"tepal version ros\t", "tepal version ros"},
}

// TestBash types into bash, which reads keys from a pipe as from a terminal:
// what a Tab has made of a line is shown by an echo put before it by Ctrl-A.
func TestBash(t *testing.T) {
	bash := shell(t, "bash", "--norc", "-i")
	keys, want := "source <(tepal completion bash)\n", ""
	for _, line := range typed {
		keys += line.keys + "\x01echo \n"
		want += line.want + "\n"
	}
	bash.Stdin = strings.NewReader(keys)
	var prompts strings.Builder
	bash.Stderr = &prompts
	out, err := bash.Output()
	require.NoError(t, err, prompts.String())
	assert.Equal(t, want, string(out), prompts.String())
}
