#!/usr/bin/env bash
# Compares the benchmarks of this tree with those of another commit, by
# benchstat. The two are run in turns, so that a slow minute slows both. It
# informs: a difference is no failure.
set -euo pipefail

usage='usage: bench-compare.sh BASE BENCH BENCHSTAT...
  BASE       a commit, tag or branch; the last tag when empty
  BENCH      a regular expression of benchmarks, such as .
  BENCHSTAT  the command that compares two files
  ROUNDS     in the environment: runs of each, 6 when not set
  BENCHTIME  in the environment: time for each benchmark, 100ms when not set'

if [ $# -lt 3 ]; then
  printf '%s\n' "$usage" >&2
  exit 2
fi
base=${1:-$(git describe --tags --abbrev=0 2>/dev/null || true)}
bench=$2
shift 2
if ! git rev-parse --quiet --verify "$base^{commit}" >/dev/null; then
  echo "bench-compare: there is no commit \"$base\": give one by BASE=, and fetch it before" >&2
  exit 2
fi

work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/base" "$base"
here=$PWD

# run DIR FILE adds one run of the benchmarks there to the file.
run() {
  if ! (cd "$1" && go test -run '^$' -bench "$bench" -benchmem -benchtime "${BENCHTIME:-100ms}" ./...) >"$work/out"; then
    cat "$work/out" >&2
    echo "bench-compare: the benchmarks of $1 fail" >&2
    exit 1
  fi
  cat "$work/out" >>"$2"
}

for round in $(seq "${ROUNDS:-6}"); do
  echo "round $round" >&2
  run "$work/base" "$work/base.txt"
  run "$here" "$work/this.txt"
done
"$@" "base=$work/base.txt" "this=$work/this.txt"
