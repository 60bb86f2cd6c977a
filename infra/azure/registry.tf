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
  for_each = module.settings.registries

  name                = each.value
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  sku                 = "Basic"
  admin_enabled       = false
  tags                = module.settings.labels
}

# Azure removes old images in dearer registries alone; in a Basic one a task of its own does, each night.
resource "azurerm_container_registry_task" "purge" {
  for_each = azurerm_container_registry.this

  name                  = "purge"
  container_registry_id = each.value.id
  tags                  = module.settings.labels

  platform {
    os = "Linux"
  }

  encoded_step {
    task_content = base64encode(yamlencode({
      version = "v1.1.0"
      steps   = [{ cmd = "acr purge --filter 'iris:.*' --ago ${module.settings.keep[each.key].days}d --keep ${module.settings.keep[each.key].count} --untagged", timeout = 3600 }]
    }))
  }

  timer_trigger {
    name     = "nightly"
    schedule = "23 3 * * *"
  }
}
