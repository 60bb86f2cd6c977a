# Runs without an account: `make test-infra` puts a stand-in in the provider's place, `make infra-validate` has the real one.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  project           = "123456789012"
  github_repository = { name = "octo-org/octo-repo", id = 456789, owner_id = 123456 }
}

run "standard" {
  command = plan
  assert {
    condition     = aws_eks_addon.logs[0].addon_name == "amazon-cloudwatch-observability" && length(aws_iam_role_policy.fargate_logs) == 0
    error_message = "what pods on nodes print is sent by the add-on"
  }
  assert {
    condition     = aws_eks_node_group.default[0].scaling_config[0].desired_size == 2 && length(aws_eks_fargate_profile.this) == 0
    error_message = "two nodes, and nothing on Fargate"
  }
  assert {
    condition     = alltrue([for r in aws_ecr_repository.this : r.image_tag_mutability == "IMMUTABLE"])
    error_message = "a tag means one image for ever"
  }
  assert {
    condition     = aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions && length(aws_eks_access_entry.admin) == 0
    error_message = "whoever makes the cluster may do everything in it"
  }
  assert {
    condition     = { for e, entry in aws_eks_access_entry.deployer : e => one(entry.kubernetes_groups) } == { guide = "cicd-deployer", dev = "cicd-deployer-dev", staging = "cicd-deployer-staging", prod = "cicd-deployer-prod", preview = "cicd-deployer-preview", "clean-up" = "cicd-deployer-clean-up" }
    error_message = "each deployer has a group of its own, for the Role of its namespace"
  }
  assert {
    condition     = aws_iam_role.balancer.name == "mlops-standard-balancer"
    error_message = "the load balancers' controller has a role: `make infra-prepare` gives it that"
  }
  assert {
    condition     = length(aws_budgets_budget.this) == 0
    error_message = "no budget that nobody asked for"
  }
}

run "managed" {
  command = plan
  variables {
    mode   = "managed"
    budget = { amount = 50, emails = ["someone@example.com"] }
    admins = ["arn:aws:iam::123456789012:role/someone"]
  }
  assert {
    condition     = length(aws_eks_addon.logs) == 0 && length(aws_iam_role_policy.fargate_logs) == 1
    error_message = "what pods on Fargate print is sent by AWS, as the role of the profile"
  }
  assert {
    condition     = endswith(aws_eks_access_policy_association.admin["arn:aws:iam::123456789012:role/someone"].policy_arn, "/AmazonEKSClusterAdminPolicy")
    error_message = "an admin may do everything in the cluster"
  }
  assert {
    condition     = length(aws_eks_node_group.default) == 0 && length(aws_eks_fargate_profile.this) == 6
    error_message = "a profile for each namespace, and one for the system's"
  }
  assert {
    condition     = aws_eks_addon.pods["coredns"].configuration_values == jsonencode({ computeType = "Fargate" })
    error_message = "the cluster's DNS runs on Fargate too"
  }
  assert {
    condition     = aws_budgets_budget.this[0].limit_amount == "50" && length(aws_budgets_budget.this[0].notification) == 3
    error_message = "50 dollars, told three times"
  }
}

run "nobody_deploys_by_default" {
  command = plan
  variables {
    github_repository = null
  }
  expect_failures = [aws_iam_openid_connect_provider.github]
}
