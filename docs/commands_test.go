//go:build commands

package docs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The info string of a fence says what happens to a block of commands:
//
//	sh test            it runs here, in a copy of the repository, and must end well
//	sh test serves     it is a server: it runs until the page ends, or the next server starts
//	sh stub            it runs with stubs in place of the clouds' programs, which record how they are called
//	sh stub typed X    the same, and X is typed when it asks
//	sh stub like C     the stubs must be called just as the dry run of the command C says
//	text output        what the block before must have printed; … stands for anything, lines between may be missing
//
// Variables stay from one block of a page to the next. Ports are free ones in place of those that the page names.
const (
	runs   = "sh test"
	serves = "sh test serves"
	stubs  = "sh stub"
	typed  = "sh stub typed "
	like   = "sh stub like "
	output = "text output"
)

// patience bounds a block: the longest builds Locust's environment.
const patience = 5 * time.Minute

// session is a page at work.
type session struct {
	// work is its copy of the repository, dir is for all else.
	work, dir string
	// ports are those in use in place of the usual ones.
	ports map[string]string
	// server is the process that a block has left running.
	server *exec.Cmd
	// called are the calls that reached stubs.
	called []string
}

// TestCommands runs the marked blocks of every page, in their order.
func TestCommands(t *testing.T) {
	cluster := startCluster(t)
	count := 0
	for _, p := range pages(t) {
		marked := slices.ContainsFunc(p.blocks, func(b block) bool { return isMarked(b.language) })
		if !marked {
			continue
		}
		t.Run(p.path, func(t *testing.T) {
			s := newSession(t, cluster)
			printed := ""
			for _, b := range p.blocks {
				switch {
				case b.language == output:
					expect(t, b.text, printed)
				case isMarked(b.language):
					count++
					printed = s.run(t, b)
				}
			}
			checkNames(t, s.called)
			checkGrants(t, p.path, s.called)
		})
	}
	t.Logf("%d blocks ran", count)
	assert.Positive(t, count)
}

func isMarked(language string) bool {
	return language == runs || language == serves || language == stubs ||
		strings.HasPrefix(language, typed) || strings.HasPrefix(language, like)
}

// newSession copies what git knows of, and what it would, with the tools that take long to build.
func newSession(t *testing.T, cluster string) *session {
	t.Helper()
	s := &session{work: filepath.Join(t.TempDir(), "tepal"), dir: t.TempDir(), ports: make(map[string]string)}
	script := `mkdir "$1" && git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf - | tar -xf - -C "$1"
mkdir "$1/bin" && cp -p bin/otelcol "$1/bin/" && ln -s "$PWD/.venv" "$1/.venv"`
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script, "copy", s.work)
	command.Dir = root
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, name := range []string{"8000", "8002", "9090", "9091", "4317", "4318"} {
		s.ports[name] = freePort(t)
	}
	writeStubs(t, filepath.Join(s.dir, "stubs"), cluster)
	t.Cleanup(func() { s.stop(t) })
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

// run runs a block, and returns what it printed.
func (s *session) run(t *testing.T, b block) string {
	t.Helper()
	t.Logf("%s\n%s", b.language, b.text)
	stdin := ""
	if name, ok := strings.CutPrefix(b.language, typed); ok {
		stdin = name + "\n"
	}
	if b.language == serves {
		s.serve(t, b.text)
		return ""
	}
	if b.language == runs {
		return s.bash(t, b.text, "", false)
	}
	before := len(s.calls(t))
	// A load on a cluster takes minutes.
	printed := s.bash(t, strings.ReplaceAll(b.text, "bin/loadtest", "loadtest"), stdin, true)
	calls := s.calls(t)[before:]
	assert.NotEmpty(t, calls, "no stub was called:\n%s", b.text)
	s.called = append(s.called, calls...)
	if command, ok := strings.CutPrefix(b.language, like); ok {
		assert.Equal(t, s.dryRun(t, command), calls, "%s does otherwise than:\n%s", command, b.text)
	}
	return printed
}

// dryRun returns the calls that the dry run of a command of ours would make.
func (s *session) dryRun(t *testing.T, command string) []string {
	t.Helper()
	printed := s.bash(t, "DRY_RUN=1 "+command+" 2>&1", "", true)
	// Some scripts mark their commands with a plus sign. The others print a script.
	if marked := regexp.MustCompile(`(?m)^\+ .*$`).FindAllString(printed, -1); marked != nil {
		printed = ""
		for _, line := range marked {
			printed += strings.TrimPrefix(line, "+ ") + "\n"
		}
	}
	before := len(s.calls(t))
	s.bash(t, printed, "", true)
	calls := s.calls(t)[before:]
	require.NotEmpty(t, calls, "the dry run of %s has no commands:\n%s", command, printed)
	return calls
}

