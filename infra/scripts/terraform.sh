#!/usr/bin/env bash
# Makes the place of Terraform's state, and plans and applies a cloud's root with it.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: CLOUD=gcp|aws|azure [MODE=standard|managed] [PROJECT=…] [DRY_RUN=1] terraform.sh state|plan|apply

  state  makes the bucket (Azure: account) for the state, once
  plan   shows what would change
  apply  changes it, as Terraform asks, and lets docker and kubectl in

DRY_RUN=1 prints the commands instead. Does nothing when the cloud's command line
is signed in for another project than the configured one.
TEXT
  exit 2
}

case ${1:-} in
state | plan | apply) [ $# -eq 1 ] || usage ;;
*) usage ;;
esac
# shellcheck source=infra/scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# exists COMMAND… asks whether something is there. A dry run asks nobody, and shows how it would be made.
exists() {
  [ -z "$DRY_RUN" ] && "$@" >/dev/null 2>&1
}

state_gcp() {
  # Terraform switches the other APIs on through these two.
  run gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com "--project=$PROJECT"
  exists gcloud storage buckets describe "gs://$state" "--project=$PROJECT" ||
    run gcloud storage buckets create "gs://$state" "--project=$PROJECT" "--location=$region" \
      --uniform-bucket-level-access --public-access-prevention
  run gcloud storage buckets update "gs://$state" "--project=$PROJECT" --versioning
}

state_aws() {
  local where=(--create-bucket-configuration "LocationConstraint=$region")
  # The first region has no name there.
  [ "$region" != us-east-1 ] || where=()
  exists aws s3api head-bucket --bucket "$state" --region "$region" ||
    run aws s3api create-bucket --bucket "$state" --region "$region" "${where[@]}"
  run aws s3api put-bucket-versioning --bucket "$state" --region "$region" --versioning-configuration Status=Enabled
  run aws s3api put-public-access-block --bucket "$state" --region "$region" --public-access-block-configuration \
    BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
}

# The account takes no keys: whoever runs Terraform has a role.
state_azure() {
  local me
  run az group create --name tepal-state --location "$region" --subscription "$PROJECT" --output none
  exists az storage account show --name "$state" --resource-group tepal-state --subscription "$PROJECT" ||
    run az storage account create --name "$state" --resource-group tepal-state --location "$region" --subscription "$PROJECT" \
      --sku Standard_LRS --min-tls-version TLS1_2 --allow-blob-public-access false --allow-shared-key-access false --output none
  run az storage account blob-service-properties update --account-name "$state" --resource-group tepal-state \
    --subscription "$PROJECT" --enable-versioning true --output none
  capture me az ad signed-in-user show --query id --output tsv
  run az role assignment create --assignee-object-id "$me" --assignee-principal-type User --role 'Storage Blob Data Contributor' \
    --scope "/subscriptions/$PROJECT/resourceGroups/tepal-state/providers/Microsoft.Storage/storageAccounts/$state" --output none
  run az storage container create --name state --account-name "$state" --auth-mode login --output none
}

# revive brings back GitHub's pool of identities when a clean-up has deleted it: Google keeps its name for 30 days, in which
# nobody can make it anew. Terraform learns of it by the project's ID: by its number it would replace it.
revive() {
  local pool=cicd-deployer-github at="projects/$PROJECT/locations/global/workloadIdentityPools/cicd-deployer-github" state
  state=$(gcloud iam workload-identity-pools describe "$pool" --location=global "--project=$PROJECT" '--format=value(state)' 2>/dev/null) || return 0
  [ "$state" = DELETED ] || return 0
  run gcloud iam workload-identity-pools undelete "$pool" --location=global "--project=$PROJECT"
  terraform_import google_iam_workload_identity_pool.github "$at"
  [ -n "$(setting .github_repository.name)" ] || return 0 # the provider is not made
  state=$(gcloud iam workload-identity-pools providers describe github "--workload-identity-pool=$pool" --location=global "--project=$PROJECT" '--format=value(state)' 2>/dev/null) || return 0
  [ "$state" != DELETED ] ||
    run gcloud iam workload-identity-pools providers undelete github "--workload-identity-pool=$pool" --location=global "--project=$PROJECT"
  terraform_import "google_iam_workload_identity_pool_provider.github[0]" "$at/providers/github"
}

# terraform_import ADDRESS ID. What the state has is left as it is.
terraform_import() {
  terraform "-chdir=$INFRA/$CLOUD" state list "$1" 2>/dev/null | grep -qxF "$1" ||
    run terraform "-chdir=$(shown "$INFRA/$CLOUD")" import -input=false "${tfvars[@]}" "$1" "$2"
}

# sign_in lets docker and kubectl in, as whoever runs this: by their own files, for what comes next.
sign_in() {
  local words
  [ "$CLOUD" != gcp ] || run gcloud auth configure-docker "$region-docker.pkg.dev" --quiet
  read -ra words <<<"$(setting .get_credentials)"
  run "${words[@]}"
}

load_settings
require_project
if [ "$1" = state ]; then
  step 'the place of the state' "state_$CLOUD"
  exit
fi
step 'open the state' terraform_init
[ "$CLOUD/$1$DRY_RUN" != gcp/apply ] || step 'a pool of identities that was deleted' revive
step "$1" terraform_root "$1"
[ "$1" != apply ] || step 'sign in docker and kubectl' sign_in
