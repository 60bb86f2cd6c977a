#!/usr/bin/env bash
# The Helm chart, in the namespace iris-chart: its test passes, a new image is rolled out under load and no request is lost,
# and an image whose model answers wrongly is rolled back.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash
namespace=iris-chart

helm() { go tool -modfile=tools/helm/go.mod helm --namespace "$namespace" "$@"; }
install() { # IMAGE SECONDS
  helm upgrade --install iris k8s/chart --create-namespace --set "image=$1" --set service.type=NodePort --wait --timeout "$2s" --rollback-on-failure
}
gone() { [ -z "$(kubectl get namespace "$namespace" --ignore-not-found)" ]; }

kubectl delete namespace "$namespace" --ignore-not-found --wait=false # what another run may have left
await 180 'nothing is left of another run' gone
install "$image_one" 180
await 60 'the replicas are ready' settled
helm test iris --logs || fail 'helm test fails'
host=$(kubectl get nodes --output 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}')
url=http://$host:$(kube get service "$service" --output 'jsonpath={.spec.ports[0].nodePort}')
load_begin chart
install "$image_two" 180
await 90 'the old replicas are gone' settled
load_end
image() { kube get deployment "$deployment" --output 'jsonpath={.spec.template.spec.containers[0].image}'; }
[ "$(image)" = "$image_two" ] || fail "it runs $(image)"
say "every replica is ${image_two##*:}"
load_begin chart-bad
! install "$image_bad" 45 || fail 'the bad image was installed'
await 90 'the bad replica is gone' settled
load_end
[ "$(image)" = "$image_two" ] || fail "it runs $(image)"
say 'the bad image was rolled back'
helm uninstall iris --wait
kubectl delete namespace "$namespace" --wait=false
await 120 'the namespace is gone' gone
