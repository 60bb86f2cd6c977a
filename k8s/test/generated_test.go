package k8s_test

import (
	"os"
	"path/filepath"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// TestRules holds the operator's rules to those of telemetry/alerts, and the
// dashboard to the one that Grafana imports.
func TestRules(t *testing.T) {
	list := rendered(t, tool(t, "kustomize"), choice{"prod", "", []string{"monitoring"}})
	text, err := os.ReadFile(filepath.Join(root, "telemetry/alerts/rules.yaml"))
	require.NoError(t, err)
	var want monitoringv1.PrometheusRuleSpec
	require.NoError(t, yaml.UnmarshalStrict(text, &want))
	require.NotEmpty(t, want.Groups)
	assert.Equal(t, want, get[*monitoringv1.PrometheusRule](t, list, "iris-classifier").Spec)

	dashboard, err := os.ReadFile(filepath.Join(root, "telemetry/dashboards/grafana.json"))
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"iris-classifier.json": string(dashboard)},
		get[*corev1.ConfigMap](t, list, "iris-classifier-dashboard").Data)
}

// TestCanary sees that the canary is the deployment in all but its names, its
// image and its number, and gets a tenth of the requests.
func TestCanary(t *testing.T) {
	list := rendered(t, tool(t, "kustomize"), choice{"prod", "eks", []string{"canary"}})
	stable := get[*appsv1.Deployment](t, list, "iris-classifier-deployment")
	track := get[*appsv1.Deployment](t, list, "iris-classifier-canary")
	assert.Equal(t, canary, track.Spec.Template.Spec.Containers[0].Image)
	assert.EqualValues(t, 1, *track.Spec.Replicas)
	assert.Equal(t, "iris-classifier-canary", track.Spec.Template.Labels["app"])

	track.Spec.Replicas = nil
	track.Spec.Selector.MatchLabels["app"] = "iris-classifier"
	track.Spec.Template.Labels["app"] = "iris-classifier"
	track.Spec.Template.Spec.Containers[0].Image = stable.Spec.Template.Spec.Containers[0].Image
	for _, spread := range track.Spec.Template.Spec.TopologySpreadConstraints {
		spread.LabelSelector.MatchLabels["app"] = "iris-classifier"
	}
	assert.Equal(t, stable.Spec, track.Spec)

	weights := make(map[string]int32)
	for _, to := range get[*gatewayv1.HTTPRoute](t, list, "iris-classifier-route").Spec.Rules[0].BackendRefs {
		weights[string(to.Name)] = *to.Weight
	}
	assert.Equal(t, map[string]int32{"iris-classifier-service": 9, "iris-classifier-canary": 1}, weights)
}

// merge puts one configuration over another as the collector does: maps by their keys, lists whole.
func merge(under, over map[string]any) map[string]any {
	for key, value := range over {
		below, isMap := under[key].(map[string]any)
		if above, both := value.(map[string]any); isMap && both {
			value = merge(below, above)
		}
		under[key] = value
	}
	return under
}

// TestCollectors sees that the configurations of the collector, which no program
// here can read whole, name nothing that they do not define.
func TestCollectors(t *testing.T) {
	read := func(file string) map[string]any {
		text, err := os.ReadFile(file) //nolint:gosec // a file of this repository
		require.NoError(t, err)
		var config map[string]any
		require.NoError(t, yaml.UnmarshalStrict(text, &config), file)
		return config
	}
	files, err := filepath.Glob("../components/*/config.yaml")
	require.NoError(t, err)
	require.Len(t, files, 4)
	for _, file := range files {
		text, err := yaml.Marshal(merge(read("../components/otel-collector/workload/base.yaml"), read(file)))
		require.NoError(t, err)
		var config struct {
			Extensions, Receivers, Processors, Exporters map[string]any
			Service                                      struct {
				Extensions []string
				Pipelines  map[string]struct{ Receivers, Processors, Exporters []string }
			}
		}
		require.NoError(t, yaml.UnmarshalStrict(text, &config), file)
		require.Contains(t, config.Service.Extensions, "health_check", file)
		for _, name := range config.Service.Extensions {
			assert.Contains(t, config.Extensions, name, file)
		}
		require.Contains(t, config.Service.Pipelines, "traces", file)
		for _, p := range config.Service.Pipelines {
			for defined, names := range map[*map[string]any][]string{
				&config.Receivers: p.Receivers, &config.Processors: p.Processors, &config.Exporters: p.Exporters,
			} {
				require.NotEmpty(t, names, file)
				for _, name := range names {
					assert.Contains(t, *defined, name, file)
				}
			}
			assert.Equal(t, "memory_limiter", p.Processors[0], file)
		}
	}
}
