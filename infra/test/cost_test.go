package infra_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var temporary = regexp.MustCompile(`tmp/tmp\.[A-Za-z0-9]+`)

// words splits a block of lines.
func words(block string) []string {
	var list []string
	for line := range strings.Lines(strings.TrimSpace(block)) {
		list = append(list, strings.TrimSpace(line))
	}
	return list
}

const (
	scaleDown = `
kubectl scale deployment --namespace default --selector 'app in (iris-classifier, iris-classifier-canary, otel-collector)' --replicas=0
kubectl scale deployment --namespace iris-dev --selector 'app in (iris-classifier, iris-classifier-canary, otel-collector)' --replicas=0
kubectl scale deployment --namespace iris-staging --selector 'app in (iris-classifier, iris-classifier-canary, otel-collector)' --replicas=0
kubectl scale deployment --namespace iris-prod --selector 'app in (iris-classifier, iris-classifier-canary, otel-collector)' --replicas=0
kubectl scale deployment --namespace iris-preview --selector 'app in (iris-classifier, iris-classifier-canary, otel-collector)' --replicas=0`
	scaleUp = `
kubectl get hpa --namespace default --output json
kubectl scale deployment --namespace default --selector app=iris-classifier --replicas=2
kubectl scale deployment --namespace default --selector 'app in (iris-classifier-canary, otel-collector)' --replicas=1
kubectl get hpa --namespace iris-dev --output json
kubectl scale deployment --namespace iris-dev --selector app=iris-classifier --replicas=2
kubectl scale deployment --namespace iris-dev --selector 'app in (iris-classifier-canary, otel-collector)' --replicas=1
kubectl get hpa --namespace iris-staging --output json
kubectl scale deployment --namespace iris-staging --selector app=iris-classifier --replicas=2
kubectl scale deployment --namespace iris-staging --selector 'app in (iris-classifier-canary, otel-collector)' --replicas=1
kubectl get hpa --namespace iris-prod --output json
kubectl scale deployment --namespace iris-prod --selector app=iris-classifier --replicas=2
kubectl scale deployment --namespace iris-prod --selector 'app in (iris-classifier-canary, otel-collector)' --replicas=1
kubectl get hpa --namespace iris-preview --output json
kubectl scale deployment --namespace iris-preview --selector app=iris-classifier --replicas=2
kubectl scale deployment --namespace iris-preview --selector 'app in (iris-classifier-canary, otel-collector)' --replicas=1`
	removeBalancers = `
kubectl delete services,gateways.gateway.networking.k8s.io --namespace default --selector 'app in (iris-classifier, iris-classifier-canary, otel-collector)' --ignore-not-found --timeout=10m
kubectl delete services,gateways.gateway.networking.k8s.io --namespace iris-dev --all --ignore-not-found --timeout=10m
kubectl delete services,gateways.gateway.networking.k8s.io --namespace iris-staging --all --ignore-not-found --timeout=10m
kubectl delete services,gateways.gateway.networking.k8s.io --namespace iris-prod --all --ignore-not-found --timeout=10m
kubectl delete services,gateways.gateway.networking.k8s.io --namespace iris-preview --all --ignore-not-found --timeout=10m`
	subscription = "00000000-0000-0000-0000-000000000001"
)

