//go:build cluster

package test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const setosa = `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`

// podMonitoring is what GKE brings: the component gke uses it, and other clusters do not know it.
const podMonitoring = `{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
	"metadata": {"name": "podmonitorings.monitoring.googleapis.com"},
	"spec": {"group": "monitoring.googleapis.com", "scope": "Namespaced",
		"names": {"kind": "PodMonitoring", "plural": "podmonitorings", "singular": "podmonitoring"},
		"versions": [{"name": "v1", "served": true, "storage": true,
			"schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}`

// namespaces are those that the workflows deploy to here. The tests own them.
var namespaces = []string{"iris-staging", "iris-prod", "iris-preview"}

// cluster is the one of KUBECONFIG. Its nodes have IMAGE, which is what a registry would bring.
type cluster struct {
	t     *testing.T
	image string
	node  string // its address, at which kube-proxy answers for load balancers
	holds string // the Service that has that address
}

// newCluster refuses one in which somebody else may have deployed what the tests would replace and remove.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, image: os.Getenv("IMAGE")}
	require.NotEmpty(t, c.image, "IMAGE is an image that the nodes have")
	for _, namespace := range namespaces {
		require.Empty(t, c.kubectl("get", "namespace", namespace, "--ignore-not-found", "--output=name"), "this cluster is in use")
	}
	require.Empty(t, c.kubectl("get", "customresourcedefinition", "podmonitorings.monitoring.googleapis.com", "--ignore-not-found", "--output=name"), "this cluster is GKE's")
	t.Cleanup(func() {
		c.kubectl(append([]string{"delete", "--ignore-not-found", "namespace"}, namespaces...)...)
		c.kubectl("delete", "--ignore-not-found", "customresourcedefinition", "podmonitorings.monitoring.googleapis.com")
	})
	c.kubectlWith(podMonitoring, "create", "--filename=-")
	c.kubectl("wait", "--for=condition=Established", "--timeout=30s", "customresourcedefinition/podmonitorings.monitoring.googleapis.com")
	c.node = c.kubectl("get", "nodes", `--output=jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`)
	return c
}

func (c *cluster) kubectl(args ...string) string {
	c.t.Helper()
	return c.kubectlWith("", args...)
}

func (c *cluster) kubectlWith(input string, args ...string) string {
	c.t.Helper()
	// Not the test's own context: what was made is removed after it has ended.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "kubectl", args...)
	command.Stdin = strings.NewReader(input)
	var faults strings.Builder
	command.Stderr = &faults
	out, err := command.Output()
	require.NoError(c.t, err, "kubectl %s: %s", strings.Join(args, " "), &faults)
	return strings.TrimSpace(string(out))
}

// machine is a runner whose steps reach the cluster.
func (c *cluster) machine(set map[string]string, env ...string) *machine {
	c.t.Helper()
	m := newMachine(c.t, settings(set))
	m.image = c.image
	m.env = append([]string{"REAL=kubectl \ncurl \ngo run ./cmd/train \ngo build ", "KUBECONFIG=" + os.Getenv("KUBECONFIG"), "URL_INTERVAL=1"}, env...)
	return m
}

// lend gives the node's address to the Service of a namespace, a while after it was deployed, as a cloud's controller does.
// There is one address, so whoever had it loses it.
func (c *cluster) lend(namespace, service string) {
	before, now := c.holds, namespace+"/"+service
	if before == now {
		return
	}
	c.holds = now
	time.AfterFunc(3*time.Second, func() {
		if before != "" {
			c.address(before, `null`)
		}
		c.address(now, `[{"ip": "`+c.node+`"}]`)
	})
}

func (c *cluster) address(of, ingress string) {
	namespace, service, _ := strings.Cut(of, "/")
	out, err := exec.Command("kubectl", "--namespace", namespace, "patch", "service", service, "--subresource=status", "--type=merge",
		"--patch", `{"status": {"loadBalancer": {"ingress": `+ingress+`}}}`).CombinedOutput()
	assert.NoError(c.t, err, "%s", out)
}

// runs sees that the deployment of a namespace runs the image, and that its Service answers.
func (c *cluster) runs(namespace, suffix, image string) {
	c.t.Helper()
	deployment := "deployment/iris-classifier-deployment" + suffix
	assert.Equal(c.t, image, c.kubectl("--namespace", namespace, "get", deployment, "--output=jsonpath={.spec.template.spec.containers[0].image}"))
	c.kubectl("--namespace", namespace, "wait", "--for=condition=Available", "--timeout=10s", deployment)
	assert.Contains(c.t, c.kubectlWith(setosa, "create", "--raw",
		fmt.Sprintf("/api/v1/namespaces/%s/services/iris-classifier-service%s:http/proxy/predict", namespace, suffix), "--filename=-"), `"label":"setosa"`)
	assert.Equal(c.t, "1", c.kubectl("--namespace", namespace, "get", "podmonitoring", "iris-classifier"+suffix, "--output=jsonpath={.metadata.generation}"))
}

// answers asks at the load balancer's address, as a user would. kube-proxy learns of it some time after `make url` does.
func (c *cluster) answers() {
	c.t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	require.EventuallyWithT(c.t, func(collect *assert.CollectT) {
		response, err := client.Post("http://"+c.node+"/predict", "application/json", strings.NewReader(setosa))
		if assert.NoError(collect, err) {
			assert.Equal(collect, http.StatusOK, response.StatusCode)
			assert.NoError(collect, response.Body.Close())
		}
	}, 30*time.Second, 200*time.Millisecond)
}

