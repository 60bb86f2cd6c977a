#!/usr/bin/env bash
# A new image is rolled out under load, and no request is lost.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

load_begin rollout
make --no-print-directory deploy IMAGE="$image_two"
await 90 'the old replicas are gone' settled
load_end
for pod in $(pods); do
  grep -q "^tepal_build_info{.*version=\"${image_two##*:}\"" <<<"$(ask "$pod" 8002 /metrics)" || fail "$pod is of another build"
done
say "every replica is ${image_two##*:}"
