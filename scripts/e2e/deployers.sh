#!/usr/bin/env bash
# Each deployer works in its own namespace and in no other: the API server lets a preview's in where previews are, and refuses
# it in prod's. It needs the API server alone, and whoever runs it is an admin, who may act as somebody else.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

domain=my-mlops-project.iam.gserviceaccount.com
work=$(mktemp -d)
made=()
leave() {
  [ ${#made[@]} = 0 ] || kubectl delete namespace "${made[@]}" --ignore-not-found --wait=false >/dev/null
  rm -rf "$work"
}
trap leave EXIT

# as NAME COMMAND… does something as a deployer, whom the cluster knows by the address of its account.
as() {
  local who=$1
  shift
  kubectl --as "$who@$domain" --as-group system:authenticated "$@"
}

allowed() { # WHO COMMAND…
  as "$@" >"$work/out" 2>&1 || {
    cat "$work/out" >&2
    fail "$* was refused"
  }
}

refused() { # WHO COMMAND…
  ! as "$@" >"$work/out" 2>&1 || fail "$* was allowed"
  grep -qi forbidden "$work/out" || {
    cat "$work/out" >&2
    fail "$* failed for another reason"
  }
}

# may WHO NAMESPACE VERB RESOURCE [FLAG] asks the API server.
may() {
  local who=$1 in=$2
  shift 2
  [ "$(as "$who" auth can-i "$@" --namespace "$in" 2>/dev/null)" = yes ]
}

# What `make infra-prepare` does.
for who in cicd-deployer-preview:deployer:preview cicd-deployer-clean-up:preview-clean-up:preview cicd-deployer-prod:deployer:prod; do
  IFS=: read -r name role env <<<"$who"
  kubectl get namespace "iris-$env" >/dev/null 2>&1 || made+=("iris-$env")
  kubectl apply --server-side --field-manager=tepal-deploy --kustomize "k8s/namespaces/$env" >/dev/null
  kubectl apply --namespace "iris-$env" --filename "k8s/deployers/$role.yaml" >/dev/null
  kubectl delete rolebinding "$name" --namespace "iris-$env" --ignore-not-found >/dev/null
  kubectl create rolebinding "$name" --namespace "iris-$env" --role "$role" --user "$name@$domain" >/dev/null
done

# What each environment consists of, but for the namespace, which `make deploy` leaves out as well.
for env in preview prod; do
  ENV=$env PR=7 IMAGE=localhost/tepal:e2e make --no-print-directory manifests >"$work/$env.yaml"
done
apply=(apply --server-side --force-conflicts --field-manager=tepal-deploy --selector '!pod-security.kubernetes.io/enforce' --filename)

allowed cicd-deployer-preview "${apply[@]}" "$work/preview.yaml"
say "a preview's identity deploys $(grep -c configured <(sed 's/serverside-applied/configured/' "$work/out")) objects to iris-preview"
refused cicd-deployer-preview "${apply[@]}" "$work/prod.yaml"
say "and none to iris-prod: $(grep -m1 -o 'User .*' "$work/out")"
[ -z "$(kubectl --namespace iris-prod get deployments,services,configmaps --selector "$labels" --output name)" ] || fail 'something of it is in iris-prod'
allowed cicd-deployer-prod "${apply[@]}" "$work/prod.yaml"
say "prod's identity deploys there"
refused cicd-deployer-prod "${apply[@]}" "$work/preview.yaml"

may cicd-deployer-preview iris-preview create pods --subresource=portforward || fail 'a deployer cannot ask for a prediction'
for who in cicd-deployer-preview cicd-deployer-prod cicd-deployer-clean-up; do
  for env in preview prod; do
    for what in 'get secrets' 'create pods --subresource=exec' 'create rolebindings' 'impersonate serviceaccounts' 'create serviceaccounts --subresource=token'; do
      # shellcheck disable=SC2086 # a verb and what it is done to
      ! may "$who" "iris-$env" $what || fail "$who may $what in iris-$env"
    done
  done
  ! may "$who" default create namespaces || fail "$who may make namespaces"
  ! may "$who" default get nodes || fail "$who may see nodes"
done
say 'nobody reads secrets, opens a shell, or gives rights away'

refused cicd-deployer-clean-up --namespace iris-preview create configmap mine
refused cicd-deployer-clean-up delete --ignore-not-found --filename "$work/prod.yaml" --selector '!shared'
allowed cicd-deployer-clean-up delete --ignore-not-found --filename "$work/preview.yaml" --selector '!shared'
[ -z "$(kubectl --namespace iris-preview get deployments,services --selector "$labels" --output name)" ] || fail 'the preview is still there'
[ -n "$(kubectl --namespace iris-prod get deployments --selector "$labels" --output name)" ] || fail 'prod is gone'
say "the clean-up's removes the preview, makes nothing, and leaves prod alone"
