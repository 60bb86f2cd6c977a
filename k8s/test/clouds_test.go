package k8s_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// variable is how a collector's configuration reads one of its container's.
var variable = regexp.MustCompile(`\$\{env:(\w+)\}`)

// TestCollectorsVariables sees that each variable which a collector's configuration
// reads is set: by the component, or on Azure by the webhook of workload identity,
// which looks at the pod's label and its service account.
func TestCollectorsVariables(t *testing.T) {
	kustomize := tool(t, "kustomize")
	for _, component := range []string{"gke-otlp", "eks", "aks", "otel-collector"} {
		text, err := os.ReadFile(filepath.Join("../components", component, "config.yaml"))
		require.NoError(t, err)
		pods := get[*appsv1.Deployment](t, rendered(t, kustomize, choice{"prod", "", []string{component}}), "otel-collector").Spec.Template
		set := make(map[string]bool)
		for _, v := range pods.Spec.Containers[0].Env {
			set[v.Name] = true
		}
		if pods.Labels["azure.workload.identity/use"] == "true" && pods.Spec.ServiceAccountName == "telemetry-access" {
			set["AZURE_CLIENT_ID"], set["AZURE_TENANT_ID"], set["AZURE_FEDERATED_TOKEN_FILE"] = true, true, true
		}
		for _, found := range variable.FindAllStringSubmatch(string(text), -1) {
			assert.True(t, set[found[1]], "%s: nothing sets %s", component, found[1])
		}
	}
}

// TestAzureSignsIn holds the collector to Application Insights as infra/azure makes
// it: closed to whoever has the connection string alone.
func TestAzureSignsIn(t *testing.T) {
	made, err := os.ReadFile(filepath.Join(root, "infra/azure/telemetry.tf"))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^\s*local_authentication_disabled\s*= true$`, string(made))

	text, err := os.ReadFile("../components/aks/config.yaml")
	require.NoError(t, err)
	var config struct {
		Extensions map[string]struct {
			WorkloadIdentity map[string]string `json:"workload_identity"`
			Scopes           []string
		}
		Exporters map[string]struct {
			Auth struct{ Authenticator string }
		}
		Service struct{ Extensions []string }
	}
	require.NoError(t, yaml.Unmarshal(text, &config))
	name := config.Exporters["azure_monitor"].Auth.Authenticator
	require.Contains(t, config.Extensions, name)
	assert.Contains(t, config.Service.Extensions, name)
	// Who it is, who vouches for that, and whom it is for: the role Monitoring Metrics Publisher is looked up by them.
	assert.Len(t, config.Extensions[name].WorkloadIdentity, 3)
	assert.Equal(t, []string{"https://monitor.azure.com/.default"}, config.Extensions[name].Scopes)
}

// TestFargateLogs holds the log router's ConfigMap to what AWS asks of it: its names, its label, at most 5,300 characters.
func TestFargateLogs(t *testing.T) {
	text, err := os.ReadFile("../aws/fargate-logs.yaml")
	require.NoError(t, err)
	list := decode(t, text)
	assert.Equal(t, map[string]string{"aws-observability": "enabled"}, get[*corev1.Namespace](t, list, "aws-observability").Labels)
	config := get[*corev1.ConfigMap](t, list, "aws-logging")
	assert.Equal(t, "aws-observability", config.Namespace)
	length := 0
	for _, part := range config.Data {
		length += len(part)
	}
	assert.Less(t, length, 5300)
	// Its doctor and its role look there.
	assert.Contains(t, config.Data["output.conf"], "log_group_name /aws/containerinsights/mlops-auto/application\n")
	assert.Contains(t, config.Data["output.conf"], "region us-west-2\n")
}
