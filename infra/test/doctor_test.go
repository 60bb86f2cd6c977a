package infra_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// healthy answers as a cloud and a cluster in which all is well.
func healthy(cloud string) []answer {
	all := []answer{
		{pattern: "kubectl version *", stdout: "Client Version: v1.33.1"},
		{pattern: "kubectl config current-context", stdout: map[string]string{"gcp": "gke_my-mlops-project_us-central1_mlops-standard", "aws": "arn:aws:eks:us-west-2:123456789012:cluster/mlops-standard", "azure": "mlops-standard", "": "kind-tepal"}[cloud]},
		{pattern: "kubectl get --raw /readyz", stdout: "ok"},
		{pattern: "kubectl get nodes *", stdout: `{"items": [{"metadata": {"name": "n1"}, "spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]}}]}`},
		{pattern: "kubectl get deployments *", stdout: deployment(`"replicas": 2`, `"availableReplicas": 2, "updatedReplicas": 2, "conditions": [{"type": "Progressing", "status": "True"}]`)},
		{pattern: "kubectl get pods *", stdout: pod(`"conditions": [{"type": "PodScheduled", "status": "True"}], "containerStatuses": [{"ready": true, "state": {"running": {}}}]`)},
		{pattern: "kubectl top pods *", stdout: "iris-dev  iris-classifier-deployment-1  3m  20Mi"},
		{pattern: "kubectl get events *", stdout: `{"items": []}`},
		{pattern: "kubectl get services *", stdout: service(`{"ingress": [{"ip": "192.0.2.7"}]}`)},
		{pattern: "kubectl get --raw */proxy/live_check", stdout: `{"status":"alive"}`},
		{pattern: "kubectl get --raw */proxy/ready_check", stdout: `{"status":"ready"}`},
		{pattern: "kubectl get horizontalpodautoscalers *", stdout: hpa(`{"type": "AbleToScale", "status": "True"}, {"type": "ScalingActive", "status": "True"}, {"type": "ScalingLimited", "status": "False"}`)},
		{pattern: "kubectl get serviceaccounts *", stdout: `{"items": [{"metadata": {"namespace": "iris-dev", "annotations": {"iam.gke.io/gcp-service-account": "x", "eks.amazonaws.com/role-arn": "x", "azure.workload.identity/client-id": "x"}}}]}`},
		{pattern: "terraform version -json", stdout: `{"terraform_version": "1.11.4"}`},
	}
	return append(all, map[string][]answer{
		"gcp": {
			{pattern: "gcloud version", stdout: "Google Cloud SDK 528.0.0"},
			{pattern: "gke-gcloud-auth-plugin --version", stdout: "Kubernetes v1.30.0"},
			{pattern: "gcloud services list *", stdout: enabledAPIs()},
			{pattern: "gcloud compute regions describe *", stdout: `{"quotas": [{"metric": "CPUS", "limit": 24, "usage": 4}, {"metric": "COMMITMENTS", "limit": 1, "usage": 1}, {"metric": "INSTANCES", "limit": 0, "usage": 0}]}`},
			{pattern: "gcloud iam service-accounts get-iam-policy *", stdout: `{"bindings": [{"role": "roles/iam.workloadIdentityUser", "members": ["` + strings.Join(members("serviceAccount:my-mlops-project.svc.id.goog[", "/telemetry-access]"), `", "`) + `"]}]}`},
			{pattern: "gcloud container clusters describe *", stdout: `{"status": "RUNNING"}`},
			{pattern: "gcloud logging read *limit=1 *", stdout: `[{"insertId": "a"}]`},
			{pattern: "gcloud logging read *", stdout: `[]`},
			{pattern: "gcloud auth print-access-token", stdout: "ya29.secret"},
			{pattern: "curl *", stdout: `{"traces": [{"traceId": "1"}]}`},
		},
		"aws": {
			{pattern: "aws --version", stdout: "aws-cli/2.22.12"},
			{pattern: "helm version *", stdout: "v3.18.4+gd80839c"},
			{pattern: "eksctl version", stdout: "0.200.0"},
			{pattern: "kubectl get deployment aws-load-balancer-controller *", stdout: `{"status": {"availableReplicas": 2}}`},
			{pattern: "aws service-quotas *", stdout: `{"Quota": {"Value": 64}}`},
			{pattern: "aws iam get-role *", stdout: `{"Role": {"AssumeRolePolicyDocument": {"Statement": [{"Condition": {"StringEquals": {"issuer:aud": "sts.amazonaws.com", "issuer:sub": ["` + strings.Join(members("system:serviceaccount:", ":telemetry-access"), `", "`) + `"]}}}]}}}`},
			{pattern: "aws eks describe-cluster *", stdout: `{"cluster": {"status": "ACTIVE", "health": {"issues": []}}}`},
			{pattern: "aws logs *max-items 1", stdout: `{"events": [{"message": "{}"}]}`},
			{pattern: "aws logs *", stdout: `{"events": []}`},
			{pattern: "aws xray *", stdout: `{"TraceSummaries": [{"Id": "1"}]}`},
		},
		"azure": {
			{pattern: "az version *", stdout: "2.67.0"},
			{pattern: "kubelogin --version", stdout: "v0.1.4"},
			{pattern: "az provider list *", stdout: `[{"namespace": "microsoft.insights", "registrationState": "Registered"}` + registered() + `]`},
			{pattern: "az vm list-usage *", stdout: `[{"name": {"value": "cores"}, "currentValue": "4", "limit": "10"}]`},
			{pattern: "az identity federated-credential list *", stdout: `[{"subject": "` + strings.Join(members("system:serviceaccount:", ":telemetry-access"), `"}, {"subject": "`) + `"}]`},
			{pattern: "az aks show *", stdout: `{"powerState": {"code": "Running"}, "provisioningState": "Succeeded"}`},
			{pattern: "az monitor * requests *", stdout: `{"tables": [{"rows": [["x"]]}]}`},
			{pattern: "az monitor log-analytics workspace show *", stdout: "00000000-0000-0000-0000-000000000009"},
			{pattern: "az monitor log-analytics query *take 1", stdout: `[{"LogMessage": {}}]`},
			{pattern: "az monitor log-analytics query *", stdout: `[]`},
		},
	}[cloud]...)
}

