package infra_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const makeNamespaces = `
kubectl apply --server-side --force-conflicts --field-manager=tepal-deploy --kustomize k8s/namespaces/dev
kubectl apply --server-side --force-conflicts --field-manager=tepal-deploy --kustomize k8s/namespaces/staging
kubectl apply --server-side --force-conflicts --field-manager=tepal-deploy --kustomize k8s/namespaces/prod
kubectl apply --server-side --force-conflicts --field-manager=tepal-deploy --kustomize k8s/namespaces/preview`

// prepared has the commands of each cloud: those of the manuals of kubectl and of the controller.
var prepared = map[string]string{
	"gcp": `gcloud container clusters get-credentials mlops-standard --location=us-central1 --project=my-mlops-project` + makeNamespaces,
	"aws": `aws eks update-kubeconfig --name mlops-standard --region us-west-2` + makeNamespaces + `
aws eks describe-cluster --name mlops-standard --region us-west-2 --query cluster.resourcesVpcConfig.vpcId --output text
aws iam get-role --role-name mlops-standard-balancer --query Role.Arn --output text
helm upgrade --install aws-load-balancer-controller aws-load-balancer-controller --repo https://aws.github.io/eks-charts --version 3.5.0 --namespace kube-system --set clusterName=mlops-standard --set region=us-west-2 --set vpcId=vpc-1 --set serviceAccount.name=aws-load-balancer-controller --set serviceAccount.annotations.eks\.amazonaws\.com/role-arn=arn:aws:iam::123456789012:role/mlops-standard-balancer --wait --timeout 10m`,
	"azure": `az aks get-credentials --resource-group my-aks-rg --name mlops-standard --subscription ` + subscription + ` --file WORK/kubeconfig
kubelogin convert-kubeconfig --login azurecli --kubeconfig WORK/kubeconfig` + makeNamespaces,
}

// network answers what the controller has to be told.
func network() []answer {
	return []answer{
		{pattern: "aws eks describe-cluster *", stdout: "vpc-1"},
		{pattern: "aws iam get-role *", stdout: "arn:aws:iam::123456789012:role/mlops-standard-balancer"},
	}
}

func TestPrepare(t *testing.T) {
	for cloud, want := range prepared {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, cloud, network()...)
			r := b.run(t, "prepare")
			require.Zero(t, r.code, r.stderr)
			assert.Equal(t, words(want), r.commands[1:], "after it was asked who is signed in")
			assert.Contains(t, r.stdout, "prepare: done")
		})
	}
}

// A dry run is a script: run, it does the same.
func TestPrepareDryRun(t *testing.T) {
	b := newBench(t, "aws")
	b.env = append(b.env, "DRY_RUN=1")
	r := b.runWith(t, "terraform", "prepare")
	require.Zero(t, r.code, r.stderr)
	assert.Empty(t, r.commands)

	inside := newBench(t, "", network()...)
	inside.shell(t, strings.ReplaceAll(r.stdout, "$(mktemp)", "/tmp/kubeconfig"))
	log, err := os.ReadFile(filepath.Join(inside.dir, "log"))
	require.NoError(t, err)
	assert.Equal(t, words(prepared["aws"]), words(string(log)))
}

func TestPrepareRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		answers  []answer
		programs string
		args     []string
		code     int
		says     string
	}{
		"another account": {answers: []answer{{pattern: "aws sts *", stdout: "999999999999"}}, programs: everything, code: 3, says: "signed in for '999999999999'"},
		"no helm":         {programs: strings.ReplaceAll(everything, "helm ", ""), code: 2, says: "there is no helm"},
		"an argument":     {programs: everything, args: []string{"now"}, code: 2, says: "usage:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "aws")
			b.answers = append(test.answers, b.answers...)
			r := b.runWith(t, test.programs, "prepare", test.args...)
			assert.Equal(t, test.code, r.code, r.stderr)
			assert.Contains(t, r.stderr, test.says)
			assert.Empty(t, changes(r.commands), "nothing is changed")
		})
	}
}

func TestPrepareFailsHalfWay(t *testing.T) {
	for name, test := range map[string]struct {
		answer        answer
		stopped, done string
	}{
		"a namespace":    {answer{pattern: "kubectl apply * k8s/namespaces/prod", code: 1}, "namespaces", "connect"},
		"no role":        {answer{pattern: "aws iam get-role *", code: 254}, "the load balancers' controller", "connect; namespaces"},
		"the controller": {answer{pattern: "helm *", code: 1}, "the load balancers' controller", "connect; namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "aws", append([]answer{test.answer}, network()...)...)
			r := b.run(t, "prepare")
			assert.NotZero(t, r.code)
			assert.Contains(t, r.stderr, "Stopped at: "+test.stopped)
			assert.Contains(t, r.stderr, "Done before: "+test.done+".")
			assert.NotContains(t, r.stdout, "done")
		})
	}
}

// A namespace of somebody's own has no labels here.
func TestPrepareKnowsItsNamespacesAlone(t *testing.T) {
	b := newBench(t, "gcp")
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, "infra", "gcp", "terraform.tfvars"), []byte(`namespaces = ["default", "mine", "iris-dev"]`+"\n"), 0o600))
	r := b.run(t, "prepare")
	require.Zero(t, r.code, r.stderr)
	assert.Contains(t, r.stdout, "mine is none of k8s/namespaces: make it yourself")
	assert.NotContains(t, r.stdout, "# default")
	assert.Equal(t, []string{words(makeNamespaces)[0]}, r.commands[2:])
}
