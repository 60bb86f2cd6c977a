package k8s_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestNames holds every environment to what the guide calls things, where they listen,
// and how far they scale.
func TestNames(t *testing.T) {
	kustomize := tool(t, "kustomize")
	for _, env := range environments(t) {
		t.Run(env, func(t *testing.T) {
			c := choice{env: env}
			list := rendered(t, kustomize, c)
			deployment := get[*appsv1.Deployment](t, list, "iris-classifier-deployment"+c.suffix())
			assert.Equal(t, "iris-classifier", deployment.Spec.Selector.MatchLabels["app"])
			assert.Equal(t, "iris-classifier", deployment.Spec.Template.Labels["app"])
			get[*corev1.ServiceAccount](t, list, deployment.Spec.Template.Spec.ServiceAccountName)
			container := deployment.Spec.Template.Spec.Containers[0]
			assert.Equal(t, "iris-api", container.Name)
			assert.Equal(t, image, container.Image)
			assert.True(t, listens(deployment, 8000))
			assert.Equal(t, "/ready_check", container.ReadinessProbe.HTTPGet.Path)
			assert.Equal(t, intstr.FromInt32(8000), container.ReadinessProbe.HTTPGet.Port)
			assert.Equal(t, "/live_check", container.LivenessProbe.HTTPGet.Path)
			assert.Equal(t, intstr.FromInt32(8000), container.LivenessProbe.HTTPGet.Port)

			service := get[*corev1.Service](t, list, "iris-classifier-service"+c.suffix())
			require.Len(t, service.Spec.Ports, 1)
			assert.EqualValues(t, 80, service.Spec.Ports[0].Port)
			assert.Equal(t, intstr.FromInt32(8000), service.Spec.Ports[0].TargetPort)
			assert.Equal(t, "iris-classifier", service.Spec.Selector["app"])

			hpa := get[*autoscalingv2.HorizontalPodAutoscaler](t, list, "iris-classifier-hpa"+c.suffix())
			assert.Equal(t, autoscalingv2.CrossVersionObjectReference{
				APIVersion: "apps/v1", Kind: "Deployment", Name: deployment.Name,
			}, hpa.Spec.ScaleTargetRef)
			assert.EqualValues(t, 2, *hpa.Spec.MinReplicas)
			assert.EqualValues(t, 5, hpa.Spec.MaxReplicas)
			require.Len(t, hpa.Spec.Metrics, 1)
			assert.Equal(t, corev1.ResourceCPU, hpa.Spec.Metrics[0].Resource.Name)
			assert.EqualValues(t, 60, *hpa.Spec.Metrics[0].Resource.Target.AverageUtilization)
		})
	}
}

// TestGuide holds the environment guide to the guide's own numbers.
func TestGuide(t *testing.T) {
	list := rendered(t, tool(t, "kustomize"), choice{env: "guide"})
	assert.Empty(t, all[*corev1.Namespace](list), "it is the namespace default")
	deployment := get[*appsv1.Deployment](t, list, "iris-classifier-deployment")
	assert.Equal(t, "default", deployment.Namespace)
	assert.EqualValues(t, 2, *deployment.Spec.Replicas)
	container := deployment.Spec.Template.Spec.Containers[0]
	assert.Nil(t, container.StartupProbe)
	assert.EqualValues(t, 10, container.ReadinessProbe.InitialDelaySeconds)
	assert.EqualValues(t, 5, container.ReadinessProbe.PeriodSeconds)
	assert.EqualValues(t, 15, container.LivenessProbe.InitialDelaySeconds)
	assert.EqualValues(t, 20, container.LivenessProbe.PeriodSeconds)
	assert.Equal(t, "100m", container.Resources.Requests.Cpu().String())
	assert.Equal(t, "128Mi", container.Resources.Requests.Memory().String())
	assert.Equal(t, "500m", container.Resources.Limits.Cpu().String())
	assert.Equal(t, "256Mi", container.Resources.Limits.Memory().String())
	assert.Equal(t, corev1.ServiceTypeLoadBalancer, get[*corev1.Service](t, list, "iris-classifier-service").Spec.Type)
}

