# The image is one static binary, the certificate authorities' roots that OTLP
# over TLS needs, and nothing else: nothing to patch, nothing to run but Tepal.
#
#   make image                       # the built-in model as it is committed
#   make image IMAGE_TARGET=train    # the model trained again, and built in
#
# The digest is the multi-architecture index of the tag beside it; where each
# digest was read is in docs/delivery.md. Dependabot moves tag and digest together.
ARG GO_IMAGE=docker.io/library/golang:1.26.8-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d

# Compiling happens on the builder's own architecture: Go compiles for the
# other one by itself, without an emulator.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS source
ARG GOPROXY=https://proxy.golang.org,direct
ENV CGO_ENABLED=0 GOPROXY=$GOPROXY GOTOOLCHAIN=local
WORKDIR /src
COPY . .

FROM source AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
ARG COMMIT=unknown
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
    -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" -o /out/tepal ./cmd/tepal

# The same after training again, in place of the committed artifact.
FROM source AS build-train
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
ARG COMMIT=unknown
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go run ./cmd/train --unit cm && GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
    -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" -o /out/tepal ./cmd/tepal

FROM scratch AS base
ARG VERSION=dev
ARG COMMIT=unknown
ARG CREATED
LABEL org.opencontainers.image.title="Tepal" \
      org.opencontainers.image.description="Serves tabular machine-learning models from one static binary" \
      org.opencontainers.image.source="https://github.com/tepalhq/tepal" \
      org.opencontainers.image.documentation="https://github.com/tepalhq/tepal/tree/main/docs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.created="$CREATED"
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# By number, so that a kubelet can see that it is not root. Any other does as well.
USER 65532:65532
EXPOSE 8000 8002
ENTRYPOINT ["/tepal"]
CMD ["serve"]

FROM base AS train
COPY --from=build-train /out/tepal /tepal

# The last stage is what a build without a target makes.
FROM base AS tepal
COPY --from=build /out/tepal /tepal
