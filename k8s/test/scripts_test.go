package k8s_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stub is a kubectl that records how it is called and answers as the case says.
// Its ANSWER_ variables are set by the test; every number counts calls.
const stub = `#!/usr/bin/env bash
set -euo pipefail
printf '%s\n' "$*" >>"$RECORD"
nth() { # NAME prints the n-th line of the variable, for the n-th call; then the last
  local -n lines=$1
  local count
  count=$(cat "$RECORD.$1" 2>/dev/null || echo 0)
  echo $((count + 1)) >"$RECORD.$1"
  local all
  mapfile -t all <<<"$lines"
  printf '%s' "${all[count < ${#all[@]} ? count : ${#all[@]} - 1]}"
}
case "$*" in
*'get deployment '*revision*) [ -z "${UNREACHABLE:-}" ] || exit 1; nth REVISIONS ;;
auth\ can-i*) exit "${MAY_NOT:-0}" ;;
apply*) exit "$APPLY" ;;
*'rollout status'*) exit "$(nth STATUS)" ;;
*port-forward*)
  [ -n "$FORWARD" ] || exit 1
  echo "Forwarding from 127.0.0.1:$FORWARD -> 8000"
  exec sleep 30
  ;;
*'rollout undo'*) exit "$UNDO" ;;
*spec.type*) printf '%s' "${TYPE:-}" ;;
*'ingress[0].ip'*) nth IP ;;
*'ingress[0].hostname'*) printf '%s' "${NAME:-}" ;;
*nodePort*) printf 31234 ;;
*ExternalIP*) printf '%s' "${EXTERNAL:-}" ;;
*InternalIP*) printf '10.0.0.7 10.0.0.8' ;;
esac
`

// cluster is what the stub answers from.
type cluster struct {
	revisions, status, undo, apply, forward string
	more                                    []string
}

// result is how a script ended, and what it asked kubectl to do.
type result struct {
	code           int
	stdout, stderr string
	calls          []string
}

