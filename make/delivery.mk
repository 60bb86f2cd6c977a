##@ Delivery (docs/delivery.md)
.PHONY: gke-login
gke-login: ## Let docker and kubectl into the project of CLOUD_PROJECT_ID (needs gcloud)
	@scripts/gke.sh

PREVIEW_LOADTEST_FLAGS ?= --rate 200 --ramp 5s --duration 30s --max-p99 1s --max-errors 0.1% --min-rate 95%

.PHONY: preview-loadtest
preview-loadtest: bin/loadtest ## Load the preview at URL, with gates, into bin/preview-load.json
	bin/loadtest --target '$(URL)' --wait 2m --json bin/preview-load.json $(PREVIEW_LOADTEST_FLAGS)

.PHONY: preview-report
preview-report: ## Write bin/preview.md: the endpoint URL, IMAGE, the model's metrics, the load test (needs curl and jq)
	@URL='$(URL)' IMAGE='$(IMAGE)' scripts/preview.sh report

.PHONY: preview-comment
preview-comment: ## Put it on pull request PR (needs gh)
	@PR='$(PR)' scripts/preview.sh comment

.PHONY: preview-clean-up
preview-clean-up: ## Remove the previews of pull requests that are closed, or unchanged for PREVIEW_DAYS (needs kubectl and gh)
	@scripts/preview.sh clean-up

.PHONY: release-notes
release-notes: ## Print what the changelog says of VERSION, without which there is no release
	@VERSION='$(VERSION)' scripts/release.sh notes

.PHONY: release-dist
release-dist: ## Make binaries, bills of materials, manifests, chart, notes and checksums of VERSION in bin/dist
	@VERSION='$(VERSION)' IMAGE='$(IMAGE)' scripts/release.sh dist

.PHONY: release-sign
release-sign: ## Sign the checksums without a key (needs cosign, in a workflow)
	@VERSION='$(VERSION)' scripts/release.sh sign

.PHONY: chart-package
chart-package: ## Make the Helm chart of VERSION, whose image is IMAGE, in bin/dist
	@VERSION='$(VERSION)' IMAGE='$(IMAGE)' scripts/chart.sh package

.PHONY: chart-publish
chart-publish: ## Push it to CHARTS, sign it, and print it by digest (needs cosign, in a workflow)
	@VERSION='$(VERSION)' CHARTS='$(CHARTS)' scripts/chart.sh publish

.PHONY: release-publish
release-publish: ## Make the release VERSION at GitHub with all of bin/dist (needs gh)
	@VERSION='$(VERSION)' scripts/release.sh publish

.venv/zizmor: .github/test/requirements.txt

.PHONY: lint-workflows
lint-workflows: .venv/zizmor ## Lint the workflows by actionlint and zizmor (needs Python 3.11 and shellcheck)
	@command -v shellcheck >/dev/null || { echo 'there is no shellcheck: apt-get install shellcheck' >&2; exit 1; }
	$(call tool,actionlint) -color
	.venv/zizmor/bin/zizmor --offline --quiet --persona pedantic .github

.PHONY: test-workflows
test-workflows: ## Run the steps of the workflows that deploy against stand-ins for the clouds' tools (needs jq and kubectl)
	cd .github/test && go vet -tags cluster ./... && go mod tidy -diff && go test -count=1 ./...
