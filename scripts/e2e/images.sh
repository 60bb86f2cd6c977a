#!/usr/bin/env bash
# The image is built three times, as one, as two, and with a model that answers wrongly, and brought to the nodes.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/e2e.bash
source scripts/e2e.bash

: "${E2E_LOAD:=kind load image-archive}"

build() { # FOLDER IMAGE
  # Each has a version of its own, by which its metrics tell it from the others.
  (cd "$1" && VERSION=${2##*:} IMAGE=$2 scripts/image.sh build && IMAGE=$2 scripts/image.sh archive bin/e2e.tar) \
    >"$out/image.log" 2>&1 || { cat "$out/image.log" && fail "$2 could not be built"; }
  # shellcheck disable=SC2086 # a command with its arguments
  $E2E_LOAD "$1/bin/e2e.tar"
  rm "$1/bin/e2e.tar"
  say "$2: built and loaded"
}

# spoil swaps two classes: the file is sound, the model loads, and calls every setosa a versicolor.
spoil() { # FILE
  LC_ALL=C sed --in-place --null-data --expression 's/\x06setosaJ\nversicolor/\nversicolorJ\x06setosa/' \
    --expression 's/"setosa","versicolor"/"versicolor","setosa"/' "$1"
}

build . "$image_one"
build . "$image_two"
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from - | tar --extract --directory "$copy"
spoil "$copy/artifacts/iris.onnx"
verdict=$(go run ./cmd/tepal verify "$copy/artifacts/iris.onnx" 2>&1) && fail 'the spoiled model is proven'
[[ $verdict == *'golden mismatch'* ]] || fail "the spoiled model is not what it should be: $verdict"
build "$copy" "$image_bad"
