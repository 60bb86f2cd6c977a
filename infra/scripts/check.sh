#!/usr/bin/env bash
# Checks everything in infra/ that can be checked without a cloud, all of it even
# when something fails, and ends with counts. `make test-infra` runs it.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in terraform shellcheck jq go; do
  command -v "$tool" >/dev/null || {
    echo "check: there is no $tool: apt-get install shellcheck jq, or https://developer.hashicorp.com/terraform/install" >&2
    exit 2
  }
done
# Terraform complains about a configuration that is named but not there.
[ -f "${TF_CLI_CONFIG_FILE:-/}" ] || unset TF_CLI_CONFIG_FILE

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# check TITLE COUNT COMMAND… runs a check; COUNT prints from its output how many things held, and how many did not.
check() {
  local title=$1 count=$2 held broken
  shift 2
  if "$@" >"$work/out" 2>&1; then broken=0; else broken=1; fi
  read -r held broken < <("$count" "$broken")
  passed=$((passed + held)) failed=$((failed + broken))
  printf '%-18s %d passed, %d failed\n' "$title" "$held" "$broken"
  ((broken == 0)) || sed 's/^/    /' "$work/out"
}

# at_least_one makes a check that failed before it counted anything count as one failure.
at_least_one() { echo "$1" "$(($3 > 0 && $2 == 0 ? 1 : $2))"; }

one() { echo "$((1 - $1))" "$1"; }

terraform_runs() {
  at_least_one "$(grep -cE '^ +run .* pass$' "$work/out")" "$(grep -cE '^ +run .* (fail|skip)$' "$work/out")" "$1"
}

go_tests() {
  at_least_one "$(grep -cE '^ *--- PASS' "$work/out")" "$(grep -cE '^ *--- FAIL' "$work/out")" "$1"
}

checkov_checks() {
  at_least_one "$(jq '.summary.passed' "$work/out" 2>/dev/null || echo 0)" "$(jq '.summary.failed' "$work/out" 2>/dev/null || echo 0)" "$1"
}

settings() {
  terraform -chdir=infra/settings init -input=false >/dev/null
  terraform -chdir=infra/settings test -no-color
}

scripts=(infra/scripts/*.sh)
check 'terraform fmt' one terraform fmt -check -diff -recursive infra
check 'terraform test' terraform_runs settings
check 'Go tests' go_tests go -C infra/test test -count=1 -v ./...
check shellcheck one shellcheck --external-sources "${scripts[@]}"
check shfmt one go tool -modfile=tools/shfmt/go.mod shfmt -d "${scripts[@]}"
# Its rules are in its package: it asks nobody.
check checkov checkov_checks .venv/checkov/bin/checkov --directory infra --framework terraform --quiet --compact --skip-download --output json

echo "$passed passed, $failed failed"
((failed == 0))
