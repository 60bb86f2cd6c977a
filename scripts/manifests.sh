#!/usr/bin/env bash
# Prints the manifests of one environment, ready for `kubectl apply`: the composition
# k8s/clusters/CLUSTER with the variables that are set in place of its values, and
# with what ENV and COMPONENTS add. It works on a copy, so that no file of the
# repository is changed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/k8s.bash
source scripts/k8s.bash

usage() {
  cat <<'USAGE'
Usage: ENV=prod CLUSTER=gke-autopilot IMAGE=REPOSITORY@sha256:DIGEST [VARIABLE=VALUE…] scripts/manifests.sh

  ENV         guide, dev, staging, prod or preview
  CLUSTER     a folder of k8s/clusters; without it, nothing but the base
  IMAGE       REPOSITORY@sha256:DIGEST or REPOSITORY:TAG
  PR          the pull request's number, for ENV=preview
  COMPONENTS  further folders of k8s/components, with spaces between them
  CANARY      the image of the component canary

IMAGE, CANARY, CLOUD_PROJECT_ID, CLUSTER_NAME, CLUSTER_REGION, AWS_ACCOUNT_ID,
AWS_REGION, AZURE_CLIENT_ID, GATEWAY_CLASS, OTLP_ENDPOINT and PROMETHEUS take the
place of the lines of these names in the composition's values.env. Which component
reads which is in docs/kubernetes.md. KUSTOMIZE is another command than the pinned one.
USAGE
}

# chosen says whether a component was.
chosen() { [[ " ${components[*]} " == *" $1 "* ]]; }

# at_most_one COMPONENT… fails when several of them were chosen.
at_most_one() {
  local component found=
  for component; do
    chosen "$component" || continue
    [ -z "$found" ] || die "the components $found and $component exclude each other: see docs/kubernetes.md"
    found=$component
  done
}

# choose sets components: those of the composition, and COMPONENTS.
choose() {
  local component without=
  # Others live in the namespace default.
  [ "$ENV" != guide ] || without=networkpolicy
  components=(image)
  if [ -n "${CLUSTER:-}" ]; then
    [[ $CLUSTER =~ ^[a-z0-9][a-z0-9-]*$ && -f k8s/clusters/$CLUSTER/kustomization.yaml ]] || die "there is no k8s/clusters/$CLUSTER; there are: $(cd k8s/clusters && echo *)"
    mapfile -t components < <(awk -v without="$without" 'sub("^  - ../../components/", "") && $0 != without' "k8s/clusters/$CLUSTER/kustomization.yaml")
  fi
  for component in ${COMPONENTS:-}; do
    [[ $component =~ ^[a-z][a-z-]*$ && -f k8s/components/$component/kustomization.yaml ]] ||
      die "there is no k8s/components/$component; there are: $(cd k8s/components && echo *)"
    chosen "$component" || components+=("$component")
  done
  at_most_one gke gke-otlp eks aks onprem
  at_most_one otel-collector gke-otlp eks aks
  at_most_one scrape monitoring
  at_most_one gateway canary
  if [ "$ENV" = guide ] && chosen networkpolicy; then
    die 'networkpolicy would cut off everything else in the namespace default'
  fi
  if [ "$ENV" = preview ] && chosen keda; then
    die 'keda would scale by the replicas of every pull request, which have one namespace'
  fi
}

# check_images sees that they name what is to run, and nothing beside it.
check_images() {
  local name
  # The last colon is a tag's only when no slash follows it: a registry has a port.
  for name in IMAGE CANARY; do
    [[ -z ${!name:-} || ${!name} =~ ^[^@[:space:]]+(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9._-]*)$ ]] ||
      die "$name=${!name} is neither REPOSITORY@sha256:DIGEST nor REPOSITORY:TAG"
  done
  if chosen canary && [ -z "${CANARY:-}" ]; then
    die 'the component canary needs CANARY, its image'
  fi
}

# write_values FILE puts the variables that are set in place of its lines.
write_values() {
  local name
  # Without a composition, the examples of all.
  [ -n "${CLUSTER:-}" ] || cat k8s/clusters/*/values.env | awk -F= '!/^#/ && !seen[$1]++' >"$1"
  for name in IMAGE CANARY CLOUD_PROJECT_ID CLUSTER_NAME CLUSTER_REGION AWS_ACCOUNT_ID AWS_REGION AZURE_CLIENT_ID \
    GATEWAY_CLASS OTLP_ENDPOINT PROMETHEUS; do
    [ -n "${!name:-}" ] || continue
    sed -i.was "/^$name=/d" "$1"
    printf '%s=%s\n' "$name" "${!name}" >>"$1"
  done
}

# write_components FILE lists them all: the canary's first, since others change its pods too, and the policies before the
# clouds, which add to them; KEDA's after the environment, since it asks for the namespace.
write_components() {
  sed -i.was -e '/^components:/d' -e '\|^  - \.\./\.\./components/|d' -e '\|^  - \.\./\.\./environments/|d' "$1"
  {
    echo 'components:'
    printf '%s\n' "${components[@]}" | awk '/^(canary|networkpolicy)$/ {print "  - ../../components/" $0}' | sort
    printf '%s\n' "${components[@]}" | awk '!/^(canary|networkpolicy|keda)$/ {print "  - ../../components/" $0}'
    echo "  - ../../environments/$ENV"
    ! chosen keda || echo '  - ../../components/keda'
  } >>"$1"
}

# write_top FILE keeps the previews apart, each with its number.
write_top() {
  {
    echo "resources: [../clusters/${CLUSTER:-none}]"
    echo 'sortOptions: {order: legacy}'
    if [ "$ENV" = preview ]; then
      echo "nameSuffix: $suffix"
      # Monitors select, too; kustomize knows of selectors in its own kinds alone.
      printf 'labels:\n  - pairs: {instance: %s}\n    includeSelectors: true\n    fields:\n' "${suffix#-}"
      echo '      - {kind: ServiceMonitor, path: spec/selector/matchLabels, create: true}'
      echo '      - {kind: PodMonitoring, path: spec/selector/matchLabels, create: true}'
      echo 'transformers: [../environments/preview/shared]'
    fi
  } >"$1"
}

no_arguments "$@"
names
choose
check_images

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/telemetry" "$dir/k8s/top" "$dir/k8s/clusters/none"
cp -R k8s/base k8s/components k8s/environments k8s/namespaces k8s/clusters "$dir/k8s"
cp -R telemetry/dashboards "$dir/telemetry"
cp k8s/clusters/kind/kustomization.yaml "$dir/k8s/clusters/none"
composition=$dir/k8s/clusters/${CLUSTER:-none}
write_values "$composition/values.env"
write_components "$composition/kustomization.yaml"
write_top "$dir/k8s/top/kustomization.yaml"
# shellcheck disable=SC2086 # a command with its arguments
${KUSTOMIZE:-go tool -modfile=tools/kustomize/go.mod kustomize} build "$dir/k8s/top"
