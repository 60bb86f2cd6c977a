# shellcheck shell=bash
# What the checks of scripts/e2e.sh have in common; each sources it.
# shellcheck disable=SC2034 # used by whoever sources it
export ENV=dev CLUSTER=kind COMPONENTS=
# shellcheck source=scripts/k8s.bash
source scripts/k8s.bash
names
labels=app=iris-classifier
# Three builds: two that differ in their version alone, and one whose model answers wrongly.
image_one=localhost/tepal:e2e-one image_two=localhost/tepal:e2e-two image_bad=localhost/tepal:e2e-bad
out=bin/e2e
# Where the Service is, once it was deployed.
url=$(cat "$out/url" 2>/dev/null || true)
# As little as shows every loss, so that the autoscaler sees no reason to move.
: "${E2E_RATE:=100}"
# Far above what two replicas' requests are for, and well below what a small machine answers.
: "${E2E_SCALE_RATE:=4000}"
: "${E2E_RESTART_KUBELET:=docker exec kind-control-plane systemctl restart kubelet}"

kube() { kubectl -n "$namespace" "$@"; }

say() { printf '    %s\n' "$*"; }

fail() { # WHAT
  printf '    NOT SO: %s\n' "$*" >&2
  exit 1
}

# await tries a command until it succeeds, for a limited time.
await() { # SECONDS WHAT COMMAND…
  local limit=$1 what=$2 start=$SECONDS
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS - start >= limit)); then
      "$@" || true # shows what it says
      fail "$what: not within $limit s"
    fi
    sleep 0.5
  done
  say "$what: after $((SECONDS - start)) s"
}

# pods prints those that are not about to end.
pods() {
  kube get pods --selector "$labels" --output json |
    jq -r '.items[] | select(.metadata.deletionTimestamp == null) | .metadata.name'
}

# pods_of prints those of an image, likewise.
pods_of() { # IMAGE
  kube get pods --selector "$labels" --output json |
    jq -r --arg image "$1" '.items[] | select(.metadata.deletionTimestamp == null and .spec.containers[0].image == $image) | .metadata.name'
}

# ready prints those that are ready, likewise.
ready() {
  kube get pods --selector "$labels" --output json |
    jq -r '.items[] | select(.metadata.deletionTimestamp == null and any(.status.conditions[]?; .type == "Ready" and .status == "True")) | .metadata.name'
}

# settled is true when every pod is ready and none is about to end. How many they are is the autoscaler's to say: two or
# more, unless a number is given.
settled() { # [COUNT]
  kube get pods --selector "$labels" --output json |
    jq -e --argjson count "${1:-null}" '(.items | length) as $all | (if $count then $all == $count else $all >= 2 end) and all(.items[];
      .metadata.deletionTimestamp == null and any(.status.conditions[]?; .type == "Ready" and .status == "True"))'
}

# wanted is true when the autoscaler wants so many.
wanted() { # COUNT
  [ "$(kube get deployment "$deployment" --output 'jsonpath={.spec.replicas}')" = "$1" ]
}

# templates prints the hash of each template that a pod was made from: one for each revision with pods.
templates() {
  kube get pods --selector "$labels" --output 'jsonpath={range .items[*]}{.metadata.labels.pod-template-hash}{"\n"}{end}' | sort -u
}

# containers prints what each container is and how often it was restarted.
containers() {
  kube get pods --selector "$labels" --output json |
    jq -cS '[.items[] | {(.metadata.name): (.status.containerStatuses[0] | {containerID, restartCount})}] | add'
}

# ask gets a path of a pod by the API server, whatever the Service thinks of it.
ask() { # POD PORT PATH
  kubectl get --raw "/api/v1/namespaces/$namespace/pods/$1:$2/proxy$3"
}

# metric sums the samples of a metric over the pods given, 0 where there are none.
metric() { # NAME POD…
  local name=$1 pod
  shift
  for pod; do ask "$pod" 8002 /metrics; done | awk -v name="$name" '{split($1, part, "{")} part[1] == name {sum += $NF} END {printf "%.6f\n", sum}'
}

# predict asks for a prediction, of an Iris setosa.
predict() { # URL CURL'S ARGUMENTS…
  local url=$1
  shift
  curl --silent --show-error --fail --max-time 5 --header 'Content-Type: application/json' "$@" \
    --data '{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}' "$url/predict"
}

# anew asks over a connection of its own each time, until it is ended: a load test keeps its connections, and with them its replicas.
anew() {
  while true; do
    if predict "$url" >/dev/null; then echo answered; else echo lost; fi
    sleep 0.02
  done
}

# load_begin puts the open-loop load test on the Service, and beside it a caller that comes anew each time, until load_end.
load_begin() { # NAME
  load_report=$out/$1.json load_anew=$out/$1.anew
  bin/loadtest --target "$url" --rate "$E2E_RATE" --duration 1h --timeout 5s --json "$load_report" >"$out/$1.load" 2>&1 &
  load=$!
  anew >"$load_anew" 2>&1 &
  load+=" $!"
  # shellcheck disable=SC2064 # those of now
  trap "kill $load 2>/dev/null || true" EXIT
  sleep 2 # so that what follows happens under load
  kill -0 "${load% *}" 2>/dev/null || {
    cat "$out/$1.load"
    fail 'the load test has ended'
  }
}

# load_end ends them, and sees that every request was answered, and rightly.
load_end() {
  sleep 2 # for what comes late
  kill -INT "${load% *}"
  kill "${load#* }"
  wait "${load% *}" || true # it says that it was interrupted
  trap - EXIT
  say "$(jq -r '.total | "load: \(.requests) requests at \(.asked_rate | round)/s, p99 \(.p99_seconds * 1000 | round) ms, errors: \(.errors // {} | tojson)"' "$load_report")"
  say "anew: $(grep -c '^answered' "$load_anew") requests answered, $(grep -c '^lost' "$load_anew" || true) lost"
  # Some may be due and not yet sent at the moment of its end: those were not lost.
  jq -e '.total | .requests > 0 and ((.errors // {}) | (.["not sent"] // 0) <= 5 and del(.["not sent"]) == {})' "$load_report" >/dev/null ||
    fail 'a request was lost'
  ! grep -q '^lost' "$load_anew" || fail "a request over a new connection was lost: $(grep '^curl' "$load_anew" | sort | uniq -c)"
}
