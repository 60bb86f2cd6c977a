#!/usr/bin/env bash
# Shows that the pods get an identity of the cloud, and no key: `make verify-identity`.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: CLOUD=gcp|aws|azure [MODE=standard|managed] [PROJECT=…] [NAMESPACE=iris-dev] [DRY_RUN=1] verify-identity.sh

Describes the service account telemetry-access of NAMESPACE, the cloud's policy for
it and its annotation, then runs a pod as it, which asks the cloud who it is. A
token is never printed. DRY_RUN=1 prints the commands instead.
TEXT
  exit 2
}

[ $# -eq 0 ] || usage
# shellcheck source=infra/scripts/lib.sh
. "$(dirname "$0")/lib.sh"
NAMESPACE=${NAMESPACE:-iris-dev}
pod='identity-check'

# describe shows the account as Kubernetes has it.
describe() {
  run kubectl describe serviceaccount "$account" --namespace "$NAMESPACE"
}

# policy_command asks for what the cloud says of who may act as the identity.
policy_command() {
  case $CLOUD in
  gcp) policy=(gcloud iam service-accounts get-iam-policy "$account@$PROJECT.iam.gserviceaccount.com" "--project=$PROJECT" --format=json) ;;
  aws) policy=(aws iam get-role --role-name "$account" --query Role.AssumeRolePolicyDocument --output json) ;;
  azure) policy=(az identity federated-credential list --identity-name "$account" --resource-group "$group" --subscription "$PROJECT" --output json) ;;
  esac
}

policy() {
  local policy member
  policy_command
  run "${policy[@]}" | tee "$work/policy"
  [ -z "$DRY_RUN" ] || return 0
  member=$(setting ".telemetry_members[\"$NAMESPACE\"] // empty")
  [ -n "$member" ] || die 1 "the namespace $NAMESPACE is of no environment in infra/$CLOUD: see the variable environments"
  grep -qF "\"$member\"" "$work/policy" ||
    die 1 "the policy does not name $member: run make infra-apply CLOUD=$CLOUD"
}

# identity_command asks for what the annotation has to say.
identity_command() {
  case $CLOUD in
  gcp) identity=(gcloud iam service-accounts describe "$account@$PROJECT.iam.gserviceaccount.com" "--project=$PROJECT" '--format=value(email)') ;;
  aws) identity=(aws iam get-role --role-name "$account" --query Role.Arn --output text) ;;
  azure) identity=(az identity show --name "$account" --resource-group "$group" --subscription "$PROJECT" --query clientId --output tsv) ;;
  esac
}

annotation() {
  local identity want have
  identity_command
  local read=(kubectl get serviceaccount "$account" --namespace "$NAMESPACE" --output json)
  if [ -n "$DRY_RUN" ]; then
    run "${identity[@]}"
    run "${read[@]}"
    return
  fi
  want=$("${identity[@]}")
  have=$("${read[@]}" | jq -r --arg key "$key" '.metadata.annotations[$key] // ""')
  [ "$have" = "$want" ] || die 1 "the annotation $key is '$have', and should be '$want'. Fix: the composition of $NAMESPACE, then make deploy; or
  kubectl annotate serviceaccount $account --namespace $NAMESPACE --overwrite $key=$want"
  say "$key=$have"
}

# question is what the pod runs: it says who it is, and how long its token lasts. Each image is named by the tag that the
# source beside it names; none of those names a digest.
question() {
  case $CLOUD in
  gcp)
    # cloudnative-pg/cloudnative-pg at a95a534dbe08: docs/src/monitoring.md
    image=docker.io/curlimages/curl:8.21.0
    # The pod's shell expands these.
    # shellcheck disable=SC2016
    script='m=http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default
