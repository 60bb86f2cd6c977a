#!/usr/bin/env bash
# Tells about a preview on its pull request.
#
#   preview.sh report   write REPORT: the endpoint URL, the image IMAGE, the metrics of the model that answers there, and
#                       the figures and gates of the load test in LOAD (a file that loadtest --json wrote)
#   preview.sh comment  put REPORT on pull request PR by CML, or by GitHub's own gh where that fails
set -euo pipefail
cd "$(dirname "$0")/.."

: "${REPORT:=bin/preview.md}" "${LOAD:=bin/preview-load.json}"

report() {
  local model
  : "${URL:?preview: URL is the address of the preview}" "${IMAGE:?preview: IMAGE is what was deployed}"
  model=$(curl --silent --show-error --fail --max-time 10 "$URL/models/iris")
  mkdir -p "$(dirname "$REPORT")"
  {
    printf '## Preview\n\n'
    printf -- '- endpoint: <%s/predict>\n- image: %s\n' "$URL" "$IMAGE"
    jq -r '"- model: \(.name) version \(.version), `\(.digest)`, golden rows \(.golden.status)"' <<<"$model"
    printf '\n### The model\n\n| metric | value |\n| --- | --- |\n'
    jq -r '.metrics.values | to_entries[] | "| \(.key) | \(.value * 10000 | round / 10000) |"' <<<"$model"
    printf '\n| class | precision | recall | F1 |\n| --- | --- | --- | --- |\n'
    jq -r 'def f: . * 10000 | round / 10000;
      .metrics.classes[] | "| \(.class) | \(.precision | f) | \(.recall | f) | \(.f1 | f) |"' <<<"$model"
    load
  } >"$REPORT"
  cat "$REPORT"
}

load() {
  printf '\n### The load test\n\n'
  if [ ! -s "$LOAD" ]; then
    printf 'It left no report: see the log of the run.\n'
    return
  fi
  jq -r 'def ms: "\(. * 100000 | round / 100) ms";
    .total | "\(.requests) requests, \(.right_rate | round) right answers a second of \(.asked_rate | round) asked, \(.error_share * 100)% errors; " +
    "p50 \(.p50_seconds | ms), p95 \(.p95_seconds | ms), p99 \(.p99_seconds | ms)"' "$LOAD"
  printf '\n| gate | limit | got | held |\n| --- | --- | --- | --- |\n'
  jq -r '.gates[] | "| `\(.gate)` | \(.limit) | \(.got) | \(if .held then "yes" else "**no**" end) |"' "$LOAD"
}

comment() {
  : "${PR:?preview: PR is the number of the pull request}"
  [ -s "$REPORT" ] || {
    echo "preview: there is no $REPORT: make preview-report" >&2
    exit 1
  }
  if command -v cml >/dev/null && cml comment update --target="pr/$PR" "$REPORT"; then
    return
  fi
  echo 'preview: CML did not comment; gh does' >&2
  gh pr comment "$PR" --body-file "$REPORT" --edit-last --create-if-none
}

case ${1:-} in
report | comment) "$1" ;;
*)
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
  ;;
esac
