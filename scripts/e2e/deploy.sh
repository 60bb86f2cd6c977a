#!/usr/bin/env bash
# `make deploy` brings the environment dev into a cluster without it, and its replicas become ready.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

metrics_api() { kubectl get --raw /apis/metrics.k8s.io/v1beta1; }

if ! metrics_api >/dev/null 2>&1; then
  kubectl apply --filename "$E2E_METRICS_SERVER"
  # The kubelets of such a cluster have certificates that nobody has signed.
  kubectl -n kube-system patch deployment metrics-server --type json \
    --patch '[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--kubelet-insecure-tls"}]'
fi
make --no-print-directory undeploy # what another run may have left
await 90 'nothing is left of another run' settled 0
make --no-print-directory deploy IMAGE="$image_one"
await 120 'the replicas are ready' settled
await 180 'the cluster has metrics' kubectl top node
await 60 'make url prints the address' make --no-print-directory url
make --no-print-directory url >"$out/url"
say "the Service is at $(cat "$out/url")"
