package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// serviceName is the service.name of the resource unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES says otherwise.
const serviceName = "tepal"

// newResource describes this process from what is at hand: nothing is asked over the network, so a platform's metadata
// server cannot delay the start. Where a process runs comes from its platform through OTEL_RESOURCE_ATTRIBUTES, which
// Kubernetes fills by the downward API. It may return a usable resource together with an error.
func newResource(ctx context.Context, version, commit string) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName(serviceName), semconv.ServiceVersion(version), semconv.VCSRefHeadRevision(commit)),
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		// Not WithProcess: the command line and its owner may hold what should not leave the machine.
		resource.WithProcessPID(),
		resource.WithProcessExecutableName(),
		resource.WithProcessRuntimeName(),
		resource.WithProcessRuntimeVersion(),
		resource.WithFromEnv(), // last, so that the operator's word is the last one
	)
}