// TestDrain holds every composition to its arithmetic in docs/reliability.md: a pod that goes drains as long as its
// load balancer may send to it, the stop has time beyond that, and Kubernetes waits for the stop.
func TestDrain(t *testing.T) {
	kustomize := tool(t, "kustomize")
	for _, test := range []struct {
		choice
		drain string
		surge intstr.IntOrString
	}{
		{choice{"prod", "gke-autopilot", []string{"canary"}}, "5s", intstr.FromInt32(1)},
		{choice{"prod", "gke-standard", nil}, "5s", intstr.FromInt32(1)},
		{choice{"prod", "gke-autopilot", []string{"canary", "gke-gateway"}}, "1m", intstr.FromInt32(1)},
		{choice{"dev", "eks", []string{"canary"}}, "5m", intstr.FromString("100%")},
		{choice{"prod", "aks", nil}, "5s", intstr.FromInt32(1)},
		{choice{"prod", "kind", nil}, "5s", intstr.FromInt32(1)},
	} {
		t.Run(test.String(), func(t *testing.T) {
			list := rendered(t, kustomize, test.choice)
			want, err := time.ParseDuration(test.drain)
			require.NoError(t, err)
			var seen int
			for _, d := range all[*appsv1.Deployment](list) {
				if d.Spec.Template.Labels["app.kubernetes.io/name"] != "tepal" {
					continue
				}
				seen++
				settings := get[*corev1.ConfigMap](t, list, d.Spec.Template.Spec.Containers[0].EnvFrom[0].ConfigMapRef.Name).Data
				drain, err := time.ParseDuration(settings["TEPAL_DRAIN_DELAY"])
				require.NoError(t, err)
				stop, err := time.ParseDuration(settings["TEPAL_SHUTDOWN_TIMEOUT"])
				require.NoError(t, err)
				assert.Equal(t, want, drain, d.Name)
				assert.GreaterOrEqual(t, stop, drain+20*time.Second, "in-flight requests have 20 s beyond the drain")
				assert.Greater(t, time.Duration(*d.Spec.Template.Spec.TerminationGracePeriodSeconds)*time.Second, stop, d.Name)
				assert.Equal(t, test.surge, *d.Spec.Strategy.RollingUpdate.MaxSurge, d.Name)
			}
			assert.Equal(t, 1+len(test.components[:min(1, len(test.components))]), seen)
		})
	}
}

// TestRollout holds the others to what lets a rollout lose nothing.
func TestRollout(t *testing.T) {
	kustomize := tool(t, "kustomize")
	for _, env := range environments(t) {
		if env == "guide" {
			continue
		}
		t.Run(env, func(t *testing.T) {
			c := choice{env: env}
			list := rendered(t, kustomize, c)
			spec := get[*appsv1.Deployment](t, list, "iris-classifier-deployment"+c.suffix()).Spec
			assert.Nil(t, spec.Replicas, "each apply would reset what the autoscaler has decided")
			assert.Equal(t, intstr.FromInt32(0), *spec.Strategy.RollingUpdate.MaxUnavailable)
			pod := spec.Template.Spec
			assert.Len(t, pod.TopologySpreadConstraints, 2)
			container := pod.Containers[0]
			assert.NotNil(t, container.StartupProbe)
			assert.True(t, container.Resources.Limits.Cpu().IsZero(), "it would throttle")
			assert.False(t, container.Resources.Limits.Memory().IsZero())
			settings := get[*corev1.ConfigMap](t, list, container.EnvFrom[0].ConfigMapRef.Name).Data
			assert.Equal(t, "25s", settings["TEPAL_SHUTDOWN_TIMEOUT"])
			assert.Greater(t, *pod.TerminationGracePeriodSeconds, int64(25))
			budget := get[*policyv1.PodDisruptionBudget](t, list, "iris-classifier-pdb"+c.suffix())
			assert.Equal(t, intstr.FromInt32(1), *budget.Spec.MaxUnavailable)
		})
	}
}

