// Package test runs the steps of the workflows that deploy, as GitHub would, with stand-ins for the tools of clouds and
// clusters on PATH, so that a broken step is seen here and not on the first push. What the stand-ins cannot tell, such
// as whether Google Cloud accepts a call, only a real run does.
package test
