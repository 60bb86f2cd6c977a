# What nodes need to run, and to pull images: the default account may edit the whole project.
resource "google_service_account" "nodes" {
  account_id   = "${module.settings.cluster}-nodes"
  display_name = "Nodes of ${module.settings.cluster}"

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "nodes" {
  project = module.settings.project
  role    = "roles/container.defaultNodeServiceAccount"
  member  = google_service_account.nodes.member
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  for_each = google_artifact_registry_repository.this

  repository = each.value.repository_id
  location   = each.value.location
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.nodes.member
}

# Without a repository nobody deploys but whoever runs kubectl.
locals {
  deployers = { for e, d in module.settings.deployers : e => d if var.github_repository != null }
}

# The jobs of each environment act as an account of their own, by GitHub's word for who they are, and without a key.
resource "google_service_account" "deployer" {
  for_each = local.deployers

  account_id   = each.value.name
  display_name = "CI/CD Deployer (${each.key})"

  depends_on = [google_project_service.this]
}

resource "google_artifact_registry_repository_iam_member" "deployer" {
  for_each = { for e, d in local.deployers : e => d if d.registry != "" }

  repository = google_artifact_registry_repository.this[each.value.registry].repository_id
  location   = module.settings.region
  role       = module.settings.deployer_roles.registry
  member     = google_service_account.deployer[each.key].member
}

# It finds the cluster by this. What it may do there is the Role of its namespace: k8s/deployers.
resource "google_project_iam_member" "deployer" {
  for_each = google_service_account.deployer

  project = module.settings.project
  role    = module.settings.deployer_roles.cluster
  member  = each.value.member
}

resource "google_iam_workload_identity_pool" "github" {
  workload_identity_pool_id = "cicd-deployer-github"
  display_name              = "GitHub Actions"

  depends_on = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  #checkov:skip=CKV_GCP_125:The condition names one repository and its owner by their ids; the check wants names.
  count = var.github_repository == null ? 0 : 1

  workload_identity_pool_id          = google_iam_workload_identity_pool.github.workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub Actions"
  attribute_condition                = module.settings.trust.condition
  attribute_mapping                  = { "google.subject" = module.settings.trust.subject }

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "deployer" {
  for_each = local.deployers

  service_account_id = google_service_account.deployer[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/projects/${data.google_project.this.number}/locations/global/workloadIdentityPools/${google_iam_workload_identity_pool.github.workload_identity_pool_id}/subject/${each.value.subject}"
}

# Whoever makes the cluster owns the project, and needs no role beside that.
resource "google_project_iam_member" "admin" {
  for_each = toset(var.admins)

  project = module.settings.project
  role    = module.settings.admin_role
  member  = each.key
}

# The pods act as this account.
resource "google_service_account" "telemetry" {
  account_id   = module.settings.telemetry
  display_name = "Telemetry Access"

  depends_on = [google_project_service.this]
}

resource "google_project_iam_member" "telemetry" {
  for_each = toset(module.settings.telemetry_roles)

  project = module.settings.project
  role    = each.key
  member  = google_service_account.telemetry.member
}

resource "google_service_account_iam_member" "telemetry" {
  for_each = module.settings.telemetry_members

  service_account_id = google_service_account.telemetry.name
  role               = "roles/iam.workloadIdentityUser"
  member             = each.value

  # The pool PROJECT.svc.id.goog comes into being with a project's first cluster.
  depends_on = [google_container_cluster.standard, google_container_cluster.managed]
}
