package k8s_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// TestWhatADeployerMayWrite sees that who may edit in a namespace, and no more,
// can deploy. Kubernetes' own role edit, AWS's AmazonEKSEditPolicy and Azure's RBAC
// Writer write these kinds, no namespace and nothing of an operator's.
func TestWhatADeployerMayWrite(t *testing.T) {
	kustomize := tool(t, "kustomize")
	for _, env := range overlays(t) {
		for _, parts := range [][]string{nil, {"eks"}, {"aks"}, {"onprem"}, {"otel-collector"}, {"hpa-custom"}, {"networkpolicy"}} {
			c := choice{env, parts}
			if !c.possible() {
				continue
			}
			for _, o := range rendered(t, kustomize, c) {
				switch o.(type) {
				case *corev1.Namespace:
					assert.Contains(t, o.GetLabels(), "pod-security.kubernetes.io/enforce", "%s: scripts/deploy.sh could not leave it out", c)
				case *appsv1.Deployment, *corev1.ConfigMap, *corev1.Service, *corev1.ServiceAccount,
					*autoscalingv2.HorizontalPodAutoscaler, *policyv1.PodDisruptionBudget, *networkingv1.NetworkPolicy:
				default:
					assert.Fail(t, "a kind that a deployer may not write", "%s: %T %s", c, o, o.GetName())
				}
			}
		}
	}
}