func members(before, after string) []string {
	var list []string
	for _, namespace := range []string{"default", "iris-dev", "iris-staging", "iris-prod", "iris-preview"} {
		list = append(list, before+namespace+after)
	}
	return list
}

// enabledAPIs are the mission's and those that Terraform needs beside them.
func enabledAPIs() string {
	var list []string
	for api := range strings.FieldsSeq("container compute artifactregistry iamcredentials logging monitoring cloudtrace iam sts cloudresourcemanager telemetry billingbudgets serviceusage") {
		list = append(list, `{"config": {"name": "`+api+`.googleapis.com"}}`)
	}
	return "[" + strings.Join(list, ",") + "]"
}

func registered() string {
	var text strings.Builder
	for name := range strings.FieldsSeq("Compute Consumption ContainerRegistry ContainerService ManagedIdentity Network OperationalInsights Storage") {
		text.WriteString(`, {"namespace": "Microsoft.` + name + `", "registrationState": "Registered"}`)
	}
	return text.String()
}

func deployment(spec, status string) string {
	return `{"items": [{"metadata": {"namespace": "iris-dev", "name": "iris-classifier-deployment"}, "spec": {` + spec + `}, "status": {` + status + `}}]}`
}

func pod(status string) string {
	return `{"items": [{"metadata": {"namespace": "iris-dev", "name": "iris-classifier-deployment-1"}, "status": {` + status + `}}]}`
}

func waiting(reason string) string {
	return pod(`"containerStatuses": [{"ready": false, "state": {"waiting": {"reason": "` + reason + `", "message": "told so"}}}]`)
}

func hpa(conditions string) string {
	return `{"items": [{"metadata": {"namespace": "iris-dev", "name": "iris-classifier-hpa"}, "spec": {"scaleTargetRef": {"name": "iris-classifier-deployment"}}, "status": {"conditions": [` + conditions + `]}},
		{"metadata": {"namespace": "other", "name": "other"}, "spec": {"scaleTargetRef": {"name": "other"}}, "status": {"conditions": [{"type": "ScalingActive", "status": "False", "reason": "Other"}]}}]}`
}

