#!/usr/bin/env bash
# Metrics count what was predicted, and say which build and model it was.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

# A replica that the autoscaler adds or takes away meanwhile brings or takes its counts: then it is counted again.
for _ in {1..10}; do
  await 120 'the replicas are ready' settled
  mapfile -t names < <(pods)
  before=$(metric tepal_predictions_total "${names[@]}")
  for _ in {1..20}; do predict "$url" >/dev/null; done
  after=$(metric tepal_predictions_total "${names[@]}")
  [ "$(pods)" != "$(printf '%s\n' "${names[@]}")" ] || break
done
[ "$(jq -n "$after - $before")" = 20 ] || fail "20 predictions made $before into $after"
say '20 predictions more are counted as 20'
image=$(kube get deployment "$deployment" --output 'jsonpath={.spec.template.spec.containers[0].image}')
for pod in "${names[@]}"; do
  text=$(ask "$pod" 8002 /metrics)
  grep -q '^tepal_model_ready 1$' <<<"$text" || fail "$pod has no model that is ready"
  grep -q "^tepal_build_info{.*version=\"${image##*:}\"" <<<"$text" || fail "$pod is of another build"
done
say "every replica is ${image##*:}, with a model that is ready"
