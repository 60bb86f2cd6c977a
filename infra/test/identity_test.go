package infra_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const roleARN = "arn:aws:iam::123456789012:role/telemetry-access"

// bound answers as a cloud and a cluster in which pods of iris-dev act as telemetry-access.
func bound(cloud string) []answer {
	account := func(key, value string) answer {
		return answer{pattern: "kubectl get serviceaccount telemetry-access --namespace iris-dev *", stdout: `{"metadata": {"annotations": {"` + key + `": "` + value + `"}}}`}
	}
	return map[string][]answer{
		"gcp": {
			{pattern: "gcloud iam service-accounts get-iam-policy *", stdout: `{"bindings": [{"role": "roles/iam.workloadIdentityUser", "members": ["serviceAccount:my-mlops-project.svc.id.goog[iris-dev/telemetry-access]"]}]}`},
			{pattern: "gcloud iam service-accounts describe *", stdout: "telemetry-access@my-mlops-project.iam.gserviceaccount.com"},
			account("iam.gke.io/gcp-service-account", "telemetry-access@my-mlops-project.iam.gserviceaccount.com"),
			{pattern: "kubectl logs *", stdout: "{\"access_token\":\"(not shown)\",\"expires_in\":3599,\"token_type\":\"Bearer\"}\ntelemetry-access@my-mlops-project.iam.gserviceaccount.com"},
		},
		"aws": {
			{pattern: "aws iam get-role * Role.Arn *", stdout: roleARN},
			{pattern: "aws iam get-role *", stdout: `{"Statement": [{"Condition": {"StringEquals": {"oidc.eks.us-west-2.amazonaws.com/id/X:sub": ["system:serviceaccount:iris-dev:telemetry-access"]}}}]}`},
			account("eks.amazonaws.com/role-arn", roleARN),
			{pattern: "kubectl logs *", stdout: "arn:aws:sts::123456789012:assumed-role/telemetry-access/botocore-session-1"},
		},
		"azure": {
			{pattern: "az identity federated-credential list *", stdout: `[{"subject": "system:serviceaccount:iris-dev:telemetry-access"}]`},
			{pattern: "az identity show *", stdout: "11111111-1111-1111-1111-111111111111"},
			account("azure.workload.identity/client-id", "11111111-1111-1111-1111-111111111111"),
			{pattern: "kubectl logs *", stdout: "11111111-1111-1111-1111-111111111111"},
		},
	}[cloud]
}

func TestVerifyIdentity(t *testing.T) {
	for cloud, want := range map[string]string{
		"gcp": `gcloud config get-value project
gcloud container clusters get-credentials mlops-standard --location=us-central1 --project=my-mlops-project
kubectl describe serviceaccount telemetry-access --namespace iris-dev
gcloud iam service-accounts get-iam-policy telemetry-access@my-mlops-project.iam.gserviceaccount.com --project=my-mlops-project --format=json
gcloud iam service-accounts describe telemetry-access@my-mlops-project.iam.gserviceaccount.com --project=my-mlops-project --format=value(email)
kubectl get serviceaccount telemetry-access --namespace iris-dev --output json
kubectl delete pod identity-check --namespace iris-dev --ignore-not-found --timeout=60s
kubectl apply --namespace iris-dev --filename WORK/pod.json
kubectl wait pod identity-check --namespace iris-dev --for=jsonpath={.status.phase}=Succeeded --timeout=240s
kubectl logs identity-check --namespace iris-dev
kubectl delete pod identity-check --namespace iris-dev --ignore-not-found --wait=false
gcloud iam service-accounts describe telemetry-access@my-mlops-project.iam.gserviceaccount.com --project=my-mlops-project --format=value(email)`,
		"aws": `aws sts get-caller-identity --query Account --output text
aws eks update-kubeconfig --name mlops-standard --region us-west-2
kubectl describe serviceaccount telemetry-access --namespace iris-dev
aws iam get-role --role-name telemetry-access --query Role.AssumeRolePolicyDocument --output json
aws iam get-role --role-name telemetry-access --query Role.Arn --output text
kubectl get serviceaccount telemetry-access --namespace iris-dev --output json
kubectl delete pod identity-check --namespace iris-dev --ignore-not-found --timeout=60s
kubectl apply --namespace iris-dev --filename WORK/pod.json
kubectl wait pod identity-check --namespace iris-dev --for=jsonpath={.status.phase}=Succeeded --timeout=240s
kubectl logs identity-check --namespace iris-dev
kubectl delete pod identity-check --namespace iris-dev --ignore-not-found --wait=false
aws iam get-role --role-name telemetry-access --query Role.Arn --output text`,
		"azure": `az account show --query id --output tsv
az aks get-credentials --resource-group my-aks-rg --name mlops-standard --subscription ` + subscription + ` --file WORK/kubeconfig
kubelogin convert-kubeconfig --login azurecli --kubeconfig WORK/kubeconfig
kubectl describe serviceaccount telemetry-access --namespace iris-dev
az identity federated-credential list --identity-name telemetry-access --resource-group my-aks-rg --subscription ` + subscription + ` --output json
az identity show --name telemetry-access --resource-group my-aks-rg --subscription ` + subscription + ` --query clientId --output tsv
kubectl get serviceaccount telemetry-access --namespace iris-dev --output json
kubectl delete pod identity-check --namespace iris-dev --ignore-not-found --timeout=60s
kubectl apply --namespace iris-dev --filename WORK/pod.json
kubectl wait pod identity-check --namespace iris-dev --for=jsonpath={.status.phase}=Succeeded --timeout=240s
kubectl logs identity-check --namespace iris-dev
kubectl delete pod identity-check --namespace iris-dev --ignore-not-found --wait=false
az identity show --name telemetry-access --resource-group my-aks-rg --subscription ` + subscription + ` --query clientId --output tsv`,
	} {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, cloud, bound(cloud)...)
			r := b.run(t, "verify-identity")
			require.Zero(t, r.code, r.stderr)
			assert.Equal(t, words(want), r.commands)
			assert.Contains(t, r.stdout, "pods of iris-dev act as telemetry-access")
		})
	}
}

