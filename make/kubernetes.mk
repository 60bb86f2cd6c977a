##@ Kubernetes (docs/kubernetes.md; CLUSTER=gke-autopilot|gke-standard|eks|aks|kind ENV=guide|dev|staging|prod|preview)
# What the scripts read of make's own variables; those of the environment they see.
export ENV CLUSTER IMAGE PR COMPONENTS CANARY CLOUD_PROJECT_ID CLUSTER_NAME CLUSTER_REGION AWS_ACCOUNT_ID AWS_REGION \
	AZURE_CLIENT_ID GATEWAY_CLASS OTLP_ENDPOINT PROMETHEUS DEPLOY_TIMEOUT SMOKE_BODY SMOKE_EXPECT URL_TIMEOUT DRY_RUN

.PHONY: manifests
manifests: ## Print the manifests of CLUSTER, a composition, in ENV with IMAGE
	@scripts/manifests.sh

.PHONY: deploy
deploy: ##* Apply the manifests of CLUSTER in ENV, wait, ask for a prediction, and undo the rollout if either fails (needs kubectl and curl)
	@scripts/deploy.sh

.PHONY: undeploy
undeploy: ##* Delete what deploy has made, but for namespace and service account (needs kubectl)
	@scripts/undeploy.sh

.PHONY: test-k8s
test-k8s: ## Build, decode, lint every composition; the scripts against a recording kubectl (needs curl)
	scripts/k8s-generate.sh --check
	cd k8s/test && go test -shuffle=on ./...

CHECKS ?=

.PHONY: e2e
e2e: bin/loadtest ## Build, deploy to the cluster of KUBECONFIG, roll, break, scale: docs/reliability.md (needs kind, kubectl, curl, jq)
	scripts/e2e.sh $(CHECKS)

.PHONY: url
url: ## Print the address of ENV's Service (needs kubectl)
	@scripts/url.sh
