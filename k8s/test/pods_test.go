package k8s_test

import (
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// checkPods holds every pod to the restricted profile and to the house rules.
func checkPods(t *testing.T, list manifests) {
	t.Helper()
	for _, d := range all[*appsv1.Deployment](list) {
		pod := d.Spec.Template.Spec
		assert.Equal(t, "telemetry-access", pod.ServiceAccountName)
		assert.False(t, *pod.AutomountServiceAccountToken)
		assert.False(t, *pod.EnableServiceLinks)
		assert.True(t, *pod.SecurityContext.RunAsNonRoot)
		assert.EqualValues(t, 65532, *pod.SecurityContext.RunAsUser)
		assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
		require.Len(t, pod.Containers, 1)
		container := pod.Containers[0]
		assert.False(t, *container.SecurityContext.AllowPrivilegeEscalation)
		assert.True(t, *container.SecurityContext.ReadOnlyRootFilesystem)
		assert.Equal(t, []corev1.Capability{"ALL"}, container.SecurityContext.Capabilities.Drop)
		assert.NotContains(t, container.Image, "registry.invalid")
		assert.NotNil(t, container.ReadinessProbe)
		assert.NotNil(t, container.LivenessProbe)
		for _, e := range container.Env {
			assert.NotContains(t, e.Value, "set-", "%s has a value that no component has set", e.Name)
		}
		assert.True(t, selects(d.Spec.Selector, d.Spec.Template.Labels), d.Name)
	}
	for _, c := range all[*corev1.ConfigMap](list) {
		for key, value := range c.Data {
			assert.NotEqual(t, "set-below", value, "%s has a value that no component has set", key)
		}
	}
}

func selects(selector *metav1.LabelSelector, set map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(set))
}

// checkReferences follows every name and selector to what it means.
func checkReferences(t *testing.T, c choice, list manifests) {
	t.Helper()
	deployment := get[*appsv1.Deployment](t, list, "iris-classifier-deployment"+c.suffix())
	for _, d := range all[*appsv1.Deployment](list) {
		for _, from := range d.Spec.Template.Spec.Containers[0].EnvFrom {
			get[*corev1.ConfigMap](t, list, from.ConfigMapRef.Name)
		}
		for _, volume := range d.Spec.Template.Spec.Volumes {
			get[*corev1.ConfigMap](t, list, volume.ConfigMap.Name)
		}
		for _, e := range d.Spec.Template.Spec.Containers[0].Env {
			if e.Name == "OTEL_COLLECTOR" {
				get[*corev1.Service](t, list, e.Value)
			}
		}
	}
	var scaled []string
	for _, h := range all[*autoscalingv2.HorizontalPodAutoscaler](list) {
		scaled = append(scaled, h.Spec.ScaleTargetRef.Name)
	}
	for _, s := range all[*scaledObject](list) {
		scaled = append(scaled, s.Spec.ScaleTargetRef.Name)
		assert.Contains(t, s.Spec.Triggers[0].Metadata["query"], `namespace="`+c.namespace()+`"`)
	}
	assert.Equal(t, []string{deployment.Name}, scaled, "one autoscaler, no more and no less")
	for _, p := range all[*policyv1.PodDisruptionBudget](list) {
		assert.True(t, selects(p.Spec.Selector, deployment.Spec.Template.Labels))
	}
	checkServices(t, list)
	checkMonitors(t, list, deployment)
	for _, h := range all[*healthCheckPolicy](list) {
		assert.Equal(t, "/ready_check", h.Spec.Default.Config.HTTPHealthCheck.RequestPath)
		get[*corev1.Service](t, list, h.Spec.TargetRef.Name)
	}
	for _, r := range all[*gatewayv1.HTTPRoute](list) {
		get[*gatewayv1.Gateway](t, list, string(r.Spec.ParentRefs[0].Name))
		for _, b := range r.Spec.Rules[0].BackendRefs {
			get[*corev1.Service](t, list, string(b.Name))
		}
	}
}

// checkServices sees that each leads to the pods of one deployment, or, for the
// metrics, to those of the server, and to a port that they have.
func checkServices(t *testing.T, list manifests) {
	t.Helper()
	for _, s := range all[*corev1.Service](list) {
		var to []string
		for _, d := range all[*appsv1.Deployment](list) {
			if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels)) {
				continue
			}
			to = append(to, d.Name)
			for _, port := range s.Spec.Ports {
				assert.True(t, listens(d, port.TargetPort.IntVal), "%s leads to port %s of %s", s.Name, port.TargetPort.String(), d.Name)
			}
		}
		if s.Spec.ClusterIP == corev1.ClusterIPNone {
			assert.NotEmpty(t, to, s.Name)
		} else {
			assert.Len(t, to, 1, s.Name)
		}
		if s.Spec.Type == corev1.ServiceTypeLoadBalancer || s.Spec.Type == corev1.ServiceTypeNodePort {
			assert.Len(t, s.Spec.Ports, 1, "metrics and profiles are never public")
			assert.EqualValues(t, 8000, s.Spec.Ports[0].TargetPort.IntVal)
		}
	}
}

func listens(d *appsv1.Deployment, port int32) bool {
	for _, p := range d.Spec.Template.Spec.Containers[0].Ports {
		if p.ContainerPort == port {
			return true
		}
	}
	return false
}

// checkMonitors sees that each finds the server's pods, and its ops port.
func checkMonitors(t *testing.T, list manifests, deployment *appsv1.Deployment) {
	t.Helper()
	for _, m := range all[*monitoringv1.ServiceMonitor](list) {
		var found []string
		for _, s := range all[*corev1.Service](list) {
			if selects(&m.Spec.Selector, s.Labels) {
				found = append(found, s.Spec.Ports[0].Name)
			}
		}
		assert.Equal(t, []string{m.Spec.Endpoints[0].Port}, found)
	}
	for _, m := range all[*podMonitoring](list) {
		assert.True(t, selects(&m.Spec.Selector, deployment.Spec.Template.Labels))
		var names []string
		for _, p := range deployment.Spec.Template.Spec.Containers[0].Ports {
			names = append(names, p.Name)
		}
		assert.Contains(t, names, m.Spec.Endpoints[0].Port)
	}
	for _, p := range all[*networkingv1.NetworkPolicy](list) {
		if p.Name == "deny-all" {
			assert.Empty(t, p.Spec.PodSelector.MatchLabels, "it covers every pod")
			assert.Empty(t, p.Spec.Ingress)
			assert.Empty(t, p.Spec.Egress)
			assert.Len(t, p.Spec.PolicyTypes, 2)
		}
	}
}
