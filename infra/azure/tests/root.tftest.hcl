# Runs without an account: `make test-infra` puts a stand-in in the provider's place, `make infra-validate` has the real one.

mock_provider "azurerm" {}

variables {
  project = "00000000-0000-0000-0000-000000000001"
}

run "standard" {
  command = plan
  assert {
    condition     = azurerm_kubernetes_cluster.this.default_node_pool[0].node_count == 2 && length(azurerm_kubernetes_cluster.this.aci_connector_linux) == 0
    error_message = "two nodes, and no virtual ones"
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.local_account_disabled && azurerm_kubernetes_cluster.this.workload_identity_enabled
    error_message = "nobody signs in by a certificate, and pods have identities"
  }
  assert {
    condition     = length(azurerm_federated_identity_credential.telemetry) == 5 && length(azurerm_federated_identity_credential.deployer) == 4
    error_message = "a credential for each namespace and each environment"
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
