package k8s_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// podMonitoring is as much of Google's PodMonitoring as is used here, by its
// reference documentation: the module with its own types,
// github.com/GoogleCloudPlatform/prometheus-engine, is not on the Go proxy.
type podMonitoring struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port     string `json:"port"`
			Path     string `json:"path"`
			Interval string `json:"interval"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// healthCheckPolicy is as much of Google's HealthCheckPolicy as is used here, by its
// reference documentation: its module is not on the Go proxy either.
type healthCheckPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		Default struct {
			Config struct {
				Type            string `json:"type"`
				HTTPHealthCheck struct {
					RequestPath string `json:"requestPath"`
				} `json:"httpHealthCheck"`
			} `json:"config"`
		} `json:"default"`
		TargetRef struct {
			Group string `json:"group"`
			Kind  string `json:"kind"`
			Name  string `json:"name"`
		} `json:"targetRef"`
	} `json:"spec"`
}

// scaledObject is as much of KEDA's as is used here. The JSON schema made of KEDA's own
// definition holds the rest: its Go types would bring 500 packages to compile.
type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		MinReplicaCount int32 `json:"minReplicaCount"`
		MaxReplicaCount int32 `json:"maxReplicaCount"`
		PollingInterval int32 `json:"pollingInterval"`
		Fallback        struct {
			FailureThreshold int32 `json:"failureThreshold"`
			Replicas         int32 `json:"replicas"`
		} `json:"fallback"`
		Triggers []struct {
			Type     string            `json:"type"`
			Metadata map[string]string `json:"metadata"`
		} `json:"triggers"`
	} `json:"spec"`
}

// DeepCopyObject is what a scheme asks of its types; decoding never calls it.
func (p *podMonitoring) DeepCopyObject() runtime.Object     { c := *p; return &c }
func (p *healthCheckPolicy) DeepCopyObject() runtime.Object { c := *p; return &c }
func (p *scaledObject) DeepCopyObject() runtime.Object      { c := *p; return &c }

// strict decodes YAML into the typed structs, and refuses unknown and repeated
// fields.
func strict(t *testing.T) runtime.Decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, autoscalingv2.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme,
		monitoringv1.AddToScheme, gatewayv1.Install,
	} {
		require.NoError(t, add(scheme))
	}
	scheme.AddKnownTypeWithName(schema.GroupVersionKind{Group: "monitoring.googleapis.com", Version: "v1", Kind: "PodMonitoring"}, &podMonitoring{})
	scheme.AddKnownTypeWithName(schema.GroupVersionKind{Group: "networking.gke.io", Version: "v1", Kind: "HealthCheckPolicy"}, &healthCheckPolicy{})
	scheme.AddKnownTypeWithName(schema.GroupVersionKind{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject"}, &scaledObject{})
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
}

// object is what every manifest is.
type object interface {
	runtime.Object
	metav1.Object
}

// manifests are the objects of one environment.
type manifests []object

// decode reads a stream of YAML documents, each into its typed struct.
func decode(t *testing.T, stream []byte) manifests {
	t.Helper()
	decoder := strict(t)
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream)))
	var list manifests
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		decoded, _, err := decoder.Decode(document, nil, nil)
		require.NoError(t, err, string(document))
		o, ok := decoded.(object)
		require.True(t, ok, "%T", decoded)
		list = append(list, o)
	}
	require.NotEmpty(t, list)
	return list
}

// get returns the one object of that type and name.
func get[T object](t *testing.T, list manifests, name string) T {
	t.Helper()
	var found []T
	for _, o := range list {
		if typed, ok := o.(T); ok && o.GetName() == name {
			found = append(found, typed)
		}
	}
	require.Len(t, found, 1, name)
	return found[0]
}

// all returns the objects of that type.
func all[T object](list manifests) []T {
	var found []T
	for _, o := range list {
		if typed, ok := o.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}
