#!/usr/bin/env bash
# Deletes what `make deploy` has made of an environment, or of one pull request.
# The namespace and the service account stay: others may use them.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/k8s.bash
source scripts/k8s.bash

usage() { echo 'Usage: ENV=preview PR=12 [CLUSTER=…] [COMPONENTS=…] [DRY_RUN=1] scripts/undeploy.sh'; }
no_arguments "$@"

run() { # COMMAND…
  printf '+ %s\n' "$*" >&2
  [ "${DRY_RUN:-}" = 1 ] || "$@"
}

names
manifests=$(mktemp)
trap 'rm -f "$manifests"' EXIT
# No image is needed to know the names.
CANARY=registry.invalid/iris:none scripts/manifests.sh >"$manifests"
run kubectl delete --ignore-not-found --selector '!shared' --filename "$manifests"
# Those of earlier rollouts, which have other names.
run kubectl -n "$namespace" delete configmap --selector "app=iris-classifier${suffix:+,instance=${suffix#-}}"
