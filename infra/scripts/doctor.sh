#!/usr/bin/env bash
# Looks for what is wrong, from the tools on this machine to the error lines in the cloud, and says what mends it.
# What is in single quotes is for jq, or for the cloud.
# shellcheck disable=SC2016
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: [CLOUD=gcp|aws|azure [MODE=standard|managed] [PROJECT=…]] doctor.sh

Changes nothing. Without CLOUD it looks at the cluster that kubectl is set to, and
at nothing else. What cannot be asked is skipped, and says why. Ends with counts;
exit codes: 0 no fault, 1 faults, 2 wrong use.
TEXT
  exit 2
}

[ $# -eq 0 ] || usage
# shellcheck source=infra/scripts/lib.sh
. "$(dirname "$0")/lib.sh"

selector=app=iris-classifier
good=0 faults=0 skipped=0 answer='' why=''

ok() {
  good=$((good + 1))
  say "ok     $*"
}

skip() {
  skipped=$((skipped + 1))
  say "skip   $1: $2"
}

# fault WHAT FIX
fault() {
  faults=$((faults + 1))
  say "FAULT  $1"
  say "       fix: $2"
}

# ask COMMAND… leaves the answer in $answer, or the reason why there is none in $why.
ask() {
  answer='' why=''
  if ! command -v "$1" >/dev/null; then
    why="there is no $1"
    return 1
  fi
  if answer=$(timeout 60 "$@" 2>"$work/error" </dev/null); then
    return 0
  fi
  why=$(head -n 1 "$work/error")
  why=${why:-no answer within a minute}
  return 1
}

# each TITLE FILTER reads the answer by jq: a line for each fault, "what", a tab, "fix". No line is good.
each() {
  local title=$1 filter=$2 lines what fix
  shift 2
  if ! lines=$(jq -r "$@" "$filter" <<<"$answer" 2>"$work/error"); then
    skip "$title" "an answer that cannot be read: $(head -n 1 "$work/error")"
  elif [ -z "$lines" ]; then
    ok "$title"
  else
    while IFS=$'\t' read -r what fix; do fault "$title: $what" "$fix"; done <<<"$lines"
  fi
}

# tool NAME FIX VERSION-COMMAND…
tool() {
  local name=$1 fix=$2
  shift 2
  if ! command -v "$name" >/dev/null; then
    fault "tool: there is no $name" "$fix"
  elif ask "$@"; then
    ok "tool: $name $(head -n 1 <<<"$answer" | grep -oE '[0-9]+\.[0-9]+[0-9.]*' | head -n 1)"
  else
    fault "tool: $name does not run: $why" "$fix"
  fi
}

tools() {
  tool kubectl 'https://kubernetes.io/docs/tasks/tools/' kubectl version --client
  case $CLOUD in
  gcp)
    tool gcloud 'https://cloud.google.com/sdk/docs/install' gcloud version
    tool gke-gcloud-auth-plugin 'gcloud components install gke-gcloud-auth-plugin' gke-gcloud-auth-plugin --version
    ;;
  aws)
    tool aws 'https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html' aws --version
    tool helm 'https://helm.sh/docs/intro/install/' helm version --short
    if ask eksctl version; then ok "tool: eksctl $answer"; else skip 'tool: eksctl' 'it is the guide'\''s way to a cluster, and nothing here needs it'; fi
    ;;
  azure)
    tool az 'https://learn.microsoft.com/cli/azure/install-azure-cli' az version --output tsv
    tool kubelogin 'az aks install-cli' kubelogin --version
    ;;
  esac
  if [ -n "$CLOUD" ] && ask terraform version -json; then
    each 'Terraform at least 1.11' '.terraform_version | split(".") | map(tonumber? // 0)
      | select(.[0] < 1 or (.[0] == 1 and .[1] < 11)) | "it is \(map(tostring) | join("."))\thttps://developer.hashicorp.com/terraform/install"'
  fi
}

