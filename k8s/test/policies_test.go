package k8s_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// peer is the other end of a connection: a pod in a namespace, or an address.
type peer struct {
	namespace string
	pod       map[string]string
	address   string
}

// Pods as the policies see them, in their own namespace, and what they talk to.
var (
	serverPod    = peer{pod: map[string]string{"app": "iris-classifier", "app.kubernetes.io/name": "tepal"}}
	canaryPod    = peer{pod: map[string]string{"app": "iris-classifier-canary", "app.kubernetes.io/name": "tepal"}}
	collectorPod = peer{pod: map[string]string{"app": "otel-collector", "cloud-egress": "true"}}
	strangerPod  = peer{pod: map[string]string{"app": "stranger"}}
	anybody      = peer{address: "203.0.113.9"}
	dns          = peer{namespace: "kube-system", pod: map[string]string{"k8s-app": "kube-dns"}}
	nodeLocalDNS = peer{address: "169.254.20.10"}
	metadata     = peer{address: "169.254.169.254"}
	podIdentity  = peer{address: "169.254.170.23"}
	podIdentity6 = peer{address: "fd00:ec2::23"}
	prometheus   = peer{namespace: "monitoring", pod: map[string]string{"app": "prometheus"}}
	gmp          = peer{namespace: "gmp-system", pod: map[string]string{"app": "managed-prometheus-collector"}}
	gmpAutopilot = peer{namespace: "gke-gmp-system", pod: map[string]string{"app": "managed-prometheus-collector"}}
	elsewhere    = peer{namespace: "somebody", pod: map[string]string{"app": "curious"}}
)

// allowed says whether the policies let a pod of their namespace talk to a peer, or be talked to by it: it may when no
// policy of that direction selects it, or when a rule of one that does has the peer and the port.
func allowed(list []*networkingv1.NetworkPolicy, direction networkingv1.PolicyType, pod, other peer, port int32) bool {
	isolated := false
	for _, p := range list {
		if !slices.Contains(p.Spec.PolicyTypes, direction) || !selects(&p.Spec.PodSelector, pod.pod) {
			continue
		}
		isolated = true
		if direction == networkingv1.PolicyTypeIngress {
			for _, r := range p.Spec.Ingress {
				if hasPort(r.Ports, port) && hasPeer(r.From, other) {
					return true
				}
			}
			continue
		}
		for _, r := range p.Spec.Egress {
			if hasPort(r.Ports, port) && hasPeer(r.To, other) {
				return true
			}
		}
	}
	return !isolated
}

func hasPort(ports []networkingv1.NetworkPolicyPort, port int32) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.IntVal == port })
}

func hasPeer(peers []networkingv1.NetworkPolicyPeer, other peer) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		if p.IPBlock != nil {
			address, err := netip.ParseAddr(other.address)
			return err == nil && netip.MustParsePrefix(p.IPBlock.CIDR).Contains(address)
		}
		if other.pod == nil {
			return false
		}
		inNamespace := other.namespace == ""
		if p.NamespaceSelector != nil {
			inNamespace = selects(p.NamespaceSelector, map[string]string{corev1.LabelMetadataName: other.namespace})
		}
		return inNamespace && (p.PodSelector == nil || selects(p.PodSelector, other.pod))
	})
}

// TestPolicies computes by the rules of Kubernetes what the policies of each composition let through. No network here
// enforces them.
func TestPolicies(t *testing.T) {
	const in, out = networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress
	kustomize := tool(t, "kustomize")
	for _, c := range []choice{
		{"prod", "gke-autopilot", nil}, {"prod", "gke-standard", nil}, {"prod", "eks", nil}, {"prod", "aks", nil},
		{"prod", "kind", []string{"otel-collector"}}, {"preview", "gke-autopilot", nil},
	} {
		list := all[*networkingv1.NetworkPolicy](rendered(t, kustomize, c))
		google, amazon := c.cluster[:3] == "gke", c.cluster == "eks"
		for _, test := range []struct {
			what      string
			direction networkingv1.PolicyType
			pod, peer peer
			port      int32
			want      bool
		}{
			{"a prediction", in, serverPod, anybody, 8000, true},
			{"a prediction of the canary", in, canaryPod, anybody, 8000, true},
			{"metrics", in, serverPod, prometheus, 8002, true},
			{"metrics of the canary", in, canaryPod, prometheus, 8002, true},
			{"metrics for Google's collectors", in, serverPod, gmp, 8002, true},
			{"metrics for Google's collectors on Autopilot", in, serverPod, gmpAutopilot, 8002, true},
			{"metrics for anybody", in, serverPod, anybody, 8002, false},
			{"metrics for another namespace", in, serverPod, elsewhere, 8002, false},
			{"traces", out, serverPod, collectorPod, 4318, true},
			{"traces of the canary", out, canaryPod, collectorPod, 4318, true},
			{"traces at the collector", in, collectorPod, serverPod, 4318, true},
			{"somebody else's traces", in, collectorPod, strangerPod, 4318, false},
			{"names from pods", out, serverPod, dns, 53, true},
			{"names from the machine", out, serverPod, nodeLocalDNS, 53, true},
			{"names from Cloud DNS", out, serverPod, metadata, 53, true},
			{"names for the collector from Cloud DNS", out, collectorPod, metadata, 53, true},
			{"anything else of kube-system", out, serverPod, dns, 443, false},
			{"the internet from a server", out, serverPod, anybody, 443, false},
			{"the cloud's API from the collector", out, collectorPod, anybody, 443, true},
			{"the machine's identity from a server", out, serverPod, metadata, 80, false},
			{"Workload Identity", out, collectorPod, metadata, 80, google},
			{"Pod Identity", out, collectorPod, podIdentity, 80, amazon},
			{"Pod Identity by IPv6", out, collectorPod, podIdentity6, 80, amazon},
			{"a stranger in the namespace", in, strangerPod, anybody, 80, false},
			{"a stranger's way out", out, strangerPod, anybody, 443, false},
		} {
			pod, other := suffixed(c, test.pod), suffixed(c, test.peer)
			assert.Equal(t, test.want, allowed(list, test.direction, pod, other, test.port), "%s: %s", c, test.what)
		}
	}
}

// suffixed gives a pod of the namespace the label that a preview's pods have.
func suffixed(c choice, p peer) peer {
	if c.env == "preview" && p.pod != nil && p.namespace == "" {
		labelled := map[string]string{"instance": "pr-12"}
		for key, value := range p.pod {
			labelled[key] = value
		}
		p.pod = labelled
	}
	return p
}
