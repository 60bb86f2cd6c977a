# shellcheck shell=bash
# What the scripts for the clouds share. They read CLOUD, and over what the
# root's terraform.tfvars says PROJECT and MODE; DRY_RUN=1 prints what would run.

INFRA=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CLOUD=${CLOUD:-} PROJECT=${PROJECT:-} MODE=${MODE:-} DRY_RUN=${DRY_RUN:-}

# Terraform complains about a configuration that is named but not there.
[ -f "${TF_CLI_CONFIG_FILE:-/}" ] || unset TF_CLI_CONFIG_FILE

# What the service's objects are labelled with: its own and those of previews, the canary's, the collector's.
# shellcheck disable=SC2034
selector='app in (iris-classifier, iris-classifier-canary, otel-collector)'

work=$(mktemp -d)
current='' finished=()

say() { printf '%s\n' "$*"; }

# die CODE TEXT… ends with 2 for wrong use and 3 for a refusal.
die() {
  local code=$1
  shift
  current=''
  printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
  exit "$code"
}

# leave says how far it came when a step failed, since what is left over costs money.
leave() {
  local code=$?
  rm -rf "$work"
  if ((code != 0)) && [ -n "$current" ]; then
    {
      printf '\nStopped at: %s (exit code %d).\n' "$current" "$code"
      ((${#finished[@]} == 0)) || printf 'Done before: %s.\n' "$(join '; ' "${finished[@]}")"
      say 'Mend it and run the same again: what is done is not done twice.'
    } >&2
  fi
}
trap leave EXIT

join() {
  local between=$1 all=$2
  shift 2
  printf '%s' "$all" "${@/#/$between}"
}

# step TITLE COMMAND… runs one part of the work and remembers it.
step() {
  current=$1
  shift
  say "# $current"
  "$@"
  finished+=("$current")
  current=''
}

# quote prints a command so that a shell reads it back; what needs no quotes has none.
quote() {
  local word line=
  for word in "$@"; do
    if [[ $word =~ ^[A-Za-z0-9_./:=\\-]*\$[A-Za-z]+$ ]]; then
      word="\"$word\""
    elif ! [[ $word =~ ^[A-Za-z0-9_./:=,@+-]+$ ]]; then
      word="'${word//\'/\'\\\'\'}'"
    fi
    line+="$word "
  done
  say "${line% }"
}

# run shows a command and runs it; a dry run only shows it.
run() {
  quote "$@"
  [ -n "$DRY_RUN" ] || "$@"
}

# capture NAME COMMAND… sets a variable to what the command prints. A dry run shows that as a script, and goes on with the
# variable's name.
capture() {
  local name=$1 answer
  shift
  if [ -n "$DRY_RUN" ]; then
    say "$name=\$($(quote "$@"))"
    answer="\$$name"
  else
    answer=$("$@")
  fi
  printf -v "$name" '%s' "$answer"
}

# confirm NAME TEXT… asks for the name to be typed, so that a habit does not answer.
confirm() {
  local name=$1 answer=
  shift
  [ -z "$DRY_RUN" ] || return 0
  printf '%s\nType %s to go on: ' "$*" "$name"
  read -r answer || true
  [ "$answer" = "$name" ] || die 3 'not confirmed: nothing was changed'
}

need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || die 2 "there is no $tool: see infra/README.md for what to install"
  done
}

cli() {
  case $CLOUD in
  gcp) echo gcloud ;;
  aws) echo aws ;;
  azure) echo az ;;
  esac
}

# tfvars are the arguments by which Terraform learns what was asked for here.
tfvars() {
  tfvars=()
  [ ! -f "$INFRA/$CLOUD/terraform.tfvars" ] || tfvars+=("-var-file=$INFRA/$CLOUD/terraform.tfvars")
  [ -z "$PROJECT" ] || tfvars+=(-var "project=$PROJECT")
  [ -z "$MODE" ] || tfvars+=(-var "mode=$MODE")
}