func service(balancer string) string {
	return `{"items": [{"metadata": {"namespace": "iris-dev", "name": "iris-classifier-service"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}, "status": {"loadBalancer": ` + balancer + `}}]}`
}

func TestDoctorFindsNothing(t *testing.T) {
	for _, cloud := range []string{"gcp", "aws", "azure", ""} {
		t.Run("cloud "+cloud, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, cloud, healthy(cloud)...)
			r := b.run(t, "doctor")
			require.Zero(t, r.code, r.stdout+r.stderr)
			assert.Contains(t, r.stdout, " good, 0 faults, 0 skipped\n")
			assert.NotContains(t, r.stdout+strings.Join(r.commands, "\n"), "ya29", "no token in what it prints, nor on a command line")
			assert.Contains(t, r.stdout, `ok     probe: iris-dev/iris-classifier-service /ready_check: {"status":"ready"}`)
			assert.Empty(t, changesByDoctor(r.commands), "it changes nothing")
		})
	}
}

// changesByDoctor are commands that are not known to look only.
func changesByDoctor(commands []string) []string {
	var list []string
	for _, command := range commands {
		looks := false
		for _, word := range []string{" get", " list", " describe", " version", " top ", " read ", " show", "--version", " filter-", " query ", " print-access-token", "current-context", "curl "} {
			looks = looks || strings.Contains(command, word)
		}
		if !looks {
			list = append(list, command)
		}
	}
	return list
}

// ill is a fault in an answer.
type ill struct {
	cloud      string
	answer     answer
	fault, fix string
}

// together sorts faults into runs: those that are told by different commands are found in one.
func together(faults map[string]ill) [][]ill {
	// What keeps others from being looked for is alone.
	alone := regexp.MustCompile(`^(account|context|Kubernetes|tool|Terraform|logs of pods)`)
	var runs [][]ill
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		fault := faults[name]
		i := slices.IndexFunc(runs, func(run []ill) bool {
			return !alone.MatchString(fault.fault) && !slices.ContainsFunc(run, func(other ill) bool {
				return other.cloud != fault.cloud || other.answer.pattern == fault.answer.pattern || alone.MatchString(other.fault)
			})
		})
		if i < 0 {
			runs = append(runs, []ill{fault})
		} else {
			runs[i] = append(runs[i], fault)
		}
	}
	return runs
}

