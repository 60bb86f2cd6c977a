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
	"go.yaml.in/yaml/v3"
)

const (
	push     = "ci-cd.yml"
	prod     = "production.yml"
	preview  = "continuous-deployment-to-gke.yml"
	cleanUp  = "clean-up.yml"
	sha      = "0123456789abcdef0123456789abcdef01234567"
	image    = "us-central1-docker.pkg.dev/my-mlops-project/mlops-images/iris"
	previews = "us-central1-docker.pkg.dev/my-mlops-project/mlops-images-previews/iris"
	built    = "ghcr.io/tepalhq/tepal"
	digest   = "@sha256:5f1c7d3e9b2a4860c1d2e3f4a5b6c7d8e9f00112233445566778899aabbccdde"
	provider = "projects/1/locations/global/workloadIdentityPools/github/providers/github"
)

// settings are those of docs/delivery.md, and what GitHub tells of the event.
func settings(event map[string]string) map[string]string {
	set := map[string]string{
		"vars.CLOUD_PROJECT_ID": "my-mlops-project", "vars.CLUSTER_NAME": "mlops-standard", "vars.CLUSTER_REGION": "us-central1",
		"vars.REGISTRY_LOCATION": "us-central1", "vars.REGISTRY_REPO": "mlops-images", "vars.WORKLOAD_IDENTITY_PROVIDER": provider,
		"github.sha": sha, "github.repository": "tepalhq/tepal", "github.token": "token", "github.actor": "somebody",
	}
	maps.Copy(set, event)
	return set
}

func branch(name string) map[string]string {
	return map[string]string{"github.ref_name": name, "github.ref": "refs/heads/" + name}
}

func pullRequest(repository, author string) map[string]string {
	return map[string]string{
		"github.event.number": "7", "github.event.pull_request.head.repo.full_name": repository, "github.event.pull_request.user.login": author,
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

// jobs are those of a push.
var jobs = []string{"checks", "image", "deploy", "promote"}

// signedBy is how an image is verified: by the workflow that builds, on a branch.
func signedBy(branch string) string {
	return "cosign verify --certificate-oidc-issuer https://token.actions.githubusercontent.com --certificate-identity " +
		"https://github.com/tepalhq/tepal/.github/workflows/image.yml@refs/heads/" + branch
}

func TestPushToDev(t *testing.T) {
	m := newMachine(t, settings(branch("dev")))
	require.Equal(t, []string{"success", "success", "success", "skipped"}, m.run(push, jobs...))
	inOrder(t, m.called(),
		"uses ./.github/workflows/ci.yml",
		"uses docker/login-action password=token registry=ghcr.io username=somebody",
		"docker buildx build --target tepal --tag "+built+":"+sha,
		"cosign sign --yes --recursive "+built+digest,
		"uses actions/attest-build-provenance push-to-registry=true subject-digest="+digest[1:]+" subject-name="+built,
		signedBy("dev")+" "+built+digest,
		"uses google-github-actions/auth project_id=my-mlops-project service_account=cicd-deployer-dev@my-mlops-project.iam.gserviceaccount.com workload_identity_provider="+provider,
		"uses google-github-actions/setup-gcloud install_components=gke-gcloud-auth-plugin",
		"gcloud auth configure-docker us-central1-docker.pkg.dev --quiet",
		"gcloud container clusters get-credentials mlops-standard --location us-central1 --project my-mlops-project",
		"docker buildx imagetools create --tag "+image+":sha256-"+digest[8:]+" "+built+digest,
		"kubectl apply",
		"kubectl -n iris-dev rollout status deployment/iris-classifier-deployment",
		"kubectl -n iris-dev port-forward service/iris-classifier-service",
		"curl",
		"kubectl -n iris-dev get service iris-classifier-service",
	)
	build := m.called()[find(m.called(), "docker buildx build")]
	assert.Contains(t, build, " --platform linux/amd64,linux/arm64 --sbom=true --provenance=mode=max ")
	assert.True(t, strings.HasSuffix(build, " --push ."), build)
	never(t, m.called(), "kubectl -n iris-prod")
	never(t, m.called(), "gh")
}

// What main has built is in staging, and offered to prod: nothing here waits for prod's reviewers.
func TestPushToMain(t *testing.T) {
	m := newMachine(t, settings(branch("main")))
	require.Equal(t, []string{"success", "success", "success", "success"}, m.run(push, jobs...))
	inOrder(t, m.called(), signedBy("main"), "kubectl -n iris-staging rollout status",
		"gh workflow run production.yml --repo tepalhq/tepal --ref main --field image="+built+digest)
	never(t, m.called(), "kubectl -n iris-prod")
}

func production(image string) map[string]string {
	set := branch("main")
	set["inputs.image"] = image
	return set
}

func TestProduction(t *testing.T) {
	m := newMachine(t, settings(production(built+digest)))
	require.Equal(t, []string{"success"}, m.run(prod, "production"))
	inOrder(t, m.called(),
		signedBy("main")+" "+built+digest,
		"uses google-github-actions/auth project_id=my-mlops-project service_account=cicd-deployer-prod@my-mlops-project.iam.gserviceaccount.com",
		"docker buildx imagetools create --tag "+image+":sha256-"+digest[8:]+" "+built+digest,
		"kubectl apply",
		"kubectl -n iris-prod rollout status",
	)
	never(t, m.called(), "docker buildx build")
	assert.Contains(t, m.out.String(), "runs "+image+digest)
}

// An image is copied once: its tag cannot be written again.
func TestProductionOfAnImageThatIsThere(t *testing.T) {
	m := newMachine(t, settings(production(built+digest)))
	require.NoError(t, os.WriteFile(filepath.Join(m.stubs, ".tags"), []byte(image+":sha256-"+digest[8:]+"\n"), 0o600))
	require.Equal(t, []string{"success"}, m.run(prod, "production"))
	never(t, m.called(), "docker buildx imagetools create")
	inOrder(t, m.called(), "kubectl -n iris-prod rollout status")
}

// What main's build has not signed is not let in, whoever asks.
func TestProductionRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		set  map[string]string
		fail string
		want string
	}{
		"an unsigned image": {production(built + digest), "cosign verify", "failure"},
		"an option":         {production("--key=mine" + digest), "", "failure"},
		"another branch":    {map[string]string{"github.ref": "refs/heads/mine", "github.ref_name": "mine", "inputs.image": built + digest}, "", "skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, settings(test.set))
			m.fail = test.fail
			require.Equal(t, []string{test.want}, m.run(prod, "production"))
			never(t, m.called(), "uses google-github-actions/auth")
			never(t, m.called(), "kubectl")
		})
	}
}