// script puts variables and ports around a block.
func (s *session) script(text, path string) string {
	for usual, free := range s.ports {
		text = strings.ReplaceAll(text, "localhost:"+usual, "localhost:"+free)
	}
	return `[ ! -f "$VARIABLES" ] || source "$VARIABLES"
export PATH='` + path + `'
unset MAKEFLAGS MAKELEVEL # the make that runs the test is none of theirs
set -a
` + text + `
set +a
export -p >"$VARIABLES"
`
}

func (s *session) command(ctx context.Context, text string, stubbed bool) *exec.Cmd {
	path := os.Getenv("PATH")
	if stubbed {
		path = filepath.Join(s.dir, "stubs") + ":" + path
	}
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", s.script(text, path))
	command.Dir = s.work
	command.Env = append(os.Environ(), "VARIABLES="+filepath.Join(s.dir, "variables"),
		"RECORD="+filepath.Join(s.dir, "calls"), "TMPDIR="+s.dir, "KUBECONFIG="+filepath.Join(s.dir, "kubeconfig"),
		// Crowds are small here, and do not stay long.
		"USERS=50", "RUN_TIME=5s",
		"TEPAL_DRAIN_DELAY=0s", "TEPAL_HTTP_ADDR=127.0.0.1:"+s.ports["8000"], "TEPAL_OPS_ADDR=127.0.0.1:"+s.ports["8002"],
		"HTTP_PORT="+s.ports["8000"], "OPS_PORT="+s.ports["8002"], "PROMETHEUS_PORT="+s.ports["9090"],
		"PROMETHEUS_NATIVE_PORT="+s.ports["9091"], "OTLP_GRPC_PORT="+s.ports["4317"], "OTLP_HTTP_PORT="+s.ports["4318"])
	// A group of its own, so that everything a block has started ends with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	return command
}

// bash runs a text to its end, and returns its standard output.
func (s *session) bash(t *testing.T, text, stdin string, stubbed bool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	command := s.command(ctx, text, stubbed)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := command.Run()
	require.NoError(t, err, "%s\nprinted\n%s%s", text, stdout.String(), stderr.String())
	return stdout.String()
}

// serve starts a server in place of the one before, and waits until it is ready.
func (s *session) serve(t *testing.T, text string) {
	t.Helper()
	s.stop(t)
	log, err := os.Create(filepath.Join(s.dir, "server"))
	require.NoError(t, err)
	defer log.Close()
	s.server = s.command(context.WithoutCancel(t.Context()), text, false)
	s.server.Stdout, s.server.Stderr = log, log
	require.NoError(t, s.server.Start())
	awaitReady(t, "http://127.0.0.1:"+s.ports["8000"], log.Name())
}

// stop ends the server as Ctrl-C does.
func (s *session) stop(t *testing.T) {
	t.Helper()
	if s.server == nil {
		return
	}
	require.NoError(t, syscall.Kill(-s.server.Process.Pid, syscall.SIGINT))
	var exit *exec.ExitError
	if err := s.server.Wait(); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	s.server = nil
}

func awaitReady(t *testing.T, address, log string) {
	t.Helper()
	if !assert.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/ready_check", nil)
		if err != nil {
			return false
		}
		response, err := new(http.Client).Do(request)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, patience, 100*time.Millisecond) {
		text, err := os.ReadFile(log)
		require.NoError(t, err)
		t.Fatalf("no server is ready:\n%s", text)
	}
}

// calls are those that stubs have recorded. The name of a temporary file says nothing.
func (s *session) calls(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "calls"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	var list []string
	for line := range strings.Lines(string(text)) {
		list = append(list, regexp.MustCompile(`--(filename|file|kubeconfig) \S+`).ReplaceAllString(strings.TrimSpace(line), "--$1 FILE"))
	}
	return list
}

// expect looks for each line of a block of output, in order.
func expect(t *testing.T, block, printed string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	for want := range strings.Lines(strings.TrimSpace(block)) {
		parts := strings.Split(strings.TrimSpace(want), "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		pattern := regexp.MustCompile(`^\s*` + strings.Join(parts, ".*") + `\s*$`)
		at := slices.IndexFunc(lines, pattern.MatchString)
		require.GreaterOrEqual(t, at, 0, "no line %q in\n%s", want, printed)
		lines = lines[at+1:]
	}
}

// startCluster starts a server that stands for the one in a cluster, and returns its address.
func startCluster(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", folder, "./cmd/tepal")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	address := "127.0.0.1:" + freePort(t)
	log, err := os.Create(filepath.Join(folder, "log"))
	require.NoError(t, err)
	// It is stopped below, and not by the end of the test.
	server := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(folder, "tepal"), "serve", "--http-addr", address, "--ops-addr", "127.0.0.1:0", "--drain-delay", "0s")
	server.Stdout = log
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		assert.NoError(t, server.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, server.Wait())
		assert.NoError(t, log.Close())
	})
	awaitReady(t, "http://"+address, log.Name())
	return address
}

// name is how the guide calls things in clouds and in clusters.
var name = regexp.MustCompile(`\b(iris|mlops|cicd|telemetry)-[a-z][a-z-]*\b`)