// dry has the commands of each cloud, mode and verb, by the guide's phase 11 and the clouds' own manuals.
var dry = map[string]string{
	"gcp standard pause":  `gcloud container clusters resize mlops-standard --location=us-central1 --project=my-mlops-project --node-pool=default-pool --num-nodes=0 --quiet`,
	"gcp standard resume": `gcloud container clusters resize mlops-standard --location=us-central1 --project=my-mlops-project --node-pool=default-pool --num-nodes=1 --quiet`,
	"gcp standard cleanup": `terraform -chdir=infra/gcp init -input=false -reconfigure -backend-config=bucket=my-mlops-project-tepal-state
gcloud container clusters get-credentials mlops-standard --location=us-central1 --project=my-mlops-project` + removeBalancers + `
terraform -chdir=infra/gcp destroy -input=false -auto-approve -var project=my-mlops-project -var mode=standard`,
	"gcp managed pause":  `gcloud container clusters get-credentials mlops-auto --location=us-central1 --project=my-mlops-project` + scaleDown,
	"gcp managed resume": `gcloud container clusters get-credentials mlops-auto --location=us-central1 --project=my-mlops-project` + scaleUp,
	"gcp managed cleanup": `terraform -chdir=infra/gcp init -input=false -reconfigure -backend-config=bucket=my-mlops-project-tepal-state
gcloud container clusters get-credentials mlops-auto --location=us-central1 --project=my-mlops-project` + removeBalancers + `
terraform -chdir=infra/gcp destroy -input=false -auto-approve -var project=my-mlops-project -var mode=managed`,

	"aws standard pause": `aws eks update-nodegroup-config --cluster-name mlops-standard --nodegroup-name default-pool --region us-west-2 --scaling-config minSize=0,maxSize=4,desiredSize=0
aws eks wait nodegroup-active --cluster-name mlops-standard --nodegroup-name default-pool --region us-west-2`,
	"aws standard resume": `aws eks update-nodegroup-config --cluster-name mlops-standard --nodegroup-name default-pool --region us-west-2 --scaling-config minSize=2,maxSize=4,desiredSize=2
aws eks wait nodegroup-active --cluster-name mlops-standard --nodegroup-name default-pool --region us-west-2`,
	"aws standard cleanup": `terraform -chdir=infra/aws init -input=false -reconfigure -backend-config=bucket=tepal-state-123456789012 -backend-config=region=us-west-2
aws eks update-kubeconfig --name mlops-standard --region us-west-2` + removeBalancers + `
terraform -chdir=infra/aws destroy -input=false -auto-approve -var project=123456789012 -var mode=standard`,
	"aws managed pause":  `aws eks update-kubeconfig --name mlops-auto --region us-west-2` + scaleDown,
	"aws managed resume": `aws eks update-kubeconfig --name mlops-auto --region us-west-2` + scaleUp,
	"aws managed cleanup": `terraform -chdir=infra/aws init -input=false -reconfigure -backend-config=bucket=tepal-state-123456789012 -backend-config=region=us-west-2
aws eks update-kubeconfig --name mlops-auto --region us-west-2` + removeBalancers + `
terraform -chdir=infra/aws destroy -input=false -auto-approve -var project=123456789012 -var mode=managed`,

	"azure standard pause":  `az aks stop --resource-group my-aks-rg --name mlops-standard --subscription ` + subscription,
	"azure standard resume": `az aks start --resource-group my-aks-rg --name mlops-standard --subscription ` + subscription,
	"azure standard cleanup": `terraform -chdir=infra/azure init -input=false -reconfigure -backend-config=storage_account_name=ACCOUNT
terraform -chdir=infra/azure destroy -input=false -auto-approve -var project=` + subscription + ` -var mode=standard`,
	"azure managed pause": `az aks get-credentials --resource-group my-aks-rg --name mlops-auto --subscription ` + subscription + ` --file "$KUBECONFIG"
kubelogin convert-kubeconfig --login azurecli --kubeconfig "$KUBECONFIG"` + scaleDown + `
az aks stop --resource-group my-aks-rg --name mlops-auto --subscription ` + subscription,
	"azure managed resume": `az aks start --resource-group my-aks-rg --name mlops-auto --subscription ` + subscription + `
az aks get-credentials --resource-group my-aks-rg --name mlops-auto --subscription ` + subscription + ` --file "$KUBECONFIG"
kubelogin convert-kubeconfig --login azurecli --kubeconfig "$KUBECONFIG"` + scaleUp,
	"azure managed cleanup": `terraform -chdir=infra/azure init -input=false -reconfigure -backend-config=storage_account_name=ACCOUNT
terraform -chdir=infra/azure destroy -input=false -auto-approve -var project=` + subscription + ` -var mode=managed`,
}

// A dry run prints each command and reaches nobody, signed in or not.
func TestDryRun(t *testing.T) {
	account := regexp.MustCompile(`=tepal[0-9a-f]{16}\b`)
	require.Len(t, dry, 3*2*3)
	for name, want := range dry {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			field := strings.Fields(name)
			b := newBench(t, field[0])
			b.env = append(b.env, "MODE="+field[1], "DRY_RUN=1")
			r := b.run(t, "cost", field[2])
			require.Zero(t, r.code, r.stderr)
			assert.Empty(t, r.commands, "a dry run asks nobody")
			var printed []string
			for line := range strings.Lines(account.ReplaceAllString(r.stdout, "=ACCOUNT")) {
				if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "export KUBECONFIG=") {
					printed = append(printed, line)
				}
			}
			assert.Equal(t, words(want), printed)
		})
	}
}

