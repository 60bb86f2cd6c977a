#!/usr/bin/env bash
# Stands in for a tool that a workflow calls, under that tool's name: writes the call into CALLS, fails if it begins with
# FAIL, and otherwise answers what the scripts need to go on. What begins so as a line of REAL does is done by the tool itself.
set -euo pipefail

name=${0##*/}
call="$name $*"

# real goes on as the tool itself.
real() {
  PATH=$REAL_PATH
  exec "$name" "$@"
}

case $call in
'go tool '*kustomize* | 'go env '*) real "$@" ;; # the manifests are rendered for real
'docker info' | 'go env') exit 0 ;;
esac
printf '%s\n' "$call" >>"$CALLS"
if [ -n "$FAIL" ] && [[ $call == "$FAIL"* ]]; then
  echo "$name: fails, as the test wants" >&2
  exit 1
fi

# What is for another system is not built for real, nor is its bill made: it would take minutes.
foreign=
case $call in
'go build '*) [ "${GOOS:-$HOST}" = "$HOST" ] || [ "${GOOS:-}_${GOARCH:-}" = "$HOST" ] || foreign=1 ;;
'go tool '*cyclonedx-gomod*) [[ $call == *"_$HOST.cdx.json "* ]] || foreign=1 ;;
esac
while IFS= read -r begin <&3; do
  [ -n "$foreign" ] || [ -z "$begin" ] || [[ $call != "$begin"* ]] || real "$@"
done 3<<<"$REAL"

# value prints what a flag is followed by.
value() { # FLAG ARGUMENT…
  local flag=$1
  shift
  while [ "$1" != "$flag" ]; do shift; done
  echo "$2"
}

digest=sha256:5f1c7d3e9b2a4860c1d2e3f4a5b6c7d8e9f00112233445566778899aabbccdde
# The registry has a tag once it was pushed, and here each image is the same.
pushed=$STUBS/.pushed tags=$STUBS/.tags
case $call in
'docker pull '*) [ -e "$pushed" ] ;;
'docker push '*) touch "$pushed" ;;
'docker inspect '*)
  image=${*: -1}
  echo "${image%:*}@$digest"
  ;;
'docker buildx imagetools inspect '*)
  reference=${*: -1}
  [[ $reference == *@* ]] || grep --quiet --fixed-strings --line-regexp "$reference" "$tags"
  printf '{"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "%s"}\n' "$digest"
  ;;
'docker buildx imagetools create '*) value --tag "$@" >>"$tags" ;;
'docker buildx '*)
  value --tag "$@" >>"$tags"
  printf '{"containerimage.digest": "%s"}\n' "$digest" >"$(value --metadata-file "$@")"
  ;;
'cosign sign-blob '*) echo '{}' >"$(value --bundle "$@")" ;;
'go build '*' -o bin/loadtest '*)
  mkdir -p bin
  cp "$0" bin/loadtest
  ;;
'go build '*' ./cmd/tepal') cp "$0" "$(value -o "$@")" ;;
'go tool '*cyclonedx-gomod*) echo '{}' >"$(value -output "$@")" ;;
'go tool '*' helm package '*) echo chart >"$(value --destination "$@")/iris-classifier-$(value --version "$@").tgz" ;;
'go tool '*' helm push '*) printf 'Pushed: %s\nDigest: %s\n' "${*: -1}" "$digest" ;;
loadtest*) cp "$FIXTURES/load.json" bin/preview-load.json ;;
'kubectl '*port-forward*)
  echo 'Forwarding from 127.0.0.1:40001 -> 8000'
  exec sleep 30 # until it is stopped
  ;;
'kubectl apply '*) touch "$STUBS/.applied" ;;
'kubectl '*'deployment\.kubernetes\.io/revision'*) [ -e "$STUBS/.applied" ] && echo 4 || echo 3 ;;
'kubectl '*'.spec.type'*) echo LoadBalancer ;;
'kubectl '*'.status.loadBalancer.ingress[0].ip'*) echo 203.0.113.7 ;;
'kubectl '*' get deployments,services '*) printf 'pr-%s\n' 7 8 9 7 ;;
'gh api repos/tepalhq/tepal/pulls/7') echo '{"state": "closed", "updated_at": "2026-11-01T00:00:00Z"}' ;;
'gh api repos/tepalhq/tepal/pulls/8') echo "{\"state\": \"open\", \"updated_at\": \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"}" ;;
'gh api repos/tepalhq/tepal/pulls/9') echo '{"state": "open", "updated_at": "2026-01-01T00:00:00Z"}' ;;
'curl '*/predict*) echo '{"label":"setosa"}' ;;
'curl '*/models/iris*) cat "$FIXTURES/model.json" ;;
esac
