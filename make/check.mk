##@ Check
# The race detector needs cgo, and with it a C compiler.
RACE     := $(shell command -v $$(go env CC) >/dev/null 2>&1 && echo -race)
FUZZTIME ?= 30s
BENCH    ?= .

.PHONY: test
test: ##* Run all Go tests, shuffled, with the race detector where there is a C compiler
	go test $(RACE) -shuffle=on -timeout 30m ./...
	cd telemetry/interop && go test $(RACE) -shuffle=on -timeout 30m ./...
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
	cd tools/standin && go vet ./...
	for dir in tools/*/; do (cd "$$dir" && go mod tidy -diff); done

# Pages are in British English, but for the words of others.
OTHERS := artifact,artifacts,behavior,center,color,flavor,harbor,unauthorized,utilization

.PHONY: lint-docs
lint-docs: ## Look for misspelled words in pages, scripts, manifests and workflows
	git ls-files -z '*.md' | xargs -0 $(call tool,misspell) -error -locale UK -i $(OTHERS)
	git ls-files -z Makefile make .ci Dockerfile '*.sh' '*.bash' '*.py' '*.yaml' '*.yml' '*.tf' '*.js' '*.svg' | xargs -0 $(call tool,misspell) -error

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

.PHONY: fuzz
fuzz: ## Fuzz every parser for FUZZTIME each
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: ## Run the benchmarks that match BENCH
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: verify
verify: test lint lint-scripts lint-workflows smoke alerts test-shells test-telemetry test-loadtests test-workflows test-k8s test-infra retrain oracle-check ## Check everything that a release promises (needs curl, jq, prometheus, shellcheck, zsh, fish, mandoc, Terraform and Python 3.11)
	$(MAKE) fuzz FUZZTIME=10s

.PHONY: retrain
retrain: ## See that training again gives the very same artifact
	mkdir -p bin
	CGO_ENABLED=0 go run ./cmd/train --unit cm --out bin/iris.onnx >/dev/null
	cmp bin/iris.onnx artifacts/iris.onnx