// deployed answers as a cluster with the service in iris-dev, and with two pull requests in iris-preview.
func deployed(replicas string) []answer {
	return []answer{
		{pattern: "kubectl api-resources *"},
		{pattern: "kubectl get deployments --namespace iris-dev *", stdout: "deployment.apps/iris-classifier-deployment\ndeployment.apps/otel-collector"},
		{pattern: "kubectl get deployments --namespace iris-preview *", stdout: "deployment.apps/iris-classifier-deployment-pr-7\ndeployment.apps/iris-classifier-deployment-pr-8"},
		{pattern: "kubectl get deployments *"},
		{pattern: "kubectl get --namespace iris-preview deployment.apps/iris-classifier-deployment-pr-8 *", stdout: "3"},
		{pattern: "kubectl get --namespace * deployment.apps/*", stdout: replicas},
		{pattern: "kubectl get hpa --namespace iris-dev *", stdout: `{"items": [
			{"spec": {"scaleTargetRef": {"name": "other"}, "minReplicas": 9}},
			{"spec": {"scaleTargetRef": {"name": "iris-classifier-deployment"}, "minReplicas": 3}}]}`},
		{pattern: "kubectl get hpa *", stdout: `{"items": []}`},
	}
}

// ran are the commands of a dry run as a stub records them, without a shell's quotes.
func ran(name string) []string { return words(strings.ReplaceAll(dry[name], "'", "")) }

// changes are the commands that do something, without those that only look.
func changes(commands []string) []string {
	looks := regexp.MustCompile(`^(gcloud config get-value|gcloud [a-z ]+ [a-z-]+ list|aws resourcegroupstaggingapi|az resource list|aws sts get-caller|az account show|az aks show|aws eks describe|kubectl get|kubectl api-resources|terraform -chdir=\S+ state list)`)
	return slices.DeleteFunc(slices.Clone(commands), looks.MatchString)
}

// gateways answers as a cluster that knows the Gateway API.
var gateways = answer{pattern: "kubectl api-resources --api-group=gateway.networking.k8s.io *", stdout: "gatewayclasses.gateway.networking.k8s.io\ngateways.gateway.networking.k8s.io"}

// withoutGateways are the commands on a cluster that does not.
func withoutGateways(name string) []string {
	list := ran(name)
	for i := range list {
		list[i] = strings.Replace(list[i], "services,gateways.gateway.networking.k8s.io", "services", 1)
	}
	return list
}

