# The guide's mlops-standard, or mlops-auto: the same cluster with virtual nodes, since its system pods need real ones.
resource "azurerm_kubernetes_cluster" "this" {
  #checkov:skip=CKV_AZURE_115:GitHub's runners reach the API from outside.
  #checkov:skip=CKV_AZURE_116:Azure Policy is for the rules of an organisation; k8s/ asks for restricted pods by labels of its namespaces.
  #checkov:skip=CKV_AZURE_117:Azure's own key encrypts the disks.
  #checkov:skip=CKV_AZURE_170:The paid tier is for large clusters; two nodes need no promise about the API.
  #checkov:skip=CKV_AZURE_172:No secret store is mounted: there are no secrets.
  #checkov:skip=CKV_AZURE_226:Ephemeral disks do not fit on the guide's Standard_DS2_v2 beside its cache.
  #checkov:skip=CKV_AZURE_227:Encryption at the host must be registered for a subscription first.
  #checkov:skip=CKV_AZURE_232:One small pool runs both the system and the service; a second would double the cost.
  name                      = module.settings.cluster
  resource_group_name       = azurerm_resource_group.this.name
  location                  = azurerm_resource_group.this.location
  dns_prefix                = module.settings.cluster
  automatic_upgrade_channel = "patch"
  node_os_upgrade_channel   = "NodeImage"
  tags                      = module.settings.labels

  # Who may do what is a role of Azure, and nobody has a certificate that never ends.
  role_based_access_control_enabled = true
  local_account_disabled            = true
  azure_active_directory_role_based_access_control {
    azure_rbac_enabled = true
  }

  oidc_issuer_enabled       = true
  workload_identity_enabled = true

  default_node_pool {
    name                        = module.settings.node_pool
    vm_size                     = module.settings.machine_type
    node_count                  = module.settings.node_count
    zones                       = module.settings.zones
    vnet_subnet_id              = azurerm_subnet.nodes.id
    max_pods                    = 50
    os_disk_size_gb             = 30
    temporary_name_for_rotation = "rotating"

    upgrade_settings {
      max_surge = "1"
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }

  network_profile {
    network_plugin = "azure"
    network_policy = "azure"
  }

  api_server_access_profile {
    authorized_ip_ranges = var.authorized_networks
  }

  oms_agent {
    log_analytics_workspace_id      = azurerm_log_analytics_workspace.this.id
    msi_auth_for_monitoring_enabled = true
  }

  dynamic "aci_connector_linux" {
    for_each = azurerm_subnet.virtual
    content {
      subnet_name = aci_connector_linux.value.name
    }
  }

  lifecycle {
    # `make pause` stops the cluster, and somebody may have resized it: neither is a drift.
    ignore_changes = [default_node_pool[0].node_count]
  }

  depends_on = [azurerm_role_assignment.network]
}
