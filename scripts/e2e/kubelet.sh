#!/usr/bin/env bash
# A restart of the kubelet touches no replica, and no request is lost.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

node=$(kubectl get nodes --output 'jsonpath={.items[0].metadata.name}')
started() { kubectl get --raw "/api/v1/nodes/$node/proxy/metrics" | awk '$1 == "process_start_time_seconds" {printf "%.2f\n", $2}'; }
restarted() { now=$(started) && [ -n "$now" ] && [ "$now" != "$was" ]; }

same=$(containers)
was=$(started)
load_begin kubelet
# shellcheck disable=SC2086 # a command with its arguments
$E2E_RESTART_KUBELET
await 60 "the kubelet of $node is another process" restarted
kubectl wait "node/$node" --for=condition=Ready --timeout=60s
sleep 15 # as long as it takes to look at every pod, and to ask every probe
await 60 'the replicas are ready' settled
load_end
# The autoscaler may have added or taken away some; those that were there before and are now are what counts.
containers | jq -e --argjson was "$same" '[to_entries[] | select($was[.key])] | length > 0 and all($was[.key] == .value)' >/dev/null ||
  fail "the containers were $same and are $(containers)"
say 'the containers are the same as before'