func TestCost(t *testing.T) {
	gcpCredentials := "gcloud container clusters get-credentials mlops-auto --location=us-central1 --project=my-mlops-project"
	aks := "--resource-group my-aks-rg --name mlops-auto --subscription " + subscription
	aksCredentials := "az aks get-credentials " + aks + " --file WORK/kubeconfig"
	kubelogin := "kubelogin convert-kubeconfig --login azurecli --kubeconfig WORK/kubeconfig"
	for name, test := range map[string]struct {
		cloud, mode, verb string
		answers           []answer
		want              []string
		says              string
	}{
		"GKE's nodes go": {
			cloud: "gcp", mode: "standard", verb: "pause",
			want: ran("gcp standard pause"),
		},
		"Autopilot's pods go, those of pull requests too": {
			cloud: "gcp", mode: "managed", verb: "pause", answers: deployed("3"),
			want: []string{
				gcpCredentials,
				"kubectl scale --namespace iris-dev deployment.apps/iris-classifier-deployment --replicas=0",
				"kubectl scale --namespace iris-dev deployment.apps/otel-collector --replicas=0",
				"kubectl scale --namespace iris-preview deployment.apps/iris-classifier-deployment-pr-7 --replicas=0",
				"kubectl scale --namespace iris-preview deployment.apps/iris-classifier-deployment-pr-8 --replicas=0",
			},
		},
		"they come back to the autoscaler's minimum, to 2 without one, and one that runs is left alone": {
			cloud: "gcp", mode: "managed", verb: "resume", answers: deployed("0"),
			want: []string{
				gcpCredentials,
				"kubectl scale --namespace iris-dev deployment.apps/iris-classifier-deployment --replicas=3",
				"kubectl scale --namespace iris-dev deployment.apps/otel-collector --replicas=1",
				"kubectl scale --namespace iris-preview deployment.apps/iris-classifier-deployment-pr-7 --replicas=2",
			},
		},
		"KEDA is told": {
			cloud: "aws", mode: "managed", verb: "pause",
			answers: append([]answer{{pattern: "kubectl api-resources --api-group=keda.sh *", stdout: "scaledobjects.keda.sh"}}, deployed("3")...),
			want: []string{
				"aws eks update-kubeconfig --name mlops-auto --region us-west-2",
				"kubectl annotate scaledobject --namespace default --selector app in (iris-classifier, iris-classifier-canary, otel-collector) --overwrite autoscaling.keda.sh/paused-replicas=0",
				"kubectl annotate scaledobject --namespace iris-dev --selector app in (iris-classifier, iris-classifier-canary, otel-collector) --overwrite autoscaling.keda.sh/paused-replicas=0",
				"kubectl scale --namespace iris-dev deployment.apps/iris-classifier-deployment --replicas=0",
				"kubectl scale --namespace iris-dev deployment.apps/otel-collector --replicas=0",
				"kubectl annotate scaledobject --namespace iris-staging --selector app in (iris-classifier, iris-classifier-canary, otel-collector) --overwrite autoscaling.keda.sh/paused-replicas=0",
				"kubectl annotate scaledobject --namespace iris-prod --selector app in (iris-classifier, iris-classifier-canary, otel-collector) --overwrite autoscaling.keda.sh/paused-replicas=0",
				"kubectl annotate scaledobject --namespace iris-preview --selector app in (iris-classifier, iris-classifier-canary, otel-collector) --overwrite autoscaling.keda.sh/paused-replicas=0",
				"kubectl scale --namespace iris-preview deployment.apps/iris-classifier-deployment-pr-7 --replicas=0",
				"kubectl scale --namespace iris-preview deployment.apps/iris-classifier-deployment-pr-8 --replicas=0",
			},
		},
		"EKS's nodes go": {
			cloud: "aws", mode: "standard", verb: "pause",
			answers: []answer{{pattern: "aws eks describe-nodegroup *", stdout: "2"}},
			want:    ran("aws standard pause"),
		},
		"EKS without nodes stays so": {
			cloud: "aws", mode: "standard", verb: "pause",
			answers: []answer{{pattern: "aws eks describe-nodegroup *", stdout: "0"}},
			says:    "there are 0 nodes already",
		},
		"EKS with its nodes stays so": {
			cloud: "aws", mode: "standard", verb: "resume",
			answers: []answer{{pattern: "aws eks describe-nodegroup *", stdout: "2"}},
			says:    "there are 2 nodes already",
		},
		"AKS that runs is stopped": {
			cloud: "azure", mode: "standard", verb: "pause",
			answers: []answer{{pattern: "az aks show *", stdout: "Running"}},
			want:    ran("azure standard pause"),
		},
		"AKS that is stopped stays so": {
			cloud: "azure", mode: "standard", verb: "pause",
			answers: []answer{{pattern: "az aks show *", stdout: "Stopped"}},
			says:    "stopped already",
		},
		"virtual nodes are emptied before AKS stops": {
			cloud: "azure", mode: "managed", verb: "pause",
			answers: append([]answer{{pattern: "az aks show *", stdout: "Running"}}, deployed("3")...),
			want: []string{
				aksCredentials, kubelogin,
				"kubectl scale --namespace iris-dev deployment.apps/iris-classifier-deployment --replicas=0",
				"kubectl scale --namespace iris-dev deployment.apps/otel-collector --replicas=0",
				"kubectl scale --namespace iris-preview deployment.apps/iris-classifier-deployment-pr-7 --replicas=0",
				"kubectl scale --namespace iris-preview deployment.apps/iris-classifier-deployment-pr-8 --replicas=0",
				"az aks stop " + aks,
			},
		},
		"a stopped AKS is not asked for its deployments": {
			cloud: "azure", mode: "managed", verb: "pause",
			answers: []answer{{pattern: "az aks show *", stdout: "Stopped"}},
			says:    "stopped already",
		},
		"AKS that runs already gets its deployments back": {
			cloud: "azure", mode: "managed", verb: "resume",
			answers: append([]answer{{pattern: "az aks show *", stdout: "Running"}}, deployed("0")...),
			want: []string{
				aksCredentials, kubelogin,
				"kubectl scale --namespace iris-dev deployment.apps/iris-classifier-deployment --replicas=3",
				"kubectl scale --namespace iris-dev deployment.apps/otel-collector --replicas=1",
				"kubectl scale --namespace iris-preview deployment.apps/iris-classifier-deployment-pr-7 --replicas=2",
			},
			says: "running already",
		},
		"all of GKE goes": {
			cloud: "gcp", mode: "standard", verb: "cleanup",
			answers: []answer{{pattern: "terraform * state list", stdout: "google_project_service.this[\"x\"]\ngoogle_container_cluster.standard[0]"}, gateways},
			want:    ran("gcp standard cleanup"),
		},
		"all of EKS goes, while nodes run what removes load balancers": {
			cloud: "aws", mode: "standard", verb: "cleanup",
			answers: []answer{{pattern: "terraform * state list", stdout: "aws_eks_cluster.this"}, {pattern: "aws eks describe-nodegroup *", stdout: "2"}},
			want:    withoutGateways("aws standard cleanup"),
		},
		"a clean-up that lost the nodes half-way goes on": {
			cloud: "aws", mode: "standard", verb: "cleanup",
			answers: []answer{{pattern: "terraform * state list", stdout: "aws_eks_cluster.this"}, {pattern: "aws eks describe-nodegroup *", code: 254}, gateways},
			want:    ran("aws standard cleanup"),
		},
		"what GKE left in the network goes, and then the network": {
			cloud: "gcp", mode: "standard", verb: "cleanup",
			answers: []answer{
				{pattern: "terraform * state list"},
				{pattern: "terraform * destroy *", code: 1, once: true},
				{pattern: "gcloud compute firewall-rules list *", stdout: "k8s-e4198c6a84c32393-node-http-hc"},
				{pattern: "gcloud compute network-endpoint-groups list *", stdout: "k8s1-e4198c6a-iris\tus-central1-a\nk8s1-e4198c6a-iris\tus-central1-b"},
			},
			want: []string{
				ran("gcp standard cleanup")[0],
				"terraform -chdir=infra/gcp destroy -input=false -auto-approve -var project=my-mlops-project -var mode=standard",
				"gcloud compute firewall-rules delete k8s-e4198c6a84c32393-node-http-hc --project=my-mlops-project --quiet",
				"gcloud compute network-endpoint-groups delete k8s1-e4198c6a-iris --zone=us-central1-a --project=my-mlops-project --quiet",
				"gcloud compute network-endpoint-groups delete k8s1-e4198c6a-iris --zone=us-central1-b --project=my-mlops-project --quiet",
				"terraform -chdir=infra/gcp destroy -input=false -auto-approve -var project=my-mlops-project -var mode=standard",
			},
		},
		"a second clean-up has no cluster to connect to": {
			cloud: "gcp", mode: "standard", verb: "cleanup",
			answers: []answer{{pattern: "terraform * state list"}},
			want: []string{
				ran("gcp standard cleanup")[0],
				"terraform -chdir=infra/gcp destroy -input=false -auto-approve -var project=my-mlops-project -var mode=standard",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, test.cloud, test.answers...)
			b.env = append(b.env, "MODE="+test.mode)
			b.stdin = map[bool]string{true: clouds[test.cloud], false: map[string]string{"standard": "mlops-standard", "managed": "mlops-auto"}[test.mode]}[test.verb == "cleanup"] + "\n"
			r := b.run(t, "cost", test.verb)
			require.Zero(t, r.code, r.stderr)
			assert.Equal(t, append([]string{}, test.want...), changes(r.commands))
			assert.Contains(t, r.stdout, test.verb+": done")
			assert.Contains(t, r.stdout, test.says)
		})
	}
}

