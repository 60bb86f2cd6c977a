#!/usr/bin/env bash
# Makes the Helm chart of a release, and publishes it.
#
#   chart.sh package  into DIST: k8s/chart with version VERSION, whose image is IMAGE
#   chart.sh publish  push it to CHARTS, sign it by the identity of this workflow's run, and print it by digest (needs cosign,
#                     and logins to the registry of helm and of cosign)
#
# VERSION  the tag, such as v1.2.3
# IMAGE    the released image by digest
# CHARTS   where charts go, such as oci://ghcr.io/OWNER/charts
# DIST     where it is made (bin/dist)
set -euo pipefail
cd "$(dirname "$0")/.."

: "${DIST:=bin/dist}"

helm() {
  # shellcheck disable=SC2086 # a command with its arguments
  ${HELM:-go tool -modfile=tools/helm/go.mod helm} "$@"
}

package() {
  : "${IMAGE:?chart: IMAGE is the released image by digest}"
  local work
  work=$(mktemp -d)
  # The base is a link in the repository, and files in the chart.
  cp -RL k8s/chart "$work/chart"
  sed -i.was "s|^image: .*|image: \"$IMAGE\"|" "$work/chart/values.yaml"
  rm "$work/chart/values.yaml.was"
  mkdir -p "$DIST"
  helm lint --strict --quiet "$work/chart" >&2
  helm package "$work/chart" --version "${VERSION#v}" --app-version "${VERSION#v}" --destination "$DIST" >&2
  rm -r "$work"
  echo "$DIST/iris-classifier-${VERSION#v}.tgz"
}

publish() {
  : "${CHARTS:?chart: CHARTS is where charts go, such as oci://ghcr.io/OWNER/charts}"
  local digest chart
  digest=$(helm push "$DIST/iris-classifier-${VERSION#v}.tgz" "$CHARTS" 2>&1 | tee /dev/stderr | sed -n 's/^Digest: *//p')
  [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || {
    echo 'chart: helm push told no digest' >&2
    return 1
  }
  chart=${CHARTS#oci://}/iris-classifier@$digest
  cosign sign --yes "$chart"
  echo "$chart"
}

: "${VERSION:?chart: VERSION is the tag, such as v1.2.3}"
case ${1:-} in
package | publish) "$1" ;;
*)
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
  ;;
esac
