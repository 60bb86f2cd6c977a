#!/usr/bin/env bash
# Starts the given binary on free ports, asks for one prediction, and stops it
# by SIGTERM, which must end well.
set -euo pipefail
# shellcheck source=scripts/serve.bash
source "$(dirname "$0")/serve.bash"

serve "$1"
trap 'cat "$log" >&2' ERR
answer=$(curl --silent --show-error --fail "http://$address/predict" \
  --header 'Content-Type: application/json' \
  --data '{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}')
echo "$answer"
[[ $answer == '{"label":"setosa",'* ]]

stop
echo "smoke: the binary starts, predicts and stops"
