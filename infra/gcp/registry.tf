resource "google_artifact_registry_repository" "this" {
  #checkov:skip=CKV_GCP_84:Google's own key encrypts the images; they are built from public source.
  for_each = module.settings.registries

  repository_id = each.value
  location      = module.settings.region
  format        = "DOCKER"
  labels        = module.settings.labels

  docker_config {
    immutable_tags = true
  }

  cleanup_policies {
    id     = "old"
    action = "DELETE"
    condition {
      older_than = "${module.settings.keep[each.key].days * 24 * 3600}s"
    }
  }

  cleanup_policies {
    id     = "last"
    action = "KEEP"
    most_recent_versions {
      keep_count = module.settings.keep[each.key].count
    }
  }

  depends_on = [google_project_service.this]
}