account() {
  local active
  if ! command -v "$(cli)" >/dev/null; then
    skip 'account' "there is no $(cli)"
    return 1
  elif ! active=$(active_project 2>"$work/error") || [ -z "$active" ]; then
    why=$(head -n 1 "$work/error")
    fault "account: $(cli) is not signed in: ${why:-no project is chosen}" "$(switch_project)"
    return 1
  elif [ "$active" != "$PROJECT" ]; then
    fault "account: $(cli) is signed in for $active, and $PROJECT is configured" "$(switch_project)"
    return 1
  fi
  ok "account: $PROJECT"
}

# asked TITLE FIX COMMAND… asks the cloud; without an answer that is a fault.
asked() {
  local title=$1 fix=$2
  shift 2
  ask "$@" && return 0
  fault "$title: $why" "$fix"
  return 1
}

gcp() {
  local token
  if asked 'APIs' 'the role roles/serviceusage.serviceUsageViewer' gcloud services list --enabled "--project=$PROJECT" '--format=json(config.name)'; then
    each 'APIs' '[.[].config.name] as $on | $want[] | select(IN($on[]) | not) | "\(.) is off\tgcloud services enable \(.)"' \
      --argjson want "$(setting '.apis' | jq -c .)"
  fi
  if asked 'quotas' 'the role roles/compute.viewer' gcloud compute regions describe "$region" "--project=$PROJECT" --format=json; then
    each 'quotas' '.quotas[] | select(IN(.metric; "CPUS", "IN_USE_ADDRESSES", "SSD_TOTAL_GB", "DISKS_TOTAL_GB", "INSTANCES"))
      | select(.limit > 0 and .usage >= 0.9 * .limit) | "\(.usage) of \(.limit) \(.metric) are used\task for more: IAM & Admin, Quotas"'
  fi
  if asked 'identity' "make infra-apply CLOUD=gcp" gcloud iam service-accounts get-iam-policy "telemetry-access@$PROJECT.iam.gserviceaccount.com" "--project=$PROJECT" --format=json; then
    each 'identity' '[.bindings[]? | select(.role == "roles/iam.workloadIdentityUser") | .members[]] as $have | $want[] | select(IN($have[]) | not)
      | "\(.) may not act as telemetry-access\tthe variable environments, then make infra-apply CLOUD=gcp"' --argjson want "$(setting '[.telemetry_members[]]' | jq -c .)"
  fi
  if asked 'cluster' 'make infra-apply CLOUD=gcp' gcloud container clusters describe "$cluster" "--location=$region" "--project=$PROJECT" --format=json; then
    each 'cluster' 'select(.status != "RUNNING") | "it is \(.status)\twait, or read: gcloud container operations list"'
  fi
  if asked 'logs of pods' 'the role roles/logging.viewer' gcloud logging read "resource.type=\"k8s_container\" resource.labels.cluster_name=\"$cluster\"" \
    "--project=$PROJECT" --freshness=1d --limit=1 --format=json &&
    lines length "gcloud container clusters update $cluster --location=$region --logging=SYSTEM,WORKLOAD" &&
    asked 'error lines' 'the role roles/logging.viewer' gcloud logging read \
      "resource.type=\"k8s_container\" resource.labels.cluster_name=\"$cluster\" resource.labels.container_name=\"iris-api\" severity>=ERROR" \
      "--project=$PROJECT" --freshness=1h --limit=10 --format=json; then
    each 'error lines of the last hour' '.[] | "\(.timestamp) \(.resource.labels.namespace_name): \(.jsonPayload.message // .textPayload // "?" | .[0:200])\tdocs/playbooks/README.md"'
  fi
  if ask gcloud auth print-access-token && token=$answer && ask curl --silent --show-error --fail --max-time 20 \
    --config <(printf 'header = "Authorization: Bearer %s"\n' "$token") \
    "https://cloudtrace.googleapis.com/v1/projects/$PROJECT/traces?pageSize=1&startTime=$(date -u -d '-1 hour' +%Y-%m-%dT%H:%M:%SZ)"; then
    traces "$(jq '.traces // [] | length' <<<"$answer")"
  else
    skip 'traces' "$why"
  fi
}

