# Runs without an account: `make test-infra` puts a stand-in in the provider's place, `make infra-validate` has the real one.

mock_provider "azurerm" {}

variables {
  project           = "00000000-0000-0000-0000-000000000001"
  github_repository = { name = "octo-org/octo-repo", id = 456789, owner_id = 123456 }
}

run "standard" {
  command = plan
  assert {
    condition     = azurerm_monitor_data_collection_rule_association.pods.name == "ContainerInsightsExtension" && contains(azurerm_monitor_data_collection_rule.pods.data_flow[0].streams, "Microsoft-ContainerLogV2")
    error_message = "what pods print comes into ContainerLogV2"
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.default_node_pool[0].node_count == 2 && length(azurerm_kubernetes_cluster.this.aci_connector_linux) == 0
    error_message = "two nodes, and no virtual ones"
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.local_account_disabled && azurerm_kubernetes_cluster.this.workload_identity_enabled
    error_message = "nobody signs in by a certificate, and pods have identities"
  }
  # The cluster asks Azure who may do what, so without these nobody could do anything.
  assert {
    condition     = azurerm_role_assignment.maker.role_definition_name == "Azure Kubernetes Service RBAC Cluster Admin" && length(azurerm_role_assignment.admin) == 0
    error_message = "whoever makes the cluster may do everything in it"
  }
  assert {
    condition     = toset([for a in azurerm_role_assignment.deployer : a.role_definition_name]) == toset(["Azure Kubernetes Service Cluster User Role"]) && length(azurerm_role_assignment.deployer) == 6
    error_message = "a deployer finds the cluster, and has no right in it by that"
  }
  assert {
    condition     = keys(azurerm_role_assignment.push) == ["dev", "guide", "preview", "prod", "staging"] && toset([for a in azurerm_role_assignment.push : a.role_definition_name]) == toset(["AcrPush"])
    error_message = "the clean-up pushes nothing"
  }
  assert {
    condition     = azurerm_application_insights.this.local_authentication_disabled && keys(azurerm_role_assignment.telemetry) == ["Monitoring Metrics Publisher"]
    error_message = "telemetry comes from the identity alone: k8s/components/aks signs in as it"
  }
  assert {
    condition     = length(azurerm_federated_identity_credential.telemetry) == 5 && length(azurerm_federated_identity_credential.deployer) == 12
    error_message = "a credential for each namespace, and two for each environment: its subjects"
  }
  assert {
    condition     = length(azurerm_consumption_budget_subscription.this) == 0
    error_message = "no budget that nobody asked for"
  }
}

run "managed" {
  command = plan
  variables {
    mode   = "managed"
    budget = { amount = 50, emails = ["someone@example.com"] }
    admins = ["00000000-0000-0000-0000-000000000002"]
    labels = { team = "models" }
  }
  assert {
    condition     = azurerm_role_assignment.admin["00000000-0000-0000-0000-000000000002"].role_definition_name == "Azure Kubernetes Service RBAC Cluster Admin"
    error_message = "an admin may do everything in the cluster"
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.tags == tomap({ app = "iris-classifier", managed-by = "terraform", team = "models" })
    error_message = "labels, ours and those of whoever makes it"
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.aci_connector_linux[0].subnet_name == "virtual"
    error_message = "virtual nodes in a subnet of their own"
  }
  assert {
    condition     = azurerm_consumption_budget_subscription.this[0].amount == 50 && length(azurerm_consumption_budget_subscription.this[0].notification) == 3
    error_message = "50 dollars, told three times"
  }
}

run "nobody_deploys_by_default" {
  command = plan
  variables {
    github_repository = null
  }
  expect_failures = [azurerm_user_assigned_identity.deployer]
}
