#!/usr/bin/env bash
# Stops what costs money, brings it back, lists it, or removes it: `make pause`, `make resume`, `make costs`, `make cleanup`.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: CLOUD=gcp|aws|azure [MODE=standard|managed] [PROJECT=…] [DRY_RUN=1] cost.sh pause|resume|costs|cleanup

  pause    no nodes (standard), no pods (managed); Azure's cluster is stopped
  resume   brings back what pause took away
  costs    lists what is there and costs money, with the price of each
  cleanup  removes the load balancers, and by Terraform all that Terraform made

Asks before it changes anything; DRY_RUN=1 prints the commands instead. Does nothing
when the cloud's command line is signed in for another project than the
configured one. Exit codes: 0 done, 1 a step failed, 2 wrong use, 3 refused.
TEXT
  exit 2
}

case ${1:-} in
pause | resume | costs | cleanup) [ $# -eq 1 ] || usage ;;
*) usage ;;
esac
# shellcheck source=infra/scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# deployments in a namespace: the service's, that of each pull request, the canary's and the collector's.
deployments() { kubectl get deployments --namespace "$1" --selector "$selector" --output name; }

# keda says whether KEDA scales here: it would bring back at once what was scaled to zero by hand.
keda() { [ -n "$(kubectl api-resources --api-group=keda.sh --output name 2>/dev/null)" ]; }

scale_down() {
  local namespace deployment list
  for namespace in "${namespaces[@]}"; do
    if [ -n "$DRY_RUN" ]; then
      run kubectl scale deployment --namespace "$namespace" --selector "$selector" --replicas=0
      continue
    fi
    if keda; then
      run kubectl annotate scaledobject --namespace "$namespace" --selector "$selector" --overwrite autoscaling.keda.sh/paused-replicas=0
    fi
    list=$(deployments "$namespace")
    for deployment in $list; do
      run kubectl scale --namespace "$namespace" "$deployment" --replicas=0
    done
  done
}

# scale_up goes to the least that the autoscaler would have: at zero it is off, and from there on it decides.
scale_up() {
  local namespace deployment list now least
  [ -z "$DRY_RUN" ] || say '# each deployment of the service to the minReplicas of its autoscaler (2 where it has none), the others to 1:'
  for namespace in "${namespaces[@]}"; do
    if [ -n "$DRY_RUN" ]; then
      run kubectl get hpa --namespace "$namespace" --output json
      run kubectl scale deployment --namespace "$namespace" --selector app=iris-classifier --replicas=2
      run kubectl scale deployment --namespace "$namespace" --selector 'app in (iris-classifier-canary, otel-collector)' --replicas=1
      continue
    fi
    if keda; then
      run kubectl annotate scaledobject --namespace "$namespace" --selector "$selector" autoscaling.keda.sh/paused-replicas-
    fi
    list=$(deployments "$namespace")
    for deployment in $list; do
      # One that runs is left to its autoscaler.
      now=$(kubectl get --namespace "$namespace" "$deployment" --output 'jsonpath={.spec.replicas}')
      [ "$now" = 0 ] || continue
      # The canary and the collector have one, by k8s/components.
      least=$(kubectl get hpa --namespace "$namespace" --output json | jq --arg name "${deployment#*/}" \
        '[.items[] | select(.spec.scaleTargetRef.name == $name) | .spec.minReplicas // 1] | first // if $name | startswith("iris-classifier-deployment") then 2 else 1 end')
      run kubectl scale --namespace "$namespace" "$deployment" "--replicas=$least"
    done
  done
}

# gke_nodes COUNT; Google Cloud counts them for each zone.
gke_nodes() {
  run gcloud container clusters resize "$cluster" "--location=$region" "--project=$PROJECT" \
    "--node-pool=$pool" "--num-nodes=$1" --quiet
}

eks_now() {
  aws eks describe-nodegroup --cluster-name "$cluster" --nodegroup-name "$pool" --region "$region" \
    --query nodegroup.scalingConfig.desiredSize --output text
}