// Who follows the guide by hand has one environment and one account, and no previews.
func TestPushToTheGuidesEnvironment(t *testing.T) {
	set := settings(branch("main"))
	set["vars.ENVIRONMENT"] = "guide"
	m := newMachine(t, set)
	require.Equal(t, []string{"success", "success", "success", "skipped"}, m.run(push, jobs...))
	inOrder(t, m.called(),
		"uses google-github-actions/auth project_id=my-mlops-project service_account=cicd-deployer@my-mlops-project.iam.gserviceaccount.com",
		"kubectl -n default rollout status deployment/iris-classifier-deployment")
	require.Equal(t, []string{"skipped"}, m.run(cleanUp, "clean-up"))
	maps.Copy(m.set, pullRequest("tepalhq/tepal", "somebody"))
	require.Equal(t, []string{"skipped", "skipped"}, m.run(preview, "build-and-deploy", "cml"))
}

// The written guide has secrets for what is no secret, and a key.
func TestPushWithTheGuidesSecrets(t *testing.T) {
	set := settings(branch("dev"))
	for name, value := range set {
		if setting, ok := strings.CutPrefix(name, "vars."); ok {
			delete(set, name)
			set["secrets."+setting] = value
		}
	}
	delete(set, "secrets.CLUSTER_REGION")
	set["secrets.CLUSTER_ZONE"] = "us-central1-a"
	set["secrets.CI_CD_SA_KEY"] = "{}"
	m := newMachine(t, set)
	require.Equal(t, []string{"success", "success", "success", "skipped"}, m.run(push, jobs...))
	inOrder(t, m.called(),
		"uses google-github-actions/auth credentials_json={} project_id=my-mlops-project",
		"gcloud container clusters get-credentials mlops-standard --location us-central1-a",
		"kubectl -n iris-dev rollout status")
}