// TestClusterPush runs a push to main, and then one whose image does not become ready.
func TestClusterPush(t *testing.T) {
	c := newCluster(t)
	var seen []string
	after := func(name string, env map[string]string, _ bool) {
		namespace := "iris-" + env["ENV"]
		switch name {
		case "Roll out":
			c.runs(namespace, "", c.image)
			c.lend(namespace, "iris-classifier-service")
		case "Tell the address":
			c.answers()
			seen = append(seen, namespace)
		}
	}
	m := c.machine(branch("main"))
	m.after = after
	require.Equal(t, []string{"success", "success", "success", "success"}, m.run(push, jobs...))
	m = c.machine(production(c.image))
	m.after = after
	require.Equal(t, []string{"success"}, m.run(prod, "production"))
	require.Equal(t, []string{"iris-staging", "iris-prod"}, seen)

	bad := c.machine(branch("main"), "DEPLOY_TIMEOUT=15")
	bad.image = "localhost/tepal:not-there"
	require.Equal(t, []string{"success", "success", "failure", "skipped"}, bad.run(push, jobs...))
	inOrder(t, bad.called(), "kubectl -n iris-staging rollout undo")
	for _, namespace := range seen {
		c.runs(namespace, "", c.image)
	}
}

// TestClusterPreview opens a pull request, breaks a gate by its next commit, and closes it, beside another one's preview.
func TestClusterPreview(t *testing.T) {
	c := newCluster(t)
	m := c.machine(pullRequest("tepalhq/tepal", "somebody"))
	seen := map[string]bool{}
	m.after = func(name string, _ map[string]string, ok bool) {
		seen[name] = ok
		switch name {
		case "Deploy":
			c.runs("iris-preview", "-pr-7", c.image)
			c.lend("iris-preview", "iris-classifier-service-pr-7")
		case "Wait for the address":
			c.answers()
		}
	}
	require.Equal(t, []string{"success", "skipped"}, m.run(preview, "build-and-deploy", "cml"))
	for _, name := range []string{"Train", "Deploy", "Wait for the address", "Load it", "Write the report", "Comment"} {
		assert.True(t, seen[name], name)
	}
	inOrder(t, m.called(), "gh pr comment 7 --body-file bin/preview.md")
	c.tells(m, "")

	broken := c.machine(pullRequest("tepalhq/tepal", "somebody"), "PREVIEW_LOADTEST_FLAGS=--rate 100 --duration 3s --max-p99 1us")
	require.Equal(t, []string{"failure", "skipped"}, broken.run(preview, "build-and-deploy", "cml"))
	inOrder(t, broken.called(), "gh pr comment 7 --body-file bin/preview.md")
	c.tells(broken, "| **no** |")

	c.other(m)
	// The stand-in of gh says that 7 is closed, and 8 is open.
	closed := c.machine(branch("main"))
	require.Equal(t, []string{"success"}, closed.run(cleanUp, "clean-up"))
	left := "deployment,replicaset,pod,service,endpointslice,horizontalpodautoscaler,poddisruptionbudget,podmonitoring,configmap"
	require.EventuallyWithT(t, func(collect *assert.CollectT) {
		assert.Empty(collect, c.kubectl("--namespace=iris-preview", "get", left, "--selector=instance=pr-7", "--output=name"))
		assert.NotContains(collect, c.kubectl("--namespace=iris-preview", "get", left, "--output=name"), "-pr-7")
	}, 90*time.Second, time.Second, "all of it is gone")
	c.runs("iris-preview", "-pr-8", c.image)
	assert.Equal(t, "serviceaccount/telemetry-access", c.kubectl("--namespace=iris-preview", "get", "serviceaccount", "telemetry-access", "--output=name"))
}

// other deploys the preview of another pull request.
func (c *cluster) other(m *machine) {
	c.t.Helper()
	command := exec.CommandContext(c.t.Context(), "make", "deploy", "CLUSTER=gke-standard", "ENV=preview", "PR=8", "IMAGE="+c.image)
	command.Dir = m.root
	out, err := command.CombinedOutput()
	require.NoError(c.t, err, "%s", out)
}

// tells sees that the comment has the endpoint, the model's metrics, and the figures of the load test.
func (c *cluster) tells(m *machine, gate string) {
	c.t.Helper()
	report := read(c.t, filepath.Join(m.root, "bin/preview.md"))
	assert.Contains(c.t, report, "- endpoint: <http://"+c.node+"/predict>\n- image: "+c.image+"\n- model: iris version 1, `sha256:")
	assert.Contains(c.t, report, "| accuracy | 0.9467 |")
	assert.Regexp(c.t, `\n\d{3,} requests, \d+ right answers a second of \d00 asked, 0% errors; p50 [\d.]+ ms, p95 [\d.]+ ms, p99 [\d.]+ ms\n`, report)
	if gate == "" {
		assert.Equal(c.t, 3, strings.Count(report, "| yes |\n"), "every gate held")
		assert.NotContains(c.t, report, "**no**")
		return
	}
	assert.Contains(c.t, report, gate)
}