// Whoever is signed in for another project, or does not confirm, changes nothing.
func TestCostRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		cloud, stdin string
		answers      []answer
		env          []string
		args         []string
		without      string
		code         int
		says         string
	}{
		"another project of Google Cloud": {cloud: "gcp", stdin: "mlops-standard\n", answers: []answer{{pattern: "gcloud config get-value project", stdout: "other"}}, code: 3, says: "signed in for 'other', but 'my-mlops-project' is configured"},
		"another account of AWS":          {cloud: "aws", stdin: "mlops-standard\n", answers: []answer{{pattern: "aws sts *", stdout: "999999999999"}}, code: 3, says: "signed in for '999999999999'"},
		"another subscription of Azure":   {cloud: "azure", stdin: "mlops-standard\n", answers: []answer{{pattern: "az account show *", stdout: "other"}}, code: 3, says: "Fix: az login; az account set --subscription " + subscription},
		"nobody signed in":                {cloud: "aws", stdin: "mlops-standard\n", answers: []answer{{pattern: "aws sts *", code: 255}}, code: 3, says: "aws is not signed in"},
		"no project chosen":               {cloud: "gcp", stdin: "mlops-standard\n", answers: []answer{{pattern: "gcloud config get-value project"}}, code: 3, says: "signed in for ''"},
		"not confirmed":                   {cloud: "gcp", stdin: "yes\n", code: 3, says: "not confirmed: nothing was changed"},
		"nobody to ask":                   {cloud: "gcp", stdin: "", code: 3, says: "not confirmed"},
		"cleanup wants the project":       {cloud: "gcp", stdin: "mlops-standard\n", args: []string{"cleanup"}, code: 3, says: "not confirmed"},
		"no cloud":                        {code: 2, says: "CLOUD is gcp, aws or azure"},
		"another cloud":                   {env: []string{"CLOUD=oracle"}, code: 2, says: "not 'oracle'"},
		"another mode":                    {cloud: "gcp", env: []string{"MODE=auto"}, code: 2, says: "MODE is standard or managed"},
		"no project":                      {env: []string{"CLOUD=gcp"}, code: 2, says: "no project is configured"},
		"a project that cannot be":        {env: []string{"CLOUD=aws", "PROJECT=my-mlops-project"}, code: 2, says: "twelve digits on aws"},
		"no verb":                         {cloud: "gcp", args: []string{}, code: 2, says: "usage:"},
		"another verb":                    {cloud: "gcp", args: []string{"stop"}, code: 2, says: "usage:"},
		"two verbs":                       {cloud: "gcp", args: []string{"pause", "resume"}, code: 2, says: "usage:"},
		"no command line":                 {cloud: "gcp", stdin: "mlops-standard\n", without: "gcloud", code: 2, says: "there is no gcloud"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, test.cloud)
			b.answers = append(test.answers, b.answers...)
			b.env = append(b.env, test.env...)
			b.stdin = test.stdin
			if test.args == nil {
				test.args = []string{"pause"}
			}
			programs := everything
			if test.without != "" {
				programs = strings.ReplaceAll(programs, test.without+" ", "")
			}
			r := b.runWith(t, programs, "cost", test.args...)
			assert.Equal(t, test.code, r.code, r.stderr)
			assert.Contains(t, r.stderr, test.says)
			assert.NotContains(t, r.stderr, "Changes to Outputs", "what is wrong, and not what the rest would have been")
			assert.Empty(t, changes(r.commands), "nothing is changed")
		})
	}
}