aws_cloud() {
  if asked 'quotas' 'the permission servicequotas:GetServiceQuota' aws service-quotas get-service-quota --service-code ec2 --quota-code L-1216C47A --region "$region" --output json; then
    each 'quotas' '.Quota.Value as $have | ($nodes * 4) as $want | select($have < $want) | "\($have) vCPUs may run, and an upgrade needs \($want)\taws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-1216C47A --desired-value \($want)"' \
      --argjson nodes "$(setting .node_count)"
  fi
  if asked 'identity' 'make infra-apply CLOUD=aws' aws iam get-role --role-name telemetry-access --output json; then
    each 'identity' '[.Role.AssumeRolePolicyDocument.Statement[]?.Condition.StringEquals // {} | to_entries[] | select(.key | endswith(":sub")) | .value | if type == "array" then .[] else . end] as $have
      | $want[] | select(IN($have[]) | not) | "\(.) may not act as telemetry-access\tthe variable environments, then make infra-apply CLOUD=aws"' --argjson want "$(setting '[.telemetry_members[]]' | jq -c .)"
  fi
  if asked 'cluster' 'make infra-apply CLOUD=aws' aws eks describe-cluster --name "$cluster" --region "$region" --output json; then
    each 'cluster' '.cluster | (select(.status != "ACTIVE") | "it is \(.status)\twait, or read .cluster.health of aws eks describe-cluster"), (.health.issues[]? | "\(.code): \(.message)\tthe message says what is missing")'
  fi
  # Fluent Bit of nodes puts what a line says below log_processed, Fargate's does not.
  local logs=(aws logs filter-log-events --log-group-name "/aws/containerinsights/$cluster/application" --region "$region" --output json)
  if asked 'logs of pods' 'make infra-apply CLOUD=aws makes the group' "${logs[@]}" --start-time "$(($(date +%s) - 86400))000" --max-items 1 &&
    lines '.events | length' "$([ "$MODE" = managed ] && echo 'kubectl get configmap aws-logging --namespace aws-observability: a pod made before it must be made anew' ||
      echo 'kubectl get pods --namespace amazon-cloudwatch; aws eks describe-addon --addon-name amazon-cloudwatch-observability')" &&
    asked 'error lines' 'the permission logs:FilterLogEvents' "${logs[@]}" --start-time "$(($(date +%s) - 3600))000" \
      --filter-pattern '{ ($.log_processed.severity = "ERROR") || ($.severity = "ERROR") }' --max-items 10; then
    each 'error lines of the last hour' '.events[] | "\(.message | .[0:200])\tdocs/playbooks/README.md"'
  fi
  if ask aws xray get-trace-summaries --region "$region" --start-time "$(($(date +%s) - 3600))" --end-time "$(date +%s)" --max-items 1 --output json; then
    traces "$(jq '.TraceSummaries | length' <<<"$answer")"
  else
    skip 'traces' "$why"
  fi
}

