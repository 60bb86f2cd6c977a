# shellcheck shell=bash
# What the scripts that start a server here have in common; they source it.

# serve starts it on free ports, and sets pid, log, and, once it is ready, its address. It ends with the script.
serve() { # BINARY
  log=$(mktemp)
  "$1" serve --http-addr 127.0.0.1:0 --ops-addr 127.0.0.1:0 --drain-delay 0s >"$log" &
  pid=$!
  trap 'kill "$pid" 2>/dev/null || true; rm -f "$log"' EXIT
  for _ in $(seq 100); do
    address=$(sed -n 's/.*"http_addr":"\([^"]*\)".*/\1/p' "$log")
    if [ -n "$address" ] && curl --silent --fail --output /dev/null "http://$address/ready_check"; then
      return
    fi
    sleep 0.05
  done
  cat "$log" >&2
  echo "$1 was not ready within 5 s" >&2
  return 1
}

# stop ends it by SIGTERM, which must end well.
stop() {
  kill -TERM "$pid"
  wait "$pid"
}