# eks_nodes COUNT; the largest size must not be 0.
eks_nodes() {
  local now=unknown
  [ -n "$DRY_RUN" ] || now=$(eks_now)
  if [ "$now" = "$1" ]; then
    say "there are $1 nodes already"
    return
  fi
  run aws eks update-nodegroup-config --cluster-name "$cluster" --nodegroup-name "$pool" --region "$region" \
    --scaling-config "minSize=$1,maxSize=$(($(setting .node_count) * 2)),desiredSize=$1"
  run aws eks wait nodegroup-active --cluster-name "$cluster" --nodegroup-name "$pool" --region "$region"
}

# aks VERB STATE stops or starts the cluster, unless it is in that state.
aks() {
  local now=unknown
  [ -n "$DRY_RUN" ] || now=$(aks_power)
  if [ "$now" = "$2" ]; then
    say "the cluster is ${2,,} already"
    return
  fi
  run az aks "$1" --resource-group "$group" --name "$cluster" --subscription "$PROJECT"
}

aks_power() {
  az aks show --resource-group "$group" --name "$cluster" --subscription "$PROJECT" --query powerState.code --output tsv
}

pause() {
  case $CLOUD/$MODE in
  gcp/standard) step 'nodes to 0' gke_nodes 0 ;;
  aws/standard) step 'nodes to 0' eks_nodes 0 ;;
  azure/standard) step 'stop the cluster' aks stop Stopped ;;
  azure/managed)
    # Virtual nodes' pods are container instances, which a stopped cluster leaves running. A stopped one has none.
    if [ -z "$DRY_RUN" ] && [ "$(aks_power)" = Stopped ]; then
      say 'the cluster is stopped already'
    else
      step 'connect' connect
      step 'deployments to 0' scale_down
      step 'stop the cluster' aks stop Stopped
    fi
    ;;
  */managed)
    step 'connect' connect
    step 'deployments to 0' scale_down
    ;;
  esac
  [ -n "$DRY_RUN" ] || costs
}