func TestVerifyIdentityFindsFaults(t *testing.T) {
	for name, test := range map[string]struct {
		cloud   string
		answers []answer
		env     []string
		says    string
	}{
		"no binding":           {"gcp", []answer{{pattern: "gcloud iam service-accounts get-iam-policy *", stdout: "{}"}}, nil, "run make infra-apply CLOUD=gcp"},
		"another namespace":    {"gcp", nil, []string{"NAMESPACE=elsewhere"}, "the namespace elsewhere is of no environment"},
		"a binding of another": {"aws", nil, []string{"NAMESPACE=iris-prod"}, "the policy does not name system:serviceaccount:iris-prod:telemetry-access"},
		"no annotation":        {"azure", []answer{{pattern: "kubectl get serviceaccount *", stdout: `{"metadata": {}}`}}, nil, "kubectl annotate serviceaccount telemetry-access --namespace iris-dev --overwrite azure.workload.identity/client-id=11111111"},
		"another annotation":   {"aws", []answer{{pattern: "kubectl get serviceaccount *", stdout: `{"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "x"}}}`}}, nil, "is 'x', and should be '" + roleARN},
		"the node's identity":  {"gcp", []answer{{pattern: "kubectl logs *", stdout: "mlops-standard-nodes@my-mlops-project.iam.gserviceaccount.com"}}, nil, "the pod acts as somebody else"},
		"the node's role":      {"aws", []answer{{pattern: "kubectl logs *", stdout: "arn:aws:sts::123456789012:assumed-role/mlops-standard-nodes/i-0"}}, nil, "the pod acts as somebody else"},
		"no account":           {"gcp", []answer{{pattern: "kubectl describe *", code: 1}}, nil, "Stopped at: describe"},
		"another project":      {"gcp", []answer{{pattern: "gcloud config get-value project", stdout: "other"}}, nil, "signed in for 'other'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, test.cloud, test.answers...)
			b.answers = append(b.answers, bound(test.cloud)...)
			b.env = append(b.env, test.env...)
			r := b.run(t, "verify-identity")
			assert.NotZero(t, r.code)
			assert.Contains(t, r.stderr, test.says)
			assert.NotContains(t, r.stdout, "act as telemetry-access\n")
		})
	}
}

// A pod that gets no answer is removed, and what it said is shown.
func TestVerifyIdentityRemovesItsPod(t *testing.T) {
	b := newBench(t, "gcp", answer{pattern: "kubectl wait *", code: 1}, answer{pattern: "kubectl logs *", stdout: "curl: (28) timed out"})
	b.answers = append(b.answers, bound("gcp")...)
	r := b.run(t, "verify-identity")
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.stderr, "curl: (28) timed out")
	assert.Contains(t, r.stderr, "network policy")
	assert.Equal(t, "kubectl delete pod identity-check --namespace iris-dev --ignore-not-found --wait=false", r.commands[len(r.commands)-1])
}

