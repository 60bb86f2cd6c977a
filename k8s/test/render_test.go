package k8s_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

const (
	root   = "../.."
	digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	image  = "registry.example:5000/mlops-images/iris@" + digest
	canary = "registry.example/mlops-images/iris:next"
)

// tool builds a tool of the module, which is then as fast as an installed one.
func tool(t *testing.T, name string) string {
	t.Helper()
	build := exec.CommandContext(t.Context(), "go", "tool", "-modfile=tools/"+name+"/go.mod", "-n", name)
	build.Dir = root
	var complaints bytes.Buffer
	build.Stderr = &complaints
	path, err := build.Output()
	require.NoError(t, err, complaints.String())
	return strings.TrimSpace(string(path))
}

// choice is one call of make manifests.
type choice struct {
	env        string
	components []string
}

func (c choice) String() string { return strings.Join(append([]string{c.env}, c.components...), "+") }

// namespace is where the objects of an environment belong.
func (c choice) namespace() string {
	if c.env == "guide" {
		return "default"
	}
	return "iris-" + c.env
}

// suffix is what the names of an environment end in.
func (c choice) suffix() string {
	if c.env == "preview" {
		return "-pr-12"
	}
	return ""
}

// render runs scripts/manifests.sh, in an environment that has nothing else.
func render(t *testing.T, kustomize string, c choice, variables ...string) (stdout, stderr string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "scripts/manifests.sh")
	command.Dir = root
	command.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "KUSTOMIZE=" + kustomize + " ",
		"ENV=" + c.env, "IMAGE=" + image, "CANARY=" + canary, "PR=12", "COMPONENTS=" + strings.Join(c.components, " "),
	}, variables...)
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	err = command.Run()
	return out.String(), complaints.String(), err
}

// rendered renders and decodes a choice that must be possible.
func rendered(t *testing.T, kustomize string, c choice, variables ...string) manifests {
	t.Helper()
	stdout, stderr, err := render(t, kustomize, c, variables...)
	require.NoError(t, err, stderr)
	return decode(t, []byte(stdout))
}

// overlays are the folders of k8s/overlays.
func overlays(t *testing.T) []string { return folders(t, "overlays") }

// components are the folders of k8s/components, but for the one that overlays
// bring along.
func components(t *testing.T) []string {
	return slices.DeleteFunc(folders(t, "components"), func(name string) bool { return name == "production" })
}

func folders(t *testing.T, below string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("..", below))
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.NotEmpty(t, names)
	return names
}

// exclusive are the components of which there may be one.
var exclusive = [][]string{
	{"gke", "gke-otlp", "eks", "aks", "onprem"},
	{"otel-collector", "gke-otlp", "eks", "aks"},
	{"hpa-custom", "keda"},
	{"scrape", "monitoring"},
	{"gateway", "canary"},
}

// possible says whether components may be chosen together.
func (c choice) possible() bool {
	for _, group := range exclusive {
		count := 0
		for _, name := range c.components {
			if slices.Contains(group, name) {
				count++
			}
		}
		if count > 1 {
			return false
		}
	}
	return !slices.Contains(c.components, map[string]string{"guide": "networkpolicy", "preview": "keda"}[c.env])
}

// choices are: every overlay alone, with every component, with every two that may
// be together, and with as many as fit, once for each that it starts from.
func choices(t *testing.T) []choice {
	t.Helper()
	parts := components(t)
	seen := make(map[string]bool)
	var list []choice
	add := func(c choice) {
		if c.possible() && !seen[c.String()] {
			seen[c.String()] = true
			list = append(list, c)
		}
	}
	for _, env := range overlays(t) {
		add(choice{env: env})
		for i, first := range parts {
			add(choice{env, []string{first}})
			for _, second := range parts[i+1:] {
				add(choice{env, []string{first, second}})
			}
			most := choice{env, []string{first}}
			for _, next := range parts {
				more := choice{env, append(slices.Clone(most.components), next)}
				if next != first && more.possible() {
					most = more
				}
			}
			add(most)
		}
	}
	return list
}

// TestEveryChoice builds all of them, decodes them strictly, and asks the linters.
func TestEveryChoice(t *testing.T) {
	kustomize, score, conform := tool(t, "kustomize"), tool(t, "kube-score"), tool(t, "kubeconform")
	folder := t.TempDir()
	list := choices(t)
	require.Greater(t, len(list), 200)
	for _, c := range list {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			stdout, stderr, err := render(t, kustomize, c)
			require.NoError(t, err, stderr)
			checkObjects(t, c, decode(t, []byte(stdout)))
			file := filepath.Join(folder, c.String()+".yaml")
			require.NoError(t, os.WriteFile(file, []byte(stdout), 0o600))
			checkScore(t, score, c, file)
			checkSchemas(t, conform, file)
		})
	}
}

// checkObjects holds what is true of every object, whatever was chosen.
func checkObjects(t *testing.T, c choice, list manifests) {
	t.Helper()
	seen := make(map[string]bool)
	for _, o := range list {
		id := fmt.Sprintf("%T %s", o, o.GetName())
		assert.False(t, seen[id], "%s is there twice", id)
		seen[id] = true
		switch typed := o.(type) {
		case *corev1.Namespace:
			assert.Equal(t, c.namespace(), o.GetName())
			assert.Equal(t, map[string]string{
				"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted", "shared": "true",
			}, o.GetLabels())
			continue
		case *corev1.ServiceAccount:
			assert.Equal(t, "telemetry-access", o.GetName())
			assert.Equal(t, map[string]string{"shared": "true"}, o.GetLabels())
			assert.False(t, *typed.AutomountServiceAccountToken)
		default:
			assert.NotContains(t, o.GetLabels(), "shared", "%s would never be deleted", id)
			assert.NotContains(t, o.GetLabels(), "pod-security.kubernetes.io/enforce", "%s would not be applied by who may not make namespaces", id)
			assert.NotEmpty(t, o.GetLabels()["app"], id)
			if c.env == "preview" {
				assert.Equal(t, "pr-12", o.GetLabels()["instance"], id)
				assert.Regexp(t, `-pr-12(-[a-z0-9]{10})?$`, o.GetName())
			}
		}
		assert.Equal(t, c.namespace(), o.GetNamespace(), id)
	}
	checkReferences(t, c, list)
	checkPods(t, list)
}
