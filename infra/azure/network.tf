resource "azurerm_virtual_network" "this" {
  name                = module.settings.cluster
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  address_space       = [var.network]
  tags                = module.settings.labels
}

# Zones share a subnet on Azure.
resource "azurerm_subnet" "nodes" {
  #checkov:skip=CKV2_AZURE_31:AKS keeps a security group of its own on the nodes' network cards, and opens it for each load balancer.
  name                 = "nodes"
  resource_group_name  = azurerm_resource_group.this.name
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = [module.settings.subnets.nodes[0]]
}

# Virtual nodes are container instances, which want a subnet to themselves.
resource "azurerm_subnet" "virtual" {
  #checkov:skip=CKV2_AZURE_31:Container instances are reached through the nodes' load balancer alone.
  count = local.managed ? 1 : 0

  name                 = "virtual"
  resource_group_name  = azurerm_resource_group.this.name
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = [module.settings.subnets.virtual]

  delegation {
    name = "container-instances"
    service_delegation {
      name    = "Microsoft.ContainerInstance/containerGroups"
      actions = ["Microsoft.Network/virtualNetworks/subnets/action"]
    }
  }
}