azure() {
  local logs workspace insights=(az monitor app-insights query --apps "$cluster" --resource-group "$group" --subscription "$PROJECT" --output json --analytics-query)
  if asked 'APIs' 'the role Reader' az provider list --subscription "$PROJECT" --output json; then
    each 'APIs' '[.[] | select(.registrationState == "Registered") | .namespace | ascii_downcase] as $on | $want[] | select(ascii_downcase | IN($on[]) | not) | "\(.) is off\taz provider register --namespace \(.)"' \
      --argjson want "$(setting '.apis' | jq -c .)"
  fi
  if asked 'quotas' 'the role Reader' az vm list-usage --location "$region" --subscription "$PROJECT" --output json; then
    each 'quotas' '.[] | select(IN(.name.value; "cores", "standardDSv2Family")) | (.currentValue | tonumber) as $used | (.limit | tonumber) as $limit
      | select($used >= 0.9 * $limit) | "\($used) of \($limit) \(.name.value) are used\task for more: Subscriptions, Usage + quotas"'
  fi
  if asked 'identity' 'make infra-apply CLOUD=azure' az identity federated-credential list --identity-name telemetry-access --resource-group "$group" --subscription "$PROJECT" --output json; then
    each 'identity' '[.[].subject] as $have | $want[] | select(IN($have[]) | not) | "\(.) may not act as telemetry-access\tthe variable environments, then make infra-apply CLOUD=azure"' \
      --argjson want "$(setting '[.telemetry_members[]]' | jq -c .)"
  fi
  if asked 'cluster' 'make infra-apply CLOUD=azure' az aks show --resource-group "$group" --name "$cluster" --subscription "$PROJECT" --output json; then
    each 'cluster' '(select(.powerState.code != "Running") | "it is \(.powerState.code)\tmake resume CLOUD=azure"),
      (select(.provisioningState != "Succeeded") | "it is \(.provisioningState)\tread the activity log of the resource group")'
  fi
  if asked 'logs of pods' 'make infra-apply CLOUD=azure' az monitor log-analytics workspace show --workspace-name "$cluster" --resource-group "$group" --subscription "$PROJECT" --query customerId --output tsv; then
    workspace=$answer
    logs=(az monitor log-analytics query --workspace "$workspace" --output json --analytics-query)
    if asked 'logs of pods' 'az extension add --name log-analytics' "${logs[@]}" 'ContainerLogV2 | where TimeGenerated > ago(1d) | take 1' &&
      lines length 'make infra-apply CLOUD=azure ties the rule to the cluster; kubectl get pods --namespace kube-system --selector component=ama-logs-agent' &&
      asked 'error lines' 'the role Log Analytics Reader' "${logs[@]}" 'ContainerLogV2 | where TimeGenerated > ago(1h) and ContainerName == "iris-api" and tostring(parse_json(tostring(LogMessage)).severity) == "ERROR" | project LogMessage | take 10'; then
      each 'error lines of the last hour' '.[] | "\(.LogMessage | tostring | .[0:200])\tdocs/playbooks/README.md"'
    fi
  fi
  if ask "${insights[@]}" 'requests | where timestamp > ago(1h) | take 1'; then
    traces "$(jq '.tables[0].rows | length' <<<"$answer")"
  else
    skip 'traces' "$why"
  fi
}

# repository compares the ids that the cloud trusts with those that GitHub has.
repository() {
  local name
  name=$(setting .github_repository.name)
  [ -n "$name" ] || return 0 # no workflow is let in
  if ask gh api "repos/$name"; then
    each 'repository' 'select(.full_name != $want.name or .id != $want.id or .owner.id != $want.owner_id)
      | "workflows cannot sign in: \(.full_name) is another one\tgithub_repository = { name = \(.full_name | @json), id = \(.id), owner_id = \(.owner.id) }, then make infra-apply"' \
      --argjson want "$(setting .github_repository | jq -c .)"
  else
    skip 'repository' "$why"
  fi
}

# lines COUNT FIX says whether any pod's line has come in the last day: where none comes, none is an error either.
lines() {
  if [ "$(jq "$1" <<<"${answer:-null}")" -gt 0 ]; then
    ok 'logs of pods: lines of the last day are there'
    return
  fi
  fault 'logs of pods: no line came in the last day, of any pod' "is the cluster new, or paused? Else $2"
  return 1
}

# traces COUNT; none is no fault: perhaps nobody asked for a prediction.
traces() {
  if [ "${1:-0}" -gt 0 ]; then
    ok 'traces of the last hour'
  else
    skip 'traces' 'none in the last hour: no request, none sampled, or the exporter is off (docs/telemetry.md)'
  fi
}

# sign_in is what sets kubectl to a cluster.
sign_in() {
  if [ -n "$CLOUD" ]; then
    setting .get_credentials
  else
    say 'KUBECONFIG=FILE, or make doctor CLOUD=gcp, aws or azure, which says the command'
  fi
}

# cluster_checks look at what kubectl is set to, wherever that is.
cluster_checks() {
  local context
  if ! command -v kubectl >/dev/null; then
    skip 'Kubernetes' 'there is no kubectl'
    return
  fi
  if ! ask kubectl config current-context; then
    fault 'context: kubectl is set to no cluster' "$(sign_in)"
    return
  fi
  context=$answer
  if [ -n "$CLOUD" ] && [[ $context != *"$cluster"* ]]; then
    fault "context: kubectl is set to $context, and not to $cluster" "$(sign_in); without CLOUD, make doctor looks at $context"
    return
  fi
  if ! ask kubectl get --raw /readyz; then
    fault "Kubernetes: $context does not answer: $why" 'is the cluster up, and may this machine reach it? Then sign in again'
    return
  fi
  ok "Kubernetes: $context answers"
  nodes
  rollout
  pods
  probes
  autoscaler
  services
  [ "$CLOUD" != aws ] || balancer
  [ -z "$CLOUD" ] || annotations
}