func TestPushThatFails(t *testing.T) {
	tests := []struct {
		name, fail string
		results    []string
		never      string
	}{
		{"a check", "uses ./.github/workflows/ci.yml", []string{"failure", "skipped", "skipped", "skipped"}, "docker"},
		{"the signature", "cosign sign", []string{"success", "failure", "skipped", "skipped"}, "kubectl"},
		{"the provenance", "uses actions/attest-build-provenance", []string{"success", "failure", "skipped", "skipped"}, "kubectl"},
		{"what verifies", "cosign verify", []string{"success", "success", "failure", "skipped"}, "gcloud"},
		{"the login", "gcloud", []string{"success", "success", "failure", "skipped"}, "docker buildx imagetools create"},
		{"the copy", "docker buildx imagetools create", []string{"success", "success", "failure", "skipped"}, "kubectl"},
		{"the rollout", "kubectl -n iris-staging rollout status", []string{"success", "success", "failure", "skipped"}, "gh"},
		{"the smoke test", "curl", []string{"success", "success", "failure", "skipped"}, "gh"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, settings(branch("main")))
			m.fail = tt.fail
			require.Equal(t, tt.results, m.run(push, jobs...))
			never(t, m.called(), tt.never)
			if tt.never == "gh" {
				inOrder(t, m.called(), "kubectl apply", "kubectl -n iris-staging rollout undo")
			}
		})
	}
}

func TestPreview(t *testing.T) {
	m := newMachine(t, settings(pullRequest("tepalhq/tepal", "somebody")))
	require.Equal(t, []string{"success", "skipped"}, m.run(preview, "build-and-deploy", "cml"))
	inOrder(t, m.called(),
		"go run ./cmd/train --unit cm",
		"uses google-github-actions/auth project_id=my-mlops-project service_account=cicd-deployer-preview@my-mlops-project.iam.gserviceaccount.com",
		"gcloud auth configure-docker us-central1-docker.pkg.dev --quiet",
		"docker build --target train --tag "+previews+":"+sha,
		"docker push "+previews+":"+sha,
		"kubectl apply",
		"kubectl -n iris-preview rollout status deployment/iris-classifier-deployment-pr-7",
		"kubectl -n iris-preview get service iris-classifier-service-pr-7",
		"loadtest --target http://203.0.113.7 --wait 2m --json bin/preview-load.json",
		"curl --silent --show-error --fail --max-time 10 http://203.0.113.7/models/iris",
		"gh pr comment 7 --body-file bin/preview.md --edit-last --create-if-none",
	)
	never(t, m.called(), "cml")
	report, err := os.ReadFile(filepath.Join(m.root, "bin/preview.md"))
	require.NoError(t, err)
	for _, want := range []string{
		"<http://203.0.113.7/predict>", previews + digest, "iris version 1", "| accuracy | 0.9467 |", "| setosa | 1 | 0.5 | 0.6667 |",
		"6000 requests, 200 right answers a second of 200 asked, 0.2% errors; p50 1 ms, p95 4 ms, p99 12.5 ms", "| `--max-errors` | 0.1% | 0.2% | **no** |",
	} {
		assert.Contains(t, string(report), want)
	}
}

func TestPreviewOfAnImageThatExists(t *testing.T) {
	m := newMachine(t, settings(pullRequest("tepalhq/tepal", "somebody")))
	require.NoError(t, os.WriteFile(filepath.Join(m.stubs, ".pushed"), nil, 0o644))
	require.Equal(t, []string{"success", "skipped"}, m.run(preview, "build-and-deploy", "cml"))
	never(t, m.called(), "docker build")
	never(t, m.called(), "docker push")
	inOrder(t, m.called(), "docker pull", "kubectl -n iris-preview rollout status")
}

func TestPreviewThatBreaksAGate(t *testing.T) {
	m := newMachine(t, settings(pullRequest("tepalhq/tepal", "somebody")))
	m.fail = "loadtest"
	require.Equal(t, []string{"failure", "skipped"}, m.run(preview, "build-and-deploy", "cml"))
	inOrder(t, m.called(), "loadtest", "gh pr comment 7")
}

