#!/usr/bin/env bash
# Builds, packs, checks and pushes the container image, by the first of docker, podman and buildah that answers `info`.
#
#   image.sh build           build IMAGE
#   image.sh archive FILE    write IMAGE as a docker-archive, which every cluster's loader takes
#   image.sh push            push IMAGE unless its tag exists already, and print it by digest: repository@sha256:…
#                            (in a workflow also as the step's output `image`)
#   image.sh release         build IMAGE for amd64 and arm64 with bills of materials and provenance, push it, and print it by
#                            digest (needs docker buildx)
#   image.sh sign            sign IMAGE as this workflow's run, without a key (needs cosign)
#   image.sh verify          print IMAGE by digest if the workflow image.yml of GITHUB_REPOSITORY signed it (needs cosign, buildx, jq)
#   image.sh copy            copy the image FROM, by its digest, to IMAGE, and print that by digest (needs docker buildx, jq)
#
# IMAGE         what it is called (localhost/tepal:dev)
# IMAGE_TARGET  the Dockerfile's stage: tepal, or train to train the model again (tepal)
# PLATFORM      such as linux/arm64 (this machine's)
# LOCAL_BASES   1 builds on a stand-in for the base image, made of this machine's own Go, where no registry is reached
# ENGINE        docker, podman or buildah, in place of the first that answers
# FROM          the image to copy, repository@sha256:…
# BRANCH        the branch whose build must have signed it (main)
# COMMIT        the commit that it must be built from (any)
# WAIT          for how many seconds to ask again for an image that is not there yet (0; 3600 where COMMIT is named)
# DRY_RUN       1 prints each command in place of running it
set -euo pipefail
cd "$(dirname "$0")/.."

: "${IMAGE:=localhost/tepal:dev}" "${IMAGE_TARGET:=tepal}" "${PLATFORM:=}" "${LOCAL_BASES:=}" "${ENGINE:=}" "${DRY_RUN:=}"

usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}

run() {
  printf '+ %s\n' "$*" >&2
  [ -n "$DRY_RUN" ] || "$@" >&2
}

# A docker client without its engine is common: it is there, and answers nothing.
engine() {
  local candidate
  for candidate in ${ENGINE:-docker podman buildah}; do
    if command -v "$candidate" >/dev/null && "$candidate" info >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  echo 'image: none of docker, podman and buildah answers: start one, or apt-get install podman' >&2
  return 1
}

# arguments fills args with what every build is told.
arguments() {
  local version commit epoch created
  version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo dev)}
  commit=${COMMIT:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}
  # The commit's time and not today's, so that building again gives the same image.
  epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
  created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
  args=(--target "$IMAGE_TARGET" --tag "$IMAGE" --build-arg "VERSION=$version" --build-arg "COMMIT=$commit" --build-arg "CREATED=$created")
  # Once more, since podman and buildah of Debian 12 take the labels of an older build from their cache.
  args+=(--label "org.opencontainers.image.version=$version" --label "org.opencontainers.image.revision=$commit")
  args+=(--label "org.opencontainers.image.created=$created")
}

build() {
  local args
  arguments
  # Podman and buildah of Debian 12 do not tell the Dockerfile what they run on, as BuildKit does.
  [ -z "$PLATFORM" ] || args+=(--platform "$PLATFORM" --build-arg "BUILDPLATFORM=$(go env GOHOSTOS)/$(go env GOHOSTARCH)")
  if [ -n "$LOCAL_BASES" ]; then
    export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot} # such a machine may be a container itself, where little else works
    scripts/local-bases.sh "$engine"
    args+=(--network host --build-arg GO_IMAGE=localhost/tepal-go:local)
  fi
  case $engine in
  docker) run env DOCKER_BUILDKIT=1 docker build "${args[@]}" . ;;
  *) run "$engine" build "${args[@]}" --format oci . ;;
  esac
}

archive() {
  mkdir -p "$(dirname "$1")"
  rm -f "$1" # an archive is added to by some, and refused by others
  case $engine in
  docker) run docker save --output "$1" "$IMAGE" ;;
  podman) run podman save --quiet --format docker-archive --output "$1" "$IMAGE" ;;
  buildah) run buildah push --quiet "$IMAGE" "docker-archive:$1:$IMAGE" ;;
  esac
}

# unknown stands for the digest of an image in a dry run.
unknown() { printf '%s@sha256:%064d\n' "${IMAGE%:*}" 0; }