// Each fault has its line, and the line after it says what mends it.
func TestDoctorFindsFaults(t *testing.T) {
	for _, run := range together(map[string]ill{
		"an API that is off":             {cloud: "gcp", answer: answer{pattern: "gcloud services list *", stdout: strings.Replace(enabledAPIs(), "cloudtrace", "x", 1)}, fault: "APIs: cloudtrace.googleapis.com is off", fix: "gcloud services enable cloudtrace.googleapis.com"},
		"a provider that is off":         {cloud: "azure", answer: answer{pattern: "az provider list *", stdout: `[{"namespace": "Microsoft.Insights", "registrationState": "NotRegistered"}` + registered() + `]`}, fault: "APIs: Microsoft.Insights is off", fix: "az provider register --namespace Microsoft.Insights"},
		"APIs that may not be listed":    {cloud: "gcp", answer: answer{pattern: "gcloud services list *", code: 1}, fault: "APIs: stub: refused", fix: "roles/serviceusage.serviceUsageViewer"},
		"a quota that is used up":        {cloud: "gcp", answer: answer{pattern: "gcloud compute regions describe *", stdout: `{"quotas": [{"metric": "CPUS", "limit": 8, "usage": 8}]}`}, fault: "quotas: 8 of 8 CPUS are used", fix: "ask for more"},
		"a small quota of AWS":           {cloud: "aws", answer: answer{pattern: "aws service-quotas *", stdout: `{"Quota": {"Value": 5}}`}, fault: "quotas: 5 vCPUs may run, and an upgrade needs 8", fix: "--desired-value 8"},
		"a quota of Azure":               {cloud: "azure", answer: answer{pattern: "az vm list-usage *", stdout: `[{"name": {"value": "standardDSv2Family"}, "currentValue": "9", "limit": "10"}]`}, fault: "quotas: 9 of 10 standardDSv2Family are used", fix: "ask for more"},
		"a binding that is missing":      {cloud: "gcp", answer: answer{pattern: "gcloud iam service-accounts get-iam-policy *", stdout: `{}`}, fault: "identity: serviceAccount:my-mlops-project.svc.id.goog[iris-prod/telemetry-access] may not act", fix: "make infra-apply CLOUD=gcp"},
		"a trust that is missing":        {cloud: "aws", answer: answer{pattern: "aws iam get-role *", stdout: `{"Role": {"AssumeRolePolicyDocument": {"Statement": [{"Condition": {"StringEquals": {"issuer:sub": "system:serviceaccount:default:telemetry-access"}}}]}}}`}, fault: "identity: system:serviceaccount:iris-dev:telemetry-access may not act", fix: "the variable environments"},
		"a credential that is missing":   {cloud: "azure", answer: answer{pattern: "az identity federated-credential list *", stdout: `[]`}, fault: "identity: system:serviceaccount:default:telemetry-access may not act", fix: "make infra-apply CLOUD=azure"},
		"another project":                {cloud: "gcp", answer: answer{pattern: "gcloud config get-value project", stdout: "other"}, fault: "account: gcloud is signed in for other", fix: "gcloud config set project my-mlops-project"},
		"no project":                     {cloud: "gcp", answer: answer{pattern: "gcloud config get-value project"}, fault: "account: gcloud is not signed in: no project is chosen", fix: "gcloud config set project my-mlops-project"},
		"nobody signed in":               {cloud: "aws", answer: answer{pattern: "aws sts *", code: 255}, fault: "account: aws is not signed in: stub: refused", fix: "sign in to the account"},
		"a cluster in trouble":           {cloud: "gcp", answer: answer{pattern: "gcloud container clusters describe *", stdout: `{"status": "ERROR"}`}, fault: "cluster: it is ERROR", fix: "operations list"},
		"a cluster with an issue":        {cloud: "aws", answer: answer{pattern: "aws eks describe-cluster *", stdout: `{"cluster": {"status": "ACTIVE", "health": {"issues": [{"code": "Ec2SubnetNotFound", "message": "gone"}]}}}`}, fault: "cluster: Ec2SubnetNotFound: gone", fix: "the message"},
		"a stopped cluster":              {cloud: "azure", answer: answer{pattern: "az aks show *", stdout: `{"powerState": {"code": "Stopped"}, "provisioningState": "Succeeded"}`}, fault: "cluster: it is Stopped", fix: "make resume CLOUD=azure"},
		"no cluster":                     {cloud: "gcp", answer: answer{pattern: "gcloud container clusters describe *", code: 1}, fault: "cluster: stub: refused", fix: "make infra-apply CLOUD=gcp"},
		"error lines on Google Cloud":    {cloud: "gcp", answer: answer{pattern: "gcloud logging read *limit=10 *", stdout: `[{"timestamp": "T", "resource": {"labels": {"namespace_name": "iris-dev"}}, "jsonPayload": {"message": "no model"}}]`}, fault: "error lines of the last hour: T iris-dev: no model", fix: "docs/playbooks/README.md"},
		"error lines on AWS":             {cloud: "aws", answer: answer{pattern: "aws logs *max-items 10", stdout: `{"events": [{"message": "no model"}]}`}, fault: "error lines of the last hour: no model", fix: "docs/playbooks/README.md"},
		"error lines on Azure":           {cloud: "azure", answer: answer{pattern: "az monitor * take 10", stdout: `[{"LogMessage": {"message": "no model"}}]`}, fault: "error lines of the last hour: {\"message\":\"no model\"}", fix: "docs/playbooks/README.md"},
		"no logs on Google Cloud":        {cloud: "gcp", answer: answer{pattern: "gcloud logging read *limit=1 *", stdout: `[]`}, fault: "logs of pods: no line came in the last day, of any pod", fix: "is the cluster new, or paused? Else gcloud container clusters update mlops-standard"},
		"no logs on AWS":                 {cloud: "aws", answer: answer{pattern: "aws logs *max-items 1", stdout: `{"events": []}`}, fault: "logs of pods: no line came in the last day, of any pod", fix: "kubectl get pods --namespace amazon-cloudwatch"},
		"no group of logs on AWS":        {cloud: "aws", answer: answer{pattern: "aws logs *max-items 1", code: 254}, fault: "logs of pods: stub: refused", fix: "make infra-apply CLOUD=aws makes the group"},
		"no logs on Azure":               {cloud: "azure", answer: answer{pattern: "az monitor * take 1", stdout: `[]`}, fault: "logs of pods: no line came in the last day, of any pod", fix: "make infra-apply CLOUD=azure ties the rule to the cluster"},
		"an old Terraform":               {cloud: "gcp", answer: answer{pattern: "terraform version -json", stdout: `{"terraform_version": "1.9.8"}`}, fault: "Terraform at least 1.11: it is 1.9.8", fix: "developer.hashicorp.com"},
		"a tool that does not run":       {cloud: "azure", answer: answer{pattern: "kubelogin --version", code: 127}, fault: "tool: kubelogin does not run", fix: "az aks install-cli"},
		"kubectl is elsewhere":           {cloud: "gcp", answer: answer{pattern: "kubectl config current-context", stdout: "kind-tepal"}, fault: "context: kubectl is set to kind-tepal, and not to mlops-standard", fix: "gcloud container clusters get-credentials mlops-standard --location=us-central1"},
		"no cluster is chosen":           {answer: answer{pattern: "kubectl config current-context", code: 1}, fault: "context: kubectl is set to no cluster", fix: "KUBECONFIG=FILE"},
		"a cloud's is not chosen":        {cloud: "gcp", answer: answer{pattern: "kubectl config current-context", code: 1}, fault: "context: kubectl is set to no cluster", fix: "gcloud container clusters get-credentials mlops-standard"},
		"a cluster that does not answer": {answer: answer{pattern: "kubectl get --raw /readyz", code: 1}, fault: "Kubernetes: kind-tepal does not answer: stub: refused", fix: "may this machine reach it?"},
		"no nodes":                       {answer: answer{pattern: "kubectl get nodes *", stdout: `{"items": []}`}, fault: "nodes: there are none", fix: "make resume"},
		"a node that is not ready":       {answer: answer{pattern: "kubectl get nodes *", stdout: `{"items": [{"metadata": {"name": "n1"}, "spec": {}, "status": {"conditions": [{"type": "Ready", "status": "Unknown", "message": "silent"}]}}]}`}, fault: "nodes: n1 is not ready: silent", fix: "kubectl describe node n1"},
		"a node without memory":          {answer: answer{pattern: "kubectl get nodes *", stdout: `{"items": [{"metadata": {"name": "n1"}, "spec": {"unschedulable": true}, "status": {"conditions": [{"type": "MemoryPressure", "status": "True"}]}}]}`}, fault: "nodes: n1 has MemoryPressure", fix: "larger or more nodes"},
		"a cordoned node":                {answer: answer{pattern: "kubectl get nodes *", stdout: `{"items": [{"metadata": {"name": "n1"}, "spec": {"unschedulable": true}, "status": {"conditions": []}}]}`}, fault: "nodes: n1 takes no pods", fix: "kubectl uncordon n1"},
		"not deployed":                   {answer: answer{pattern: "kubectl get deployments *", stdout: `{"items": []}`}, fault: "rollout: there is no deployment", fix: "make deploy"},
		"paused":                         {answer: answer{pattern: "kubectl get deployments *", stdout: deployment(`"replicas": 0`, ``)}, fault: "rollout: iris-dev/iris-classifier-deployment has no replicas: it is paused", fix: "make resume"},
		"a rollout that is stuck":        {answer: answer{pattern: "kubectl get deployments *", stdout: deployment(`"replicas": 2`, `"availableReplicas": 2, "conditions": [{"type": "Progressing", "status": "False"}]`)}, fault: "does not progress", fix: "kubectl rollout undo --namespace iris-dev deployment iris-classifier-deployment"},
		"replicas that are missing":      {answer: answer{pattern: "kubectl get deployments *", stdout: deployment(`"replicas": 2`, `"availableReplicas": 1`)}, fault: "1 of 2 replicas are available", fix: "kubectl rollout status"},
		"a rollout under way":            {answer: answer{pattern: "kubectl get deployments *", stdout: deployment(`"replicas": 2`, `"availableReplicas": 2, "updatedReplicas": 1`)}, fault: "1 of 2 replicas are new", fix: "kubectl rollout status --namespace iris-dev deployment iris-classifier-deployment"},
		"a pending pod":                  {answer: answer{pattern: "kubectl get pods *", stdout: pod(`"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes: Insufficient cpu"}]`)}, fault: "waits for a node: 0/2 nodes: Insufficient cpu", fix: "smaller requests"},
		"an image that is not there":     {answer: answer{pattern: "kubectl get pods *", stdout: waiting("ImagePullBackOff")}, fault: "iris-dev/iris-classifier-deployment-1: ImagePullBackOff: told so", fix: "is the name right and pushed, and may the nodes pull?"},
		"a pod that ends":                {answer: answer{pattern: "kubectl get pods *", stdout: waiting("CrashLoopBackOff")}, fault: "starts and ends again", fix: "kubectl logs --previous --namespace iris-dev iris-classifier-deployment-1"},
		"a pod with a bad setting":       {answer: answer{pattern: "kubectl get pods *", stdout: waiting("CreateContainerConfigError")}, fault: "CreateContainerConfigError: told so", fix: "kubectl describe pod"},
		"a pod without memory":           {answer: answer{pattern: "kubectl get pods *", stdout: pod(`"containerStatuses": [{"ready": true, "state": {"running": {}}, "lastState": {"terminated": {"reason": "OOMKilled"}}}]`)}, fault: "was ended for want of memory", fix: "the limit of memory"},
		"a pod that is not ready":        {answer: answer{pattern: "kubectl get pods *", stdout: pod(`"containerStatuses": [{"ready": false, "state": {"running": {}}}]`)}, fault: "runs and is not ready", fix: "docs/playbooks/not-ready.md"},
		"no metrics":                     {answer: answer{pattern: "kubectl top *", code: 1}, fault: "kubectl top: stub: refused", fix: "metrics-server"},
		"liveness that fails":            {answer: answer{pattern: "kubectl get events *", stdout: `{"items": [{"message": "Liveness probe failed: 500", "involvedObject": {"namespace": "iris-dev", "name": "iris-classifier-deployment-1"}}, {"message": "Readiness probe failed", "involvedObject": {"namespace": "iris-dev", "name": "iris-classifier-deployment-2"}}]}`}, fault: "failed liveness probes: iris-dev/iris-classifier-deployment-1", fix: "kubectl logs --previous"},
		"a probe that fails":             {answer: answer{pattern: "kubectl get --raw */proxy/ready_check", code: 1}, fault: "probe: iris-dev/iris-classifier-service /ready_check: stub: refused", fix: "docs/playbooks/not-ready.md"},
		"an autoscaler without metrics":  {answer: answer{pattern: "kubectl get horizontalpodautoscalers *", stdout: hpa(`{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "none"}`)}, fault: "iris-dev/iris-classifier-hpa knows no load: FailedGetResourceMetric", fix: "metrics-server"},
		"an autoscaler that is off":      {answer: answer{pattern: "kubectl get horizontalpodautoscalers *", stdout: hpa(`{"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled"}`)}, fault: "is off: there are no replicas", fix: "make resume"},
		"an autoscaler at its maximum":   {answer: answer{pattern: "kubectl get horizontalpodautoscalers *", stdout: hpa(`{"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}`)}, fault: "is at its maximum", fix: "docs/playbooks/hpa-at-maximum.md"},
		"an autoscaler without a target": {answer: answer{pattern: "kubectl get horizontalpodautoscalers *", stdout: hpa(`{"type": "AbleToScale", "status": "False", "message": "not found"}`)}, fault: "cannot scale: not found", fix: "does its deployment exist?"},
		"nothing makes load balancers":   {cloud: "aws", answer: answer{pattern: "kubectl get deployment aws-load-balancer-controller *", code: 1}, fault: "load balancers' controller: stub: refused", fix: "make infra-prepare CLOUD=aws"},
		"a controller that does not run": {cloud: "aws", answer: answer{pattern: "kubectl get deployment aws-load-balancer-controller *", stdout: `{"status": {}}`}, fault: "load balancers' controller: no replica is available", fix: "kubectl logs --namespace kube-system"},
		"no address":                     {answer: answer{pattern: "kubectl get services *", stdout: service(`{}`)}, fault: "address: iris-dev/iris-classifier-service has no address yet", fix: "kubectl describe service --namespace iris-dev iris-classifier-service"},
		"no annotation":                  {cloud: "gcp", answer: answer{pattern: "kubectl get serviceaccounts *", stdout: `{"items": [{"metadata": {"namespace": "iris-dev"}}, {"metadata": {"namespace": "not-ours"}}]}`}, fault: "annotation: iris-dev/telemetry-access lacks iam.gke.io/gcp-service-account", fix: "make verify-identity CLOUD=gcp NAMESPACE=iris-dev"},
	}) {
		t.Run(run[0].fault, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, run[0].cloud)
			var own []answer
			for _, fault := range run {
				own = append(own, fault.answer)
			}
			b.answers = slices.Concat(own, b.answers, healthy(run[0].cloud))
			r := b.run(t, "doctor")
			assert.Equal(t, 1, r.code, r.stdout+r.stderr)
			for _, fault := range run {
				line := regexp.MustCompile(`(?m)^FAULT.*`+regexp.QuoteMeta(fault.fault)+`.*\n       fix: .*$`).FindAllString(r.stdout, -1)
				assert.Contains(t, strings.Join(line, "\n"), fault.fix, "%s\n%s", fault.fault, r.stdout)
				assert.NotEmpty(t, line, "the fault is not named: %s\n%s", fault.fault, r.stdout)
			}
		})
	}
}

