#!/usr/bin/env bash
# Prints the manifests of one environment, ready for `kubectl apply`. An overlay
# and components are put together in a folder below bin, so that no file of the
# repository is changed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/k8s.bash
source scripts/k8s.bash

usage() {
  cat <<'USAGE'
Usage: ENV=prod IMAGE=REPOSITORY@sha256:DIGEST [VARIABLE=VALUE…] scripts/manifests.sh

  ENV         guide, dev, staging, prod or preview
  IMAGE       REPOSITORY@sha256:DIGEST or REPOSITORY:TAG
  PR          the pull request's number, for ENV=preview
  COMPONENTS  folders of k8s/components, with spaces between them
  CANARY      the image of the component canary

Components read CLOUD_PROJECT_ID, CLUSTER_NAME, CLUSTER_REGION, AWS_ACCOUNT_ID,
AWS_REGION, AZURE_CLIENT_ID, GATEWAY_CLASS, OTLP_ENDPOINT and PROMETHEUS.
docs/kubernetes.md says which. KUSTOMIZE is another command than the pinned one.
USAGE
}

# image NAME VALUE prints the entry that puts an image in place of a name.
image() {
  local name=$1 value=$2 repository
  if [[ $value =~ ^([^@[:space:]]+)@(sha256:[0-9a-f]{64})$ ]]; then
    printf '  - {name: "%s", newName: "%s", digest: "%s"}\n' "$name" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    return
  fi
  repository=${value%:*}
  # The last colon is a tag's only when no slash follows it: a registry has a port.
  [[ $value =~ ^[^@[:space:]]+:[A-Za-z0-9_][A-Za-z0-9._-]*$ && $value != "$repository" ]] ||
    die "image $value is neither REPOSITORY@sha256:DIGEST nor REPOSITORY:TAG"
  printf '  - {name: "%s", newName: "%s", newTag: "%s"}\n' "$name" "$repository" "${value##*:}"
}

# at_most_one COMPONENT… fails when several of them were chosen.
at_most_one() {
  local component found=
  for component; do
    [[ " ${COMPONENTS:-} " == *" $component "* ]] || continue
    [ -z "$found" ] || die "the components $found and $component exclude each other: see docs/kubernetes.md"
    found=$component
  done
}

# check_components sees that they are there and can be together.
check_components() {
  local component
  for component in ${COMPONENTS:-}; do
    [[ $component =~ ^[a-z][a-z-]*$ && -f k8s/components/$component/kustomization.yaml ]] ||
      die "there is no k8s/components/$component"
  done
  at_most_one gke gke-otlp eks aks onprem
  at_most_one otel-collector gke-otlp eks aks
  at_most_one hpa-custom keda
  at_most_one scrape monitoring
  at_most_one gateway canary
  if [[ " ${COMPONENTS:-} " == *' canary '* ]]; then
    [ -n "${CANARY:-}" ] || die 'the component canary needs CANARY, its image'
  fi
  if [[ $ENV == guide && " ${COMPONENTS:-} " == *' networkpolicy '* ]]; then
    die 'networkpolicy would cut off everything else in the namespace default'
  fi
  if [[ $ENV == preview && " ${COMPONENTS:-} " == *' keda '* ]]; then
    die 'keda would scale by the replicas of every pull request, which have one namespace'
  fi
}

# values prints the variables of the cluster that are set, as literals.
values() {
  local name
  for name in CLOUD_PROJECT_ID CLUSTER_NAME CLUSTER_REGION AWS_ACCOUNT_ID AWS_REGION AZURE_CLIENT_ID \
    GATEWAY_CLASS OTLP_ENDPOINT PROMETHEUS; do
    [ -z "${!name:-}" ] || printf '      - "%s=%s"\n' "$name" "${!name}"
  done
}

# write_cluster DIR puts what is known of the cluster into the overlay.
write_cluster() {
  local literals
  literals=$(values)
  mkdir "$1/cluster"
  {
    echo 'resources:'
    echo "  - ../../../k8s/overlays/$ENV"
    if [ -n "$literals" ]; then
      printf 'configMapGenerator:\n  - name: cluster\n    namespace: %s\n    behavior: merge\n    literals:\n%s\n' "$namespace" "$literals"
    fi
  } >"$1/cluster/kustomization.yaml"
}

# write_whole DIR adds components, images and, for a preview, its number.
write_whole() {
  local component
  {
    echo 'resources: [cluster]'
    echo "namespace: $namespace"
    echo 'sortOptions: {order: legacy}'
    if [ -n "${COMPONENTS:-}" ]; then
      echo 'components:'
      # The canary first: others change its pods as well.
      for component in $(grep -owF canary <<<"$COMPONENTS" | head -n 1 || true) ${COMPONENTS/canary/}; do
        echo "  - ../../k8s/components/$component"
      done
    fi
    echo 'images:'
    image registry.invalid/iris "$IMAGE"
    [ -z "${CANARY:-}" ] || image registry.invalid/iris-canary "$CANARY"
    if [ "$ENV" = preview ]; then
      echo "nameSuffix: $suffix"
      # Monitors select, too; kustomize knows of selectors in its own kinds alone.
      printf 'labels:\n  - pairs: {instance: %s}\n    includeSelectors: true\n    fields:\n' "${suffix#-}"
      echo '      - {kind: ServiceMonitor, path: spec/selector/matchLabels, create: true}'
      echo '      - {kind: PodMonitoring, path: spec/selector/matchLabels, create: true}'
      echo 'transformers: [../../k8s/overlays/preview/shared]'
    fi
  } >"$1/kustomization.yaml"
}

no_arguments "$@"
names
[ -n "${IMAGE:-}" ] || die 'IMAGE is missing: REPOSITORY@sha256:DIGEST or REPOSITORY:TAG'
check_components

mkdir -p bin
dir=$(mktemp -d bin/manifests.XXXXXX)
trap 'rm -rf "$dir"' EXIT
write_cluster "$dir"
write_whole "$dir"
# shellcheck disable=SC2086 # a command with its arguments
# Dashboards and rules lie outside of k8s, with the telemetry that they are about.
${KUSTOMIZE:-go tool -modfile=tools/kustomize/go.mod kustomize} build --load-restrictor LoadRestrictionsNone "$dir"
