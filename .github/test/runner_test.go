package test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type workflow struct {
	Env  map[string]string `yaml:"env"`
	Jobs map[string]job    `yaml:"jobs"`
}

type job struct {
	Needs   string            `yaml:"needs"`
	If      string            `yaml:"if"`
	Env     map[string]string `yaml:"env"`
	Outputs map[string]string `yaml:"outputs"`
	Steps   []step            `yaml:"steps"`
}

type step struct {
	ID              string            `yaml:"id"`
	Name            string            `yaml:"name"`
	If              string            `yaml:"if"`
	Env             map[string]string `yaml:"env"`
	Run             string            `yaml:"run"`
	Shell           string            `yaml:"shell"`
	Uses            string            `yaml:"uses"`
	With            map[string]string `yaml:"with"`
	ContinueOnError bool              `yaml:"continue-on-error"`
}

// machine is a runner: a copy of the repository, and a PATH on which the stand-ins come first.
type machine struct {
	t     *testing.T
	root  string            // the copy
	stubs string            // the stand-ins
	calls string            // where they write how they were called
	fail  string            // the calls that begin so fail
	set   map[string]string // github, vars and secrets
	env   []string          // what every step has in its environment beside its own
	image string            // what the step with the ID image tells in place of being run
	// after sees each step that was run, with the environment of its job.
	after func(name string, env map[string]string, ok bool)
	out   bytes.Buffer // what the steps print, shown when a test fails
}

// standIns are the tools that are not to be reached. `cml` and `cosign` come with their actions.
var standIns = []string{"gcloud", "docker", "podman", "buildah", "kubectl", "curl", "gh", "go"}

func newMachine(t *testing.T, set map[string]string) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t: t, root: filepath.Join(dir, "repository"), stubs: filepath.Join(dir, "stubs"), calls: filepath.Join(dir, "calls"), set: set}
	// Nobody waits for what answers at once.
	m.env = []string{"REAL=", "SMOKE_INTERVAL=0", "URL_INTERVAL=0"}
	files, err := exec.CommandContext(t.Context(), "git", "-C", "../..", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	require.NoError(t, err)
	for name := range strings.SplitSeq(strings.TrimRight(string(files), "\x00"), "\x00") {
		m.copy(filepath.Join("../..", name), filepath.Join(m.root, name))
	}
	// What asks Git for the files and the commit gets an answer, as after a checkout.
	commit := []string{"-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message=copy"}
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "--all"}, commit} {
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", m.root, "-c", "core.looseCompression=0"}, args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	for _, name := range standIns {
		m.install(name)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the steps printed:\n%s\nand called:\n%s", m.out.String(), strings.Join(m.called(), "\n"))
		}
	})
	return m
}

func (m *machine) copy(from, to string) {
	m.t.Helper()
	info, err := os.Stat(from)
	if os.IsNotExist(err) { // removed, and not yet committed
		return
	}
	require.NoError(m.t, err)
	data, err := os.ReadFile(from)
	require.NoError(m.t, err)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(m.t, os.WriteFile(to, data, info.Mode()))
}

func (m *machine) install(name string) { m.copy("testdata/stand-in.sh", filepath.Join(m.stubs, name)) }