// CML comments where it is asked for, in a job that signs in nowhere, and also when a gate broke.
func TestPreviewByCML(t *testing.T) {
	for _, fail := range []string{"", "loadtest"} {
		set := settings(pullRequest("tepalhq/tepal", "somebody"))
		set["vars.CML"] = "true"
		m := newMachine(t, set)
		m.fail = fail
		results := m.run(preview, "build-and-deploy", "cml")
		require.Equal(t, "success", results[1])
		never(t, m.called(), "gh")
		calls := m.called()[find(m.called(), "uses iterative/setup-cml"):]
		assert.Equal(t, []string{"uses iterative/setup-cml vega=false version=v0.20.6", "cml comment update --repo=https://github.com/tepalhq/tepal --target=pr/7 preview.md"}, calls)
		assert.Equal(t, read(t, filepath.Join(m.root, "bin/preview.md")), read(t, filepath.Join(m.root, "preview.md")))
	}
}

func TestPreviewThatDoesNotRollOut(t *testing.T) {
	m := newMachine(t, settings(pullRequest("tepalhq/tepal", "somebody")))
	m.fail = "kubectl -n iris-preview rollout status"
	require.Equal(t, []string{"failure", "skipped"}, m.run(preview, "build-and-deploy", "cml"))
	never(t, m.called(), "loadtest")
	never(t, m.called(), "gh")
}

func TestNoPreview(t *testing.T) {
	for name, event := range map[string]map[string]string{
		"of a fork":     pullRequest("somebody/tepal", "somebody"),
		"of Dependabot": pullRequest("tepalhq/tepal", "dependabot[bot]"),
	} {
		m := newMachine(t, settings(event))
		require.Equal(t, []string{"skipped", "skipped"}, m.run(preview, "build-and-deploy", "cml"), name)
		assert.Equal(t, []string{""}, m.called(), name)
	}
}

// Of three previews that of a closed pull request goes, and that of one which nobody has touched for weeks.
func TestCleanUp(t *testing.T) {
	m := newMachine(t, settings(branch("main")))
	require.Equal(t, []string{"success"}, m.run(cleanUp, "clean-up"))
	inOrder(t, m.called(),
		"uses google-github-actions/auth project_id=my-mlops-project service_account=cicd-deployer-clean-up@my-mlops-project.iam.gserviceaccount.com",
		"gcloud container clusters get-credentials",
		"kubectl --namespace iris-preview get deployments,services --selector app=iris-classifier,instance ",
		"gh api repos/tepalhq/tepal/pulls/7",
		"kubectl delete --ignore-not-found",
		"gh api repos/tepalhq/tepal/pulls/8",
		"gh api repos/tepalhq/tepal/pulls/9",
		"kubectl delete --ignore-not-found",
	)
	assert.Contains(t, m.out.String(), "pull request 7: it is closed\n")
	assert.NotContains(t, m.out.String(), "pull request 8")
	assert.Contains(t, m.out.String(), "pull request 9: it has not changed for 14 days\n")
	never(t, m.called(), "docker build")
}

// One that cannot be asked for or removed is told of, and holds up no other.
func TestCleanUpThatFails(t *testing.T) {
	m := newMachine(t, settings(branch("main")))
	m.fail = "gh api repos/tepalhq/tepal/pulls/7"
	require.Equal(t, []string{"failure"}, m.run(cleanUp, "clean-up"))
	inOrder(t, m.called(), "gh api repos/tepalhq/tepal/pulls/7", "gh api repos/tepalhq/tepal/pulls/9", "kubectl delete --ignore-not-found")
}

// TestConcurrency sees that no rollout waits for the reviewers of another environment, and none is cut off.
func TestConcurrency(t *testing.T) {
	var w struct {
		Concurrency struct {
			Cancel string `yaml:"cancel-in-progress"`
		}
		Jobs map[string]struct {
			Environment struct{ Name string }
			Concurrency struct {
				Group  string
				Cancel string `yaml:"cancel-in-progress"`
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "../workflows/"+push)), &w))
	assert.Equal(t, "false", w.Concurrency.Cancel)
	for name, job := range w.Jobs {
		assert.NotContains(t, job.Environment.Name, "prod", name)
	}
	w.Jobs = nil
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "../workflows/"+prod)), &w))
	assert.Equal(t, "prod", w.Jobs["production"].Environment.Name)
	assert.Equal(t, "deploy-prod", w.Jobs["production"].Concurrency.Group)
	assert.Equal(t, "false", w.Jobs["production"].Concurrency.Cancel)
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
