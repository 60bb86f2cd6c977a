#!/usr/bin/env bash
# Runs the W3C's test harness for Trace Context at both of its strictness levels:
# w3c.sh SERVICE PYTHON HARNESS, the last being a checkout of the harness.
set -euo pipefail

service=$1
python=$2
harness=$3
export PYTHONDONTWRITEBYTECODE=1 # the checkout stays as it is
unset "${!OTEL_@}"               # the defaults are what is tested

log=$(mktemp)
PORT=0 "$service" 2>"$log" &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; rm -f "$log"' EXIT
address=
for _ in $(seq 100); do
  address=$(sed -n 's/.*listening on //p' "$log")
  [ -z "$address" ] || break
  sleep 0.05
done
[ -n "$address" ] || {
  cat "$log" >&2
  exit 1
}

# The harness listens as well, and cannot choose a free port itself.
port=$("$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
for level in 1 2; do
  STRICT_LEVEL=$level SPEC_LEVEL=2 HARNESS_PORT=$port "$python" "$harness/test/test.py" "http://$address/test"
done

echo "w3c: the harness passes at both strictness levels"