// called are the calls so far.
func (m *machine) called() []string {
	data, _ := os.ReadFile(m.calls)
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// run runs the named jobs of a workflow one after the other, and tells how each ended: success, failure or skipped.
func (m *machine) run(name string, jobs ...string) []string {
	m.t.Helper()
	var w workflow
	m.read(filepath.Join(".github/workflows", name), &w)
	require.ElementsMatch(m.t, slices.Collect(maps.Keys(w.Jobs)), jobs, "every job is named by the test")
	values := map[string]string{}
	for name, value := range m.set {
		put(values, name, value)
	}
	var results []string
	for _, id := range jobs {
		j := w.Jobs[id]
		s := scope{values: values}
		if j.Needs != "" {
			s.failed = results[slices.Index(jobs, j.Needs)] != "success"
		}
		holds, err := s.holds(j.If)
		require.NoError(m.t, err)
		if !holds {
			results = append(results, "skipped")
			continue
		}
		results = append(results, m.job(id, w, j, values))
	}
	return results
}

func (m *machine) job(id string, w workflow, j job, values map[string]string) string {
	m.t.Helper()
	s := scope{values: maps.Clone(values)}
	env := m.environment(s, w.Env, j.Env)
	for name, value := range env {
		put(s.values, "env."+name, value)
	}
	m.steps(&s, j.Steps, env)
	for name, text := range j.Outputs {
		value, err := s.expand(text)
		require.NoError(m.t, err)
		put(values, "needs."+id+".outputs."+name, value)
	}
	if s.failed {
		return "failure"
	}
	return "success"
}

func (m *machine) steps(s *scope, steps []step, env map[string]string) {
	m.t.Helper()
	for _, st := range steps {
		holds, err := s.holds(st.If)
		require.NoError(m.t, err)
		if !holds {
			continue
		}
		ok := true
		switch {
		case st.ID == "image" && m.image != "":
			put(s.values, "steps.image.outputs.image", m.image)
		case st.Run != "":
			ok = m.shell(s, st, env)
		case strings.HasPrefix(st.Uses, "./"):
			m.composite(s, st, env)
		default:
			ok = m.action(s, st)
		}
		s.failed = s.failed || !ok && !st.ContinueOnError
		if m.after != nil {
			m.after(st.Name, env, ok)
		}
	}
}

// composite runs the steps of an action of this repository.
func (m *machine) composite(s *scope, st step, env map[string]string) {
	m.t.Helper()
	var action struct {
		Inputs map[string]any `yaml:"inputs"`
		Runs   struct {
			Steps []step `yaml:"steps"`
		} `yaml:"runs"`
	}
	m.read(filepath.Join(st.Uses, "action.yml"), &action)
	inner := scope{values: maps.Clone(s.values)}
	for name := range action.Inputs {
		put(inner.values, "inputs."+name, "")
	}
	for name, text := range st.With {
		require.Contains(m.t, action.Inputs, name)
		value, err := s.expand(text)
		require.NoError(m.t, err)
		put(inner.values, "inputs."+name, value)
	}
	m.steps(&inner, action.Runs.Steps, env)
	s.failed = s.failed || inner.failed
}

// action writes down that another action was used, with what is not empty.
func (m *machine) action(s *scope, st step) bool {
	m.t.Helper()
	name, _, _ := strings.Cut(st.Uses, "@")
	call := "uses " + name
	for _, key := range slices.Sorted(maps.Keys(st.With)) {
		value, err := s.expand(st.With[key])
		require.NoError(m.t, err)
		if value != "" {
			call += " " + key + "=" + value
		}
	}
	m.record(call)
	if m.fail != "" && strings.HasPrefix(call, m.fail) {
		return false
	}
	switch name {
	case "iterative/setup-cml":
		m.install("cml")
	case "sigstore/cosign-installer":
		m.install("cosign")
	}
	return true
}

// shell runs a step as GitHub's bash does, and takes its outputs.
func (m *machine) shell(s *scope, st step, env map[string]string) bool {
	m.t.Helper()
	require.NotContains(m.t, st.Run, "${{", "a value in a script is an injection: it comes by env")
	output := filepath.Join(m.t.TempDir(), "output")
	args := []string{"-e", "-c", st.Run}
	if st.Shell == "bash" {
		args = []string{"--noprofile", "--norc", "-eo", "pipefail", "-c", st.Run}
	}
	command := exec.CommandContext(m.t.Context(), "bash", args...)
	command.Dir = m.root
	command.Stdout, command.Stderr = &m.out, &m.out
	command.Env = append([]string{
		"PATH=" + m.stubs + ":/usr/bin:/bin", "HOME=" + os.Getenv("HOME"), "REAL_PATH=" + os.Getenv("PATH"), "STUBS=" + m.stubs,
		"CALLS=" + m.calls, "FAIL=" + m.fail, "FIXTURES=" + m.fixtures(), "GITHUB_OUTPUT=" + output, "GITHUB_SHA=" + m.set["github.sha"],
		"GOFLAGS=-buildvcs=false",
	}, m.env...)
	for name, value := range env {
		command.Env = append(command.Env, name+"="+value)
	}
	for name, value := range m.environment(*s, st.Env) {
		command.Env = append(command.Env, name+"="+value)
	}
	ok := command.Run() == nil
	data, _ := os.ReadFile(output)
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		put(s.values, "steps."+st.ID+".outputs."+name, value)
	}
	return ok
}

// put keeps a value under a name in lower case, as expressions do not tell cases apart.
func put(values map[string]string, name, value string) { values[strings.ToLower(name)] = value }

func (m *machine) fixtures() string {
	dir, err := filepath.Abs("testdata")
	require.NoError(m.t, err)
	return dir
}

func (m *machine) environment(s scope, all ...map[string]string) map[string]string {
	m.t.Helper()
	env := map[string]string{}
	for _, texts := range all {
		for name, text := range texts {
			value, err := s.expand(text)
			require.NoError(m.t, err)
			env[name] = value
		}
	}
	return env
}

func (m *machine) record(call string) {
	m.t.Helper()
	file, err := os.OpenFile(m.calls, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(m.t, err)
	_, err = file.WriteString(call + "\n")
	require.NoError(m.t, err)
	require.NoError(m.t, file.Close())
}

func (m *machine) read(name string, into any) {
	m.t.Helper()
	data, err := os.ReadFile(filepath.Join(m.root, name))
	require.NoError(m.t, err)
	require.NoError(m.t, yaml.Unmarshal(data, into))
}