# kube TITLE RESOURCE [FLAG…] lists something of the service in all namespaces.
kube() {
  local title=$1 resource=$2
  shift 2
  ask kubectl get "$resource" --all-namespaces "$@" --output json && return 0
  skip "$title" "$why"
  return 1
}

nodes() {
  if ! ask kubectl get nodes --output json; then
    skip 'nodes' "$why"
    return
  fi
  each 'nodes' '(select(.items == []) | "there are none\tmake resume, if it is paused; else the pool of nodes"),
    (.items[] | .metadata.name as $n |
      (.status.conditions[] | select(.type == "Ready" and .status != "True") | "\($n) is not ready: \(.message)\tkubectl describe node \($n)"),
      (.status.conditions[] | select((.type | endswith("Pressure")) and .status == "True") | "\($n) has \(.type)\tlarger or more nodes; kubectl describe node \($n)"),
      (select(.spec.unschedulable) | "\($n) takes no pods\tkubectl uncordon \($n)"))'
}

rollout() {
  kube 'rollout' deployments --selector "$selector" || return 0
  each 'rollout' '(select(.items == []) | "there is no deployment of the service\tmake deploy"),
    (.items[] | "\(.metadata.namespace)/\(.metadata.name)" as $n | "--namespace \(.metadata.namespace) deployment \(.metadata.name)" as $at |
      if .spec.replicas == 0 then "\($n) has no replicas: it is paused\tmake resume, or kubectl scale \($at) --replicas=2"
      elif any(.status.conditions[]?; .type == "Progressing" and .status == "False") then "\($n) does not progress\tkubectl rollout undo \($at); see docs/playbooks/rollout-stuck.md"
      elif (.status.availableReplicas // 0) < .spec.replicas then "\($n): \(.status.availableReplicas // 0) of \(.spec.replicas) replicas are available\tkubectl rollout status \($at); the pods say why"
      elif (.status.updatedReplicas // 0) < .spec.replicas then "\($n): \(.status.updatedReplicas // 0) of \(.spec.replicas) replicas are new: a rollout is under way, or stuck\tkubectl rollout status \($at); the pods say why"
      else empty end)'
}

pods() {
  kube 'pods' pods --selector "$selector" || return 0
  each 'pods' '.items[] | "\(.metadata.namespace)/\(.metadata.name)" as $n | "--namespace \(.metadata.namespace) \(.metadata.name)" as $at |
    (.status.conditions[]? | select(.type == "PodScheduled" and .status == "False") | "\($n) waits for a node: \(.message)\tmore nodes or smaller requests; kubectl describe pod \($at)"),
    (.status.containerStatuses[]? |
      (.state.waiting // empty | .reason as $r
        | if IN($r; "ImagePullBackOff", "ErrImagePull", "InvalidImageName") then "\($n): \($r): \(.message // "")\tis the name right and pushed, and may the nodes pull? kubectl describe pod \($at)"
          elif $r == "CrashLoopBackOff" then "\($n) starts and ends again\tkubectl logs --previous \($at)"
          elif IN($r; "ContainerCreating", "PodInitializing") then empty
          else "\($n): \($r): \(.message // "")\tkubectl describe pod \($at)" end),
      (select(.lastState.terminated.reason? == "OOMKilled") | "\($n) was ended for want of memory\traise the limit of memory in k8s/"),
      (select(.state.running? and (.ready | not)) | "\($n) runs and is not ready\tdocs/playbooks/not-ready.md; kubectl logs \($at)"))'
  if ask kubectl top pods --all-namespaces --selector "$selector"; then
    if [ -z "$answer" ]; then
      skip 'kubectl top' 'no figures yet: the pods are new, or there are none'
    else
      ok 'kubectl top'
      say "$answer"
    fi
  else
    fault "kubectl top: $why" 'the cluster has no metrics-server, which the autoscaler needs too'
  fi
}

# probes ask each Service through the API server for what the kubelet asks.
probes() {
  local namespace name port path
  if kube 'failed probes' events --field-selector reason=Unhealthy; then
    each 'failed liveness probes' '.items[] | select((.involvedObject.name | startswith("iris-classifier")) and (.message | startswith("Liveness")))
      | "\(.involvedObject.namespace)/\(.involvedObject.name): \(.message)\tkubectl logs --previous --namespace \(.involvedObject.namespace) \(.involvedObject.name)"'
  fi
  kube 'probes' services --selector "$selector" || return 0
  while read -r namespace name port; do
    for path in live_check ready_check; do
      if ask kubectl get --raw "/api/v1/namespaces/$namespace/services/$name:$port/proxy/$path"; then
        ok "probe: $namespace/$name /$path: $answer"
      elif [[ $why == *orbidden* ]]; then
        skip "probe: $namespace/$name /$path" "$why"
      else
        fault "probe: $namespace/$name /$path: $why" 'no pod is ready: docs/playbooks/not-ready.md'
      fi
    done
  done < <(jq -r '.items[] | "\(.metadata.namespace) \(.metadata.name) \(.spec.ports[0].port)"' <<<"$answer")
}

autoscaler() {
  kube 'autoscaler' horizontalpodautoscalers || return 0
  each 'autoscaler' '.items[] | select(.spec.scaleTargetRef.name | startswith("iris-classifier")) | "\(.metadata.namespace)/\(.metadata.name)" as $n | .status.conditions[]? |
    if .type == "ScalingActive" and .status == "False" then
      (if .reason == "ScalingDisabled" then "\($n) is off: there are no replicas\tmake resume"
       else "\($n) knows no load: \(.reason): \(.message)\tmetrics-server, and a CPU request for each container" end)
    elif .type == "AbleToScale" and .status == "False" then "\($n) cannot scale: \(.message)\tdoes its deployment exist?"
    elif .type == "ScalingLimited" and .status == "True" and .reason == "TooManyReplicas" then "\($n) is at its maximum\tdocs/playbooks/hpa-at-maximum.md"
    else empty end'
}

services() {
  kube 'address' services --selector "$selector" || return 0
  each 'address' '.items[] | select(.spec.type == "LoadBalancer" and (.status.loadBalancer.ingress // []) == [])
    | "\(.metadata.namespace)/\(.metadata.name) has no address yet\tkubectl describe service --namespace \(.metadata.namespace) \(.metadata.name): quota of addresses, or tags of subnets"'
}

# balancer is what makes load balancers on AWS.
balancer() {
  if asked "load balancers' controller" 'make infra-prepare CLOUD=aws' \
    kubectl get deployment aws-load-balancer-controller --namespace kube-system --output json; then
    each "load balancers' controller" 'select((.status.availableReplicas // 0) == 0)
      | "no replica is available\tkubectl logs --namespace kube-system deployment/aws-load-balancer-controller"'
  fi
}

annotations() {
  kube 'annotation' serviceaccounts --field-selector metadata.name=telemetry-access || return 0
  each 'annotation' '.items[] | select(.metadata.namespace | IN($names[])) | select((.metadata.annotations // {})[$key] == null)
    | "\(.metadata.namespace)/telemetry-access lacks \($key)\tdeploy with the component of this cloud; make verify-identity CLOUD=\($cloud) NAMESPACE=\(.metadata.namespace)"' \
    --arg key "$(setting .telemetry_annotation)" --arg cloud "$CLOUD" --argjson names "$(setting .namespaces | jq -c .)"
}

need jq
[ -z "$CLOUD" ] || load_settings
tools
if [ -n "$CLOUD" ] && account; then
  case $CLOUD in
  aws) aws_cloud ;;
  *) "$CLOUD" ;;
  esac
  repository
fi
cluster_checks
say "$good good, $faults faults, $skipped skipped"
((faults == 0))
