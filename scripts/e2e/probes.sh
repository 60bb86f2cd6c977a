#!/usr/bin/env bash
# The probes answer as the guide says, and the Service has just the replicas that they find ready.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

get() { curl --silent --show-error --fail --max-time 5 "$url$1"; }

jq -e '.status == "alive"' <<<"$(get /live_check)" >/dev/null || fail 'it is not alive'
jq -e '.status == "ready"' <<<"$(get /ready_check)" >/dev/null || fail 'it is not ready'
say '/live_check says alive, /ready_check ready'
behind() {
  kube get endpointslices --selector "kubernetes.io/service-name=$service" --output json |
    jq -r '.items[].endpoints[] | select(.conditions.ready) | .targetRef.name'
}
same() { [ "$(behind | sort)" = "$(ready | sort)" ]; }
await 30 'the replicas that are ready are those behind the Service' same
kube get pods --selector "$labels" --output json | jq -e 'all(.items[].status.containerStatuses[]; .started and .restartCount == 0)' >/dev/null ||
  fail "a container was restarted: $(containers)"
say 'no probe has restarted a container'
