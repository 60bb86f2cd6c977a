package infra_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestState(t *testing.T) {
	// A name of small letters and digits that nobody else in the world has taken.
	account := fmt.Sprintf("tepal%x", sha256.Sum256([]byte(subscription)))[:21]
	scope := "/subscriptions/" + subscription + "/resourceGroups/tepal-state/providers/Microsoft.Storage/storageAccounts/" + account
	for name, test := range map[string]struct {
		cloud   string
		answers []answer
		want    string
	}{
		"a bucket of Google Cloud": {cloud: "gcp", answers: []answer{{pattern: "gcloud storage buckets describe *", code: 1}}, want: `
gcloud config get-value project
gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com --project=my-mlops-project
gcloud storage buckets describe gs://my-mlops-project-tepal-state --project=my-mlops-project
gcloud storage buckets create gs://my-mlops-project-tepal-state --project=my-mlops-project --location=us-central1 --uniform-bucket-level-access --public-access-prevention
gcloud storage buckets update gs://my-mlops-project-tepal-state --project=my-mlops-project --versioning`},
		"one that is there": {cloud: "gcp", want: `
gcloud config get-value project
gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com --project=my-mlops-project
gcloud storage buckets describe gs://my-mlops-project-tepal-state --project=my-mlops-project
gcloud storage buckets update gs://my-mlops-project-tepal-state --project=my-mlops-project --versioning`},
		"a bucket of AWS": {cloud: "aws", answers: []answer{{pattern: "aws s3api head-bucket *", code: 254}}, want: `
aws sts get-caller-identity --query Account --output text
aws s3api head-bucket --bucket tepal-state-123456789012 --region us-west-2
aws s3api create-bucket --bucket tepal-state-123456789012 --region us-west-2 --create-bucket-configuration LocationConstraint=us-west-2
aws s3api put-bucket-versioning --bucket tepal-state-123456789012 --region us-west-2 --versioning-configuration Status=Enabled
aws s3api put-public-access-block --bucket tepal-state-123456789012 --region us-west-2 --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true`},
		"an account of Azure": {cloud: "azure", answers: []answer{{pattern: "az storage account show *", code: 3}, {pattern: "az ad signed-in-user show *", stdout: "me-0"}}, want: `
az account show --query id --output tsv
az group create --name tepal-state --location westus2 --subscription ` + subscription + ` --output none
az storage account show --name ` + account + ` --resource-group tepal-state --subscription ` + subscription + `
az storage account create --name ` + account + ` --resource-group tepal-state --location westus2 --subscription ` + subscription + ` --sku Standard_LRS --min-tls-version TLS1_2 --allow-blob-public-access false --allow-shared-key-access false --output none
az storage account blob-service-properties update --account-name ` + account + ` --resource-group tepal-state --subscription ` + subscription + ` --enable-versioning true --output none
az ad signed-in-user show --query id --output tsv
az role assignment create --assignee-object-id me-0 --assignee-principal-type User --role Storage Blob Data Contributor --scope ` + scope + ` --output none
az storage container create --name state --account-name ` + account + ` --auth-mode login --output none`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, test.cloud, test.answers...)
			r := b.run(t, "terraform", "state")
			require.Zero(t, r.code, r.stderr)
			assert.Equal(t, words(test.want), r.commands)
		})
	}
}

func TestApply(t *testing.T) {
	b := newBench(t, "aws")
	b.env = append(b.env, "MODE=managed")
	r := b.run(t, "terraform", "apply")
	require.Zero(t, r.code, r.stderr)
	assert.Equal(t, words(`
aws sts get-caller-identity --query Account --output text
terraform -chdir=infra/aws init -input=false -reconfigure -backend-config=bucket=tepal-state-123456789012 -backend-config=region=us-west-2
terraform -chdir=infra/aws apply -var project=123456789012 -var mode=managed
aws eks update-kubeconfig --name mlops-auto --region us-west-2`), r.commands)
}

// A pool of identities that a clean-up deleted keeps its name for 30 days: it comes back, and into the state.
func TestApplyRevives(t *testing.T) {
	const (
		pool     = "gcloud iam workload-identity-pools describe cicd-deployer-github --location=global --project=my-mlops-project --format=value(state)"
		provider = "gcloud iam workload-identity-pools providers describe github --workload-identity-pool=cicd-deployer-github --location=global --project=my-mlops-project --format=value(state)"
		at       = "projects/my-mlops-project/locations/global/workloadIdentityPools/cicd-deployer-github"
		variable = " -input=false -var project=my-mlops-project "
	)
	first := words(`
gcloud config get-value project
terraform -chdir=infra/gcp init -input=false -reconfigure -backend-config=bucket=my-mlops-project-tepal-state
` + pool)
	last := words(`
terraform -chdir=infra/gcp apply -var project=my-mlops-project
gcloud auth configure-docker us-central1-docker.pkg.dev --quiet
gcloud container clusters get-credentials mlops-standard --location=us-central1 --project=my-mlops-project`)
	for name, test := range map[string]struct {
		answers []answer
		between string
	}{
		"a new project":     {[]answer{{pattern: pool, code: 1}}, ""},
		"one that is there": {[]answer{{pattern: pool, stdout: "ACTIVE"}}, ""},
		"one that was deleted": {[]answer{{pattern: pool, stdout: "DELETED"}, {pattern: provider, stdout: "DELETED"}}, `
gcloud iam workload-identity-pools undelete cicd-deployer-github --location=global --project=my-mlops-project
terraform -chdir=infra/gcp state list google_iam_workload_identity_pool.github
terraform -chdir=infra/gcp import` + variable + `google_iam_workload_identity_pool.github ` + at + `
` + provider + `
gcloud iam workload-identity-pools providers undelete github --workload-identity-pool=cicd-deployer-github --location=global --project=my-mlops-project
terraform -chdir=infra/gcp state list google_iam_workload_identity_pool_provider.github[0]
terraform -chdir=infra/gcp import` + variable + `google_iam_workload_identity_pool_provider.github[0] ` + at + `/providers/github`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "gcp", test.answers...)
			b.env = append(b.env, `TF_VAR_github_repository={"name": "my-name/tepal", "id": 456789, "owner_id": 123456}`)
			r := b.run(t, "terraform", "apply")
			require.Zero(t, r.code, r.stderr)
			assert.Equal(t, slices.Concat(first, words(test.between), last), r.commands)
		})
	}
	text, err := os.ReadFile(filepath.Join(infra, "gcp", "identity.tf"))
	require.NoError(t, err)
	assert.Regexp(t, `(?s)"google_iam_workload_identity_pool" "github" \{\s+workload_identity_pool_id = "cicd-deployer-github"`, string(text))
}

func TestTerraformRefuses(t *testing.T) {
	for _, verb := range []string{"state", "plan", "apply"} {
		b := newBench(t, "gcp")
		b.answers = append([]answer{{pattern: "gcloud config get-value project", stdout: "other"}}, b.answers...)
		r := b.run(t, "terraform", verb)
		assert.Equal(t, 3, r.code)
		assert.Equal(t, []string{"gcloud config get-value project"}, r.commands)
	}
	b := newBench(t, "gcp")
	r := b.run(t, "terraform", "destroy")
	assert.Equal(t, 2, r.code)
	assert.Empty(t, r.commands)
}