curl -sSf --retry 5 --retry-all-errors --max-time 10 -H "Metadata-Flavor: Google" "$m/token" >/tmp/token
grep -q "\"access_token\"" /tmp/token && sed -E "s/\"access_token\":\"[^\"]*\"/\"access_token\":\"(not shown)\"/" /tmp/token
echo; curl -sSf --max-time 10 -H "Metadata-Flavor: Google" "$m/email"'
    ;;
  aws)
    # walnuts1018/infra: pull request 3737, by a program that had asked the registry
    image=public.ecr.aws/aws-cli/aws-cli:2.34.32
    script='HOME=/tmp aws sts get-caller-identity --output text --query Arn'
    ;;
  azure)
    # MicrosoftDocs/azure-docs-cli: docs-ref-conceptual/run-azure-cli-docker.md, from pull request 5292 on
    image=mcr.microsoft.com/azure-cli:2.74.0-azurelinux3.0
    # The pod's shell expands these.
    # shellcheck disable=SC2016
    script='export HOME=/tmp AZURE_CONFIG_DIR=/tmp/azure
az login --service-principal --username "$AZURE_CLIENT_ID" --tenant "$AZURE_TENANT_ID" --federated-token "$(cat "$AZURE_FEDERATED_TOKEN_FILE")" --allow-no-subscriptions --output none
echo "$AZURE_CLIENT_ID"'
    ;;
  esac
}

manifest() {
  jq -n --arg name "$pod" --arg account "$account" --arg image "$image" --arg script "$script" '{
    apiVersion: "v1", kind: "Pod",
    metadata: {name: $name, labels: {app: $name, "azure.workload.identity/use": "true"}},
    spec: {
      serviceAccountName: $account, restartPolicy: "Never", activeDeadlineSeconds: 180, enableServiceLinks: false,
      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: {type: "RuntimeDefault"}},
      containers: [{
        name: "ask", image: $image, command: ["sh", "-ec", $script],
        resources: {requests: {cpu: "50m", memory: "64Mi"}, limits: {memory: "512Mi"}},
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: ["ALL"]}},
        volumeMounts: [{name: "tmp", mountPath: "/tmp"}]
      }],
      volumes: [{name: "tmp", emptyDir: {}}]
    }
  }'
}

remove_pod() { kubectl delete pod "$pod" --namespace "$NAMESPACE" --ignore-not-found --wait=false >/dev/null; }

# ask_in_pod is the proof: nobody but the cloud can answer it.
ask_in_pod() {
  local image script answer identity
  question
  manifest >"$work/pod.json"
  if [ -n "$DRY_RUN" ]; then
    say "kubectl apply --namespace $NAMESPACE --filename - <<'END'"
    cat "$work/pod.json"
    say END
    run kubectl logs "$pod" --namespace "$NAMESPACE"
    run kubectl delete pod "$pod" --namespace "$NAMESPACE" --ignore-not-found --wait=false
    return
  fi
  kubectl delete pod "$pod" --namespace "$NAMESPACE" --ignore-not-found --timeout=60s >/dev/null
  run kubectl apply --namespace "$NAMESPACE" --filename "$work/pod.json"
  if ! kubectl wait pod "$pod" --namespace "$NAMESPACE" '--for=jsonpath={.status.phase}=Succeeded' --timeout=240s; then
    kubectl logs "$pod" --namespace "$NAMESPACE" >&2 || true
    kubectl get events --namespace "$NAMESPACE" --field-selector "involvedObject.name=$pod" >&2 || true
    remove_pod
    die 1 'the pod got no answer: its log and events are above. A network policy may keep it from asking; a binding needs some minutes to hold'
  fi
  answer=$(kubectl logs "$pod" --namespace "$NAMESPACE")
  remove_pod
  say "$answer"
  identity_command
  identity=$("${identity[@]}")
  # AWS answers with the session of the role, arn:…:assumed-role/NAME/SESSION.
  [ "$CLOUD" != aws ] || identity=":assumed-role/$account/"
  [[ $answer == *"$identity"* ]] || die 1 "the pod acts as somebody else than $identity"
}

load_settings
account=$(setting .telemetry) key=$(setting .telemetry_annotation)
require_project
step 'connect' connect
step 'describe' describe
step 'policy' policy
step 'annotation' annotation
step 'ask in a pod' ask_in_pod
ended "pods of $NAMESPACE act as $account"
