#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each. Go runs one
# target of one package at a time. Minimising is kept short: it can eat up a run.
set -euo pipefail

for_each=${1:-30s}
grep --recursive --include='*_test.go' --only-matching --no-messages 'func Fuzz[A-Za-z0-9_]*' . |
  sort --unique |
  while IFS=: read -r file function; do
    target=${function#func }
    echo "== $(dirname "$file") $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$for_each" -fuzzminimizetime 10x "$(dirname "$file")"
  done
