#!/usr/bin/env bash
# Applies the manifests of an environment to the cluster of KUBECONFIG, waits for
# the rollout, asks for a prediction through the Service, and undoes the rollout
# when either fails. Exits with 0 only when the new image answers.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/k8s.bash
source scripts/k8s.bash

usage() {
  cat <<'USAGE'
Usage: ENV=prod CLUSTER=gke-autopilot IMAGE=REPOSITORY@sha256:DIGEST [VARIABLE=VALUE…] scripts/deploy.sh

Variables are those of scripts/manifests.sh, and

  KUBECONFIG      the cluster
  DEPLOY_TIMEOUT  seconds that a rollout may take, and its undoing again (30 more
                  than its progressDeadlineSeconds, so that Kubernetes says why)
  SMOKE_BODY      what is posted to /predict (an Iris setosa)
  SMOKE_EXPECT    what the answer must contain ("label":"setosa")
  DRY_RUN         1 prints the commands alone
USAGE
}

run() { # COMMAND…
  printf '+ %s\n' "$*" >&2
  [ "${DRY_RUN:-}" = 1 ] || "$@"
}

# revision prints that of the deployment, or nothing when there is none.
revision() {
  kubectl -n "$namespace" get deployment "$deployment" --ignore-not-found \
    --output 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}'
}

# Server-side: the dashboard is too large for the annotation of the other way. With
# force, since an undo makes itself the owner of the fields that it changes.
# Who may edit in the namespace and not make it finds it made, by `make infra-prepare`.
apply() {
  local but=()
  if [ "${DRY_RUN:-}" != 1 ] && ! kubectl auth can-i patch "namespaces/$namespace" --namespace "$namespace" --quiet 2>/dev/null; then
    # A label of namespaces alone.
    but=(--selector '!pod-security.kubernetes.io/enforce')
  fi
  run kubectl apply --server-side --force-conflicts --field-manager=tepal-deploy "${but[@]}" --filename "$manifests"
}

await_rollout() {
  run kubectl -n "$namespace" rollout status "deployment/$deployment" --timeout="${DEPLOY_TIMEOUT}s"
}

# smoke forwards a free port to the Service and asks for a prediction there, twenty
# times at most.
smoke() {
  local port='' answer='' try
  printf '+ kubectl -n %s port-forward service/%s :80\n' "$namespace" "$service" >&2
  [ "${DRY_RUN:-}" != 1 ] || return 0
  kubectl -n "$namespace" port-forward "service/$service" :80 >"$dir/forward" &
  forward=$!
  for try in $(seq 20); do
    if [ -z "$port" ]; then
      port=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$dir/forward")
    fi
    if [ -n "$port" ] && answer=$(curl --silent --show-error --fail --max-time 10 --header 'Content-Type: application/json' \
      --data "$SMOKE_BODY" "http://127.0.0.1:$port/predict"); then
      break
    fi
    kill -0 "$forward" 2>/dev/null || break
    [ "$try" = 20 ] || sleep "${SMOKE_INTERVAL:-1}"
  done
  kill "$forward" 2>/dev/null || true
  if [[ $answer != *"$SMOKE_EXPECT"* ]]; then
    printf 'deploy: /predict answered %s, without %s\n' "${answer:-nothing}" "$SMOKE_EXPECT" >&2
    return 1
  fi
  printf 'deploy: /predict answered %s\n' "$answer" >&2
}

# explain shows why: what a person would ask for first.
explain() {
  local labels=app=iris-classifier${suffix:+,instance=${suffix#-}}
  {
    kubectl -n "$namespace" get deployment,replicaset,pod --selector "$labels" --output wide
    kubectl -n "$namespace" get events --sort-by=.lastTimestamp | tail -n 20
    kubectl -n "$namespace" logs --selector "$labels" --tail=20 --prefix
  } >&2 || true
}

# undo brings back the revision from before, or deletes what the first deployment
# has made. The namespace and the service account stay.
undo() {
  local after
  if [ -z "$before" ]; then
    run kubectl delete --ignore-not-found --selector '!shared' --filename "$manifests"
    return
  fi
  # `set -e` is off in here, since the caller asks how it went.
  after=$(revision) || return
  if [ "$after" = "$before" ]; then
    echo 'deploy: the pods are as before: there is no rollout to undo' >&2
    return
  fi
  run kubectl -n "$namespace" rollout undo "deployment/$deployment" --to-revision="$before" || return
  await_rollout
}

fail() { # WHAT
  echo "deploy: $1" >&2
  explain
  if undo; then
    echo "deploy: $1, and it was undone" >&2
  else
    echo "deploy: $1, and UNDOING IT FAILED TOO: see docs/playbooks/rollout-stuck.md" >&2
  fi
  exit 1
}

no_arguments "$@"
names
: "${SMOKE_BODY:={\"sepal_length\":5.1,\"sepal_width\":3.5,\"petal_length\":1.4,\"petal_width\":0.2\}}"
: "${SMOKE_EXPECT:=\"label\":\"setosa\"}"

dir=$(mktemp -d)
forward=
trap '[ -z "$forward" ] || kill "$forward" 2>/dev/null || true; rm -rf "$dir"' EXIT
manifests=$dir/manifests.yaml
scripts/manifests.sh >"$manifests"
! grep -q 'image: registry\.invalid/' "$manifests" || die 'IMAGE is missing: REPOSITORY@sha256:DIGEST or REPOSITORY:TAG'
: "${DEPLOY_TIMEOUT:=$(awk '$1 == "progressDeadlineSeconds:" && $2 > most {most = $2} END {print most + 30}' "$manifests")}"

before=
[ "${DRY_RUN:-}" = 1 ] || before=$(revision) || die 'the cluster does not answer: see KUBECONFIG, kubectl cluster-info'
apply || fail 'not everything could be applied'
await_rollout || fail 'the rollout failed'
smoke || fail 'the smoke test failed'
[ "${DRY_RUN:-}" = 1 ] || echo "deploy: $deployment in $namespace runs $IMAGE" >&2
