package test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	push     = "ci-cd.yml"
	preview  = "continuous-deployment-to-gke.yml"
	sha      = "0123456789abcdef0123456789abcdef01234567"
	image    = "us-central1-docker.pkg.dev/my-mlops-project/mlops-images/iris"
	digest   = "@sha256:5f1c7d3e9b2a4860c1d2e3f4a5b6c7d8e9f00112233445566778899aabbccdde"
	provider = "projects/1/locations/global/workloadIdentityPools/github/providers/github"
)

// settings are those of docs/delivery.md, and what GitHub tells of the event.
func settings(event map[string]string) map[string]string {
	set := map[string]string{
		"vars.CLOUD_PROJECT_ID": "my-mlops-project", "vars.CLUSTER_NAME": "mlops-standard", "vars.CLUSTER_REGION": "us-central1",
		"vars.REGISTRY_LOCATION": "us-central1", "vars.REGISTRY_REPO": "mlops-images", "vars.WORKLOAD_IDENTITY_PROVIDER": provider,
		"github.sha": sha, "github.repository": "tepalhq/tepal", "github.token": "token",
	}
	maps.Copy(set, event)
	return set
}

func branch(name string) map[string]string {
	return map[string]string{"github.ref_name": name, "github.ref": "refs/heads/" + name}
}

func pullRequest(action, repository string) map[string]string {
	return map[string]string{
		"github.event.action": action, "github.event.number": "7", "github.event.pull_request.head.repo.full_name": repository,
	}
}

// inOrder sees that the calls begin so, one after the other, whatever is between them.
func inOrder(t *testing.T, calls []string, begin ...string) {
	t.Helper()
	rest := calls
	for _, want := range begin {
		at := find(rest, want)
		require.GreaterOrEqual(t, at, 0, "no call that begins with %q, in this place", want)
		rest = rest[at+1:]
	}
}

func find(calls []string, begin string) int {
	for i, call := range calls {
		if strings.HasPrefix(call, begin) {
			return i
		}
	}
	return -1
}

func never(t *testing.T, calls []string, begin string) {
	t.Helper()
	assert.Equal(t, -1, find(calls, begin), "a call begins with %q", begin)
}

func TestPushToDev(t *testing.T) {
	m := newMachine(t, settings(branch("dev")))
	require.Equal(t, []string{"success", "success", "skipped"}, m.run(push, "test", "deploy", "production"))
	inOrder(t, m.called(),
		"go test",
		"uses google-github-actions/auth project_id=my-mlops-project service_account=cicd-deployer@my-mlops-project.iam.gserviceaccount.com workload_identity_provider="+provider,
		"uses google-github-actions/setup-gcloud install_components=gke-gcloud-auth-plugin",
		"gcloud auth configure-docker us-central1-docker.pkg.dev --quiet",
		"gcloud container clusters get-credentials mlops-standard --location us-central1 --project my-mlops-project",
		"docker build --target tepal --tag "+image+":"+sha,
		"docker push "+image+":"+sha,
		"kubectl apply",
		"kubectl -n iris-dev rollout status deployment/iris-classifier-deployment",
		"kubectl -n iris-dev port-forward service/iris-classifier-service",
		"curl",
		"kubectl -n iris-dev get service iris-classifier-service",
	)
	never(t, m.called(), "kubectl -n iris-prod")
}

func TestPushToMain(t *testing.T) {
	m := newMachine(t, settings(branch("main")))
	require.Equal(t, []string{"success", "success", "success"}, m.run(push, "test", "deploy", "production"))
	inOrder(t, m.called(),
		"docker push "+image+":"+sha,
		"kubectl -n iris-staging rollout status",
		"kubectl -n iris-prod rollout status",
	)
	pushes := 0
	for _, call := range m.called() {
		if strings.HasPrefix(call, "docker push") {
			pushes++
		}
	}
	assert.Equal(t, 1, pushes, "prod gets the image that staging has")
}

func TestPushOfAnImageThatExists(t *testing.T) {
	m := newMachine(t, settings(branch("dev")))
	require.NoError(t, os.WriteFile(filepath.Join(m.stubs, ".pushed"), nil, 0o644))
	require.Equal(t, []string{"success", "success", "skipped"}, m.run(push, "test", "deploy", "production"))
	never(t, m.called(), "docker build")
	never(t, m.called(), "docker push")
	inOrder(t, m.called(), "docker pull", "kubectl -n iris-dev rollout status")
}

func TestPushWithAKey(t *testing.T) {
	set := settings(branch("dev"))
	delete(set, "vars.WORKLOAD_IDENTITY_PROVIDER")
	set["secrets.CI_CD_SA_KEY"] = "{}"
	delete(set, "vars.CLUSTER_REGION")
	set["vars.CLUSTER_ZONE"] = "us-central1-a"
	m := newMachine(t, set)
	require.Equal(t, []string{"success", "success", "skipped"}, m.run(push, "test", "deploy", "production"))
	inOrder(t, m.called(),
		"uses google-github-actions/auth credentials_json={} project_id=my-mlops-project",
		"gcloud container clusters get-credentials mlops-standard --location us-central1-a")
}

