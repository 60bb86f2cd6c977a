#!/usr/bin/env bash
# Starts Tepal and what looks at it on this machine: the OpenTelemetry Collector, Prometheus, and Jaeger and Grafana where
# they are installed. Sends some load, and says where to look. Ctrl-C stops everything; so does the end of
# OBSERVE_SECONDS, if they are set. Each port can be set by the variable of its name. `make observe` builds what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${HTTP_PORT:=8000}" "${OPS_PORT:=8002}" "${PROMETHEUS_PORT:=9090}" "${PROMETHEUS_NATIVE_PORT:=9091}"
: "${OTLP_GRPC_PORT:=4317}" "${OTLP_HTTP_PORT:=4318}" "${JAEGER_PORT:=16686}" "${JAEGER_OTLP_PORT:=4328}" "${GRAFANA_PORT:=3000}"
: "${OBSERVE_SECONDS:=}" "${OBSERVE_REQUESTS:=600}"
export OTLP_GRPC_PORT OTLP_HTTP_PORT PROMETHEUS_PORT JAEGER_PORT

if ! command -v prometheus >/dev/null; then
  echo 'observe: there is no prometheus: apt-get install prometheus, or https://prometheus.io/download/' >&2
  exit 1
fi

dir=$(mktemp -d)
pids=()
names=()

stop() {
  trap '' INT TERM # once is enough
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill -TERM "${pids[i]}" 2>/dev/null || true
    wait "${pids[i]}" 2>/dev/null || true
  done
  rm -rf "$dir"
}
trap stop EXIT
trap 'echo; exit 0' INT TERM

# start NAME COMMAND… runs a program with its output in a file, and in a process group of its own: Ctrl-C reaches this
# script alone, which then stops them in order.
start() {
  local name=$1
  shift
  set -m
  "$@" >"$dir/$name.log" 2>&1 &
  set +m
  pids+=($!)
  names+=("$name")
}

# check fails when a program has ended by itself.
check() {
  for i in "${!pids[@]}"; do
    if ! kill -0 "${pids[i]}" 2>/dev/null; then
      echo "observe: ${names[i]} has ended. Its last lines:" >&2
      tail -n 5 "$dir/${names[i]}.log" >&2
      exit 1
    fi
  done
}

# await NAME CURL-ARGUMENT… waits until the program answers, at most 30 s.
await() {
  local name=$1 deadline=$((SECONDS + 30))
  shift
  until curl --silent --fail --output /dev/null --max-time 2 "$@"; do
    check
    if ((SECONDS >= deadline)); then
      echo "observe: $name does not answer" >&2
      exit 1
    fi
    sleep 0.1
  done
  check # the answer may have come from somebody else on this port
}

start_prometheus() { # NAME PORT FEATURES
  start "$1" prometheus --config.file="$dir/prometheus.yaml" --storage.tsdb.path="$dir/$1" \
    --web.listen-address="127.0.0.1:$2" --enable-feature="$3"
  await "$1" "http://127.0.0.1:$2/-/ready"
}

sed -e "s|127.0.0.1:8002|127.0.0.1:$OPS_PORT|" -e "s|\.\./alerts/|$PWD/telemetry/alerts/|" \
  telemetry/observe/prometheus.yaml >"$dir/prometheus.yaml"

collector=(bin/otelcol --config telemetry/observe/collector.yaml)
if command -v jaeger >/dev/null; then
  start jaeger jaeger --set="receivers.otlp.protocols.http.endpoint=127.0.0.1:$JAEGER_OTLP_PORT" \
    --set="receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0" \
    --set="extensions.jaeger_query.http.endpoint=127.0.0.1:$JAEGER_PORT"
  await jaeger "http://127.0.0.1:$JAEGER_PORT/"
  export OTLP_ONWARD="http://127.0.0.1:$JAEGER_OTLP_PORT"
  collector+=(--config 'yaml:service::pipelines::traces::exporters: [debug/traces, otlp_http/onward]')
  traces="http://127.0.0.1:$JAEGER_PORT"
else
  traces="$dir/collector.log (Jaeger shows them when \`jaeger\` is on the PATH: https://www.jaegertracing.io/download/)"
fi
start collector "${collector[@]}"
await collector --request POST --header 'Content-Type: application/json' --data '{}' "http://127.0.0.1:$OTLP_HTTP_PORT/v1/traces"