resume() {
  case $CLOUD/$MODE in
  gcp/standard) step 'nodes back' gke_nodes "$(setting .nodes_per_zone)" ;;
  aws/standard) step 'nodes back' eks_nodes "$(setting .node_count)" ;;
  azure/*) step 'start the cluster' aks start Running ;;
  esac
  if [ "$MODE" = managed ]; then
    step 'connect' connect
    step 'deployments back' scale_up
  fi
}

# remove_balancers takes away what Terraform does not know and what keeps its network in use. The rest goes with the
# cluster. From a cluster without nodes no namespace goes: first each API must answer, and that of the metrics is a pod.
remove_balancers() {
  local namespace what kinds=services,gateways.gateway.networking.k8s.io
  [ -n "$DRY_RUN" ] || kubectl api-resources --api-group=gateway.networking.k8s.io --output name 2>/dev/null | grep -q '^gateways' ||
    kinds=services
  for namespace in "${namespaces[@]}"; do
    what=(--all)
    # Others may have something in this one.
    [ "$namespace" != default ] || what=(--selector "$selector")
    run kubectl delete "$kinds" --namespace "$namespace" "${what[@]}" --ignore-not-found --timeout=10m
  done
}

# has_cluster says whether Terraform still has one: a second clean-up has nothing to connect to.
has_cluster() {
  [ -z "$DRY_RUN" ] || return 0
  terraform "-chdir=$INFRA/$CLOUD" state list >"$work/resources"
  grep -qE '^(google_container_cluster|aws_eks_cluster|azurerm_kubernetes_cluster)\.' "$work/resources"
}

# needs_nodes refuses where nobody would remove the load balancers: on AWS what does is a pod.
needs_nodes() {
  local now
  [ "$CLOUD/$MODE" = aws/standard ] && [ -z "$DRY_RUN" ] || return 0
  now=$(eks_now 2>/dev/null) || return 0
  [ "$now" != 0 ] || die 3 "$cluster is paused, and without nodes its load balancers would stay. Fix: make resume CLOUD=aws MODE=standard, then this again"
}

cleanup() {
  step 'open the state' terraform_init
  # Azure removes the load balancers with the cluster, and a stopped cluster cannot be asked.
  if [ "$CLOUD" != azure ] && has_cluster; then
    needs_nodes
    step 'connect' connect
    step 'remove the load balancers' remove_balancers
  fi
  step 'destroy' destroy
  say "# what holds Terraform's state is still there: $state"
  [ -n "$DRY_RUN" ] || costs
}

# destroy takes two runs where GKE has left something in the network.
destroy() {
  terraform_root destroy -input=false -auto-approve && return
  [ "$CLOUD" = gcp ] || return 1
  say '# again, once nothing of the cluster is in the network:'
  empty_network
  terraform_root destroy -input=false -auto-approve
}

# empty_network removes the firewall rules of health checks and the groups of endpoints, which GKE removes late or never.
# The network is Terraform's, and no other cluster is in it.
empty_network() {
  local name zone ours="network~/networks/$cluster\$"
  gcloud compute firewall-rules list "--project=$PROJECT" "--filter=$ours" '--format=value(name)' >"$work/rules"
  while read -r name; do
    [ -z "$name" ] || run gcloud compute firewall-rules delete "$name" "--project=$PROJECT" --quiet </dev/null
  done <"$work/rules"
  gcloud compute network-endpoint-groups list "--project=$PROJECT" "--filter=$ours" '--format=value(name,zone.basename())' >"$work/groups"
  while read -r name zone; do
    [ -z "$name" ] || run gcloud compute network-endpoint-groups delete "$name" "--zone=$zone" "--project=$PROJECT" --quiet </dev/null
  done <"$work/groups"
}

# costs asks the cloud what is there, and prints each thing with its price. It sees what has the label app=iris-classifier;
# on Google Cloud routers, load balancers and addresses have no labels of the cluster, so it sees those of the project.
costs() {
  say '# what is there and costs money, by list price (docs/guide/cost.md):'
  case $CLOUD in
  gcp)
    there cluster container clusters list --filter=resourceLabels.app=iris-classifier
    there node compute instances list --filter=labels.app=iris-classifier
    there disk compute disks list --filter=labels.app=iris-classifier
    there router compute routers list
    there balancer compute forwarding-rules list
    there address compute addresses list
    there registry artifacts repositories list --filter=labels.app=iris-classifier
    ;;
  aws)
    listed '' aws resourcegroupstaggingapi get-resources --tag-filters Key=app,Values=iris-classifier --region "$region" \
      --query 'ResourceTagMappingList[].[ResourceARN]' --output text
    ;;
  azure)
    listed '' az resource list --tag app=iris-classifier --subscription "$PROJECT" --query '[].[id]' --output tsv
    ;;
  esac
}

there() {
  local kind=$1
  shift
  listed "$kind " gcloud "$@" "--project=$PROJECT" '--format=value(name)'
}

# listed PREFIX COMMAND… gives each name that a command prints its price, by the patterns of prices.tsv. What has none
# costs nothing. A cloud that does not answer undoes nothing of what was done before.
listed() {
  local prefix=$1
  shift
  if [ -n "$DRY_RUN" ]; then
    run "$@"
  elif ! "$@" >"$work/things" 2>"$work/error"; then
    say "# not known: $(quote "$@"): $(head -n 1 "$work/error")"
  else
    awk -F '\t' -v cloud="$CLOUD" -v prefix="$prefix" '
      NR == FNR { if ($1 == cloud) { pattern[++n] = $2; price[n] = $3 }; next }
      { for (i = 1; i <= n; i++) if (prefix $0 ~ pattern[i]) { print prefix $0 ": " price[i]; next } }
    ' "$INFRA/scripts/prices.tsv" "$work/things"
  fi
}

load_settings
require_project
case $1 in
costs) costs && exit ;;
pause) confirm "$cluster" "Pause $cluster ($MODE) in $PROJECT: it answers nobody until it is resumed." ;;
resume) confirm "$cluster" "Resume $cluster ($MODE) in $PROJECT: it costs money again." ;;
cleanup) confirm "$PROJECT" "Remove $cluster, its registry with all images, its identities and its network from $PROJECT, for good." ;;
esac
"$1"
ended "$1: done"
