#!/usr/bin/env bash
# A request's log line has the trace of its caller, and its own when the caller has none.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

logged() { # PROGRAM OF JQ
  kube logs --selector "$labels" --tail=1000 | jq -cR "fromjson? | select($1)" | grep .
}

trace=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
predict "$url" --header "traceparent: 00-$trace-00f067aa0ba902b7-01" >/dev/null
await 30 "a line has the trace $trace" logged ".trace_id == \"$trace\" and .httpRequest.status == 200"
logged ".trace_id == \"$trace\"" | jq -e '(.span_id | test("^[0-9a-f]{16}$")) and .severity == "INFO"' >/dev/null ||
  fail "the line is not as it should be: $(logged ".trace_id == \"$trace\"")"
predict "$url" --user-agent "without-$trace" >/dev/null
await 30 'a request without a trace has one in its line' logged \
  ".httpRequest.userAgent == \"without-$trace\" and (.trace_id | test(\"^[0-9a-f]{32}$\"))"
