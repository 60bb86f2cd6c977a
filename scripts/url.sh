#!/usr/bin/env bash
# Prints the address of an environment's Service: that of its load balancer, for
# which it waits, else a port of a machine of the cluster.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/k8s.bash
source scripts/k8s.bash

usage() { echo 'Usage: ENV=prod [PR=12] [URL_TIMEOUT=300] [DRY_RUN=1] scripts/url.sh'; }
no_arguments "$@"

get() { # TEMPLATE
  kubectl -n "$namespace" get service "$service" --output "jsonpath=$1"
}

# A load balancer of some cloud takes minutes to get its address.
balancer() {
  local deadline=$((SECONDS + ${URL_TIMEOUT:-300})) host
  while true; do
    host=$(get '{.status.loadBalancer.ingress[0].ip}')
    [ -n "$host" ] || host=$(get '{.status.loadBalancer.ingress[0].hostname}')
    if [ -n "$host" ]; then
      echo "http://$host"
      return
    fi
    if ((SECONDS >= deadline)); then
      echo "url: $service has no address yet: kubectl -n $namespace describe service $service" >&2
      return 1
    fi
    sleep "${URL_INTERVAL:-5}"
  done
}

node_port() {
  local port host kind
  port=$(get '{.spec.ports[0].nodePort}')
  for kind in ExternalIP InternalIP; do
    host=$(kubectl get nodes --output "jsonpath={.items[0].status.addresses[?(@.type==\"$kind\")].address}")
    [ -z "$host" ] || break
  done
  [ -n "$host" ] || {
    echo 'url: no machine of the cluster has an address' >&2
    return 1
  }
  echo "http://${host%% *}:$port"
}

names
if [ "${DRY_RUN:-}" = 1 ]; then
  echo "+ kubectl -n $namespace get service $service" >&2
  exit
fi
type=$(get '{.spec.type}')
case $type in
LoadBalancer) balancer ;;
NodePort) node_port ;;
*)
  echo "url: $service is reachable in the cluster alone ($type): deploy with CLUSTER=kind or a cloud's, or" \
    "kubectl -n $namespace port-forward service/$service 8000:80" >&2
  exit 1
  ;;
esac
