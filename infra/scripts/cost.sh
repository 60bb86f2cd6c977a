#!/usr/bin/env bash
# Stops what costs money, brings it back, or removes it: `make pause`, `make resume`, `make cleanup`.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: CLOUD=gcp|aws|azure [MODE=standard|managed] [PROJECT=…] [DRY_RUN=1] cost.sh pause|resume|cleanup

  pause    no nodes (standard), no pods (managed); Azure's cluster is stopped
  resume   brings back what pause took away
  cleanup  removes the service, and by Terraform all that Terraform made

Asks before it does anything; DRY_RUN=1 prints the commands instead. Does nothing
when the cloud's command line is signed in for another project than the
configured one. Exit codes: 0 done, 1 a step failed, 2 wrong use, 3 refused.
TEXT
  exit 2
}

case ${1:-} in
pause | resume | cleanup) [ $# -eq 1 ] || usage ;;
*) usage ;;
esac
# shellcheck source=infra/scripts/lib.sh
. "$(dirname "$0")/lib.sh"

selector=app=iris-classifier

# deployments of the service in a namespace: in iris-preview there is one for each pull request.
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
  [ -z "$DRY_RUN" ] || say "# for each deployment of $selector, to the minReplicas of its autoscaler (2 where it has none):"
  for namespace in "${namespaces[@]}"; do
    if [ -n "$DRY_RUN" ]; then
      run kubectl get hpa --namespace "$namespace" --output json
      run kubectl scale deployment --namespace "$namespace" --selector "$selector" --replicas=2
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
      least=$(kubectl get hpa --namespace "$namespace" --output json | jq --arg name "${deployment#*/}" \
        '[.items[] | select(.spec.scaleTargetRef.name == $name) | .spec.minReplicas // 1] | first // 2')
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
      return
    fi
    step 'connect' connect
    step 'deployments to 0' scale_down
    step 'stop the cluster' aks stop Stopped
    ;;
  */managed)
    step 'connect' connect
    step 'deployments to 0' scale_down
    ;;
  esac
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

# remove_service takes the load balancers away, which Terraform does not know and which keep its network in use.
remove_service() {
  local namespace
  for namespace in "${namespaces[@]}"; do
    if [ "$namespace" = default ]; then
      run kubectl delete service --namespace default --selector "$selector" --ignore-not-found --timeout=10m
    else
      run kubectl delete namespace "$namespace" --ignore-not-found --timeout=10m
    fi
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
    step 'remove the service' remove_service
  fi
  step 'destroy' terraform_root destroy -input=false -auto-approve
  say "# what holds Terraform's state is still there: $state"
}

load_settings
require_project
case $1 in
pause) confirm "$cluster" "Pause $cluster ($MODE) in $PROJECT: it answers nobody until it is resumed." ;;
resume) confirm "$cluster" "Resume $cluster ($MODE) in $PROJECT: it costs money again." ;;
cleanup) confirm "$PROJECT" "Remove $cluster, its registry with all images, its identities and its network from $PROJECT, for good." ;;
esac
"$1"
ended "$1: done"
