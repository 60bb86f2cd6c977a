package test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type workflow struct {
	On struct {
		Call struct {
			Outputs map[string]struct {
				Value string `yaml:"value"`
			} `yaml:"outputs"`
		} `yaml:"workflow_call"`
	} `yaml:"on"`
	Env  map[string]string `yaml:"env"`
	Jobs map[string]job    `yaml:"jobs"`
}

type job struct {
	Needs   list              `yaml:"needs"`
	Uses    string            `yaml:"uses"`
	If      string            `yaml:"if"`
	Env     map[string]string `yaml:"env"`
	Outputs map[string]string `yaml:"outputs"`
	Steps   []step            `yaml:"steps"`
}

// list is one name, or several.
type list []string

func (l *list) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*l = list{node.Value}
		return nil
	}
	return node.Decode((*[]string)(l))
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
	image string            // what the steps that push, verify and copy tell in place of being run
	// after sees each step that was run, with its environment.
	after func(name string, env map[string]string, ok bool)
	out   bytes.Buffer // what the steps print, shown when a test fails
}

// standIns are the tools that are not to be reached. `cml` and `cosign` come with their actions.
var standIns = []string{"gcloud", "docker", "podman", "buildah", "kubectl", "curl", "gh", "go"}

func newMachine(t *testing.T, set map[string]string) *machine {
	t.Helper()
	dir := t.TempDir()
	template := repository(t)
	m := &machine{t: t, root: filepath.Join(dir, "repository"), stubs: filepath.Join(dir, "stubs"), calls: filepath.Join(dir, "calls"), set: set}
	// Nobody waits for what answers at once.
	m.env = []string{"REAL=", "SMOKE_INTERVAL=0", "URL_INTERVAL=0"}
	out, err := exec.CommandContext(t.Context(), "cp", "-a", "--reflink=auto", template, m.root).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, name := range standIns {
		m.install(name)
	}
	// That of kubectl, where there is one: the pinned one would be compiled first.
	if path, err := exec.LookPath("kubectl"); err == nil {
		m.env = append(m.env, "KUSTOMIZE="+filepath.Join(m.stubs, "kustomize"))
		require.NoError(t, os.WriteFile(filepath.Join(m.stubs, "kustomize"), []byte("#!/bin/sh\nshift\nexec "+path+" kustomize \"$@\"\n"), 0o755))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the steps printed:\n%s\nand called:\n%s", m.out.String(), strings.Join(m.called(), "\n"))
		}
	})
	return m
}

// template is a copy of the repository, with what is not committed yet, as after a checkout, but for what only other tests
// read. Each machine has a copy of it.
var template struct {
	sync.Once
	dir string
}