// A step that fails ends the work there, and what was done and what was not is said.
func TestCostFailsHalfWay(t *testing.T) {
	for name, test := range map[string]struct {
		cloud, mode, verb string
		answers           []answer
		// last is the command that failed: none follows it.
		last, stopped, done string
	}{
		"resize":           {"gcp", "standard", "pause", []answer{{pattern: "gcloud container clusters resize *", code: 1}}, "gcloud container clusters resize", "nodes to 0", ""},
		"connect":          {"gcp", "managed", "pause", []answer{{pattern: "gcloud container clusters get-credentials *", code: 1}}, "gcloud container clusters get-credentials", "connect", ""},
		"list deployments": {"gcp", "managed", "pause", []answer{{pattern: "kubectl get deployments *", code: 1}}, "kubectl get deployments --namespace default", "deployments to 0", "connect"},
		"scale one":        {"azure", "managed", "pause", append([]answer{{pattern: "az aks show *", stdout: "Running"}, {pattern: "kubectl scale --namespace iris-preview *", code: 1}}, deployed("2")...), "kubectl scale --namespace iris-preview deployment.apps/iris-classifier-deployment-pr-7", "deployments to 0", "connect"},
		"read a size":      {"gcp", "managed", "resume", append([]answer{{pattern: "kubectl get --namespace iris-dev *", code: 1}}, deployed("0")...), "kubectl get --namespace iris-dev deployment.apps/iris-classifier-deployment", "deployments back", "connect"},
		"read autoscalers": {"gcp", "managed", "resume", append([]answer{{pattern: "kubectl get hpa *", code: 1}}, deployed("0")...), "kubectl get hpa --namespace iris-dev", "deployments back", "connect"},
		"update nodes":     {"aws", "standard", "resume", []answer{{pattern: "aws eks update-nodegroup-config *", code: 254}}, "aws eks update-nodegroup-config", "nodes back", ""},
		"wait for nodes":   {"aws", "standard", "resume", []answer{{pattern: "aws eks wait *", code: 255}}, "aws eks wait nodegroup-active", "nodes back", ""},
		"ask the state":    {"azure", "standard", "pause", []answer{{pattern: "az aks show *", code: 3}}, "az aks show", "stop the cluster", ""},
		"start":            {"azure", "managed", "resume", []answer{{pattern: "az aks start *", code: 1}}, "az aks start", "start the cluster", ""},
		"open the state":   {"aws", "standard", "cleanup", []answer{{pattern: "terraform * init *", code: 1}}, "terraform -chdir=infra/aws init", "open the state", ""},
		"remove":           {"aws", "standard", "cleanup", []answer{{pattern: "terraform * state list", stdout: "aws_eks_cluster.this"}, {pattern: "kubectl delete services --namespace iris-staging *", code: 1}}, "kubectl delete services --namespace iris-staging", "remove the load balancers", "open the state; connect"},
		"destroy":          {"gcp", "managed", "cleanup", []answer{{pattern: "terraform * state list", stdout: "google_container_cluster.managed[0]"}, {pattern: "terraform * destroy *", code: 1}}, "terraform -chdir=infra/gcp destroy", "destroy", "open the state; connect; remove the load balancers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, test.cloud, test.answers...)
			b.env = append(b.env, "MODE="+test.mode)
			b.stdin = map[bool]string{true: clouds[test.cloud], false: map[string]string{"standard": "mlops-standard", "managed": "mlops-auto"}[test.mode]}[test.verb == "cleanup"] + "\n"
			r := b.run(t, "cost", test.verb)
			assert.NotZero(t, r.code)
			require.NotEmpty(t, r.commands)
			assert.True(t, strings.HasPrefix(r.commands[len(r.commands)-1], test.last), "last: %s", r.commands[len(r.commands)-1])
			assert.Contains(t, r.stderr, "Stopped at: "+test.stopped)
			if test.done == "" {
				assert.NotContains(t, r.stderr, "Done before")
			} else {
				assert.Contains(t, r.stderr, "Done before: "+test.done+".")
			}
			assert.NotContains(t, r.stdout, test.verb+": done")
		})
	}
}

