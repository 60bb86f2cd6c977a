package k8s_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
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

// tool builds a tool of the module once, which is then as fast as an installed one.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := once("tool "+name, func() (string, error) {
		build := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "tool", "-modfile=tools/"+name+"/go.mod", "-n", name)
		build.Dir = root
		path, err := build.Output()
		return strings.TrimSpace(string(path)), err
	})
	require.NoError(t, err)
	return path
}

// results are what once has got.
var results sync.Map

// once calls a function for the first who asks, and gives its result to all.
func once[T any](key string, get func() (T, error)) (T, error) {
	f, _ := results.LoadOrStore(key, sync.OnceValues(get))
	return f.(func() (T, error))()
}

// choice is one call of make manifests.
type choice struct {
	env, cluster string
	components   []string
}

func (c choice) String() string {
	return strings.Join(append([]string{c.env, c.cluster}, c.components...), "+")
}

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

// printed is what a script has printed, and how it ended.
type printed struct {
	stdout, stderr string
	err            error
}

// render runs scripts/manifests.sh once for a choice, in an environment that has nothing else.
func render(t *testing.T, kustomize string, c choice, variables ...string) (stdout, stderr string, err error) {
	t.Helper()
	p, _ := once(c.String()+" "+strings.Join(variables, " "), func() (printed, error) {
		command := exec.CommandContext(context.WithoutCancel(t.Context()), "scripts/manifests.sh")
		command.Dir = root
		command.Env = append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "KUSTOMIZE=" + kustomize + " ",
			"ENV=" + c.env, "CLUSTER=" + c.cluster, "IMAGE=" + image, "CANARY=" + canary, "PR=12", "COMPONENTS=" + strings.Join(c.components, " "),
			"GATEWAY_CLASS=example", "OTLP_ENDPOINT=http://otlp.example:4318", "PROMETHEUS=http://prometheus.example:9090",
		}, variables...)
		var out, complaints bytes.Buffer
		command.Stdout, command.Stderr = &out, &complaints
		err := command.Run()
		return printed{out.String(), complaints.String(), err}, nil
	})
	return p.stdout, p.stderr, p.err
}

// rendered renders and decodes a choice that must be possible.
func rendered(t *testing.T, kustomize string, c choice, variables ...string) manifests {
	t.Helper()
	stdout, stderr, err := render(t, kustomize, c, variables...)
	require.NoError(t, err, stderr)
	return decode(t, []byte(stdout))
}

// environments are those of ENV.
func environments(t *testing.T) []string { return folders(t, "environments") }

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
	{"scrape", "monitoring"},
	{"gateway", "canary"},
}

// added are the components that no composition has, in the ways that they are added.
var added = [][]string{
	{"gateway"}, {"canary"}, {"canary", "gke-gateway"}, {"scrape"}, {"monitoring"}, {"scrape", "keda"}, {"gke"}, {"otel-collector"},
}

// possible says whether an environment can have them.
func (c choice) possible() bool {
	return c.env != "preview" || !slices.Contains(c.components, "keda")
}

// choices are: every composition in every environment, alone and with a canary, the rules, KEDA and what Google's gateways want;
// and every other component on the base alone, as prod and with a preview's suffix.
func choices(t *testing.T) []choice {
	t.Helper()
	var list []choice
	for _, cluster := range folders(t, "clusters") {
		for _, env := range environments(t) {
			list = append(list, choice{env, cluster, nil})
		}
		parts := []string{"canary", "monitoring"}
		if strings.HasPrefix(cluster, "gke-") {
			parts = append(parts, "gke-gateway")
		}
		list = append(list, choice{"prod", cluster, append(parts, "keda")}, choice{"preview", cluster, parts})
	}
	for _, parts := range added {
		for _, env := range []string{"prod", "preview"} {
			if c := (choice{env, "", parts}); c.possible() {
				list = append(list, c)
			}
		}
	}
	return list
}

// TestEveryComponent sees that choices has each of them.
func TestEveryComponent(t *testing.T) {
	// Which others bring along.
	used := map[string]bool{"image": true, "trial": true}
	for _, cluster := range folders(t, "clusters") {
		text, err := os.ReadFile(filepath.Join("../clusters", cluster, "kustomization.yaml")) //nolint:gosec // a file of this repository
		require.NoError(t, err)
		for _, found := range regexp.MustCompile(`components/(\S+)`).FindAllStringSubmatch(string(text), -1) {
			used[found[1]] = true
		}
	}
	for _, parts := range added {
		for _, name := range parts {
			used[name] = true
		}
	}
	for _, name := range folders(t, "components") {
		assert.True(t, used[name], name)
	}
}

// TestPlainKubectl sees that each composition is built by kustomize alone, and is what the script makes of it for prod.
func TestPlainKubectl(t *testing.T) {
	kustomize := tool(t, "kustomize")
	for _, cluster := range folders(t, "clusters") {
		plain, err := exec.CommandContext(t.Context(), kustomize, "build", "../clusters/"+cluster).Output() //nolint:gosec // a tool of this repository
		require.NoError(t, err, cluster)
		stdout, stderr, err := render(t, kustomize, choice{env: "prod", cluster: cluster}, "IMAGE=")
		require.NoError(t, err, stderr)
		assert.ElementsMatch(t, decode(t, plain), decode(t, []byte(stdout)), cluster)
	}
}

// TestEveryChoice builds all of them, decodes them strictly, and asks the linters.
func TestEveryChoice(t *testing.T) {
	kustomize, score, conform := tool(t, "kustomize"), tool(t, "kube-score"), tool(t, "kubeconform")
	folder := t.TempDir()
	list := choices(t)
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
				"elbv2.k8s.aws/pod-readiness-gate-inject": "enabled",
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
