# Who is trusted, how the network is cut, and what is refused.

variables {
  cloud   = "gcp"
  project = "my-mlops-project"
}

run "identities" {
  command = plan
  variables {
    github_repository = { name = "someone/else", id = 2, owner_id = 1 }
    environments      = ["prod", "preview"]
  }
  assert {
    condition     = { for e, d in output.deployers : e => join(" ", [d.name, d.role, d.namespace, d.registry]) } == { prod = "cicd-deployer-prod deployer iris-prod images", preview = "cicd-deployer-preview deployer iris-preview previews", "clean-up" = "cicd-deployer-clean-up preview-clean-up iris-preview " }
    error_message = "each environment has an identity, a namespace and a registry; what removes previews pushes nothing"
  }
  assert {
    condition     = tolist(output.deployers["prod"].subjects) == tolist(["repo:someone/else:environment:prod", "repo:someone@1/else@2:environment:prod"])
    error_message = "a job is trusted by repository and environment, both in full, in both of GitHub's forms"
  }
  assert {
    condition = output.telemetry_members == {
      iris-prod    = "serviceAccount:my-mlops-project.svc.id.goog[iris-prod/telemetry-access]"
      iris-preview = "serviceAccount:my-mlops-project.svc.id.goog[iris-preview/telemetry-access]"
    }
    error_message = "one binding for each namespace"
  }
}

run "default_namespaces" {
  command = plan
  assert {
    condition     = output.namespaces == ["default", "iris-dev", "iris-staging", "iris-prod", "iris-preview"]
    error_message = "the guide's namespace and those of the environments"
  }
}

run "names_fit" {
  command = plan
  assert {
    condition     = alltrue([for d in output.deployers : length(d.name) >= 6 && length(d.name) <= 30])
    error_message = "Google Cloud's service accounts have 6 to 30 letters"
  }
}

run "network" {
  command = plan
  variables {
    network = "10.99.0.0/16"
    zones   = ["us-central1-a", "us-central1-b", "us-central1-c"]
    # A multiple of three zones.
    node_count = 3
  }
  assert {
    condition     = output.subnets.nodes == ["10.99.0.0/20", "10.99.16.0/20", "10.99.32.0/20"]
    error_message = "nodes have the first parts of the network"
  }
  assert {
    condition     = output.subnets.public == ["10.99.64.0/20", "10.99.80.0/20", "10.99.96.0/20"] && output.subnets.virtual == "10.99.112.0/20" && output.subnets.pods == "10.99.128.0/17"
    error_message = "no part overlaps another"
  }
}

run "labels" {
  command = plan
  variables {
    labels = { team = "models", app = "other" }
  }
  assert {
    condition     = output.labels == { team = "models", app = "iris-classifier", managed-by = "terraform" }
    error_message = "labels are added, and the two of our own hold"
  }
}

run "refuses_a_cloud_it_does_not_know" {
  command = plan
  variables {
    cloud = "other"
  }
  expect_failures = [var.cloud]
}

run "refuses_another_mode" {
  command = plan
  variables {
    mode = "autopilot"
  }
  expect_failures = [var.mode]
}

run "refuses_the_project_of_another_cloud" {
  command = plan
  variables {
    cloud = "aws"
  }
  expect_failures = [var.cloud]
}

run "refuses_the_admins_of_another_cloud" {
  command = plan
  variables {
    admins = ["arn:aws:iam::123456789012:role/someone"]
  }
  expect_failures = [var.cloud]
}

run "refuses_an_admin_without_a_kind" {
  command = plan
  variables {
    admins = ["someone@example.com"]
  }
  expect_failures = [var.cloud]
}

run "takes_admins_of_aws" {
  command = plan
  variables {
    cloud   = "aws"
    project = "123456789012"
    admins  = ["arn:aws:iam::123456789012:role/someone", "arn:aws:iam::123456789012:user/path/someone"]
  }
}

run "refuses_the_whole_account_as_an_admin" {
  command = plan
  variables {
    cloud   = "aws"
    project = "123456789012"
    admins  = ["arn:aws:iam::123456789012:root"]
  }
  expect_failures = [var.cloud]
}

run "takes_admins_of_azure" {
  command = plan
  variables {
    cloud   = "azure"
    project = "00000000-0000-0000-0000-000000000001"
    admins  = ["00000000-0000-0000-0000-000000000002"]
  }
}

run "refuses_uneven_zones" {
  command = plan
  variables {
    node_count = 3
  }
  expect_failures = [output.nodes_per_zone]
}

run "refuses_half_a_node" {
  command = plan
  variables {
    node_count = 1.5
  }
  expect_failures = [var.node_count]
}

run "refuses_one_zone" {
  command = plan
  variables {
    zones = ["us-central1-a"]
  }
  expect_failures = [var.zones]
}

run "refuses_a_repository_with_a_wildcard" {
  command = plan
  variables {
    github_repository = { name = "tepalhq/*", id = 2, owner_id = 1 }
  }
  expect_failures = [var.github_repository]
}

run "refuses_ids_that_nobody_has" {
  command = plan
  variables {
    github_repository = { name = "someone/else", id = 0, owner_id = 1 }
  }
  expect_failures = [var.github_repository]
}

run "refuses_an_environment_that_nothing_deploys_to" {
  command = plan
  variables {
    environments = ["*"]
  }
  expect_failures = [var.environments]
}

run "refuses_an_environment_twice" {
  command = plan
  variables {
    environments = ["prod", "prod"]
  }
  expect_failures = [var.environments]
}

run "refuses_a_network_of_another_size" {
  command = plan
  variables {
    network = "10.0.0.0/24"
  }
  expect_failures = [var.network]
}

run "refuses_an_address_without_a_mask" {
  command = plan
  variables {
    authorized_networks = ["192.0.2.1"]
  }
  expect_failures = [var.authorized_networks]
}

run "refuses_a_budget_that_tells_nobody" {
  command = plan
  variables {
    budget = { amount = 50, emails = [] }
  }
  expect_failures = [var.budget]
}

run "refuses_labels_that_not_all_clouds_take" {
  command = plan
  variables {
    labels = { Team = "models" }
  }
  expect_failures = [var.labels]
}

run "refuses_a_registry_that_azure_does_not_take" {
  command = plan
  variables {
    cloud    = "azure"
    project  = "00000000-0000-0000-0000-000000000001"
    registry = "mlops-images"
  }
  expect_failures = [output.registries]
}