// What terraform.tfvars says is configured, and what is said at the call stands over it.
func TestCostReadsTheRootsVariables(t *testing.T) {
	b := newBench(t, "")
	b.env = []string{"CLOUD=gcp", "DRY_RUN=1"}
	file := filepath.Join(b.dir, "infra", "gcp", "terraform.tfvars")
	require.NoError(t, os.WriteFile(file, []byte("project = \"another-project\"\nregion = \"europe-west4\"\nzones = [\"europe-west4-a\", \"europe-west4-b\", \"europe-west4-c\"]\nnode_count = 6\ncluster = \"mine\"\n"), 0o600))
	r := b.run(t, "cost", "resume")
	require.Zero(t, r.code, r.stderr)
	assert.Contains(t, r.stdout, "gcloud container clusters resize mine --location=europe-west4 --project=another-project --node-pool=default-pool --num-nodes=2 --quiet\n")

	b.env = append(b.env, "PROJECT=third-project")
	r = b.run(t, "cost", "resume")
	require.Zero(t, r.code, r.stderr)
	assert.Contains(t, r.stdout, "--project=third-project ")
}

// Without nodes nobody removes the load balancers of EKS, and Terraform could not remove their network.
func TestCleanupOfAPausedEKS(t *testing.T) {
	b := newBench(t, "aws", answer{pattern: "terraform * state list", stdout: "aws_eks_cluster.this"}, answer{pattern: "aws eks describe-nodegroup *", stdout: "0"})
	b.stdin = clouds["aws"] + "\n"
	r := b.run(t, "cost", "cleanup")
	assert.Equal(t, 3, r.code)
	assert.Contains(t, r.stderr, "make resume CLOUD=aws MODE=standard")
	assert.Equal(t, []string{ran("aws standard cleanup")[0]}, changes(r.commands), "the state was opened, and no more")
}