// TestClouds looks for what each cloud wants to be told, and for the variables of
// the cluster in it.
func TestClouds(t *testing.T) {
	kustomize := tool(t, "kustomize")
	variables := []string{
		"CLOUD_PROJECT_ID=another-project", "CLUSTER_NAME=one", "CLUSTER_REGION=europe-west1", "AWS_ACCOUNT_ID=444455556666",
		"AWS_REGION=eu-central-1", "AZURE_CLIENT_ID=12345678-0000-0000-0000-000000000000",
	}
	for _, test := range []struct {
		component, annotation, value, exporter string
		service                                corev1.ServiceType
	}{
		{"gke", "iam.gke.io/gcp-service-account", "telemetry-access@another-project.iam.gserviceaccount.com", "gcp_trace", corev1.ServiceTypeLoadBalancer},
		{"gke-otlp", "iam.gke.io/gcp-service-account", "telemetry-access@another-project.iam.gserviceaccount.com", "otlp", corev1.ServiceTypeLoadBalancer},
		{"eks", "eks.amazonaws.com/role-arn", "arn:aws:iam::444455556666:role/telemetry-access", "otlp", corev1.ServiceTypeLoadBalancer},
		{"aks", "azure.workload.identity/client-id", "12345678-0000-0000-0000-000000000000", "otlp", corev1.ServiceTypeLoadBalancer},
		{"onprem", "", "", "none", corev1.ServiceTypeNodePort},
	} {
		t.Run(test.component, func(t *testing.T) {
			list := rendered(t, kustomize, choice{"prod", "", []string{test.component}}, variables...)
			account := get[*corev1.ServiceAccount](t, list, "telemetry-access")
			assert.Equal(t, test.value, account.Annotations[test.annotation])
			deployment := get[*appsv1.Deployment](t, list, "iris-classifier-deployment")
			settings := get[*corev1.ConfigMap](t, list, deployment.Spec.Template.Spec.Containers[0].EnvFrom[0].ConfigMapRef.Name)
			assert.Equal(t, test.exporter, settings.Data["OTEL_TRACES_EXPORTER"])
			assert.Equal(t, test.service, get[*corev1.Service](t, list, "iris-classifier-service").Spec.Type)
			if test.component == "gke" {
				assert.Equal(t, "another-project", settings.Data["GOOGLE_CLOUD_PROJECT"])
				assert.Equal(t, "one", settings.Data["CLUSTER_NAME"])
				assert.Equal(t, "europe-west1", settings.Data["CLUSTER_REGION"])
			}
			if test.component == "aks" {
				assert.Equal(t, "true", deployment.Spec.Template.Labels["azure.workload.identity/use"])
			}
		})
	}
}

// TestKEDA sees that KEDA's is the only autoscaler, within the same bounds, and aims at
// what the server says of itself.
func TestKEDA(t *testing.T) {
	list := rendered(t, tool(t, "kustomize"), choice{"prod", "", []string{"keda"}}, "PROMETHEUS=http://another.example:9090")
	assert.Empty(t, all[*autoscalingv2.HorizontalPodAutoscaler](list))
	object := get[*scaledObject](t, list, "iris-classifier")
	assert.EqualValues(t, 2, object.Spec.MinReplicaCount)
	assert.EqualValues(t, 5, object.Spec.MaxReplicaCount)
	assert.Contains(t, object.Spec.Triggers[0].Metadata["query"], "tepal_admission_utilization_ratio{")
	assert.Equal(t, "http://another.example:9090", object.Spec.Triggers[0].Metadata["serverAddress"])
}
