#!/usr/bin/env bash
# Starts the given server on free ports, puts a light load on it by the given
# load test, with gates, and stops it. Flags that follow are the load test's.
set -euo pipefail

server=$1 loadtest=$2
shift 2
log=$(mktemp)
"$server" serve --http-addr 127.0.0.1:0 --ops-addr 127.0.0.1:0 --drain-delay 0s >"$log" &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; rm -f "$log"' EXIT

address=
for _ in $(seq 100); do
  address=$(sed -n 's/.*"http_addr":"\([^"]*\)".*/\1/p' "$log")
  [ -z "$address" ] || break
  sleep 0.05
done

"$loadtest" --target "http://$address" "$@"
kill -TERM "$pid"
wait "$pid"