// What cannot be asked is skipped, and is no fault.
func TestDoctorSkips(t *testing.T) {
	for name, test := range map[string]struct {
		cloud   string
		answers []answer
		says    string
	}{
		"no traces":              {cloud: "gcp", answers: []answer{{pattern: "curl *", stdout: `{}`}}, says: "skip   traces: none in the last hour"},
		"no figures yet":         {answers: []answer{{pattern: "kubectl top pods *"}}, says: "skip   kubectl top: no figures yet"},
		"traces refused":         {cloud: "aws", answers: []answer{{pattern: "aws xray *", code: 1}}, says: "skip   traces: stub: refused"},
		"nodes refused":          {answers: []answer{{pattern: "kubectl get nodes *", code: 1}}, says: "skip   nodes: stub: refused"},
		"an answer that is none": {answers: []answer{{pattern: "kubectl get nodes *", stdout: "not JSON"}}, says: "skip   nodes: an answer that cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, test.cloud)
			b.answers = append(append(test.answers, b.answers...), healthy(test.cloud)...)
			r := b.run(t, "doctor")
			assert.Zero(t, r.code, r.stdout+r.stderr)
			assert.Contains(t, r.stdout, test.says)
			assert.Contains(t, r.stdout, "0 faults, 1 skipped")
		})
	}
}

// Without the cloud's tools and without a cluster it still ends with counts.
func TestDoctorWithoutAnything(t *testing.T) {
	b := newBench(t, "gcp")
	r := b.runWith(t, "terraform", "doctor")
	assert.Equal(t, 1, r.code)
	for _, want := range []string{"FAULT  tool: there is no kubectl", "FAULT  tool: there is no gcloud", "gcloud components install gke-gcloud-auth-plugin", "skip   account: there is no gcloud", "skip   Kubernetes: there is no kubectl"} {
		assert.Contains(t, r.stdout, want)
	}
	assert.Contains(t, r.stdout, "3 faults, 2 skipped\n")
}

func TestDoctorUsage(t *testing.T) {
	for name, test := range map[string]struct{ env, args []string }{
		"an argument":   {nil, []string{"now"}},
		"another cloud": {[]string{"CLOUD=oracle"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "")
			b.env = test.env
			r := b.run(t, "doctor", test.args...)
			assert.Equal(t, 2, r.code)
			assert.Empty(t, r.commands)
		})
	}
}
