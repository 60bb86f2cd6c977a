# Everything that can be done here is a target: `make` lists those that a user needs, `make help-all` all of them. They
# are in make/*.mk, a file for each subject. Go 1.26 is all that is needed, but for the targets that say otherwise.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
# Each tool is a module of its own, so that their dependencies never meet.
tool = go tool -modfile=tools/$(1)/go.mod $(1)

##@ Use
# A target whose line has ##* is in the short list, one with ## in the long list alone.
.PHONY: help
help: ## List the targets that a user needs
	@awk 'BEGIN {FS = ":.*##[*] "} /^[a-z0-9-]+:.*##[*] / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  help-all    List all targets, by subject"

.PHONY: help-all
help-all: ## List all targets, by subject
	@awk 'BEGIN {FS = ":.*##[*]? "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*##[*]? / {printf "  %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ##* Serve the embedded Iris model on port 8000
	exec bin/tepal serve

.PHONY: build
build: ## Build the static binary bin/tepal
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/tepal ./cmd/tepal

.PHONY: train
train: ##* Train the Iris forest again: artifacts/iris.onnx
	CGO_ENABLED=0 go run ./cmd/train --unit cm

.PHONY: observe
observe: build bin/otelcol ## Serve, watched by a Collector and Prometheus, with some load (needs curl and prometheus)
	scripts/observe.sh

# Built once, from source: half a minute with its modules at hand.
bin/otelcol: $(wildcard tools/otelcol/*)
	cd tools/otelcol && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o ../../$@ .

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin .venv

# What is written in Python has an environment for each of its requirements.txt, which the subjects name.
.venv/%:
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --requirement $(firstword $^)
	touch $@

include make/check.mk make/oracles.mk make/load.mk make/image.mk make/kubernetes.mk make/clouds.mk make/delivery.mk make/measure.mk
