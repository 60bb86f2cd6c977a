// Package test runs the steps of the workflows that deploy and release, as GitHub would, with stand-ins for the tools of
// clouds and clusters on PATH, so that a broken step is seen here and not on the first push. With the build tag cluster
// kubectl and curl are the real ones, and the cluster is that of KUBECONFIG. What the stand-ins cannot tell, such as
// whether Google Cloud accepts a call, only a real run does.
package test