start tepal env OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:$OTLP_HTTP_PORT" OTEL_TRACES_EXPORTER=otlp \
  OTEL_METRICS_EXPORTER=otlp OTEL_METRIC_EXPORT_INTERVAL=5000 OTEL_TRACES_SAMPLER=always_on OTEL_BSP_SCHEDULE_DELAY=1000 \
  bin/tepal serve --http-addr "127.0.0.1:$HTTP_PORT" --ops-addr "127.0.0.1:$OPS_PORT" --drain-delay 0s
await tepal "http://127.0.0.1:$HTTP_PORT/ready_check"

native=
if [[ $(prometheus --version 2>&1) =~ version\ ([0-9]+)\.([0-9]+) ]] &&
  ((BASH_REMATCH[1] > 3 || BASH_REMATCH[1] == 3 && BASH_REMATCH[2] >= 8)); then
  start_prometheus prometheus "$PROMETHEUS_PORT" exemplar-storage
else
  # One of these versions keeps one form of a histogram: the classic one goes where dashboards and rules expect it.
  sed -i.orig '/_histograms: true$/d' "$dir/prometheus.yaml"
  start_prometheus prometheus "$PROMETHEUS_PORT" exemplar-storage
  start_prometheus prometheus-native "$PROMETHEUS_NATIVE_PORT" exemplar-storage,native-histograms
  native="http://127.0.0.1:$PROMETHEUS_NATIVE_PORT (this version of Prometheus needs a second one for them)"
fi

dashboard='not there: Grafana is not installed: https://grafana.com/grafana/download'
if command -v grafana >/dev/null; then
  mkdir "$dir/dashboards"
  cp telemetry/dashboards/grafana.json "$dir/dashboards/"
  start grafana env OBSERVE_DASHBOARDS="$dir/dashboards" GF_PATHS_DATA="$dir/grafana" GF_PATHS_LOGS="$dir/grafana" \
    GF_PATHS_PROVISIONING="$PWD/telemetry/observe/grafana" GF_SERVER_HTTP_ADDR=127.0.0.1 GF_SERVER_HTTP_PORT="$GRAFANA_PORT" \
    GF_AUTH_ANONYMOUS_ENABLED=true GF_AUTH_ANONYMOUS_ORG_ROLE=Admin \
    grafana server --homepath "${GRAFANA_HOME:-/usr/share/grafana}"
  await grafana "http://127.0.0.1:$GRAFANA_PORT/api/health"
  dashboard="http://127.0.0.1:$GRAFANA_PORT/dashboards"
fi

cat <<END

  server      http://127.0.0.1:$HTTP_PORT/predict, its log: $dir/tepal.log
  metrics     http://127.0.0.1:$OPS_PORT/metrics
  Prometheus  http://127.0.0.1:$PROMETHEUS_PORT/graph, alerts: http://127.0.0.1:$PROMETHEUS_PORT/alerts
  native      ${native:-the same Prometheus keeps native histograms, too}
  traces      $traces
  dashboard   $dashboard

$OBSERVE_REQUESTS requests are on their way, one in ten of them faulty. Ctrl-C stops everything${OBSERVE_SECONDS:+, and so do $OBSERVE_SECONDS seconds}.
END

# send N sends row N of the Iris data, or a faulty request for every tenth N. Whatever the answer is, it is no failure.
rows=()
while IFS=, read -r a b c d _; do
  rows+=("{\"sepal_length\":$a,\"sepal_width\":$b,\"petal_length\":$c,\"petal_width\":$d}")
done < <(tail -n +2 data/iris.csv)
send() {
  local path=/predict body=${rows[$1 * 7 % ${#rows[@]}]}
  case $(($1 % 40)) in
  9) body='{"sepal_length":' ;;                       # no JSON
  19) body='{"sepal_length":"long"}' ;;               # no such instance
  29) path=/nowhere ;;                                # no route
  39) body="[$body,$body,{\"petal_length\":null}]" ;; # one bad instance of three
  esac
  curl --silent --output /dev/null --max-time 5 --header 'Content-Type: application/json' --data "$body" \
    "http://127.0.0.1:$HTTP_PORT$path" || true
}

started=$SECONDS
for ((n = 0; ; n++)); do
  if [ -n "$OBSERVE_SECONDS" ] && ((SECONDS - started >= OBSERVE_SECONDS)); then
    break
  fi
  check
  if ((n < OBSERVE_REQUESTS)); then
    send "$n"
  fi
  sleep 0.1 # the pace of the load
done

printf '\nrequests that Prometheus has counted, by status:\n'
promtool query instant "http://127.0.0.1:$PROMETHEUS_PORT" \
  'sum by (http_response_status_code) (http_server_request_duration_seconds_count)'
