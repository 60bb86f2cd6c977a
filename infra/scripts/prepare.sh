#!/usr/bin/env bash
# Puts into a new cluster what the deployer may not: `make infra-prepare`.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: CLOUD=gcp|aws|azure [MODE=standard|managed] [PROJECT=…] [DRY_RUN=1] prepare.sh

Makes the service's namespaces, with the labels that they have in k8s/, gives each
deployer its Role in its own (k8s/deployers), and on AWS installs the AWS Load
Balancer Controller by helm, and sends logs of Fargate to CloudWatch. Whoever runs
it made the cluster, or is one of its admins. Can be run again. DRY_RUN=1 prints
the commands instead.
Does nothing when the cloud's command line is signed in for another project than
the configured one.
TEXT
  exit 2
}

[ $# -eq 0 ] || usage
# shellcheck source=infra/scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# The chart and the controller have one version, for which infra/aws/balancer.tf has the rights. aws/eks-charts has it
# at 5239609242f3, stable/aws-load-balancer-controller.
controller=aws-load-balancer-controller version=3.5.0

# make_namespaces applies those of k8s/namespaces, as `make deploy` would if it might.
make_namespaces() {
  local namespace folder
  for namespace in "${namespaces[@]}"; do
    folder=${INFRA%/*}/k8s/namespaces/${namespace#iris-}
    # The namespace default is there.
    [ ! -d "$folder" ] || run kubectl apply --server-side --force-conflicts --field-manager=tepal-deploy --kustomize "$(shown "$folder")"
  done
}

# let_in gives each deployer its Role in its namespace alone. The cluster knows it by its address, its group, or its object
# ID. A binding cannot be changed, so that of before goes.
let_in() {
  local name role namespace who
  while read -r name role namespace; do
    case $CLOUD in
    gcp) who=(--user "$name@$PROJECT.iam.gserviceaccount.com") ;;
    aws) who=(--group "$name") ;;
    azure)
      capture id az identity show --name "$name" --resource-group "$group" --subscription "$PROJECT" --query principalId --output tsv
      who=(--user "$id")
      ;;
    esac
    run kubectl apply --namespace "$namespace" --filename "$(shown "${INFRA%/*}/k8s/deployers/$role.yaml")"
    run kubectl delete rolebinding "$name" --namespace "$namespace" --ignore-not-found
    run kubectl create rolebinding "$name" --namespace "$namespace" --role "$role" "${who[@]}"
  done < <(setting '.deployers[] | "\(.name) \(.role) \(.namespace)"')
}

# send_logs tells the log router, which AWS runs on Fargate, where to write.
send_logs() {
  run sh -c "sed -e s/us-west-2/$region/ -e s/mlops-auto/$cluster/ $(shown "${INFRA%/*}/k8s/aws/fargate-logs.yaml") | kubectl apply --server-side --field-manager=tepal-deploy --filename -"
}

# install_controller tells it where it is, since pods may not ask the machine for that.
install_controller() {
  local vpc role
  capture vpc aws eks describe-cluster --name "$cluster" --region "$region" --query cluster.resourcesVpcConfig.vpcId --output text
  capture role aws iam get-role --role-name "$cluster-balancer" --query Role.Arn --output text
  run helm upgrade --install "$controller" "$controller" --repo https://aws.github.io/eks-charts --version "$version" \
    --namespace kube-system --set "clusterName=$cluster" --set "region=$region" --set "vpcId=$vpc" \
    --set "serviceAccount.name=$controller" --set "serviceAccount.annotations.eks\.amazonaws\.com/role-arn=$role" \
    --wait --timeout 10m
}

load_settings
require_project
[ -n "$DRY_RUN" ] || [ "$CLOUD" != aws ] || need helm
step 'connect' connect
step 'namespaces' make_namespaces
step 'deployers' let_in
[ "$CLOUD $MODE" != 'aws managed' ] || step 'logs of Fargate' send_logs
[ "$CLOUD" != aws ] || step "the load balancers' controller" install_controller
ended 'prepare: done'
