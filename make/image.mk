##@ Image (need docker, podman or buildah)
# What is deployed is always named; what is only built here need not be.
image         = $(or $(IMAGE),localhost/tepal:dev)
IMAGE_TARGET ?= tepal
PLATFORM     ?=
LOCAL_BASES  ?=
image_env     = IMAGE='$(image)' IMAGE_TARGET='$(IMAGE_TARGET)' PLATFORM='$(PLATFORM)' LOCAL_BASES='$(LOCAL_BASES)'

.PHONY: image
image: ##* Build the image IMAGE; IMAGE_TARGET=train trains the model again; LOCAL_BASES=1 reaches no registry
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

.PHONY: image-sign
image-sign: ## Sign IMAGE without a key (needs cosign, in a workflow)
	@$(image_env) scripts/image.sh sign

.PHONY: image-verify
image-verify: ## Print IMAGE by digest, if this repository's build on BRANCH has signed it, of COMMIT (needs cosign, docker buildx, jq)
	@$(image_env) scripts/image.sh verify

.PHONY: image-copy
image-copy: ## Copy the image FROM to IMAGE, and print it by digest (needs docker buildx, jq)
	@$(image_env) FROM='$(FROM)' scripts/image.sh copy