var ending = regexp.MustCompile(`-(dev|staging|prod|preview|clean-up|nodes|cluster|fargate|balancer|github|key|pr-|tepal-state)$`)

// checkNames looks for the names in the calls in what makes them.
func checkNames(t *testing.T, calls []string) {
	t.Helper()
	var made strings.Builder
	for _, pattern := range []string{"k8s/base/*.yaml", "k8s/environments/*/*.yaml", "k8s/namespaces/*/*.yaml", "k8s/clusters/*/values.env", "k8s/components/*/*.yaml", "infra/settings/*.tf", "infra/*/*.tf"} {
		made.WriteString(fileText(t, pattern))
	}
	known := name.FindAllString(made.String(), -1)
	for _, call := range calls {
		for _, found := range name.FindAllString(call, -1) {
			// Terraform puts some together from a name and an ending.
			base := ending.ReplaceAllString(found, "")
			assert.True(t, slices.Contains(known, found) || slices.Contains(known, base), "nothing makes %s of %q", found, call)
		}
	}
}

// checkGrants holds what a page switches on and grants by hand to what Terraform does.
func checkGrants(t *testing.T, path string, calls []string) {
	t.Helper()
	cloud := strings.TrimSuffix(filepath.Base(path), ".md")
	patterns := map[string]struct{ enable, grant string }{
		"gcp":   {`\b[a-z]+\.googleapis\.com\b`, `\broles/[A-Za-z.]+`},
		"aws":   {`nothing to switch on`, `\bAmazonEKS(Edit|ClusterAdmin)Policy\b|\bAWSXRay\w+|\b(ecr|eks|logs|cloudwatch):([A-Z]\w+|namespace)`},
		"azure": {`\bMicrosoft\.[A-Z][A-Za-z]+\b`, `\bAcrPush\b|\bAzure Kubernetes Service (Cluster User Role|RBAC Writer|RBAC Cluster Admin)|\bMonitoring Metrics Publisher\b`},
	}[cloud]
	if patterns.grant == "" {
		return
	}
	settings := fileText(t, "infra/settings/main.tf")
	made, byHand := settings+fileText(t, "infra/"+cloud+"/*.tf"), strings.Join(calls, "\n")
	var switched strings.Builder
	for _, call := range calls {
		if strings.HasPrefix(call, "gcloud services enable ") || strings.HasPrefix(call, "az provider register ") {
			switched.WriteString(call + "\n")
		}
	}
	same := func(pattern, made, byHand string) {
		find := regexp.MustCompile(pattern)
		unique := func(text string) []string {
			list := find.FindAllString(text, -1)
			slices.Sort(list)
			return slices.Compact(list)
		}
		assert.Equal(t, unique(made), unique(byHand), "by Terraform, and by hand")
	}
	same(patterns.enable, settings, switched.String())
	same(patterns.grant, made, byHand)
}

// fileText is that of all files that match a pattern.
func fileText(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}

// TestGuideIsMarked sees that no block of commands of the guide goes unrun.
func TestGuideIsMarked(t *testing.T) {
	count := 0
	for _, p := range pages(t) {
		if !strings.HasPrefix(p.path, "docs/guide/") {
			continue
		}
		count++
		for _, b := range p.blocks {
			if language, _, _ := strings.Cut(b.language, " "); language == "sh" || language == "" {
				assert.True(t, isMarked(b.language), "%s: nothing runs\n%s", p.path, b.text)
			}
		}
	}
	assert.Greater(t, count, 5)
}

// stub records how it is called, and answers as a cloud in good health.
const stub = `#!/usr/bin/env bash
set -euo pipefail
line="$(basename "$0") $*"
case "$line" in
'terraform -chdir='*/settings' '*) exec %[1]q "$@" ;;
'curl '*) [[ $line == *googleapis.com* ]] || exec %[2]q "$@" ;;
esac
printf '%%s\n' "${line//$'\n'/ }" >>"$RECORD"
cluster=%[3]q
%[4]s
`

// writeStubs puts the stubs into a folder.
func writeStubs(t *testing.T, folder, cluster string) {
	t.Helper()
	require.NoError(t, os.Mkdir(folder, 0o700))
	answers, err := os.ReadFile("testdata/cloud.bash")
	require.NoError(t, err)
	terraform, err := exec.LookPath("terraform")
	require.NoError(t, err, "there is no terraform: https://developer.hashicorp.com/terraform/install")
	curl, err := exec.LookPath("curl")
	require.NoError(t, err, "there is no curl")
	text := fmt.Sprintf(stub, terraform, curl, cluster, answers)
	for program := range strings.FieldsSeq("gcloud gke-gcloud-auth-plugin aws eksctl az kubelogin kubectl kind docker podman terraform gh helm curl loadtest") {
		require.NoError(t, os.WriteFile(filepath.Join(folder, program), []byte(text), 0o700)) //nolint:gosec // it must run
	}
}
