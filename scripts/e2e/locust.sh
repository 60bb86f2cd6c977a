#!/usr/bin/env bash
# Puts the guide's 1,000 users on the Service, by Locust, and measures the CPU that they cost the replicas.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

# Of all replicas: those that the autoscaler adds begin with nothing.
total() { # METRIC
  local names
  mapfile -t names < <(pods)
  metric "$1" "${names[@]}"
}
cpu() { total process_cpu_seconds_total; }
requests() { total http_server_request_duration_seconds_count; }

make --no-print-directory .venv/locust
await 180 'the replicas are ready' settled
make --no-print-directory locust HOST="$url" HEADLESS=1 RUN_TIME=120s >"$out/locust.log" 2>&1 &
locust=$!
trap 'kill "$locust" 2>/dev/null || true' EXIT
sleep 50 # 20 s until all 1,000 are there, and time for Locust to be up
start=$EPOCHREALTIME cpu=$(cpu) asked=$(requests)
sleep 60
seconds=$(jq -n "$EPOCHREALTIME - $start")
cpu=$(jq -n "$(cpu) - $cpu")
asked=$(jq -n "$(requests) - $asked")
say "1,000 users: $(jq -nr "\"\($asked / $seconds | round) requests a second, \($cpu / $seconds * 1000 | round) m of CPU of the replicas, \($cpu / $asked * 1e7 | round / 10) µs for each\"")"
wait "$locust" || { tail -n 40 "$out/locust.log" && fail 'Locust counts failures'; }
grep 'Aggregated' "$out/locust.log" | tail -n 2 | sed 's/^/    /'
say "the autoscaler wants $(kube get deployment "$deployment" --output 'jsonpath={.spec.replicas}') replicas"
