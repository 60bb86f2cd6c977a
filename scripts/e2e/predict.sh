#!/usr/bin/env bash
# A prediction through the Service is right, and every replica gives some.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

answered() { # POD
  # The autoscaler may take it away meanwhile.
  [ -n "$(kube get pod "$1" --ignore-not-found)" ] || return 0
  predict "$url" >/dev/null
  [ "$(metric tepal_predictions_total "$1")" != 0.000000 ]
}

answer=$(predict "$url")
jq -e '.label == "setosa" and (.probabilities | add | . > 0.999 and . < 1.001)' <<<"$answer" >/dev/null || fail "it was $answer"
say "it is a setosa: $answer"
for pod in $(pods); do
  await 60 "$pod has answered" answered "$pod"
done
