#!/usr/bin/env bash
# Gives docker and kubectl their way into a Google Cloud project, for whoever gcloud acts as: gke.sh
#
# CLOUD_PROJECT_ID   the project
# REGISTRY_LOCATION  where its Artifact Registry is, such as us-central1
# CLUSTER_NAME       its cluster, such as mlops-standard
# CLUSTER_REGION     where that is; or CLUSTER_ZONE, for a cluster in one zone
# DRY_RUN            1 prints each command in place of running it
set -euo pipefail

[ $# -eq 0 ] || {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}
location=${CLUSTER_REGION:-${CLUSTER_ZONE:-}}
for name in CLOUD_PROJECT_ID REGISTRY_LOCATION CLUSTER_NAME location; do
  [ -n "${!name:-}" ] || {
    echo "gke: ${name/location/CLUSTER_REGION or CLUSTER_ZONE} is not set: it is a variable of the repository" >&2
    exit 2
  }
done

run() {
  printf '+ %s\n' "$*" >&2
  [ "${DRY_RUN:-}" = 1 ] || "$@"
}

run gcloud auth configure-docker "$REGISTRY_LOCATION-docker.pkg.dev" --quiet
run gcloud container clusters get-credentials "$CLUSTER_NAME" --location "$location" --project "$CLOUD_PROJECT_ID"
