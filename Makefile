# Everything that can be done here is a target. `make` alone lists them.
# Go 1.26 is all that is needed, but for the targets that say otherwise.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
# The race detector needs cgo, and with it a C compiler.
RACE     := $(shell command -v $$(go env CC) >/dev/null 2>&1 && echo -race)
FUZZTIME ?= 30s
BENCH    ?= .
# Each tool is a module of its own, so that their dependencies never meet.
tool = go tool -modfile=tools/$(1)/go.mod $(1)

##@ Use
.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Serve the embedded Iris model on port 8000
	exec bin/tepal serve

.PHONY: observe
observe: build bin/otelcol ## Serve, watched by a Collector and Prometheus, with some load (needs curl and prometheus)
	scripts/observe.sh

.PHONY: build
build: ## Build the static binary bin/tepal
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/tepal ./cmd/tepal

.PHONY: train
train: ## Train the Iris forest again: artifacts/iris.onnx
	CGO_ENABLED=0 go run ./cmd/train --unit cm

##@ Check
.PHONY: test
test: ## Run all Go tests, shuffled, with the race detector where there is a C compiler
	go test $(RACE) -shuffle=on ./...
	cd telemetry/interop && go test $(RACE) -shuffle=on ./...
# The race detector makes sync.Pool forget, so these say something only without it.
	$(if $(RACE),go test -run '^TestNoAllocation$$' ./model/onnx ./model/rows ./model/tree)

