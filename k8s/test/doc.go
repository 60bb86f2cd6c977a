// Package k8s holds nothing but tests: that every composition and every choice of
// components builds, is what the typed structs and the schemas of its kinds allow,
// keeps the guide's names and numbers, and that the scripts which apply it do what
// they say when a cluster does not.
//
// It is a module of its own, since the types of Kubernetes, KEDA, the Prometheus
// operator and the Gateway API are no business of the server's.
package k8s
