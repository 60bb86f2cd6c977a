# Azure has no registry of immutable tags: whoever pushes locks the tag, as infra/README.md says.
resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_139:The guide's Basic registry is reached from anywhere; each caller must sign in.
  #checkov:skip=CKV_AZURE_163:Scanning is Microsoft Defender's, for the whole subscription.
  #checkov:skip=CKV_AZURE_164:Signatures are keyless, made by the release; trust policies are for Premium alone.
  #checkov:skip=CKV_AZURE_165:One region, as the cluster is.
  #checkov:skip=CKV_AZURE_166:Quarantine is for Premium alone.
  #checkov:skip=CKV_AZURE_167:Retention is for Premium alone.
  #checkov:skip=CKV_AZURE_233:Zones are for Premium alone.
  #checkov:skip=CKV_AZURE_237:Dedicated data endpoints are for Premium alone.
  name                = module.settings.registry
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  sku                 = "Basic"
  admin_enabled       = false
  tags                = module.settings.labels
}
