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
