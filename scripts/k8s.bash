# shellcheck shell=bash
# What the scripts for Kubernetes have in common; they source it. It reads ENV and
# PR, and sets the names that follow from them.
# shellcheck disable=SC2034 # used by whoever sources it

die() { # MESSAGE…
  printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
  exit 2
}

# no_arguments shows the usage where it is asked for, or where there are arguments, which none of the scripts takes.
no_arguments() { # ARGUMENT…
  case ${1:-} in
  -h | --help)
    usage
    exit
    ;;
  '') ;;
  *)
    usage >&2
    exit 2
    ;;
  esac
}

# names sets namespace, suffix, deployment and service, or says what is wrong.
names() {
  suffix=
  case ${ENV:-} in
  guide) namespace=default ;;
  dev | staging | prod) namespace=iris-$ENV ;;
  preview)
    namespace=iris-preview
    [[ ${PR:-} =~ ^[1-9][0-9]{0,8}$ ]] || die "ENV=preview needs PR, the pull request's number"
    suffix=-pr-$PR
    ;;
  '') die 'ENV is missing: guide, dev, staging, prod or preview' ;;
  *) die "there is no ENV=$ENV: guide, dev, staging, prod or preview" ;;
  esac
  deployment=iris-classifier-deployment$suffix
  service=iris-classifier-service$suffix
}
