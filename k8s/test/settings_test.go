package k8s_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// TestSettings gives the real server the environment that its pod would have, and
// sees that it understands all of it.
func TestSettings(t *testing.T) {
	kustomize := tool(t, "kustomize")
	server := filepath.Join(t.TempDir(), "tepal")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", server, "./cmd/tepal")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	list := []choice{{"prod", "", []string{"gke"}}}
	for _, cluster := range folders(t, "clusters") {
		list = append(list, choice{env: "prod", cluster: cluster})
	}
	for _, env := range folders(t, "environments") {
		list = append(list, choice{env: env})
	}
	for _, c := range list {
		t.Run(c.String(), func(t *testing.T) {
			check := exec.CommandContext(t.Context(), server, "serve", "--check") //nolint:gosec // just built
			check.Env = environment(t, rendered(t, kustomize, c), c)
			out, err := check.CombinedOutput()
			require.NoError(t, err, string(out))
			assert.NotContains(t, string(out), `"WARNING"`)

			check.Env = append(check.Env, "TEPAL_DRAIN_DELAY=soon", "OTEL_TRACES_EXPORTER=nowhere")
			check = &exec.Cmd{Path: check.Path, Args: check.Args, Env: check.Env}
			assert.Error(t, check.Run(), "the check must look at the variables")
		})
	}
}

// environment is what the kubelet makes of the container's variables.
func environment(t *testing.T, list manifests, c choice) []string {
	t.Helper()
	container := get[*appsv1.Deployment](t, list, "iris-classifier-deployment"+c.suffix()).Spec.Template.Spec.Containers[0]
	values := map[string]string{"POD_NAME": "iris-0", "POD_NAMESPACE": c.namespace()}
	for key, value := range get[*corev1.ConfigMap](t, list, container.EnvFrom[0].ConfigMapRef.Name).Data {
		values[key] = value
	}
	for _, e := range container.Env {
		if e.ValueFrom != nil {
			continue
		}
		expanded := e.Value
		for key, value := range values {
			expanded = strings.ReplaceAll(expanded, "$("+key+")", value)
		}
		assert.NotContains(t, expanded, "$(", "%s names a variable that is not there", e.Name)
		values[e.Name] = expanded
	}
	var all []string
	for key, value := range values {
		all = append(all, key+"="+value)
	}
	return all
}
