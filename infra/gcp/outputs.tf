output "image" {
  description = "The image, without tag or digest."
  value       = module.settings.image
}

output "deployers" {
  description = "For each of GitHub's environments, the identity that its jobs act as: its address on Google Cloud, its ARN on AWS, its client ID on Azure."
  value       = { for e, d in google_service_account.deployer : e => d.email }
}

output "telemetry" {
  description = "The identity that the pods act as: the value of the annotation of the service account telemetry-access."
  value       = google_service_account.telemetry.email
}

output "github_variables" {
  description = "What to set as variables of the GitHub repository, for the workflows."
  value = {
    CLOUD_PROJECT_ID           = module.settings.project
    CLUSTER_NAME               = module.settings.cluster
    CLUSTER_REGION             = module.settings.region
    REGISTRY_LOCATION          = module.settings.region
    REGISTRY_REPO              = module.settings.registries.images
    WORKLOAD_IDENTITY_PROVIDER = one(google_iam_workload_identity_pool_provider.github[*].name)
  }
}
