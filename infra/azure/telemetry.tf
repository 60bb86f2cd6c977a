resource "azurerm_log_analytics_workspace" "this" {
  name                = module.settings.cluster
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  sku                 = "PerGB2018"
  retention_in_days   = 30
  tags                = module.settings.labels
}

# Only who signs in as an identity with the role may send: a leaked connection string is an address and no more.
resource "azurerm_application_insights" "this" {
  name                          = module.settings.cluster
  resource_group_name           = azurerm_resource_group.this.name
  location                      = azurerm_resource_group.this.location
  application_type              = "web"
  workspace_id                  = azurerm_log_analytics_workspace.this.id
  local_authentication_disabled = true
  tags                          = module.settings.labels
}

# What pods print, and the cluster's events. The agent of oms_agent sends nothing until a rule is tied to the cluster.
resource "azurerm_monitor_data_collection_rule" "pods" {
  name                = "MSCI-${module.settings.cluster}"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  kind                = "Linux"
  tags                = module.settings.labels

  destinations {
    log_analytics {
      name                  = "workspace"
      workspace_resource_id = azurerm_log_analytics_workspace.this.id
    }
  }

  data_flow {
    streams      = local.streams
    destinations = ["workspace"]
  }

  data_sources {
    extension {
      name           = "ContainerInsightsExtension"
      extension_name = "ContainerInsights"
      streams        = local.streams
      extension_json = jsonencode({ dataCollectionSettings = {
        interval               = "1m"
        namespaceFilteringMode = "Off"
        enableContainerLogV2   = true
      } })
    }
  }
}

resource "azurerm_monitor_data_collection_rule_association" "pods" {
  name                    = "ContainerInsightsExtension" # the agent asks for it by this name
  target_resource_id      = azurerm_kubernetes_cluster.this.id
  data_collection_rule_id = azurerm_monitor_data_collection_rule.pods.id
}

locals {
  streams = ["Microsoft-ContainerLogV2", "Microsoft-KubeEvents", "Microsoft-KubePodInventory"]
}
