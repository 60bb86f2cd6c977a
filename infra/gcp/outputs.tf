output "project" {
  description = "Google Cloud's project ID, AWS's account number, or Azure's subscription ID."
  value       = module.settings.project
}

output "mode" {
  description = "Who runs the nodes."
  value       = module.settings.mode
}

output "cluster" {
  description = "The cluster's name."
  value       = one(concat(google_container_cluster.standard, google_container_cluster.managed)).name
}

output "get_credentials" {
  description = "The commands that let kubectl in: the first brings what it signs in by."
  value       = "${module.settings.sign_in_by}\n${module.settings.get_credentials}"
}

output "image" {
  description = "The image, without tag or digest."
  value       = module.settings.image
}

output "workload_identity_provider" {
  description = "Who the cloud takes GitHub's word from: GitHub's variable WORKLOAD_IDENTITY_PROVIDER. On Azure the tenant."
  value       = google_iam_workload_identity_pool_provider.github.name
}

output "deployer" {
  description = "The identity that the workflows act as: GitHub's variable CI_SERVICE_ACCOUNT."
  value       = google_service_account.deployer.email
}

output "telemetry" {
  description = "The identity that the pods act as: the value of the annotation of the service account telemetry-access."
  value       = google_service_account.telemetry.email
}

output "telemetry_annotation" {
  description = "The name of that annotation."
  value       = module.settings.telemetry_annotation
}

output "telemetry_destination" {
  description = "Where telemetry goes, for those exporters that must be told: on Azure, Application Insights' connection string."
  value       = ""
  sensitive   = true
}

output "github_variables" {
  description = "What to set as variables of the GitHub repository, for the workflows."
  value = {
    CLOUD_PROJECT_ID           = module.settings.project
    CLUSTER_NAME               = module.settings.cluster
    CLUSTER_REGION             = module.settings.region
    REGISTRY_LOCATION          = module.settings.region
    REGISTRY_REPO              = module.settings.registry
    IMAGE                      = module.settings.image
    WORKLOAD_IDENTITY_PROVIDER = google_iam_workload_identity_pool_provider.github.name
    CI_SERVICE_ACCOUNT         = google_service_account.deployer.email
  }
}
