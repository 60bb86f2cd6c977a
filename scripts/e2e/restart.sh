#!/usr/bin/env bash
# `kubectl rollout restart` replaces every replica under load, and no request is lost.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

old=$(pods | sort)
load_begin restart
kube rollout restart "deployment/$deployment"
kube rollout status "deployment/$deployment" --timeout=180s
await 90 'the old replicas are gone' settled
load_end
[ -z "$(comm -12 <(echo "$old") <(pods | sort))" ] || fail 'a replica is the same as before'
say 'every replica is a new one'