func TestPushThatFails(t *testing.T) {
	tests := []struct {
		name, fail string
		results    []string
		never      string
	}{
		{"a test", "go test", []string{"failure", "skipped", "skipped"}, "docker build"},
		{"the login", "gcloud", []string{"success", "failure", "skipped"}, "docker build"},
		{"the push", "docker push", []string{"success", "failure", "skipped"}, "kubectl apply"},
		{"the rollout", "kubectl -n iris-staging rollout status", []string{"success", "failure", "skipped"}, "kubectl -n iris-prod"},
		{"the smoke test", "curl", []string{"success", "failure", "skipped"}, "kubectl -n iris-prod"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, settings(branch("main")))
			m.fail = tt.fail
			require.Equal(t, tt.results, m.run(push, "test", "deploy", "production"))
			never(t, m.called(), tt.never)
			if tt.never == "kubectl -n iris-prod" {
				inOrder(t, m.called(), "kubectl apply", "kubectl -n iris-staging rollout undo")
			}
		})
	}
}

func TestPreview(t *testing.T) {
	m := newMachine(t, settings(pullRequest("opened", "tepalhq/tepal")))
	require.Equal(t, []string{"success", "skipped"}, m.run(preview, "build-and-deploy", "clean-up"))
	inOrder(t, m.called(),
		"go run ./cmd/train --unit cm",
		"gcloud auth configure-docker us-central1-docker.pkg.dev --quiet",
		"docker build --target train --tag "+image+":"+sha,
		"docker push "+image+":"+sha,
		"kubectl apply",
		"kubectl -n iris-preview rollout status deployment/iris-classifier-deployment-pr-7",
		"kubectl -n iris-preview get service iris-classifier-service-pr-7",
		"loadtest --target http://203.0.113.7 --wait 2m --json bin/preview-load.json",
		"curl --silent --show-error --fail --max-time 10 http://203.0.113.7/models/iris",
		"cml comment update --target=pr/7 bin/preview.md",
	)
	never(t, m.called(), "gh")
	report, err := os.ReadFile(filepath.Join(m.root, "bin/preview.md"))
	require.NoError(t, err)
	for _, want := range []string{
		"<http://203.0.113.7/predict>", image + digest, "iris version 1", "| accuracy | 0.9467 |", "| setosa | 1 | 0.5 | 0.6667 |",
		"6000 requests, 200 right answers a second of 200 asked, 0.2% errors; p50 1 ms, p95 4 ms, p99 12.5 ms", "| `--max-errors` | 0.1% | 0.2% | **no** |",
	} {
		assert.Contains(t, string(report), want)
	}
}

func TestPreviewThatBreaksAGate(t *testing.T) {
	m := newMachine(t, settings(pullRequest("synchronize", "tepalhq/tepal")))
	m.fail = "loadtest"
	require.Equal(t, []string{"failure", "skipped"}, m.run(preview, "build-and-deploy", "clean-up"))
	inOrder(t, m.called(), "loadtest", "cml comment update --target=pr/7")
}

func TestPreviewWithoutCML(t *testing.T) {
	for name, fail := range map[string]string{"not installed": "uses iterative/setup-cml", "failing": "cml"} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, settings(pullRequest("opened", "tepalhq/tepal")))
			m.fail = fail
			require.Equal(t, []string{"success", "skipped"}, m.run(preview, "build-and-deploy", "clean-up"))
			inOrder(t, m.called(), "uses iterative/setup-cml", "gh pr comment 7 --body-file bin/preview.md")
		})
	}
}

func TestPreviewThatDoesNotRollOut(t *testing.T) {
	m := newMachine(t, settings(pullRequest("opened", "tepalhq/tepal")))
	m.fail = "kubectl -n iris-preview rollout status"
	require.Equal(t, []string{"failure", "skipped"}, m.run(preview, "build-and-deploy", "clean-up"))
	never(t, m.called(), "loadtest")
	never(t, m.called(), "cml")
}

func TestPreviewOfAClosedPullRequest(t *testing.T) {
	m := newMachine(t, settings(pullRequest("closed", "tepalhq/tepal")))
	require.Equal(t, []string{"skipped", "success"}, m.run(preview, "build-and-deploy", "clean-up"))
	inOrder(t, m.called(), "gcloud container clusters get-credentials", "kubectl delete --ignore-not-found")
	never(t, m.called(), "docker")
}

func TestPreviewOfAFork(t *testing.T) {
	for _, action := range []string{"opened", "closed"} {
		m := newMachine(t, settings(pullRequest(action, "somebody/tepal")))
		require.Equal(t, []string{"skipped", "skipped"}, m.run(preview, "build-and-deploy", "clean-up"))
		assert.Equal(t, []string{""}, m.called())
	}
}

// TestPins holds every action and base image to the page that says where its digest was read.
func TestPins(t *testing.T) {
	page, err := os.ReadFile("../../docs/delivery.md")
	require.NoError(t, err)
	workflows, err := filepath.Glob("../workflows/*.yml")
	require.NoError(t, err)
	actions, err := filepath.Glob("../actions/*/action.yml")
	require.NoError(t, err)
	uses := regexp.MustCompile(`uses: (\S+)(?: # (\S+))?`)
	for _, name := range slices.Concat(workflows, actions) {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, match := range uses.FindAllStringSubmatch(string(data), -1) {
			if strings.HasPrefix(match[1], "./") {
				continue
			}
			assert.Regexp(t, `^[\w./-]+@[0-9a-f]{40}$`, match[1], name)
			assert.Contains(t, string(page), "| `"+match[1]+"` | "+match[2]+" | ", name)
		}
	}
	dockerfile, err := os.ReadFile("../../Dockerfile")
	require.NoError(t, err)
	bases := regexp.MustCompile(`(?m)^ARG \w+_IMAGE=docker\.io/library/(\S+@sha256:[0-9a-f]{64})$`).FindAllStringSubmatch(string(dockerfile), -1)
	require.NotEmpty(t, bases)
	for _, match := range bases {
		assert.Contains(t, string(page), "| `"+match[1]+"` | ")
	}
}
