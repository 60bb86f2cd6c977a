#!/usr/bin/env bash
# Makes those files below k8s that kustomize cannot make itself: the alerting rules
# as the Prometheus operator takes them, and the canary's deployment, which is the
# base's under other names. With --check, sees that they are as they should be.
set -euo pipefail
cd "$(dirname "$0")/.."

rules=telemetry/alerts/rules.yaml
base=k8s/base/deployment.yaml

wrap_rules() {
  cat <<HEAD
# Made by scripts/k8s-generate.sh from $rules. Change that one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: iris-classifier
  labels:
    app: iris-classifier
spec:
HEAD
  # From the first key on, two columns further to the right.
  sed -n '/^groups:/,$ { s/^./  &/; p; }' "$rules"
}

canary() {
  echo "# Made by scripts/k8s-generate.sh from $base. Change that one."
  sed -e 's/iris-classifier-deployment$/iris-classifier-canary/' -e 's/app: iris-classifier$/app: iris-classifier-canary/' \
    -e 's|image: registry.invalid/iris$|&-canary|' \
    -e "s/^  # No \`replicas\`.*/  # 1: no autoscaler has it, and a tenth of the load is less than one replica's share.\n  replicas: 1/" "$base"
}

# make_or_check FUNCTION FILE
make_or_check() {
  case $mode in
  '') "$1" >"$2" ;;
  --check)
    "$1" | diff "$2" - || {
      echo "$2 is not what its source makes: run scripts/k8s-generate.sh" >&2
      exit 1
    }
    ;;
  *)
    echo 'Usage: scripts/k8s-generate.sh [--check]' >&2
    exit 2
    ;;
  esac
}

mode=${1:-}
make_or_check wrap_rules k8s/components/monitoring/prometheusrule.yaml
make_or_check canary k8s/components/canary/deployment.yaml
