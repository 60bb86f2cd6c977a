#!/usr/bin/env bash
# Starts the given binary on free ports, asks for one prediction, and stops it
# by SIGTERM, which must end well.
set -euo pipefail

binary=$1
log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$binary" serve --http-addr 127.0.0.1:0 --ops-addr 127.0.0.1:0 --drain-delay 0s >"$log" &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; cat "$log"; rm -f "$log"' ERR

address=
for _ in $(seq 100); do
  address=$(sed -n 's/.*"http_addr":"\([^"]*\)".*/\1/p' "$log")
  if [ -n "$address" ] && curl --silent --fail --output /dev/null "http://$address/ready_check"; then
    break
  fi
  sleep 0.05
done

answer=$(curl --silent --show-error --fail "http://$address/predict" \
  --header 'Content-Type: application/json' \
  --data '{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}')
echo "$answer"
[[ $answer == '{"label":"setosa",'* ]]

kill -TERM "$pid"
wait "$pid"
echo "smoke: the binary starts, predicts and stops"