# load_settings asks infra/settings for all names, so that they stand in one place.
load_settings() {
  case $CLOUD in
  gcp | aws | azure) ;;
  *) die 2 "CLOUD is gcp, aws or azure, not '$CLOUD'" ;;
  esac
  case $MODE in
  '' | standard | managed) ;;
  *) die 2 "MODE is standard or managed, not '$MODE'" ;;
  esac
  need terraform jq
  tfvars
  if [ -z "$PROJECT" ] && ! grep -qs '^project\b' "$INFRA/$CLOUD/terraform.tfvars"; then
    die 2 "no project is configured: write project = \"…\" into infra/$CLOUD/terraform.tfvars, or set PROJECT"
  fi
  if ! terraform -chdir="$INFRA/settings" plan -input=false -no-color -lock=false -state="$work/state" -out="$work/plan" \
    -var "cloud=$CLOUD" "${tfvars[@]}" >"$work/log" 2>&1; then
    # What is wrong, and not what the rest would have been.
    { sed -n '/^Error:/,$p' "$work/log" | grep . || cat "$work/log"; } >&2
    die 2 'these settings are refused'
  fi
  settings=$(terraform -chdir="$INFRA/settings" show -json "$work/plan" | jq '.planned_values.outputs | map_values(.value)')
  # Not every script uses all of them.
  # shellcheck disable=SC2034
  PROJECT=$(setting .project) MODE=$(setting .mode) region=$(setting .region) cluster=$(setting .cluster)
  # shellcheck disable=SC2034
  group=$(setting .resource_group) pool=$(setting .node_pool) state=$(setting .state)
  # shellcheck disable=SC2034
  mapfile -t namespaces < <(setting '.namespaces[]')
}

# setting FILTER reads one of them by jq.
setting() { jq -r "$1" <<<"$settings"; }

# active_project is whom the cloud's command line is signed in for.
active_project() {
  case $CLOUD in
  gcp) gcloud config get-value project 2>/dev/null ;;
  aws) aws sts get-caller-identity --query Account --output text ;;
  azure) az account show --query id --output tsv ;;
  esac
}

# switch_project is the command that changes it.
switch_project() {
  case $CLOUD in
  gcp) echo "gcloud auth login; gcloud config set project $PROJECT" ;;
  aws) echo "sign in to the account $PROJECT (aws sso login, or AWS_PROFILE)" ;;
  azure) echo "az login; az account set --subscription $PROJECT" ;;
  esac
}

# require_project refuses to touch a project that is not the configured one.
require_project() {
  local active
  if [ -n "$DRY_RUN" ]; then
    say "# only if $(cli) is signed in for $PROJECT"
    return
  fi
  need "$(cli)"
  active=$(active_project) || die 3 "$(cli) is not signed in. Fix: $(switch_project)"
  [ "$active" = "$PROJECT" ] ||
    die 3 "$(cli) is signed in for '$active', but '$PROJECT' is configured: nothing was changed. Fix: $(switch_project)"
}

# connect lets kubectl into the cluster by a file of its own: whatever the user's own is set to, this is the right one.
connect() {
  export KUBECONFIG="$work/kubeconfig"
  if [ -n "$DRY_RUN" ]; then
    # Whoever runs these lines makes the file.
    # shellcheck disable=SC2016
    say 'export KUBECONFIG=$(mktemp)' && KUBECONFIG='$KUBECONFIG'
  else
    need kubectl
  fi
  case $CLOUD in
  gcp) run gcloud container clusters get-credentials "$cluster" "--location=$region" "--project=$PROJECT" ;;
  aws) run aws eks update-kubeconfig --name "$cluster" --region "$region" ;;
  azure)
    run az aks get-credentials --resource-group "$group" --name "$cluster" --subscription "$PROJECT" --file "$KUBECONFIG"
    run kubelogin convert-kubeconfig --login azurecli --kubeconfig "$KUBECONFIG"
    ;;
  esac
}

# terraform_root runs Terraform in the cloud's root, with what was asked for here.
terraform_root() {
  local verb=$1
  shift
  run terraform "-chdir=$(shown "$INFRA/$CLOUD")" "$verb" "$@" "${tfvars[@]}"
}

terraform_init() {
  local backend=("-backend-config=bucket=$state")
  case $CLOUD in
  aws) backend+=("-backend-config=region=$region") ;;
  azure) backend=("-backend-config=storage_account_name=$state") ;;
  esac
  run terraform "-chdir=$(shown "$INFRA/$CLOUD")" init -input=false -reconfigure "${backend[@]}"
}

# ended says what there is to say at the end.
ended() {
  if [ -n "$DRY_RUN" ]; then
    say '# a dry run: nothing was asked and nothing was done'
  else
    say "$*"
  fi
}

# shown makes a path short where that is the same file.
shown() {
  case $1 in
  "$PWD"/*) echo "${1#"$PWD"/}" ;;
  *) echo "$1" ;;
  esac
}
