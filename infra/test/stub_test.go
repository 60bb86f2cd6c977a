package infra_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// clouds are the configured projects of the tests.
var clouds = map[string]string{
	"gcp":   "my-mlops-project",
	"aws":   "123456789012",
	"azure": "00000000-0000-0000-0000-000000000001",
}

// answer is what a stub says to a command that a shell pattern matches.
type answer struct {
	pattern string
	stdout  string
	code    int
	// once makes it the answer to the first such command alone.
	once bool
}

// bench is a place to run a script in: a PATH with recording stubs and the
// few real tools that scripts use, and nothing else.
type bench struct {
	dir     string
	answers []answer
	env     []string
	stdin   string
}

// result is what a run left behind.
type result struct {
	code           int
	stdout, stderr string
	// commands are those that reached a stub, in order.
	commands []string
}

// tools are real: what every machine has, jq, and Terraform for the module of settings.
const tools = "awk bash basename cat chmod cksum cp cut date dirname grep head jq mktemp mv rm sed sh tee touch timeout tr env"

// stub records itself and gives the first answer whose pattern fits. Terraform itself plans the settings, but for the same
// ones once alone: an answer is kept by the arguments, without the folders of one run, and by the file of variables.
const stub = `#!/bin/bash
line="${0##*/} $*"
case "$line" in
"terraform -chdir="*/settings*)
  terraform=%q kept=%q last=${!#}
  if [ "$2" = show ]; then exec cat "$last"; fi
  key=
  for word in "$@"; do
    case $word in
    -state=* | -chdir=*) ;;
    -out=*) out=${word#-out=} ;;
    -var-file=*) key+=$(<"${word#-var-file=}") ;;
    *) key+=" $word" ;;
    esac
  done
  for name in "${!TF_VAR_@}"; do key+=" $name=${!name}"; done
  kept+=/$(printf %%s "$key" | cksum | tr -c '0-9\n' -)
  if [ ! -e "$kept.json" ]; then
    "$terraform" "$@" || exit
    "$terraform" "$1" show -json "$out" >"$kept.$$"
    mv "$kept.$$" "$kept.json"
  fi
  exec cp "$kept.json" "$out"
  ;;
esac
printf '%%s\n' "${line//$'\n'/ }" >>%q
case "$line" in
%s
esac
exit 0
`

// kept is where the plans of the settings are kept while the tests run.
var kept string

func TestMain(m *testing.M) {
	var err error
	if kept, err = os.MkdirTemp("", "settings"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(kept)
	os.Exit(code)
}

func newBench(t *testing.T, cloud string, answers ...answer) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), answers: answers}
	for _, name := range []string{"bin", "infra/gcp", "infra/aws", "infra/azure", "tmp"} {
		require.NoError(t, os.MkdirAll(filepath.Join(b.dir, name), 0o755))
	}
	for _, name := range []string{"scripts", "settings"} {
		target, err := filepath.Abs(filepath.Join(infra, name))
		require.NoError(t, err)
		require.NoError(t, os.Symlink(target, filepath.Join(b.dir, "infra", name)))
	}
	manifests, err := filepath.Abs(filepath.Join(infra, "..", "k8s"))
	require.NoError(t, err)
	require.NoError(t, os.Symlink(manifests, filepath.Join(b.dir, "k8s")))
	for tool := range strings.FieldsSeq(tools) {
		path, err := exec.LookPath(tool)
		require.NoError(t, err, "the scripts need %s", tool)
		require.NoError(t, os.Symlink(path, filepath.Join(b.dir, "bin", tool)))
	}
	if cloud != "" {
		b.env = []string{"CLOUD=" + cloud, "PROJECT=" + clouds[cloud]}
		b.answers = append(b.answers, signedIn(cloud)...)
	}
	return b
}

