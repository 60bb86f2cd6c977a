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
  repository = google_artifact_registry_repository.this.name
  location   = google_artifact_registry_repository.this.location
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.nodes.member
}

# The workflows act as this account, by GitHub's word for who they are, and without a key.
resource "google_service_account" "deployer" {
  account_id   = module.settings.deployer
  display_name = "CI/CD Deployer"

  depends_on = [google_project_service.this]
}

resource "google_artifact_registry_repository_iam_member" "deployer" {
  repository = google_artifact_registry_repository.this.name
  location   = google_artifact_registry_repository.this.location
  role       = module.settings.deployer_roles.registry
  member     = google_service_account.deployer.member
}

resource "google_project_iam_member" "deployer" {
  project = module.settings.project
  role    = module.settings.deployer_roles.cluster
  member  = google_service_account.deployer.member
}

resource "google_iam_workload_identity_pool" "github" {
  workload_identity_pool_id = "${module.settings.deployer}-github"
  display_name              = "GitHub Actions"

  depends_on = [google_project_service.this]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  #checkov:skip=CKV_GCP_125:The condition names one repository, and each binding one of its environments; the check wants a fixed text.
  workload_identity_pool_id          = google_iam_workload_identity_pool.github.workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub Actions"
  attribute_condition                = "assertion.repository == '${var.github_repository}'"
  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
  }

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "deployer" {
  for_each = module.settings.deployer_subjects

  service_account_id = google_service_account.deployer.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/${google_iam_workload_identity_pool.github.name}/subject/${each.value}"
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
