#!/usr/bin/env bash
# Measures the CPU that a request costs with 1, 2 and 4 replicas. On one machine they share its cores, so that is what
# says whether more replicas mean more throughput.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

: "${E2E_REPLICAS_RATE:=2000}"

bounds() { # LEAST MOST
  kube patch hpa iris-classifier-hpa --type merge --patch "{\"spec\": {\"minReplicas\": $1, \"maxReplicas\": $2}}" >/dev/null
}

trap 'bounds 2 5' EXIT
for count in 1 2 4; do
  bounds "$count" "$count"
  await 180 "replicas ready: $count" settled "$count"
  mapfile -t names < <(pods)
  bin/loadtest --target "$url" --rate "$E2E_REPLICAS_RATE" --duration 10s >/dev/null # everything is warm then
  cpu=$(metric process_cpu_seconds_total "${names[@]}")
  asked=$(metric http_server_request_duration_seconds_count "${names[@]}")
  bin/loadtest --target "$url" --rate "$E2E_REPLICAS_RATE" --duration 30s --max-errors 0 --json "$out/replicas-$count.json" >"$out/replicas-$count.load" ||
    { cat "$out/replicas-$count.load" && fail 'the load was not held'; }
  cpu=$(jq -n "$(metric process_cpu_seconds_total "${names[@]}") - $cpu")
  asked=$(jq -n "$(metric http_server_request_duration_seconds_count "${names[@]}") - $asked")
  say "$(jq -r --argjson count "$count" --argjson cpu "$cpu" --argjson asked "$asked" '.total | "replicas: \($count), right answers: \(.right_rate | round)/s, CPU: \($cpu / .duration_seconds * 1000 | round) m, for each request: \($cpu / $asked * 1e7 | round / 10) µs, p50 \(.p50_seconds * 1e5 | round / 100) ms, p99 \(.p99_seconds * 1e5 | round / 100) ms"' \
    "$out/replicas-$count.json")"
done
