package k8s_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// chart renders k8s/chart as `helm install` would.
func chart(t *testing.T, helm string, arguments ...string) (stdout []byte, stderr string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), helm, append([]string{ //nolint:gosec // a tool of this repository
		"template", "iris", "../chart", "--namespace", "iris-prod", "--skip-tests",
	}, arguments...)...)
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	err = command.Run()
	return out.Bytes(), complaints.String(), err
}

// TestChart holds the chart to the base: the same objects, but for the namespace, which Helm makes, and the way in which a
// changed setting becomes a rollout.
func TestChart(t *testing.T) {
	helm := tool(t, "helm")
	stdout, stderr, err := chart(t, helm, "--set", "image="+image)
	require.NoError(t, err, stderr)
	got := decode(t, stdout)
	want := rendered(t, tool(t, "kustomize"), choice{env: "prod"})
	want = slices.DeleteFunc(want, func(o object) bool { _, is := o.(*corev1.Namespace); return is })

	deployment := get[*appsv1.Deployment](t, want, "iris-classifier-deployment")
	from := deployment.Spec.Template.Spec.Containers[0].EnvFrom[0].ConfigMapRef
	get[*corev1.ConfigMap](t, want, from.Name).Name = "iris-classifier-settings"
	from.Name = "iris-classifier-settings"
	mine := get[*appsv1.Deployment](t, got, "iris-classifier-deployment")
	assert.Regexp(t, "^[0-9a-f]{64}$", mine.Spec.Template.Annotations["checksum/settings"])
	mine.Spec.Template.Annotations = nil
	assert.ElementsMatch(t, want, got)
}

// TestChartValues sees that each value comes to where it belongs, here those of EKS.
func TestChartValues(t *testing.T) {
	helm := tool(t, "helm")
	values := filepath.Join(t.TempDir(), "values.yaml")
	require.NoError(t, os.WriteFile(values, []byte(`
settings: {TEPAL_DRAIN_DELAY: 300s, TEPAL_SHUTDOWN_TIMEOUT: 320s, OTEL_SERVICE_NAME: another}
resources: {requests: {cpu: 50m}}
podLabels: {app: stolen, team: data}
serviceAccount: {annotations: {eks.amazonaws.com/role-arn: arn}}
service: {type: LoadBalancer, annotations: {service.beta.kubernetes.io/aws-load-balancer-nlb-target-type: ip}}
autoscaling: {minReplicas: 3, maxReplicas: 9}
rollout: {maxSurge: 100%, progressDeadlineSeconds: 900, terminationGracePeriodSeconds: 330}
`), 0o600))
	stdout, stderr, err := chart(t, helm, "--set", "image="+image, "--values", values)
	require.NoError(t, err, stderr)
	list := decode(t, stdout)
	deployment := get[*appsv1.Deployment](t, list, "iris-classifier-deployment")
	assert.Equal(t, intstr.FromString("100%"), *deployment.Spec.Strategy.RollingUpdate.MaxSurge)
	assert.EqualValues(t, 900, *deployment.Spec.ProgressDeadlineSeconds)
	assert.EqualValues(t, 330, *deployment.Spec.Template.Spec.TerminationGracePeriodSeconds)
	assert.Equal(t, map[string]string{"app": "iris-classifier", "app.kubernetes.io/name": "tepal", "team": "data"}, deployment.Spec.Template.Labels)
	resources := deployment.Spec.Template.Spec.Containers[0].Resources
	assert.Equal(t, "50m", resources.Requests.Cpu().String())
	assert.Equal(t, "64Mi", resources.Requests.Memory().String(), "the base's")
	settings := get[*corev1.ConfigMap](t, list, "iris-classifier-settings").Data
	assert.Equal(t, []string{"300s", "320s", "another", "gcp"}, []string{
		settings["TEPAL_DRAIN_DELAY"], settings["TEPAL_SHUTDOWN_TIMEOUT"], settings["OTEL_SERVICE_NAME"], settings["TEPAL_LOG_FORMAT"],
	})
	service := get[*corev1.Service](t, list, "iris-classifier-service")
	assert.Equal(t, corev1.ServiceTypeLoadBalancer, service.Spec.Type)
	assert.Equal(t, "ip", service.Annotations["service.beta.kubernetes.io/aws-load-balancer-nlb-target-type"])
	assert.Equal(t, "arn", get[*corev1.ServiceAccount](t, list, "telemetry-access").Annotations["eks.amazonaws.com/role-arn"])
	hpa := get[*autoscalingv2.HorizontalPodAutoscaler](t, list, "iris-classifier-hpa")
	assert.EqualValues(t, 3, *hpa.Spec.MinReplicas)
	assert.EqualValues(t, 9, hpa.Spec.MaxReplicas)
}

// TestChartRefuses sees that the schema says no to what would go wrong later.
func TestChartRefuses(t *testing.T) {
	helm := tool(t, "helm")
	for _, wrong := range []string{
		"image=", "image=iris", "image=registry:5000/iris", "imagee=iris:1", "settings.LOG_LEVEL=debug", "service.type=Ingress",
		"autoscaling.minReplicas=0", "resources.request.cpu=1", "rollout.progressDeadlineSeconds=soon",
	} {
		_, stderr, err := chart(t, helm, "--set", "image="+image, "--set", wrong)
		assert.Error(t, err, wrong)
		assert.Contains(t, stderr, "values don't meet the specifications of the schema", wrong)
	}
}
