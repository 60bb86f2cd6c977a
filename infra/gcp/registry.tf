resource "google_artifact_registry_repository" "this" {
  #checkov:skip=CKV_GCP_84:Google's own key encrypts the images; they are built from public source.
  repository_id = module.settings.registry
  location      = module.settings.region
  format        = "DOCKER"
  labels        = module.settings.labels

  docker_config {
    immutable_tags = true
  }

  depends_on = [google_project_service.this]
}
