#!/usr/bin/env bash
# Lets the real providers check each root, and runs the roots' tests with mocks in
# the providers' place. Needs Terraform's registry, and no account. `make infra-validate`.
set -euo pipefail
cd "$(dirname "$0")/.."

for root in gcp aws azure; do
  echo "== $root"
  terraform "-chdir=$root" init -backend=false -input=false
  terraform "-chdir=$root" validate
  terraform "-chdir=$root" test
done