// signedIn are the answers of a cloud's command line that is signed in for the configured project.
func signedIn(cloud string) []answer {
	return map[string][]answer{
		"gcp":   {{pattern: "gcloud config get-value project", stdout: clouds["gcp"]}},
		"aws":   {{pattern: "aws sts get-caller-identity *", stdout: clouds["aws"]}},
		"azure": {{pattern: "az account show *", stdout: clouds["azure"]}},
	}[cloud]
}

// install writes the stubs.
func (b *bench) install(t *testing.T, programs string) {
	t.Helper()
	terraform, err := exec.LookPath("terraform")
	require.NoError(t, err, "the tests need Terraform: https://developer.hashicorp.com/terraform/install")
	var cases strings.Builder
	for _, a := range b.answers {
		words := strings.Split(a.pattern, "*")
		for i := range words {
			words[i] = shellQuote(words[i])
		}
		condition := ""
		if a.once {
			mark := filepath.Join(b.dir, fmt.Sprintf("once-%d", len(cases.String())))
			condition = fmt.Sprintf(`if [ ! -e %[1]q ]; then touch %[1]q; else exit 0; fi; `, mark)
		}
		fmt.Fprintf(&cases, "%s) %sprintf '%%s\\n' %s; [ %d = 0 ] || echo 'stub: refused' >&2; exit %d ;;\n",
			strings.Join(words, "*"), condition, shellQuote(a.stdout), a.code, a.code)
	}
	text := fmt.Sprintf(stub, terraform, kept, filepath.Join(b.dir, "log"), cases.String())
	for program := range strings.FieldsSeq(programs) {
		require.NoError(t, os.WriteFile(filepath.Join(b.dir, "bin", program), []byte(text), 0o755))
	}
}

func shellQuote(text string) string {
	if text == "" {
		return ""
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// everything is each program that the scripts may call.
const everything = "gcloud gke-gcloud-auth-plugin aws eksctl az kubelogin kubectl helm terraform curl gh"

// run runs a script with stubs of everything.
func (b *bench) run(t *testing.T, script string, args ...string) result {
	t.Helper()
	return b.runWith(t, everything, script, args...)
}

func (b *bench) runWith(t *testing.T, programs, script string, args ...string) result {
	t.Helper()
	b.install(t, programs)
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), filepath.Join(b.dir, "infra", "scripts", script+".sh"), args...)
	command.Dir = b.dir
	command.Env = append([]string{"PATH=" + filepath.Join(b.dir, "bin"), "HOME=" + b.dir, "TMPDIR=" + filepath.Join(b.dir, "tmp"), "TZ=UTC"}, b.env...)
	command.Stdin = strings.NewReader(b.stdin)
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	left, err := filepath.Glob(filepath.Join(b.dir, "tmp", "*"))
	require.NoError(t, err)
	require.Empty(t, left, "no temporary files stay")
	log, err := os.ReadFile(filepath.Join(b.dir, "log"))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	r := result{code: command.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
	for line := range strings.Lines(string(log)) {
		// A folder of the test, or of one run, says nothing.
		line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), b.dir+"/", "")
		r.commands = append(r.commands, temporary.ReplaceAllString(line, "WORK"))
	}
	return r
}

// shell runs a script with the stubs, and returns what it printed.
func (b *bench) shell(t *testing.T, script string) string {
	t.Helper()
	b.install(t, everything)
	command := exec.CommandContext(t.Context(), filepath.Join(b.dir, "bin", "sh"), "-ec", strings.ReplaceAll(script, "/tmp/", b.dir+"/tmp/"))
	command.Env = []string{"PATH=" + filepath.Join(b.dir, "bin")}
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// podScript is what the only container of a pod runs.
func podScript(t *testing.T, manifest string) string {
	t.Helper()
	var pod struct {
		Spec struct {
			Containers []struct{ Command []string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(manifest), &pod))
	require.Len(t, pod.Spec.Containers, 1)
	command := pod.Spec.Containers[0].Command
	return command[len(command)-1]
}