func repository(t *testing.T) string {
	t.Helper()
	template.Do(func() {
		dir, err := os.MkdirTemp("", "workflows")
		require.NoError(t, err)
		template.dir = dir
		const script = `git -C ../.. ls-files -z --cached --others --exclude-standard |
			(cd ../.. && while IFS= read -rd '' name; do [[ ! -e $name || $name == */testdata/* ]] || printf '%s\0' "$name"; done |
			tar --create --dereference --null --files-from=- ) | tar --extract --directory "$1"
		cd "$1" && git init --quiet && git add --all && git -c user.name=test -c user.email=test@example.com commit --quiet --message=copy`
		out, err := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script, "bash", dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
	return template.dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(template.dir) // it is below the system's folder for such
	os.Exit(code)
}

func (m *machine) copy(from, to string) {
	m.t.Helper()
	info, err := os.Stat(from)
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
	values := map[string]string{}
	for name, value := range m.set {
		put(values, name, value)
	}
	return m.workflow(name, values, jobs)
}

func (m *machine) workflow(name string, values map[string]string, jobs []string) []string {
	m.t.Helper()
	var w workflow
	m.read(filepath.Join(".github/workflows", name), &w)
	require.ElementsMatch(m.t, slices.Collect(maps.Keys(w.Jobs)), jobs, "every job is named by the test")
	var results []string
	for _, id := range jobs {
		j := w.Jobs[id]
		s := scope{values: values}
		for _, needed := range j.Needs {
			s.failed = s.failed || results[slices.Index(jobs, needed)] != "success"
		}
		holds, err := s.holds(j.If)
		require.NoError(m.t, err)
		switch {
		case !holds:
			results = append(results, "skipped")
		case j.Uses != "":
			results = append(results, m.call(id, j.Uses, values))
		default:
			results = append(results, m.job(id, w, j, values))
		}
	}
	return results
}

// call runs the jobs of a workflow that another one calls, but for those of CI, which have no stand-ins.
func (m *machine) call(id, uses string, values map[string]string) string {
	m.t.Helper()
	if uses == "./.github/workflows/ci.yml" {
		if m.action(&scope{}, step{Uses: uses}) {
			return "success"
		}
		return "failure"
	}
	name := filepath.Base(uses)
	var w workflow
	m.read(filepath.Join(".github/workflows", name), &w)
	require.Len(m.t, w.Jobs, 1)
	inner := maps.Clone(values)
	result := m.workflow(name, inner, slices.Collect(maps.Keys(w.Jobs)))[0]
	for name, value := range inner {
		if output, ok := strings.CutPrefix(name, "needs."); ok {
			put(inner, "jobs."+output, value)
		}
	}
	for name, output := range w.On.Call.Outputs {
		value, err := scope{values: inner}.expand(output.Value)
		require.NoError(m.t, err)
		put(values, "needs."+id+".outputs."+name, value)
	}
	return result
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
		case (st.ID == "image" || st.ID == "verified") && m.image != "":
			put(s.values, "steps."+st.ID+".outputs.image", m.image)
		case st.Run != "":
			ok = m.shell(s, st, env)
		case strings.HasPrefix(st.Uses, "./"):
			ok = m.composite(s, st, env)
		default:
			ok = m.action(s, st)
		}
		s.failed = s.failed || !ok && !st.ContinueOnError
		if m.after != nil {
			m.after(st.Name, m.environment(*s, env, st.Env), ok)
		}
	}
}

// composite runs the steps of an action of this repository.
func (m *machine) composite(s *scope, st step, env map[string]string) bool {
	m.t.Helper()
	var action struct {
		Inputs  map[string]any `yaml:"inputs"`
		Outputs map[string]struct {
			Value string `yaml:"value"`
		} `yaml:"outputs"`
		Runs struct {
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
	for name, output := range action.Outputs {
		value, err := inner.expand(output.Value)
		require.NoError(m.t, err)
		put(s.values, "steps."+st.ID+".outputs."+name, value)
	}
	return !inner.failed
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
		"GITHUB_REPOSITORY=" + m.set["github.repository"], "GITHUB_REPOSITORY_OWNER=" + filepath.Dir(m.set["github.repository"]),
		"GITHUB_SERVER_URL=https://github.com", "GOFLAGS=-buildvcs=false",
		"HOST=" + runtime.GOOS + "_" + runtime.GOARCH,
	}, m.env...)
	for name, value := range env {
		command.Env = append(command.Env, name+"="+value)
	}
	for name, value := range m.environment(*s, st.Env) {
		command.Env = append(command.Env, name+"="+value)
	}
	ok := command.Run() == nil
	data, _ := os.ReadFile(output)
	for name, value := range outputs(string(data)) {
		put(s.values, "steps."+st.ID+".outputs."+name, value)
	}
	return ok
}

// outputs reads what a step has written for others: a line name=value, or name<<END and lines up to END.
func outputs(text string) map[string]string {
	all := map[string]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if name, end, ok := strings.Cut(lines[i], "<<"); ok {
			from := i + 1
			for i++; lines[i] != end; i++ {
			}
			all[name] = strings.Join(lines[from:i], "\n")
		} else if name, value, ok := strings.Cut(lines[i], "="); ok {
			all[name] = value
		}
	}
	return all
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
