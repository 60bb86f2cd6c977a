package k8s_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unscored are the checks of kube-score that are not held, each with its reason.
var unscored = map[string]string{
	"container-image-pull-policy":                   "an image is named by its digest: what is on the machine is the same, and a registry that is away stops no restart",
	"container-ephemeral-storage-request-and-limit": "nothing is written but the log, which the kubelet turns over: the root is read-only and there is no volume to write to",
	"networkpolicy-targets-pod":                     "the policies are the same for every choice; one that meets no pod changes nothing",
}

// checkScore asks kube-score, which exits with 1 for what it calls critical.
func checkScore(t *testing.T, score string, c choice, file string) {
	t.Helper()
	// No CPU limit: k8s/base/deployment.yaml says why.
	args := []string{"score", "--output-format", "ci", "--ignore-container-cpu-limit"}
	for name := range unscored {
		args = append(args, "--ignore-test", name)
	}
	if c.cluster == "" || c.env == "guide" {
		args = append(args, "--ignore-test", "pod-networkpolicy") // it was not chosen
	}
	if c.env == "guide" {
		// As in the guide: k8s/environments/guide/deployment.yaml says what it means.
		args = append(args, "--ignore-test", "deployment-targeted-by-hpa-does-not-have-replicas-configured")
	}
	out, err := exec.CommandContext(t.Context(), score, append(args, file)...).CombinedOutput() //nolint:gosec // a tool of this repository
	assert.NoError(t, err, string(out))
}

// unschemed are the kinds without a JSON schema, each with its reason. All of them
// are decoded strictly into typed structs.
var unschemed = map[string]string{
	"ServiceMonitor":    "its CRD is in the operator's main module, which is not on the Go proxy",
	"PrometheusRule":    "likewise; promtool checks the rules themselves",
	"PodMonitoring":     "the module with its CRD is not on the Go proxy",
	"HealthCheckPolicy": "likewise",
}

// checkSchemas asks kubeconform, with the schemas in testdata.
func checkSchemas(t *testing.T, conform, file string) {
	t.Helper()
	out, err := conformity(t, conform, file)
	assert.NoError(t, err, out)
}

func conformity(t *testing.T, conform, file string) (string, error) {
	t.Helper()
	skipped := strings.Join(slices.Collect(maps.Keys(unschemed)), ",")
	out, err := exec.CommandContext(t.Context(), conform, "-strict", "-skip", skipped,
		"-schema-location", "testdata/schemas/{{.ResourceKind}}{{.KindSuffix}}.json", file).CombinedOutput()
	return string(out), err
}

// TestSchemasRefuse sees that the schemas say no: to an unknown field deep inside,
// to a value of the wrong type, to a kind that they lack.
func TestSchemasRefuse(t *testing.T) {
	conform := tool(t, "kubeconform")
	stdout, stderr, err := render(t, tool(t, "kustomize"), choice{"prod", "", []string{"keda", "gateway"}})
	require.NoError(t, err, stderr)
	for _, change := range [][2]string{
		{"drop:", "dropp:"},
		{"minReadySeconds: 2", "minReadySeconds: soon"},
		{"kind: Gateway", "kind: Gateways"},
		{"gatewayClassName: example", "gatewayClass: example"},
		{"pollingInterval: 15", "pollInterval: 15"},
	} {
		require.Contains(t, stdout, change[0])
		file := filepath.Join(t.TempDir(), "broken.yaml")
		require.NoError(t, os.WriteFile(file, []byte(strings.Replace(stdout, change[0], change[1], 1)), 0o600))
		out, err := conformity(t, conform, file)
		assert.Error(t, err, "%s: %s", change[1], out)
	}
}
