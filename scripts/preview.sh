#!/usr/bin/env bash
# Tells about a preview on its pull request, and removes previews that nobody needs.
#
#   preview.sh report   write REPORT: the endpoint URL, the image IMAGE, the metrics of the model that answers there, and
#                       the figures and gates of the load test in LOAD (a file that loadtest --json wrote)
#   preview.sh comment  put REPORT on pull request PR
#   preview.sh clean-up remove the previews of pull requests that are closed, or have not changed for PREVIEW_DAYS (14)
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
  # For the job that comments by CML. What ends it is in no report.
  [ -z "${GITHUB_OUTPUT:-}" ] || printf 'report<<%s\n%s\n%s\n' "$GITHUB_SHA" "$(cat "$REPORT")" "$GITHUB_SHA" >>"$GITHUB_OUTPUT"
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
  gh pr comment "$PR" --body-file "$REPORT" --edit-last --create-if-none
}

# needless says why the preview of a pull request may go, or nothing.
needless() { # NUMBER
  gh api "repos/$GITHUB_REPOSITORY/pulls/$1" | jq -r --argjson days "${PREVIEW_DAYS:-14}" '
    if .state == "closed" then "it is closed"
    elif now - (.updated_at | fromdate) > $days * 86400 then "it has not changed for \($days) days" else "" end'
}

clean_up() {
  local found number why failed=
  # Whatever is left of a preview has its label.
  found=$(kubectl --namespace iris-preview get deployments,services --selector app=iris-classifier,instance \
    --output 'jsonpath={range .items[*]}{.metadata.labels.instance}{"\n"}{end}' | sort -u)
  while read -r number; do
    if ! why=$(needless "$number"); then
      failed=1
    elif [ -n "$why" ]; then
      echo "preview: pull request $number: $why" >&2
      ENV=preview PR=$number make --no-print-directory undeploy </dev/null || failed=1
    fi
  done < <(sed -n 's/^pr-\([1-9][0-9]*\)$/\1/p' <<<"$found")
  [ -z "$failed" ] || {
    echo 'preview: not all could be asked for or removed; see above' >&2
    return 1
  }
}

case ${1:-} in
report | comment) "$1" ;;
clean-up) clean_up ;;
*)
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
  ;;
esac
