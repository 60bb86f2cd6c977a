package k8s_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// role reads one of k8s/deployers.
func role(t *testing.T, name string) rbacv1.Role {
	t.Helper()
	text, err := os.ReadFile("../deployers/" + name + ".yaml")
	require.NoError(t, err)
	var r rbacv1.Role
	require.NoError(t, yaml.UnmarshalStrict(text, &r))
	require.Equal(t, name, r.Name)
	require.Empty(t, r.Namespace, "it is applied in one namespace after the other")
	return r
}

// lets says whether a role lets somebody do something, as Kubernetes would: https://kubernetes.io/docs/reference/access-authn-authz/rbac/.
func lets(r rbacv1.Role, verb, group, resource string) bool {
	return slices.ContainsFunc(r.Rules, func(rule rbacv1.PolicyRule) bool {
		return slices.Contains(rule.Verbs, verb) && slices.Contains(rule.APIGroups, group) && slices.Contains(rule.Resources, resource) && rule.ResourceNames == nil
	})
}

// plural is what Kubernetes calls the objects of a kind.
func plural(kind string) string {
	name := strings.ToLower(kind)
	if stem, ok := strings.CutSuffix(name, "cy"); ok { // a policy; a gateway has an s
		return stem + "cies"
	}
	return name + "s"
}

// TestWhatADeployerMayWrite sees that whoever has the Role deployer in a namespace, and no more, can deploy every composition
// and component there, and that the clean-up's can remove a preview.
func TestWhatADeployerMayWrite(t *testing.T) {
	kustomize := tool(t, "kustomize")
	deployer, cleanUp := role(t, "deployer"), role(t, "preview-clean-up")
	var choices []choice
	for _, env := range environments(t) {
		for _, cluster := range []string{"gke-autopilot", "gke-standard", "eks", "aks", "kind"} {
			choices = append(choices, choice{env, cluster, nil})
		}
	}
	for _, component := range []string{"gateway", "keda", "monitoring", "scrape", "canary", "onprem", "otel-collector"} {
		choices = append(choices, choice{"prod", "", []string{component}})
	}
	for _, c := range choices {
		for _, o := range rendered(t, kustomize, c) {
			gvk := o.GetObjectKind().GroupVersionKind()
			if _, ok := o.(*corev1.Namespace); ok {
				assert.Contains(t, o.GetLabels(), "pod-security.kubernetes.io/enforce", "%s: scripts/deploy.sh could not leave it out", c)
				continue
			}
			// Dashboards are for those who look after Grafana, in its own namespace.
			if o.GetNamespace() != c.namespace() {
				continue
			}
			for _, verb := range []string{"get", "create", "patch", "delete"} {
				assert.True(t, lets(deployer, verb, gvk.Group, plural(gvk.Kind)), "%s: a deployer may not %s %s of %q", c, verb, plural(gvk.Kind), gvk.Group)
			}
			if _, shared := o.GetLabels()["shared"]; c.env == "preview" && !shared {
				assert.True(t, lets(cleanUp, "delete", gvk.Group, plural(gvk.Kind)), "%s: the clean-up may not delete %s of %q", c, plural(gvk.Kind), gvk.Group)
			}
		}
	}
	// What is looked at and asked for by scripts/deploy.sh.
	for _, resource := range []string{"pods", "events", "pods/log"} {
		assert.True(t, lets(deployer, "list", "", resource) || lets(deployer, "get", "", resource), resource)
	}
	assert.True(t, lets(deployer, "create", "", "pods/portforward"))
}

// TestWhatADeployerMayNot sees that no rule is wider than it must be.
func TestWhatADeployerMayNot(t *testing.T) {
	for _, name := range []string{"deployer", "preview-clean-up"} {
		for _, rule := range role(t, name).Rules {
			for _, all := range [][]string{rule.Verbs, rule.APIGroups, rule.Resources} {
				assert.NotContains(t, all, "*", name)
			}
			for _, resource := range []string{"secrets", "pods/exec", "pods/attach", "roles", "rolebindings", "namespaces", "serviceaccounts/token"} {
				assert.NotContains(t, rule.Resources, resource, name)
			}
			for _, verb := range []string{"impersonate", "bind", "escalate"} {
				assert.NotContains(t, rule.Verbs, verb, name)
			}
			if name == "preview-clean-up" {
				assert.Subset(t, []string{"get", "list", "watch", "delete"}, rule.Verbs)
			}
		}
	}
}
