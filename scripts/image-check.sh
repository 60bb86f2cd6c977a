#!/usr/bin/env bash
# Checks the container image IMAGE: its sizes, what it is for, what it says of itself, and that it serves as its own user, as
# root, as any other user, and with nothing that it may write to. image-check.sh ARCHIVE SIZES
#
# ARCHIVE  the image as a docker-archive, as `image.sh archive` writes it
# SIZES    the committed sizes: the image may be up to 10 % larger, and never above 12 MB compressed and 25 MB unpacked
#
# IMAGE     what it is called (localhost/tepal:dev)
# PLATFORM  what it was built for (this machine's); what is not for this machine is not started
# ENGINE    docker or podman, in place of the first that answers
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -eq 2 ] || {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}
archive=$1 sizes=$2
here=$(go env GOHOSTOS)/$(go env GOHOSTARCH)
: "${IMAGE:=localhost/tepal:dev}" "${ENGINE:=}" "${PLATFORM:=$here}"
dir=$(mktemp -d)
container=
trap '[ -z "$container" ] || "$engine" rm --force "$container" >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT

fail() {
  echo "image-check: $*" >&2
  exit 1
}

engine=
for candidate in ${ENGINE:-docker podman}; do
  if command -v "$candidate" >/dev/null && "$candidate" info >/dev/null 2>&1; then
    engine=$candidate
    break
  fi
done
[ -n "$engine" ] || fail 'neither docker nor podman answers, and one of them must run the image: apt-get install podman runc'

# Sizes: of the layers, packed as a registry gets them and unpacked as a node keeps them. MB are millions of bytes.
tar -xf "$archive" -C "$dir"
compressed=0 unpacked=0
while read -r layer; do
  gzip -dcf "$dir/$layer" >"$dir/layer"
  unpacked=$((unpacked + $(wc -c <"$dir/layer")))
  compressed=$((compressed + $(gzip -6 -c "$dir/layer" | wc -c)))
done < <(jq -r '.[0].Layers[]' "$dir/manifest.json")
within() { # NAME BYTES MOST
  local committed
  committed=$(awk -v name="$1" '$1 == name {print $2}' "$sizes")
  [ -n "$committed" ] || fail "$sizes has no line '$1 BYTES'"
  echo "image-check: $1: $2 bytes, $committed committed, $3 at most"
  [ "$2" -le "$3" ] || fail "$1: $2 bytes are more than the $3 allowed"
  [ "$(($2 * 10))" -le "$((committed * 11))" ] ||
    fail "$1: it grew by more than 10 %: find out why, or write the new size into $sizes in the change that explains it"
}
within compressed "$compressed" 12000000
within unpacked "$unpacked" 25000000

# What it is for, by its configuration and by the binary's own header: they are made apart.
platform=$(jq -r '"\(.os)/\(.architecture)"' "$dir/$(jq -r '.[0].Config' "$dir/manifest.json")")
[ "$platform" = "$PLATFORM" ] || fail "the image says that it is for $platform, and not for $PLATFORM"
case $platform in
linux/amd64) machine=003e ;;
linux/arm64) machine=00b7 ;;
*) fail "no release is for $platform" ;;
esac
tar -xOf "$dir/layer" tepal >"$dir/tepal" # of the last layer
[ "$(od -An -tx2 -j18 -N2 "$dir/tepal" | tr -d ' ')" = "$machine" ] || fail "the binary is not for $platform"
echo "image-check: image and binary are for $platform"

# What it says of itself, compared with what the Dockerfile promises.
"$engine" inspect --type image "$IMAGE" >"$dir/inspect.json"
promised() { # JQ-EXPRESSION
  jq -e ".[0].Config | $1" "$dir/inspect.json" >/dev/null || fail "the image does not hold: $1"
}
promised '.User == "65532:65532"'
promised '.Entrypoint == ["/tepal"] and .Cmd == ["serve"]'
promised '.ExposedPorts | keys == ["8000/tcp", "8002/tcp"]'
promised '.Labels["org.opencontainers.image.source"] == "https://github.com/tepalhq/tepal"'
for label in title description documentation licenses version revision created; do
  promised ".Labels[\"org.opencontainers.image.$label\"] | length > 0"
done
promised ".Labels[\"org.opencontainers.image.revision\"] == \"${COMMIT:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}\""
echo 'image-check: user, entry point, ports and labels are as promised'

# serves USER starts the image as that user with a read-only root and no capability, and asks for a prediction.
# The limits are this shell's: an engine that is itself in a container cannot raise them.
serves() {
  local port address answer
  container=$("$engine" run --detach --read-only --cap-drop all --security-opt no-new-privileges --user "$1" \
    --ulimit "nofile=$(ulimit -Hn):$(ulimit -Hn)" --ulimit nproc=4096:4096 --network host "$IMAGE" \
    serve --http-addr 127.0.0.1:0 --ops-addr 127.0.0.1:0 --drain-delay 0s)
  for _ in $(seq 100); do
    port=$("$engine" logs "$container" 2>&1 | sed -n 's/.*"http_addr":"127\.0\.0\.1:\([0-9]*\)".*/\1/p')
    if [ -n "$port" ] && curl --silent --fail --output /dev/null "http://127.0.0.1:$port/ready_check"; then
      break
    fi
    sleep 0.1
  done
  address=http://127.0.0.1:${port:?"image-check: the server did not start: $("$engine" logs "$container" 2>&1)"}
  answer=$(curl --silent --show-error --fail "$address/predict" --header 'Content-Type: application/json' \
    --data '{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}')
  [[ $answer == '{"label":"setosa",'* ]] || fail "as user $1 it answers $answer"
  "$engine" stop --time 10 "$container" >/dev/null
  answer=$("$engine" inspect --format '{{.State.ExitCode}}' "$container")
  [ "$answer" = 0 ] || fail "as user $1 it stops with exit code $answer"
  "$engine" rm "$container" >/dev/null
  container=
  echo "image-check: serves as user $1 on a read-only root, and stops by itself"
}
if [ "$platform" != "$here" ]; then
  echo "image-check: this machine is $here, and does not start it"
  exit
fi
serves 65532:65532
serves 0:0
serves "$((RANDOM + 100000)):0"
