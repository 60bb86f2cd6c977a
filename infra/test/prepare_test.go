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

// letIn has the commands that give each deployer its Role, by whom the cloud's cluster knows it.
func letIn(who func(name string) string, before func(name string) string) string {
	var text strings.Builder
	for _, line := range []string{
		"cicd-deployer-clean-up preview-clean-up iris-preview", "cicd-deployer-dev deployer iris-dev", "cicd-deployer deployer default",
		"cicd-deployer-preview deployer iris-preview", "cicd-deployer-prod deployer iris-prod", "cicd-deployer-staging deployer iris-staging",
	} {
		f := strings.Fields(line)
		text.WriteString(before(f[0]) + "\nkubectl apply --namespace " + f[2] + " --filename k8s/deployers/" + f[1] + ".yaml" +
			"\nkubectl delete rolebinding " + f[0] + " --namespace " + f[2] + " --ignore-not-found" +
			"\nkubectl create rolebinding " + f[0] + " --namespace " + f[2] + " --role " + f[1] + " " + who(f[0]))
	}
	return text.String()
}

func nothing(string) string { return "" }

// prepared has the commands of each cloud: those of the manuals of kubectl and of the controller.
var prepared = map[string]string{
	"gcp": `gcloud container clusters get-credentials mlops-standard --location=us-central1 --project=my-mlops-project` + makeNamespaces + letIn(func(name string) string {
		return "--user " + name + "@my-mlops-project.iam.gserviceaccount.com"
	}, nothing),
	"aws": `aws eks update-kubeconfig --name mlops-standard --region us-west-2` + makeNamespaces + letIn(func(name string) string { return "--group " + name }, nothing) + `
aws eks describe-cluster --name mlops-standard --region us-west-2 --query cluster.resourcesVpcConfig.vpcId --output text
aws iam get-role --role-name mlops-standard-balancer --query Role.Arn --output text
helm upgrade --install aws-load-balancer-controller aws-load-balancer-controller --repo https://aws.github.io/eks-charts --version 3.5.0 --namespace kube-system --set clusterName=mlops-standard --set region=us-west-2 --set vpcId=vpc-1 --set serviceAccount.name=aws-load-balancer-controller --set serviceAccount.annotations.eks\.amazonaws\.com/role-arn=arn:aws:iam::123456789012:role/mlops-standard-balancer --wait --timeout 10m`,
	"azure": `az aks get-credentials --resource-group my-aks-rg --name mlops-standard --subscription ` + subscription + ` --file WORK/kubeconfig
kubelogin convert-kubeconfig --login azurecli --kubeconfig WORK/kubeconfig` + makeNamespaces + letIn(func(name string) string { return "--user id-of-" + name }, func(name string) string {
		return "\naz identity show --name " + name + " --resource-group my-aks-rg --subscription " + subscription + " --query principalId --output tsv"
	}),
}

// network answers what the controller has to be told, and whom a cluster of Azure knows.
func network() []answer {
	answers := []answer{
		{pattern: "aws eks describe-cluster *", stdout: "vpc-1"},
		{pattern: "aws iam get-role *", stdout: "arn:aws:iam::123456789012:role/mlops-standard-balancer"},
	}
	for _, environment := range []string{"", "-clean-up", "-dev", "-preview", "-prod", "-staging"} {
		answers = append(answers, answer{pattern: "az identity show --name cicd-deployer" + environment + " *", stdout: "id-of-cicd-deployer" + environment})
	}
	return answers
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

// On Fargate AWS runs the router of logs, which has to be told where to write: in this region, as this cluster.
func TestPrepareFargate(t *testing.T) {
	b := newBench(t, "aws", network()...)
	b.env = append(b.env, "MODE=managed")
	r := b.run(t, "prepare")
	require.Zero(t, r.code, r.stderr)
	assert.Contains(t, r.commands, "kubectl apply --server-side --field-manager=tepal-deploy --filename -")
	assert.Contains(t, r.stdout, "sed -e s/us-west-2/us-west-2/ -e s/mlops-auto/mlops-auto/ k8s/aws/fargate-logs.yaml |")
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
		"a deployer":     {answer{pattern: "kubectl create rolebinding cicd-deployer-prod *", code: 1}, "deployers", "connect; namespaces"},
		"no role":        {answer{pattern: "aws iam get-role *", code: 254}, "the load balancers' controller", "connect; namespaces; deployers"},
		"the controller": {answer{pattern: "helm *", code: 1}, "the load balancers' controller", "connect; namespaces; deployers"},
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
