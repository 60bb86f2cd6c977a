#!/usr/bin/env bash
# Shows on a real cluster what docs/reliability.md promises: builds images, brings them to the nodes, deploys the
# composition kind in the environment dev, and runs each check of scripts/e2e. Ends with `N passed, N failed`, and with 0 only when none failed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

usage() {
  cat <<'USAGE'
Usage: [VARIABLE=VALUE…] scripts/e2e.sh [CHECK…]

Without arguments it runs what must hold: predict, probes, logs, metrics, rollout, restart, bad-model, eviction, kubelet,
scale, deployers and workflows. Three more run when they are named: chart, and, which measure, replicas and locust. Images
and deploy come first in any case.

  KUBECONFIG           the cluster; its namespace iris-dev is used, and left empty. The check workflows makes and removes
                       iris-staging, iris-prod and iris-preview, and fails where one of them exists
  E2E_LOAD             command that brings an archive of an image to the nodes (kind load image-archive)
  E2E_RESTART_KUBELET  command that restarts the kubelet (docker exec kind-control-plane systemctl restart kubelet)
  E2E_METRICS_SERVER   manifest that is applied when the cluster has no metrics (a release of metrics-server)
  E2E_RATE             requests a second that must not be lost (100)
  E2E_SCALE_RATE       requests a second that make the autoscaler go to its maximum (4000)
  E2E_LIMIT            seconds that one check may take (900)
  E2E_KEEP             1 leaves the deployment running
  LOCAL_BASES, ENGINE  see scripts/image.sh
USAGE
}

: "${E2E_LOAD:=kind load image-archive}" "${E2E_LIMIT:=900}" "${E2E_KEEP:=}"
: "${E2E_METRICS_SERVER:=https://github.com/kubernetes-sigs/metrics-server/releases/download/v0.9.0/components.yaml}"
passed=0 failed=0

# tell shows what a person would ask for first when a check has failed.
tell() {
  kube get deployment,replicaset,pod,hpa,pdb --output wide || true
  kube get events --sort-by=.lastTimestamp | tail -n 30 || true
  kube logs --selector "$labels" --tail=20 --prefix || true
  kubectl top pods -n "$namespace" || true
}

# run counts a command as a check. It is a process of its own, so that it ends at its first fault, and in time.
run() { # NAME COMMAND…
  local name=$1 start=$SECONDS
  shift
  printf '== %s\n' "$name"
  if timeout --kill-after=10 "$E2E_LIMIT" "$@"; then
    passed=$((passed + 1))
    printf '   passed in %d s\n' $((SECONDS - start))
    return
  fi
  failed=$((failed + 1))
  printf '   FAILED after %d s\n' $((SECONDS - start))
  tell 2>&1 | sed 's/^/   | /'
}

# finish says how it went, and leaves the cluster as it was.
finish() {
  [ -n "$E2E_KEEP" ] || make --no-print-directory undeploy >"$out/undeploy.log" 2>&1 || cat "$out/undeploy.log"
  printf '%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" = 0 ]
}

case ${1:-} in -h | --help) usage && exit ;; esac
checks=("$@")
[ $# -gt 0 ] || checks=(predict probes logs metrics rollout restart bad-model eviction kubelet scale deployers workflows)
for check in "${checks[@]}"; do
  [ -x "scripts/e2e/$check.sh" ] || { usage >&2 && exit 2; }
done
for tool in kubectl jq curl; do
  command -v "$tool" >/dev/null || die "there is no $tool"
done
kubectl version || die 'the cluster does not answer: see KUBECONFIG'
export E2E_LOAD E2E_METRICS_SERVER
mkdir -p "$out"
run images scripts/e2e/images.sh
[ "$failed" != 0 ] || run deploy scripts/e2e/deploy.sh
[ "$failed" = 0 ] || finish
for check in "${checks[@]}"; do run "$check" "scripts/e2e/$check.sh"; done
finish
