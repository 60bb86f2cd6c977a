#!/usr/bin/env bash
# An image whose model answers wrongly never becomes ready and gets no request; `make deploy` fails and brings the old one back.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

bad() { pods_of "$image_bad"; }
running() { pod=$(bad | head -n 1) && [ -n "$pod" ] && [ "$(ask "$pod" 8000 /live_check | jq -r .status)" = alive ]; }
kept_out() { # the Service knows it, and sends it and its like nothing
  kube get endpointslices --selector "kubernetes.io/service-name=$service" --output json |
    jq -e --arg pod "$pod" --arg bad "$(bad)" '[.items[].endpoints[]? | select(.targetRef.name | IN($bad | split("\n")[])) |
      {name: .targetRef.name, ready: .conditions.ready}] | any(.name == $pod) and all(.ready == false)'
}

good=$(kube get deployment "$deployment" --output 'jsonpath={.spec.template.spec.containers[0].image}')
old=$(templates)
load_begin bad-model
DEPLOY_TIMEOUT=45 make --no-print-directory deploy IMAGE="$image_bad" >"$out/bad-model.log" 2>&1 &
deploy=$!
# shellcheck disable=SC2064 # those of now
trap "kill $load $deploy 2>/dev/null || true" EXIT
await 40 'a replica with the bad model is alive' running
await 10 'the Service has it as not ready' kept_out
for _ in {1..15}; do
  kept_out >/dev/null || fail 'the Service has it as ready'
  sleep 1
done
say 'so it is for 15 s'
why=$(ask "$pod" 8000 /ready_check 2>&1) && fail "it says that it is ready: $why"
why=$(kube logs "$pod" | jq -rR 'fromjson? | select(.message == "not ready") | .reason')
[[ $why == 'golden mismatch'* ]] || fail "its log does not say why: $why"
say "its log says why: $why"
[ "$(metric http_server_request_duration_seconds_count "$pod")" = 0.000000 ] || fail 'it was asked something'
[ "$(kube get pod "$pod" --output 'jsonpath={.status.containerStatuses[0].restartCount}')" = 0 ] || fail 'it was restarted'
say 'it was asked nothing, and liveness let it live'
! wait "$deploy" || fail 'make deploy succeeded'
grep -q 'and it was undone$' "$out/bad-model.log" || { cat "$out/bad-model.log" && fail 'make deploy did not undo it'; }
say "make deploy: $(tail -n 3 "$out/bad-model.log" | grep 'it was undone')"
await 60 'the bad replica is gone' settled
load_end
[ "$(kube get deployment "$deployment" --output 'jsonpath={.spec.template.spec.containers[0].image}')" = "$good" ] || fail "it does not run $good"
[ "$(templates)" = "$old" ] || fail 'the old replicas were replaced'
say "the replicas of $good are of the same revision as before"
