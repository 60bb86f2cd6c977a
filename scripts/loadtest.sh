#!/usr/bin/env bash
# Starts the given server on free ports, puts a light load on it by the given
# load test, with gates, and stops it. Flags that follow are the load test's.
set -euo pipefail
# shellcheck source=scripts/serve.bash
source "$(dirname "$0")/serve.bash"

server=$1 loadtest=$2
shift 2
serve "$server"
"$loadtest" --target "http://$address" "$@"
stop
