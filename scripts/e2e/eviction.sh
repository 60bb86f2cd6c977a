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

mapfile -t names < <(pods)
load_begin eviction
answer=$(evict "${names[0]}") || fail "the first was refused: $answer"
say "${names[0]} is evicted"
answer=$(evict "${names[1]}") && fail 'the second was evicted too'
[[ $answer == *'disruption budget'* ]] || fail "it was refused for another reason: $answer"
say "${names[1]}: $answer"
await 90 'two replicas are ready again' settled 2
answer=$(evict "${names[1]}") || fail "now it was refused: $answer"
say "${names[1]} is evicted"
await 90 'two replicas are ready again' settled 2
load_end