// The pod is one that a namespace with restricted pod security takes, and its token is not in what it prints.
func TestVerifyIdentityPod(t *testing.T) {
	for cloud := range clouds {
		b := newBench(t, cloud)
		b.env = append(b.env, "DRY_RUN=1")
		r := b.run(t, "verify-identity")
		require.Zero(t, r.code, r.stderr)
		assert.Empty(t, r.commands)
		for _, want := range []string{`"runAsNonRoot": true`, `"allowPrivilegeEscalation": false`, `"readOnlyRootFilesystem": true`, `"type": "RuntimeDefault"`, `"ALL"`, `"serviceAccountName": "telemetry-access"`} {
			assert.Contains(t, r.stdout, want, cloud)
		}
	}
}

// Each image has a full name and a version, and beside it who else names it so.
func TestVerifyIdentityImages(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(infra, "scripts", "verify-identity.sh"))
	require.NoError(t, err)
	images := regexp.MustCompile(`(?m)^ *# (.*)\n *image=(.*)$`).FindAllStringSubmatch(string(text), -1)
	assert.Len(t, images, 3)
	assert.Len(t, images, strings.Count(string(text), "    image="))
	for _, image := range images {
		assert.Regexp(t, `^[A-Za-z0-9-]+/[a-z-]+( at [0-9a-f]{12})?: `, image[1], "the source of %s", image[2])
		assert.Regexp(t, `:[0-9]+\.[0-9]+\.[0-9]+(-[a-z0-9.]+)?$`, image[2])
	}
}

// What the pod runs on Google Cloud, with a metadata server of our own behind curl.
func TestVerifyIdentityKeepsTheToken(t *testing.T) {
	b := newBench(t, "gcp")
	b.env = append(b.env, "DRY_RUN=1")
	r := b.run(t, "verify-identity")
	require.Zero(t, r.code, r.stderr)
	_, rest, found := strings.Cut(r.stdout, "--filename - <<'END'\n")
	require.True(t, found)
	manifest, _, _ := strings.Cut(rest, "\nEND\n")
	script := podScript(t, manifest)
	inside := newBench(t, "", answer{pattern: "curl */token", stdout: `{"access_token":"ya29.secret","expires_in":3599,"token_type":"Bearer"}`}, answer{pattern: "curl */email", stdout: "telemetry-access@my-mlops-project.iam.gserviceaccount.com"})
	out := inside.shell(t, script)
	assert.NotContains(t, out, "ya29")
	assert.Contains(t, out, `"expires_in":3599`)
	assert.Contains(t, out, "telemetry-access@my-mlops-project.iam.gserviceaccount.com")
}

// The ids that a cloud trusts are GitHub's, or nobody can sign in.
func TestDoctorComparesTheRepository(t *testing.T) {
	const mine = `github_repository = { name = "octo-org/octo-repo", id = 456789, owner_id = 123456 }`
	github := func(name string, id, owner int) answer {
		return answer{pattern: "gh api repos/octo-org/octo-repo", stdout: fmt.Sprintf(`{"full_name": %q, "id": %d, "owner": {"id": %d}}`, name, id, owner)}
	}
	for name, test := range map[string]struct {
		tfvars string
		answer answer
		says   string
	}{
		"the same":  {mine, github("octo-org/octo-repo", 456789, 123456), "ok     repository"},
		"made anew": {mine, github("octo-org/octo-repo", 999, 123456), "fix: github_repository = { name = \"octo-org/octo-repo\", id = 999, owner_id = 123456 }, then make infra-apply"},
		"another's": {mine, github("octo-org/octo-repo", 456789, 888), "FAULT  repository: workflows cannot sign in"},
		"renamed":   {mine, github("octo-org/new", 456789, 123456), "octo-org/new is another one"},
		"no answer": {mine, answer{pattern: "gh api *", code: 1}, "skip   repository: stub: refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "gcp", append([]answer{test.answer}, healthy("gcp")...)...)
			require.NoError(t, os.WriteFile(filepath.Join(b.dir, "infra", "gcp", "terraform.tfvars"), []byte(test.tfvars+"\n"), 0o600))
			r := b.run(t, "doctor")
			assert.Contains(t, r.stdout, test.says)
			assert.Equal(t, strings.Contains(test.says, "ok "), strings.Contains(r.stdout, "ok     repository"))
		})
	}
}
