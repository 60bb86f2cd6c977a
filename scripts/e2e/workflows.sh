#!/usr/bin/env bash
# The steps of the workflows that deploy do on a cluster what they are for: rollouts, a preview, its comment, its end.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

# It sets these itself, as a workflow does.
cd .github/test
env --unset=ENV --unset=COMPONENTS IMAGE="$image_one" go test -tags cluster -count=1 -timeout 12m -run '^TestCluster' .