// call runs a script with the stub first on the PATH.
func call(t *testing.T, kustomize, script string, c cluster, variables ...string) result {
	t.Helper()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "kubectl"), []byte(stub), 0o700)) //nolint:gosec // it must run
	record := filepath.Join(folder, "calls")
	command := exec.CommandContext(t.Context(), "scripts/"+script)
	command.Dir = root
	command.Env = append(append([]string{
		"PATH=" + folder + ":" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "RECORD=" + record,
		"KUSTOMIZE=" + kustomize, "ENV=dev", "IMAGE=" + image, "SMOKE_INTERVAL=0.01", "URL_INTERVAL=0.01",
		"REVISIONS=" + c.revisions, "STATUS=" + c.status, "UNDO=" + c.undo, "APPLY=" + c.apply, "FORWARD=" + c.forward,
	}, c.more...), variables...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if err != nil {
		require.IsType(t, new(exec.ExitError), err)
	}
	calls, err := os.ReadFile(record) //nolint:gosec // written by the stub
	if err != nil {
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	r := result{code: command.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
	for line := range strings.Lines(string(calls)) {
		r.calls = append(r.calls, regexp.MustCompile(`--filename \S+`).ReplaceAllString(strings.TrimSpace(line), "--filename F"))
	}
	return r
}

// server answers /predict with a status and a text, and gives its port.
func server(t *testing.T, status int, answer string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/predict" || !bytes.Contains(body, []byte("sepal_length")) {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(s.Close)
	address, err := url.Parse(s.URL)
	require.NoError(t, err)
	return address.Port()
}

const (
	revision = `-n iris-dev get deployment iris-classifier-deployment --ignore-not-found --output jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}`
	may      = "auth can-i patch namespaces/iris-dev --namespace iris-dev --quiet"
	apply    = "apply --server-side --force-conflicts --field-manager=tepal-deploy --filename F"
	inside   = "apply --server-side --force-conflicts --field-manager=tepal-deploy --selector !pod-security.kubernetes.io/enforce --filename F"
	status   = "-n iris-dev rollout status deployment/iris-classifier-deployment --timeout=330s"
	forward  = "-n iris-dev port-forward service/iris-classifier-service :80"
	undo     = "-n iris-dev rollout undo deployment/iris-classifier-deployment --to-revision=7"
	remove   = "delete --ignore-not-found --selector !shared --filename F"
)

// explained are the calls by which a failure is explained.
var explained = []string{
	"-n iris-dev get deployment,replicaset,pod --selector app=iris-classifier --output wide",
	"-n iris-dev get events --sort-by=.lastTimestamp",
	"-n iris-dev logs --selector app=iris-classifier --tail=20 --prefix",
}

func TestDeploy(t *testing.T) {
	kustomize := tool(t, "kustomize")
	good := server(t, http.StatusOK, `{"label":"setosa"}`)
	wrong := server(t, http.StatusOK, `{"label":"virginica"}`)
	away := server(t, http.StatusServiceUnavailable, `{"label":"setosa"}`)
	join := func(lists ...[]string) []string {
		var all []string
		for _, list := range lists {
			all = append(all, list...)
		}
		return all
	}
	for _, test := range []struct {
		name    string
		cluster cluster
		code    int
		says    string
		calls   []string
	}{
		{"all is well", cluster{"7", "0", "0", "0", good, nil}, 0, "runs " + image, []string{revision, may, apply, status, forward}},
		{
			"the namespace is somebody else's to make", cluster{"7", "0", "0", "0", good, []string{"MAY_NOT=1"}}, 0, "runs " + image,
			[]string{revision, may, inside, status, forward},
		},
		{
			"the rollout fails", cluster{"7\n8", "1\n0", "0", "0", good, nil}, 1, "the rollout failed, and it was undone",
			join([]string{revision, may, apply, status}, explained, []string{revision, undo, status}),
		},
		{
			"the answer is wrong", cluster{"7\n8", "0", "0", "0", wrong, nil}, 1, "the smoke test failed, and it was undone",
			join([]string{revision, may, apply, status, forward}, explained, []string{revision, undo, status}),
		},
		{
			"no answer", cluster{"7\n8", "0", "0", "0", away, nil}, 1, "the smoke test failed, and it was undone",
			join([]string{revision, may, apply, status, forward}, explained, []string{revision, undo, status}),
		},
		{
			"no way to the Service", cluster{"7\n8", "0", "0", "0", "", nil}, 1, "the smoke test failed, and it was undone",
			join([]string{revision, may, apply, status, forward}, explained, []string{revision, undo, status}),
		},
		{
			"the first deployment fails", cluster{"", "1", "0", "0", good, nil}, 1, "the rollout failed, and it was undone",
			join([]string{revision, may, apply, status}, explained, []string{remove}),
		},
		{
			"it cannot all be applied", cluster{"7", "0", "0", "1", good, nil}, 1, "there is no rollout to undo",
			join([]string{revision, may, apply}, explained, []string{revision}),
		},
		{
			"the undoing fails", cluster{"7\n8", "1", "1", "0", good, nil}, 1, "UNDOING IT FAILED TOO",
			join([]string{revision, may, apply, status}, explained, []string{revision, undo}),
		},
		{"no cluster", cluster{"", "0", "0", "0", good, []string{"UNREACHABLE=1"}}, 2, "the cluster does not answer", []string{revision}},
		{"nothing is done", cluster{"7", "1", "1", "1", "", []string{"DRY_RUN=1"}}, 0, "+ kubectl apply", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := call(t, kustomize, "deploy.sh", test.cluster)
			assert.Equal(t, test.code, r.code, r.stderr)
			assert.Contains(t, r.stderr, test.says)
			assert.Equal(t, test.calls, r.calls)
		})
	}
}

// TestDeployWaits sees that it waits as long as the rollout may take, and a little longer.
func TestDeployWaits(t *testing.T) {
	r := call(t, tool(t, "kustomize"), "deploy.sh", cluster{"7", "0", "0", "0", server(t, http.StatusOK, `{"label":"setosa"}`), nil}, "CLUSTER=eks")
	require.Zero(t, r.code, r.stderr)
	assert.Contains(t, r.calls, strings.Replace(status, "330s", "930s", 1))
}

// TestDeployNeedsAnImage sees that a composition's placeholder is deployed nowhere.
func TestDeployNeedsAnImage(t *testing.T) {
	r := call(t, tool(t, "kustomize"), "deploy.sh", cluster{}, "CLUSTER=kind", "IMAGE=")
	assert.Equal(t, 2, r.code)
	assert.Contains(t, r.stderr, "IMAGE is missing")
	assert.Empty(t, r.calls)
}

func TestUndeploy(t *testing.T) {
	r := call(t, tool(t, "kustomize"), "undeploy.sh", cluster{}, "ENV=preview", "PR=12")
	require.Zero(t, r.code, r.stderr)
	assert.Equal(t, []string{remove, "-n iris-preview delete configmap --selector app=iris-classifier,instance=pr-12"}, r.calls)
}

func TestURL(t *testing.T) {
	for _, test := range []struct {
		name, want, says string
		more             []string
	}{
		{"an address", "http://203.0.113.9\n", "", []string{"TYPE=LoadBalancer", "IP=203.0.113.9"}},
		{"after a while", "http://203.0.113.9\n", "", []string{"TYPE=LoadBalancer", "IP=\n\n203.0.113.9"}},
		{"a name", "http://lb.example\n", "", []string{"TYPE=LoadBalancer", "IP=", "NAME=lb.example"}},
		{"none in time", "", "has no address yet", []string{"TYPE=LoadBalancer", "IP=", "URL_TIMEOUT=0"}},
		{"a port of a machine", "http://10.0.0.7:31234\n", "", []string{"TYPE=NodePort"}},
		{"of one seen from outside", "http://198.51.100.4:31234\n", "", []string{"TYPE=NodePort", "EXTERNAL=198.51.100.4"}},
		{"not from outside", "", "port-forward", []string{"TYPE=ClusterIP"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := call(t, "", "url.sh", cluster{}, test.more...)
			assert.Equal(t, test.want, r.stdout)
			assert.Equal(t, test.want != "", r.code == 0)
			assert.Contains(t, r.stderr, test.says)
		})
	}
}

func TestURLDryRun(t *testing.T) {
	r := call(t, "", "url.sh", cluster{}, "DRY_RUN=1", "TYPE=LoadBalancer", "IP=203.0.113.9")
	assert.Zero(t, r.code)
	assert.Empty(t, r.calls)
	assert.Empty(t, r.stdout)
	assert.Equal(t, "+ kubectl -n iris-dev get service iris-classifier-service\n", r.stderr)
}

// TestRefusals holds make manifests to what it refuses, and to saying why.
func TestRefusals(t *testing.T) {
	kustomize := tool(t, "kustomize")
	for _, group := range exclusive {
		for i, first := range group {
			for _, second := range group[i+1:] {
				_, stderr, err := render(t, kustomize, choice{"prod", "", []string{second, first}})
				require.Error(t, err)
				assert.Contains(t, stderr, "exclude each other")
			}
		}
	}
	for variables, says := range map[string]string{
		"ENV=":                               "ENV is missing",
		"ENV=test":                           "there is no ENV=test",
		"ENV=preview PR=":                    "needs PR",
		"ENV=preview PR=1;2":                 "needs PR",
		"CLUSTER=nowhere":                    "there is no k8s/clusters/nowhere",
		"CLUSTER=../clusters/kind":           "there is no k8s/clusters/../clusters/kind",
		"COMPONENTS=gateway GATEWAY_CLASS=":  "GATEWAY_CLASS` is missing",
		"IMAGE=iris":                         "neither",
		"IMAGE=registry:5000/iris":           "neither",
		"IMAGE=iris@sha256:abc":              "neither",
		"COMPONENTS=nothing":                 "there is no k8s/components/nothing",
		"COMPONENTS=../base":                 "there is no k8s/components/../base",
		"COMPONENTS=canary CANARY=":          "needs CANARY",
		"ENV=guide COMPONENTS=networkpolicy": "would cut off",
		"ENV=preview COMPONENTS=keda":        "every pull request",
	} {
		_, stderr, err := render(t, kustomize, choice{env: "prod"}, strings.Fields(variables)...)
		require.Error(t, err, variables)
		assert.Contains(t, stderr, says, variables)
	}
}
