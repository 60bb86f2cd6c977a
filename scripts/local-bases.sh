#!/usr/bin/env bash
# Makes a stand-in for the base image that the Dockerfile compiles in, where no registry is reached: local-bases.sh ENGINE.
# It has this machine's own Go, a static busybox for its shell, and the roots of Debian's package ca-certificates, and is
# called localhost/tepal-go:local. What is built on it is for tests; a release is built on the image that the Dockerfile names.
set -euo pipefail

name=localhost/tepal-go:local
[ $# -eq 1 ] || {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}
engine=$1

version=$(go env GOVERSION)
case $engine in
buildah) made=$(buildah inspect --type image --format '{{index .OCIv1.Config.Labels "go"}}' "$name" 2>/dev/null || true) ;;
*) made=$("$engine" inspect --type image --format '{{index .Config.Labels "go"}}' "$name" 2>/dev/null || true) ;;
esac
[ "$made" != "$version" ] || exit 0

if ! busybox=$(command -v busybox) || [ ! -d /usr/share/ca-certificates/mozilla ]; then
  echo 'local-bases: apt-get install busybox-static ca-certificates' >&2
  exit 1
fi
if readelf -l "$busybox" 2>/dev/null | grep -q INTERP; then
  echo "local-bases: $busybox is no static binary: apt-get install busybox-static" >&2
  exit 1
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,etc/ssl/certs,etc/builder,go,root,src,tmp,usr/local}
cp "$busybox" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
cat /usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
# What this machine trusts beyond Debian's roots is for fetching modules, and never gets into an image.
cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/builder/roots.crt"
cp -a "$(go env GOROOT)" "$root/usr/local/go"
cat >"$root/Dockerfile" <<'DOCKERFILE'
FROM scratch
ARG VERSION
LABEL go=$VERSION
COPY bin /bin
COPY etc /etc
COPY usr /usr
COPY tmp /tmp
ENV PATH=/usr/local/go/bin:/bin GOPATH=/go HOME=/root SSL_CERT_FILE=/etc/builder/roots.crt
DOCKERFILE
"$engine" build --quiet --build-arg "VERSION=$version" --tag "$name" "$root" >&2
