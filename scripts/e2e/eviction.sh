#!/usr/bin/env bash
# One replica may be evicted; the next eviction is refused by the disruption budget until a new one is ready.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

evict() { # POD
  kubectl create --raw "/api/v1/namespaces/$namespace/pods/$1/eviction" --filename - <<<"{\"apiVersion\": \"policy/v1\", \"kind\": \"Eviction\",
    \"metadata\": {\"name\": \"$1\", \"namespace\": \"$namespace\"}}" 2>&1
}

# evict_one takes a replica that is ready: the budget lets those go that are not.
evict_one() {
  pod=$(ready | head -n 1)
  answer=$(evict "$pod")
}

load_begin eviction
# The autoscaler may just be adding one, which is then the one that may be missing.
await 90 'a replica may be evicted' evict_one
say "$pod is evicted"
! evict_one || fail "the second, $pod, was evicted too"
[[ $answer == *'disruption budget'* ]] || fail "it was refused for another reason: $answer"
say "$pod: $answer"
await 90 'another is ready, and one more may be evicted' evict_one
say "$pod is evicted"
await 90 'all replicas are ready again' settled
load_end
