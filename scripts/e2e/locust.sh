#!/usr/bin/env bash
# Puts the guide's 1,000 users on the Service, by Locust, and measures the CPU that they cost the replicas.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

requests() { metric http_server_request_duration_seconds_count "$@"; }

make --no-print-directory .venv/locust
await 180 'two replicas to begin with' settled 2
mapfile -t names < <(pods)
make --no-print-directory locust HOST="$url" HEADLESS=1 RUN_TIME=120s >"$out/locust.log" 2>&1 &
locust=$!
trap 'kill "$locust" 2>/dev/null || true' EXIT
sleep 50 # 20 s until all 1,000 are there, and time for Locust to be up
start=$EPOCHREALTIME cpu=$(metric process_cpu_seconds_total "${names[@]}") asked=$(requests "${names[@]}")
sleep 60
seconds=$(jq -n "$EPOCHREALTIME - $start")
cpu=$(jq -n "$(metric process_cpu_seconds_total "${names[@]}") - $cpu")
asked=$(jq -n "$(requests "${names[@]}") - $asked")
say "1,000 users: $(jq -nr "\"\($asked / $seconds | round) requests a second, \($cpu / $seconds * 1000 | round) m of CPU of the replicas, \($cpu / $asked * 1e7 | round / 10) µs for each\"")"
wait "$locust" || { tail -n 40 "$out/locust.log" && fail 'Locust counts failures'; }
grep 'Aggregated' "$out/locust.log" | tail -n 2 | sed 's/^/    /'
[ "$(kube get deployment "$deployment" --output 'jsonpath={.spec.replicas}')" = 2 ] || fail 'the autoscaler has moved'
say 'two replicas were enough'