// What is there is listed with its price after a pause, after a clean-up, and when asked for: by the clouds' label, and on
// Google Cloud, where some things take none, in the whole project.
func TestCosts(t *testing.T) {
	for cloud, test := range map[string]struct {
		answers []answer
		want    string
	}{
		"gcp": {[]answer{
			{pattern: "gcloud container clusters list --filter=resourceLabels.app=iris-classifier --project=my-mlops-project *", stdout: "mlops-standard"},
			{pattern: "gcloud compute routers list *", stdout: "mlops-standard"},
			{pattern: "gcloud compute forwarding-rules list --project=my-mlops-project *", stdout: "a0b1\ngkegw1-c2d3"},
			{pattern: "gcloud compute addresses list *", code: 1},
			{pattern: "gcloud artifacts repositories list *", stdout: "mlops-images"},
		}, `
cluster mlops-standard: $0.10 an hour
router mlops-standard: $0.0014 an hour for each node
balancer a0b1: $0.025 an hour for the first five rules together
balancer gkegw1-c2d3: $0.025 an hour for the first five rules together
# not known: gcloud compute addresses list --project=my-mlops-project '--format=value(name)': stub: refused
registry mlops-images: $0.10 a GB and month beyond 0.5 GB`},
		"aws": {[]answer{{pattern: "aws resourcegroupstaggingapi get-resources --tag-filters Key=app,Values=iris-classifier --region us-west-2 *", stdout: strings.Join([]string{
			"arn:aws:ec2:us-west-2:123456789012:natgateway/nat-0", "arn:aws:ec2:us-west-2:123456789012:vpc/vpc-0",
			"arn:aws:elasticloadbalancing:us-west-2:123456789012:loadbalancer/net/k8s-iris/0", "arn:aws:kms:us-west-2:123456789012:key/0",
		}, "\n")}}, `
arn:aws:ec2:us-west-2:123456789012:natgateway/nat-0: $0.045 an hour
arn:aws:elasticloadbalancing:us-west-2:123456789012:loadbalancer/net/k8s-iris/0: $0.0225 an hour
arn:aws:kms:us-west-2:123456789012:key/0: $1 a month`},
		"azure": {[]answer{{pattern: "az resource list --tag app=iris-classifier --subscription *", stdout: "/s/0/providers/Microsoft.ContainerRegistry/registries/mlopsImages\n/s/0/providers/Microsoft.Network/virtualNetworks/mlops-standard"}}, `
/s/0/providers/Microsoft.ContainerRegistry/registries/mlopsImages: $5.00 for 30 days`},
	} {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, cloud, test.answers...)
			r := b.run(t, "cost", "costs")
			require.Zero(t, r.code, r.stderr)
			assert.Equal(t, words(test.want), words(r.stdout)[1:])
			assert.Empty(t, changes(r.commands))

			b.stdin = "mlops-standard\n"
			b.answers = append([]answer{{pattern: "az aks show *", stdout: "Stopped"}, {pattern: "aws eks describe-nodegroup *", stdout: "0"}}, b.answers...)
			assert.Contains(t, b.run(t, "cost", "pause").stdout, strings.TrimSpace(test.want)+"\npause: done\n")
		})
	}
}

// The label of the clouds finds nothing in Kubernetes: whatever runs or costs there has one of these.
func TestSelector(t *testing.T) {
	library, err := os.ReadFile(filepath.Join(infra, "scripts", "lib.sh"))
	require.NoError(t, err)
	known := strings.Split(string(regexp.MustCompile(`selector='app in \((.*)\)'`).FindSubmatch(library)[1]), ", ")
	object := regexp.MustCompile(`(?m)^kind: (?:Deployment|DaemonSet|StatefulSet|Job|CronJob|ScaledObject|Gateway)\nmetadata:\n(?:  .*\n)*?  labels:\n    app: (.*)$`)
	count := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(infra, "..", "k8s"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range object.FindAllStringSubmatch(string(text), -1) {
			count++
			assert.Contains(t, known, found[1], path)
		}
		return err
	}))
	assert.GreaterOrEqual(t, count, 5)
}
