#!/usr/bin/env bash
# The autoscaler goes from 2 replicas to 5 under load and back to 2 after it, and no request is lost. Writes the load
# test's report, a plot, and the seconds from the decision to the first answer of a new replica.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

# stamp puts the time before each line.
stamp() {
  while read -r line; do printf '%s %s\n' "$EPOCHREALTIME" "$line"; done
}

# first prints when a replica answered its first prediction, by its own log.
first() { # POD
  kube logs "$1" | jq -rR 'fromjson? | select(.httpRequest.requestUrl == "/predict" and .httpRequest.status == 200) | .time' | head -n 1
}

# firsts looks for that of each new replica soon, since logs of this length do not last.
firsts() {
  local pod
  while true; do
    for pod in $(comm -13 <(echo "$old") <(pods | sort)); do
      [ -s "$dir/$pod" ] || first "$pod" >"$dir/$pod" 2>/dev/null || true
    done
    sleep 0.5
  done
}

# callers are those that come anew: a load test keeps its connections, and with them its replicas.
callers() {
  while true; do
    predict "$url" >/dev/null || true
    sleep 0.1
  done
}

# delays sums up: from the decision to have one more replica to the first answer of one more. Decisions may come in steps.
delays() {
  local file
  for file in "$dir"/*; do
    [ ! -s "$file" ] || date --date "$(cat "$file")" +%s.%N
  done | sort >"$out/answers"
  jq -n --rawfile decisions "$out/decisions" --rawfile answers "$out/answers" \
    --argjson began "$(date --date "$(jq -r .started "$report")" +%s.%N)" '
    [$decisions | split("\n")[] | select(. != "") | split(" ") | map(tonumber)] as $decisions |
    [$answers | split("\n")[] | select(. != "") | tonumber] |
    [to_entries[] | .key as $known | .value as $answer | [$decisions[] | select(.[1] > 2 + $known)][0][0] | {decision: (. - $began), answer: ($answer - $began)}]' \
    >"$out/scale-delays.json"
  say "$(jq -r '"from the decisions to the first answers: \(map((.answer - .decision) * 100 | round / 100 | tostring) | join(" s, ")) s"' "$out/scale-delays.json")"
}

report=$out/scale.json
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
await 300 'two replicas are wanted to begin with' wanted 2
await 90 'and there' settled 2
old=$(pods | sort)
# Each number of replicas that the deployment is told to have. No function of ours, so that it is kubectl that ends.
kubectl -n "$namespace" get deployment "$deployment" --watch --output 'jsonpath={.spec.replicas}{"\n"}' > >(stamp >"$out/decisions") &
firsts &
callers &
bin/loadtest --target "$url" --stages "$E2E_RATE/s:30s,$E2E_SCALE_RATE/s:90s,$E2E_RATE/s:150s" --timeout 5s --max-errors 0 --min-rate 95% \
  --kube-namespace "$namespace" --kube-deployment "$deployment" --json "$report" --html "$out/scale.html" >"$out/scale.load" 2>&1 &
load=$!
await 115 'five replicas are wanted' wanted 5
await 60 'five replicas are ready' settled 5
await 420 'two replicas are wanted again' wanted 2
await 90 'the others are gone' settled 2
code=0
wait "$load" || code=$?
sed 's/^/    /' "$out/scale.load"
delays
jq -r --slurpfile delays "$out/scale-delays.json" --from-file scripts/e2e/plot.jq "$report" >"$out/scale.svg"
[ "$code" = 0 ] || fail 'the load test has failed'
say "$out/scale.svg has the plot, $out/scale.html the report"