.PHONY: lint
lint: lint-docs ## Run the linters, and see that the module files are tidy
	go vet ./...
	go vet -tags commands ./docs
	$(call tool,golangci-lint) run ./...
	go mod tidy -diff
	cd telemetry/interop && go vet -tags real ./... && go mod tidy -diff
	cd k8s/test && go vet ./... && go mod tidy -diff
	cd infra/test && go vet ./... && go mod tidy -diff
	cd tools/standin && go vet .
	for dir in tools/*/; do (cd "$$dir" && go mod tidy -diff); done

# Pages are in British English, but for the words of others.
OTHERS := artifact,artifacts,behavior,center,color,flavor,harbor,unauthorized,utilization

.PHONY: lint-docs
lint-docs: ## Look for misspelled words in pages, scripts, manifests and workflows
	git ls-files -z '*.md' | xargs -0 $(call tool,misspell) -error -locale UK -i $(OTHERS)
	git ls-files -z Makefile .ci Dockerfile '*.sh' '*.bash' '*.py' '*.yaml' '*.yml' '*.tf' '*.js' '*.svg' | xargs -0 $(call tool,misspell) -error

.PHONY: lint-scripts
lint-scripts: ## See that the scripts pass shellcheck and are formatted (needs shellcheck)
	@command -v shellcheck >/dev/null || { echo 'there is no shellcheck: apt-get install shellcheck' >&2; exit 1; }
	shellcheck --external-sources .ci/run scripts/*.sh scripts/*.bash scripts/e2e/*.sh cmd/tepal/completion/*.bash
	$(call tool,shfmt) -i 2 -d .ci/run scripts cmd/tepal/completion/tepal.bash

.PHONY: smoke
smoke: build ## Start the real binary, ask it for a prediction, stop it (needs curl)
	scripts/smoke.sh bin/tepal

.PHONY: alerts
alerts: ## Fire every alert, and check the queries of rules, dashboards and playbooks (needs promtool)
	@command -v promtool >/dev/null || { echo 'promtool is missing: install Debian'\''s package prometheus, or a release of Prometheus' >&2; exit 1; }
	go test -count=1 ./telemetry/alerts

# Built once, from source: half a minute with its modules at hand.
bin/otelcol: $(wildcard tools/otelcol/*)
	cd tools/otelcol && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o ../../$@ .

.PHONY: test-telemetry
test-telemetry: build bin/otelcol ## Follow a request through a real Collector and a real Prometheus (needs prometheus)
	@command -v prometheus >/dev/null || { echo 'there is no prometheus: apt-get install prometheus' >&2; exit 1; }
	cd telemetry/interop && go test -tags real -count=1 .

.PHONY: test-shells
test-shells: ## Type into bash, zsh and fish with tepal's completion, and lint its manual page (needs zsh, fish and mandoc)
	go vet -tags shells ./cmd/tepal
	go test -tags shells -count=1 -run 'Bash|Zsh|Fish|Mandoc' ./cmd/tepal

.PHONY: test-docs
test-docs: bin/otelcol .venv/locust ## Run the commands of docs/guide: here, or against stubs of the clouds (needs prometheus, Terraform 1.11, jq, curl)
	go test -tags commands -count=1 -timeout 15m -run '^Test(Commands|GuideIsMarked)$$' ./docs

.PHONY: cover
cover: ## Show the test coverage of each function
	go test -coverprofile=coverage.out ./...
	go tool cover -func=coverage.out

.PHONY: fuzz
fuzz: ## Fuzz every parser for FUZZTIME each
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: ## Run the benchmarks that match BENCH
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: verify
verify: test lint lint-scripts lint-workflows smoke alerts test-shells test-telemetry test-loadtests test-workflows test-k8s test-infra retrain oracle-check drift-oracle-check ## Check everything that a release promises (needs curl, jq, prometheus, shellcheck, zsh, fish, mandoc, Terraform and Python 3.11)
	$(MAKE) fuzz FUZZTIME=10s

.PHONY: retrain
retrain: ## See that training again gives the very same artifact
	mkdir -p bin
	CGO_ENABLED=0 go run ./cmd/train --unit cm --out bin/iris.onnx >/dev/null
	cmp bin/iris.onnx artifacts/iris.onnx

##@ Oracles (need Python 3.11)
ORACLE := model/onnx/testdata

.venv/oracle: $(ORACLE)/requirements.txt
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --requirement $<
	touch $@

.PHONY: oracle
oracle: .venv/oracle ## Record ONNX Runtime's answers again
	.venv/oracle/bin/python $(ORACLE)/oracle.py

.PHONY: oracle-check
oracle-check: .venv/oracle ## See that ONNX Runtime still answers as recorded
	.venv/oracle/bin/python $(ORACLE)/oracle.py --check

DRIFT := telemetry/drift/testdata

.venv/drift: $(DRIFT)/requirements.txt
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --requirement $<
	touch $@

.PHONY: drift-oracle
drift-oracle: .venv/drift ## Record the drift that NumPy and SciPy compute again
	.venv/drift/bin/python $(DRIFT)/psi.py

.PHONY: drift-oracle-check
drift-oracle-check: .venv/drift ## See that NumPy and SciPy still compute the drift recorded
	.venv/drift/bin/python $(DRIFT)/psi.py --check

.venv/openmetrics: telemetry/testdata/requirements.txt
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --requirement $<
	touch $@

.PHONY: openmetrics-check
openmetrics-check: build .venv/openmetrics ## See that the strict parser of Prometheus's client for Python reads /metrics
	.venv/openmetrics/bin/python telemetry/testdata/openmetrics.py bin/tepal

.venv/w3c: telemetry/w3ctest/requirements.txt
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --requirement $<
	touch $@

.PHONY: test-w3c
test-w3c: ## Run the W3C's Trace Context harness, of which HARNESS is a checkout
	@test -f '$(HARNESS)/test/test.py' || \
		{ echo 'test-w3c: HARNESS=DIR must name a checkout of https://github.com/w3c/trace-context' >&2; exit 1; }
	$(MAKE) .venv/w3c
	CGO_ENABLED=0 go build -trimpath -o bin/w3ctest ./telemetry/w3ctest
	scripts/w3c.sh bin/w3ctest .venv/w3c/bin/python '$(HARNESS)'

##@ Image (need docker, podman or buildah)
# What is deployed is always named; what is only built here need not be.
image         = $(or $(IMAGE),localhost/tepal:dev)
IMAGE_TARGET ?= tepal
PLATFORM     ?=
LOCAL_BASES  ?=
image_env     = IMAGE='$(image)' IMAGE_TARGET='$(IMAGE_TARGET)' PLATFORM='$(PLATFORM)' LOCAL_BASES='$(LOCAL_BASES)'

.PHONY: image
image: ## Build the image IMAGE; IMAGE_TARGET=train trains the model again; LOCAL_BASES=1 reaches no registry
	$(image_env) scripts/image.sh build

.PHONY: image-archive
image-archive: image ## Build it, and write it to bin/image.tar for a cluster's loader
	$(image_env) scripts/image.sh archive bin/image.tar

.PHONY: image-check
image-check: image-archive ## Build it, check size, platform and labels, serve as several users (needs docker or podman; jq, curl)
	IMAGE='$(image)' PLATFORM='$(PLATFORM)' scripts/image-check.sh bin/image.tar scripts/image-size

.PHONY: image-push
image-push: ## Push IMAGE unless its tag is in the registry, and print it by digest
	@$(image_env) scripts/image.sh push

.PHONY: image-release
image-release: ## Push IMAGE for amd64 and arm64, with bills of materials and provenance (needs docker buildx)
	@$(image_env) scripts/image.sh release

##@ Delivery (docs/delivery.md)
.PHONY: gke-login
gke-login: ## Let docker and kubectl into the project of CLOUD_PROJECT_ID (needs gcloud)
	@scripts/gke.sh

PREVIEW_LOADTEST_FLAGS ?= --rate 200 --ramp 5s --duration 30s --max-p99 1s --max-errors 0.1% --min-rate 95%

.PHONY: preview-loadtest
preview-loadtest: ## Load the preview at URL, with gates, into bin/preview-load.json
	CGO_ENABLED=0 go build -trimpath -o bin/loadtest ./cmd/loadtest
	bin/loadtest --target '$(URL)' --wait 2m --json bin/preview-load.json $(PREVIEW_LOADTEST_FLAGS)

.PHONY: preview-report
preview-report: ## Write bin/preview.md: the endpoint URL, IMAGE, the model's metrics, the load test (needs curl and jq)
	@URL='$(URL)' IMAGE='$(IMAGE)' scripts/preview.sh report

.PHONY: preview-comment
preview-comment: ## Put it on pull request PR, by CML or else by gh
	@PR='$(PR)' scripts/preview.sh comment

.PHONY: release-notes
release-notes: ## Print what the changelog says of VERSION, without which there is no release
	@VERSION='$(VERSION)' scripts/release.sh notes

.PHONY: release-dist
release-dist: ## Make binaries, bills of materials, manifests, notes and checksums of VERSION in bin/dist
	@VERSION='$(VERSION)' IMAGE='$(IMAGE)' scripts/release.sh dist

.PHONY: release-sign
release-sign: ## Sign IMAGE and the checksums without a key (needs cosign, in a workflow)
	@VERSION='$(VERSION)' IMAGE='$(IMAGE)' scripts/release.sh sign

.PHONY: release-publish
release-publish: ## Make the release VERSION at GitHub with all of bin/dist (needs gh)
	@VERSION='$(VERSION)' scripts/release.sh publish

.venv/zizmor: .github/test/requirements.txt
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --requirement $<
	touch $@

.PHONY: lint-workflows
lint-workflows: .venv/zizmor ## Lint the workflows by actionlint and zizmor (needs Python 3.11 and shellcheck)
	@command -v shellcheck >/dev/null || { echo 'there is no shellcheck: apt-get install shellcheck' >&2; exit 1; }
	$(call tool,actionlint) -color
	.venv/zizmor/bin/zizmor --offline --quiet --persona pedantic .github

.PHONY: test-workflows
test-workflows: ## Run the steps of the workflows that deploy against stand-ins for the clouds' tools (needs jq)
	cd .github/test && go vet -tags cluster ./... && go mod tidy -diff && go test -count=1 ./...

# A part of `make e2e`, which brings the image to the nodes.
.PHONY: test-workflows-cluster
test-workflows-cluster: ## Run their steps on the cluster of KUBECONFIG, whose nodes have IMAGE; it must not be in use (needs kubectl, curl, jq)
	cd .github/test && IMAGE='$(IMAGE)' go test -tags cluster -count=1 -timeout 12m -run '^TestCluster' .

##@ Clouds (infra/README.md; CLOUD=gcp|aws|azure MODE=standard|managed PROJECT=…; DRY_RUN=1 prints the commands)
CLOUD     ?=
MODE      ?=
PROJECT   ?=
DRY_RUN   ?=
NAMESPACE ?= iris-dev
CLOUD_ENV  = CLOUD='$(CLOUD)' MODE='$(MODE)' PROJECT='$(PROJECT)' DRY_RUN='$(DRY_RUN)'

.PHONY: infra-state
infra-state: ## Make the place of Terraform's state, once
	@$(CLOUD_ENV) infra/scripts/terraform.sh state

.PHONY: infra-plan
infra-plan: ## Show what Terraform would change
	@$(CLOUD_ENV) infra/scripts/terraform.sh plan

.PHONY: infra-apply
infra-apply: ## Make cluster, registry and identities by Terraform, which asks
	@$(CLOUD_ENV) infra/scripts/terraform.sh apply

.PHONY: infra-prepare
infra-prepare: ## Make the namespaces, and on AWS install what makes load balancers: for an admin, once
	@$(CLOUD_ENV) infra/scripts/prepare.sh

.PHONY: pause
pause: ## Stop what costs money: no nodes, or no pods; asks
	@$(CLOUD_ENV) infra/scripts/cost.sh pause

.PHONY: resume
resume: ## Bring back what pause took away; asks
	@$(CLOUD_ENV) infra/scripts/cost.sh resume

.PHONY: cleanup
cleanup: ## Remove the service, and by Terraform all that Terraform made; asks
	@$(CLOUD_ENV) infra/scripts/cost.sh cleanup

.PHONY: doctor
doctor: ## Look for faults in tools, cloud and cluster, and say what mends them; without CLOUD in the cluster alone
	@$(CLOUD_ENV) infra/scripts/doctor.sh

.PHONY: verify-identity
verify-identity: ## Show that pods of NAMESPACE get an identity of the cloud without a key
	@$(CLOUD_ENV) NAMESPACE='$(NAMESPACE)' infra/scripts/verify-identity.sh

.venv/checkov: infra/requirements.txt
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --requirement $<
	touch $@

.PHONY: test-infra
test-infra: .venv/checkov ## Check infra/ without a cloud (needs Terraform 1.11, shellcheck, jq and Python 3.11)
	infra/scripts/check.sh

.PHONY: infra-validate
infra-validate: ## Let the real providers check the roots, and run their tests (needs Terraform's registry)
	infra/scripts/validate.sh

.PHONY: infra-schema
infra-schema: ## Take the providers' schemas from npm again: infra/schema/schemas.json (needs npm and Python 3)
	python3 infra/schema/extract.py

##@ Measure (needs Linux; ARGS for more flags)
# Runs a suite of bin/bench, into its section of the page.
measure = CGO_ENABLED=0 go build -trimpath -o bin/bench ./bench && bin/bench $(1) --commit '$(VERSION)' --write docs/performance.md

.PHONY: bench-telemetry
bench-telemetry: ## Measure what telemetry costs, into docs/performance.md
	$(call measure,telemetry) --rounds 9 $(ARGS)

.PHONY: bench-peers
bench-peers: build bin/models .venv/peer ## Measure Tepal, a bare handler and a service in Python, into docs/performance.md (needs Python 3.11)
	$(call measure,peers) --duration 4s $(ARGS)

.PHONY: bench-scale
bench-scale: build bin/models ## Measure trees, features, rows and processors, into docs/performance.md (needs Python 3.11)
	$(call measure,scale) $(ARGS)

.PHONY: bench-gc
bench-gc: build bin/models ## Measure paces of the garbage collector, into docs/performance.md (needs Python 3.11)
	$(call measure,gc) --rounds 9 $(ARGS)

.venv/peer: bench/peer/requirements.txt
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --requirement $<
	touch $@

bin/models: bench/peer/train.py | .venv/oracle
	.venv/oracle/bin/python $< $@
	touch $@

.PHONY: bench-compare
bench-compare: ## Compare the benchmarks that match BENCH with those of BASE, a commit or tag, by benchstat
	scripts/bench-compare.sh '$(BASE)' '$(BENCH)' $(call tool,benchstat)

##@ Load
LOADTEST_FLAGS ?= --rate 200 --ramp 2s --duration 8s --max-p99 1s --max-errors 0 --min-rate 95%

.PHONY: loadtest
loadtest: build ## Build bin/loadtest, and load a server with LOADTEST_FLAGS for a short while (needs curl)
	CGO_ENABLED=0 go build -trimpath -o bin/loadtest ./cmd/loadtest
	scripts/loadtest.sh bin/tepal bin/loadtest $(LOADTEST_FLAGS)

.venv/locust: loadtest/requirements.txt
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --requirement $<
	touch $@

HOST       ?= http://localhost:8000
USERS      ?= 1000
SPAWN_RATE ?= 50
HEADLESS   ?=
RUN_TIME   ?=

.PHONY: locust
locust: .venv/locust ## Load HOST by Locust: a web page, or HEADLESS=1 (needs Python 3.11)
	.venv/locust/bin/locust --locustfile loadtest/locustfile.py --host '$(HOST)' --users $(USERS) --spawn-rate $(SPAWN_RATE) \
		$(if $(HEADLESS),--headless) $(if $(RUN_TIME),--run-time $(RUN_TIME))

# Built once, from source, in a minute: Go runs no tool of a module quicker.
bin/k6: tools/k6/go.mod
	CGO_ENABLED=0 go build -modfile=$< -trimpath -ldflags '-s -w' -o $@ go.k6.io/k6

RATE     ?= 100
DURATION ?= 30s

.PHONY: k6
k6: bin/k6 ## Load HOST by k6, with RATE, DURATION and the gates MAX_P95, MAX_P99, MAX_ERRORS, MIN_RATE
	@HOST='$(HOST)' RATE='$(RATE)' DURATION='$(DURATION)' bin/k6 run --no-usage-report loadtest/k6.js

.PHONY: test-loadtests
test-loadtests: bin/k6 .venv/locust ## Load servers that answer rightly and wrongly by k6 and Locust themselves (needs Python 3.11)
	go vet -tags others ./loadtest
	go test -tags others -count=1 -run '^Test(K6|Locust)$$' ./loadtest

##@ Kubernetes (docs/kubernetes.md; ENV=guide|dev|staging|prod|preview)
# What the scripts read of make's own variables; those of the environment they see.
export ENV IMAGE PR COMPONENTS CANARY CLOUD_PROJECT_ID CLUSTER_NAME CLUSTER_REGION AWS_ACCOUNT_ID AWS_REGION \
	AZURE_CLIENT_ID GATEWAY_CLASS OTLP_ENDPOINT PROMETHEUS DEPLOY_TIMEOUT SMOKE_BODY SMOKE_EXPECT URL_TIMEOUT DRY_RUN

.PHONY: manifests
manifests: ## Print the manifests of ENV with IMAGE, and COMPONENTS
	@scripts/manifests.sh

.PHONY: deploy
deploy: ## Apply them, wait, ask for a prediction, and undo the rollout if either fails (needs kubectl and curl)
	@scripts/deploy.sh

.PHONY: undeploy
undeploy: ## Delete what deploy has made, but for namespace and service account (needs kubectl)
	@scripts/undeploy.sh

.PHONY: test-k8s
test-k8s: ## Build, decode, lint every overlay and choice of components; the scripts against a recording kubectl (needs curl)
	scripts/k8s-generate.sh --check
	cd k8s/test && go test -shuffle=on ./...

CHECKS ?=

.PHONY: e2e
e2e: ## Build, deploy to the cluster of KUBECONFIG, roll, break, scale: docs/reliability.md (needs kind, kubectl, curl, jq)
	CGO_ENABLED=0 go build -trimpath -o bin/loadtest ./cmd/loadtest
	scripts/e2e.sh $(CHECKS)

.PHONY: url
url: ## Print the address of ENV's Service (needs kubectl)
	@scripts/url.sh

##@ Clean
.PHONY: clean
clean: ## Remove what was built
	rm -rf bin coverage.out .venv
