# Runs without an account: `make test-infra` puts a stand-in in the provider's place, `make infra-validate` has the real one.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

variables {
  project           = "my-mlops-project"
  github_repository = { name = "octo-org/octo-repo", id = 456789, owner_id = 123456 }
}

run "standard" {
  command = plan
  assert {
    condition     = length(google_container_cluster.standard) == 1 && length(google_container_cluster.managed) == 0
    error_message = "one cluster, of the mode that was asked for"
  }
  assert {
    condition     = google_container_node_pool.default[0].node_count == 1 && length(google_container_node_pool.default[0].node_locations) == 2
    error_message = "two nodes in all: one in each of two zones"
  }
  assert {
    condition     = alltrue([for r in google_artifact_registry_repository.this : r.docker_config[0].immutable_tags])
    error_message = "a tag means one image for ever"
  }
  assert {
    condition     = length(google_service_account_iam_member.telemetry) == 5 && length(google_service_account_iam_member.deployer) == 6
    error_message = "a binding for each namespace and each environment"
  }
  assert {
    condition     = toset([for m in google_project_iam_member.deployer : m.role]) == toset(["roles/container.clusterViewer"])
    error_message = "a deployer finds the cluster, and has no right in it by that"
  }
  assert {
    condition     = { for e, m in google_artifact_registry_repository_iam_member.deployer : e => m.repository } == { guide = "mlops-images", dev = "mlops-images", staging = "mlops-images", prod = "mlops-images", preview = "mlops-images-previews" }
    error_message = "previews push elsewhere, and the clean-up nowhere"
  }
  assert {
    condition     = length(google_project_iam_member.admin) == 0
    error_message = "no admins that nobody named"
  }
  assert {
    condition     = length(google_billing_budget.this) == 0
    error_message = "no budget that nobody asked for"
  }
}

run "managed" {
  command = plan
  variables {
    mode   = "managed"
    budget = { amount = 50, emails = ["someone@example.com"], billing_account = "000000-000000-000000" }
    admins = ["user:someone@example.com"]
    labels = { team = "models" }
  }
  assert {
    condition     = google_project_iam_member.admin["user:someone@example.com"].role == "roles/container.admin"
    error_message = "an admin may do everything in clusters"
  }
  assert {
    condition     = google_container_cluster.managed[0].resource_labels == tomap({ app = "iris-classifier", managed-by = "terraform", team = "models" })
    error_message = "labels, ours and those of whoever makes it"
  }
  assert {
    condition     = length(google_container_cluster.standard) == 0 && google_container_cluster.managed[0].enable_autopilot
    error_message = "Autopilot"
  }
  assert {
    condition     = length(google_container_node_pool.default) == 0
    error_message = "Google runs the nodes"
  }
  assert {
    condition     = google_billing_budget.this[0].amount[0].specified_amount[0].units == "50" && length(google_billing_budget.this[0].threshold_rules) == 3
    error_message = "50 dollars, told three times"
  }
}

run "nobody_deploys_by_default" {
  command = plan
  variables {
    github_repository = null
  }
  assert {
    condition     = length(google_iam_workload_identity_pool_provider.github) + length(google_service_account.deployer) == 0
    error_message = "without a repository no workflow is let in"
  }
}
