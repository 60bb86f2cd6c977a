##@ Clouds (infra/README.md; CLOUD=gcp|aws|azure MODE=standard|managed PROJECT=…; DRY_RUN=1 prints the commands)
CLOUD     ?=
MODE      ?=
PROJECT   ?=
DRY_RUN   ?=
NAMESPACE ?= iris-dev
CLOUD_ENV  = CLOUD='$(CLOUD)' MODE='$(MODE)' PROJECT='$(PROJECT)' DRY_RUN='$(DRY_RUN)'

.PHONY: infra-state
infra-state: ## Make the place of Terraform's state
	@$(CLOUD_ENV) infra/scripts/terraform.sh state

.PHONY: infra-plan
infra-plan: ## Show what Terraform would change
	@$(CLOUD_ENV) infra/scripts/terraform.sh plan

.PHONY: infra-apply
infra-apply: infra-state ##* Make cluster, registry, identities and namespaces by Terraform, which asks; let docker and kubectl in
	@$(CLOUD_ENV) infra/scripts/terraform.sh apply
	@$(CLOUD_ENV) infra/scripts/prepare.sh

.PHONY: infra-prepare
infra-prepare: ## Make the namespaces, and on AWS install what makes load balancers: the last part of infra-apply
	@$(CLOUD_ENV) infra/scripts/prepare.sh

.PHONY: pause
pause: ##* Stop what costs money: no nodes, or no pods; asks
	@$(CLOUD_ENV) infra/scripts/cost.sh pause

.PHONY: resume
resume: ##* Bring back what pause took away; asks
	@$(CLOUD_ENV) infra/scripts/cost.sh resume

.PHONY: costs
costs: ## List what is there and costs money, with prices
	@$(CLOUD_ENV) infra/scripts/cost.sh costs

.PHONY: cleanup
cleanup: ##* Remove load balancers, and by Terraform all that Terraform made; asks
	@$(CLOUD_ENV) infra/scripts/cost.sh cleanup

.PHONY: doctor
doctor: ##* Look for faults in tools, cloud and cluster, and say what mends them; without CLOUD in the cluster alone
	@$(CLOUD_ENV) infra/scripts/doctor.sh

.PHONY: verify-identity
verify-identity: ## Show that pods of NAMESPACE get an identity of the cloud without a key
	@$(CLOUD_ENV) NAMESPACE='$(NAMESPACE)' infra/scripts/verify-identity.sh

.venv/checkov: infra/requirements.txt

.PHONY: test-infra
test-infra: .venv/checkov ## Check infra/ without a cloud (needs Terraform 1.11, shellcheck, jq and Python 3.11)
	infra/scripts/check.sh

.PHONY: infra-validate
infra-validate: ## Let the real providers check the roots, and run their tests (needs Terraform's registry)
	infra/scripts/validate.sh

.PHONY: infra-schema
infra-schema: ## Take the providers' schemas from npm and GitHub again: infra/schema/schemas.json (needs npm, git, Go and Python 3)
	python3 infra/schema/extract.py