# digest pulls IMAGE and prints it by digest, or fails: an image is small, and a pull is what every engine knows.
digest() {
  local repository=${IMAGE%:*} references
  run "$engine" pull --quiet "$IMAGE" || return 1
  [ -z "$DRY_RUN" ] || {
    unknown
    return
  }
  case $engine in
  buildah) references=$repository@$(buildah inspect --type image --format '{{.FromImageDigest}}' "$IMAGE") ;;
  *) references=$("$engine" inspect --type image --format '{{range .RepoDigests}}{{println .}}{{end}}' "$IMAGE") ;;
  esac
  grep --max-count=1 --fixed-strings "$repository@sha256:" <<<"$references"
}

# tell prints the digest, and gives it to the workflow that this is a step of.
tell() {
  echo "$1"
  [ -z "${GITHUB_OUTPUT:-}" ] || printf 'image=%s\nrepository=%s\ndigest=%s\n' "$1" "${1%@*}" "${1#*@}" >>"$GITHUB_OUTPUT"
}

# A tag is a commit and never moves: where it exists, it is what this would build. So it is, too, where a push is
# refused because another run was faster.
push() {
  local pushed
  if [ -z "$DRY_RUN" ] && pushed=$(digest); then
    echo "image: $IMAGE is in the registry already" >&2
    tell "$pushed"
    return
  fi
  build
  run "$engine" push "$IMAGE" || echo "image: the push failed; is it there by another run?" >&2
  pushed=$(digest)
  tell "$pushed"
}

release() {
  local args metadata=bin/image.json
  mkdir -p bin
  arguments
  run docker buildx build "${args[@]}" --platform "${PLATFORM:-linux/amd64,linux/arm64}" --sbom=true \
    --provenance=mode=max --metadata-file "$metadata" --push .
  if [ -n "$DRY_RUN" ]; then
    unknown
  else
    tell "${IMAGE%:*}@$(jq -er '."containerimage.digest"' "$metadata")"
  fi
}

sign() { run cosign sign --yes --recursive "$IMAGE"; }

# resolve prints the digest of an image in a registry, which may be an index of several. A dry run asks nobody.
resolve() {
  if [ -n "$DRY_RUN" ]; then
    printf 'sha256:%064d\n' 0
  else
    docker buildx imagetools inspect --format '{{json .Manifest}}' "$1" | jq -er .digest
  fi
}

# signed sees that the workflow that builds images has signed the digest, on the branch: another one, such as a pull
# request's, has another name in its certificate.
signed() {
  local repository=${IMAGE%@*} digest args
  digest=$(resolve "$IMAGE") || return 1
  args=(--certificate-oidc-issuer https://token.actions.githubusercontent.com)
  args+=(--certificate-identity "https://github.com/$GITHUB_REPOSITORY/.github/workflows/image.yml@refs/heads/${BRANCH:-main}")
  [ -z "${COMMIT:-}" ] || args+=(--certificate-github-workflow-sha "$COMMIT")
  [ "$repository" != "$IMAGE" ] || repository=${IMAGE%:*}
  run cosign verify "${args[@]}" "$repository@$digest" || return 1
  tell "$repository@$digest"
}

verify() {
  : "${GITHUB_REPOSITORY:?image: GITHUB_REPOSITORY is whose workflow must have signed it: OWNER/NAME}"
  [[ $IMAGE =~ ^[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})$ ]] || {
    echo "image: $IMAGE is neither REPOSITORY:TAG nor REPOSITORY@sha256:DIGEST" >&2
    return 2
  }
  # Whoever pushes a tag pushes the commit with it, and the image takes a while.
  : "${WAIT:=${COMMIT:+3600}}"
  until signed; do
    if ((SECONDS >= ${WAIT:-0})); then
      echo "image: $IMAGE is not there, or the workflow image.yml of $GITHUB_REPOSITORY did not sign it on ${BRANCH:-main}" >&2
      return 1
    fi
    sleep "${WAIT_INTERVAL:-30}"
  done
}

copy() {
  local digest=${FROM##*@}
  # A tag that never moves cannot be written twice.
  [ "$(resolve "$IMAGE" 2>/dev/null)" = "$digest" ] || run docker buildx imagetools create --tag "$IMAGE" "$FROM"
  [ -n "$DRY_RUN" ] || [ "$(resolve "$IMAGE")" = "$digest" ] || {
    echo "image: $IMAGE is not $FROM" >&2
    return 1
  }
  tell "${IMAGE%:*}@$digest"
}

[ $# -gt 0 ] || usage
case $1 in
build | push | release | sign | verify) [ $# -eq 1 ] || usage ;;
copy) [[ $# -eq 1 && ${FROM:-} == *@sha256:* ]] || usage ;;
archive) [ $# -eq 2 ] || usage ;;
*) usage ;;
esac
case $1 in build | push | archive) engine=$(engine) ;; esac
"$@"
