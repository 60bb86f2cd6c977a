#!/usr/bin/env bash
# Makes what a release consists of beside the image.
#
#   release.sh notes    print what the changelog says of VERSION, without which there is no release
#   release.sh dist     into DIST: binaries with manual page and completion, a bill of materials of each, the manifests and the
#                       Helm chart that deploy IMAGE, the notes, checksums
#   release.sh sign     sign the checksums by the identity of this workflow's run, without a key (needs cosign)
#   release.sh publish  make the release of tag VERSION at GitHub, with all of DIST (needs gh)
#
# VERSION  the tag, such as v1.2.3
# IMAGE    the released image by digest
# DIST     where it goes (bin/dist)
set -euo pipefail
cd "$(dirname "$0")/.."

: "${DIST:=bin/dist}"

usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}

# notes prints the section of the changelog that VERSION has.
notes() {
  local section
  section=$(awk -v version="${VERSION#v}" '
    /^## / { inside = $2 == version || $2 == "[" version "]"; next }
    inside' CHANGELOG.md)
  [ -n "$section" ] || {
    echo "release: CHANGELOG.md has no section \`## ${VERSION#v}\`: rename Unreleased" >&2
    return 1
  }
  echo "$section"
}

binary() { # OS ARCHITECTURE
  local name=tepal_${VERSION#v}_$1_$2 root=$PWD
  CGO_ENABLED=0 GOOS=$1 GOARCH=$2 go build -trimpath \
    -ldflags "-s -w -X main.version=$VERSION -X main.commit=$(git rev-parse HEAD)" -o "$work/tepal" ./cmd/tepal
  # From the binary and not from go.sum: it lists what is in it, and nothing else.
  go tool -modfile=tools/cyclonedx-gomod/go.mod cyclonedx-gomod bin -json -noserial -version "$VERSION" \
    -output "$DIST/$name.cdx.json" "$work/tepal"
  (cd "$work" && pack "$root/$DIST/$name.tar.gz" LICENSE completion tepal tepal.1)
}

# pack makes the same bytes of the same files, whoever does it and when.
pack() { # ARCHIVE FILE…
  local archive=$1
  shift
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$epoch" -cf - "$@" | gzip -9n >"$archive"
}

dist() {
  : "${IMAGE:?release: IMAGE is the released image by digest}"
  local env root=$PWD epoch
  epoch=$(git log -1 --format=%ct)
  rm -rf "$DIST"
  mkdir -p "$DIST"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  notes >"$DIST/notes.md"
  cp -r LICENSE cmd/tepal/completion "$work/"
  # The page is the same for every system, and only a program of this one can print it.
  CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$VERSION" -o "$work/tepal" ./cmd/tepal
  "$work/tepal" man >"$work/tepal.1"
  binary linux amd64
  binary linux arm64
  binary darwin arm64
  mkdir "$work/manifests"
  for env in guide dev staging prod; do
    make --no-print-directory manifests ENV=$env IMAGE="$IMAGE" >"$work/manifests/$env.yaml"
  done
  (cd "$work" && pack "$root/$DIST/manifests_${VERSION#v}.tar.gz" manifests)
  DIST=$DIST scripts/chart.sh package >&2
  (cd "$DIST" && sha256sum -- *.tar.gz *.tgz *.cdx.json >checksums.txt)
  cat "$DIST/checksums.txt"
}

sign() {
  cosign sign-blob --yes --bundle "$DIST/checksums.txt.sigstore.json" "$DIST/checksums.txt"
}

publish() {
  gh release create "$VERSION" --verify-tag --title "$VERSION" --notes-file "$DIST/notes.md" \
    "$DIST"/*.tar.gz "$DIST"/*.tgz "$DIST"/*.cdx.json "$DIST"/checksums.txt*
}

: "${VERSION:?release: VERSION is the tag, such as v1.2.3}"
case ${1:-} in
notes | dist | sign | publish) "$1" ;;
*) usage ;;
esac
