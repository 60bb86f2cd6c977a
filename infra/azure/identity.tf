resource "azurerm_user_assigned_identity" "cluster" {
  name                = "${module.settings.cluster}-cluster"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = module.settings.labels
}

# For load balancers in the nodes' subnet, and for virtual nodes in theirs.
resource "azurerm_role_assignment" "network" {
  scope                = azurerm_virtual_network.this.id
  role_definition_name = "Network Contributor"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
}

# The connector of virtual nodes has an identity of its own.
resource "azurerm_role_assignment" "virtual" {
  count = local.managed ? 1 : 0

  scope                = azurerm_subnet.virtual[0].id
  role_definition_name = "Network Contributor"
  principal_id         = azurerm_kubernetes_cluster.this.aci_connector_linux[0].connector_identity[0].object_id
}

resource "azurerm_role_assignment" "pull" {
  for_each = azurerm_container_registry.this

  scope                = each.value.id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_kubernetes_cluster.this.kubelet_identity[0].object_id
}

# The jobs of each environment act as an identity of their own, by GitHub's word for who they are, and without a key.
resource "azurerm_user_assigned_identity" "deployer" {
  for_each = module.settings.deployers

  name                = each.value.name
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = module.settings.labels

  lifecycle {
    precondition {
      condition     = var.github_repository != null
      error_message = "Set github_repository to what `gh api repos/OWNER/NAME` tells: infra/README.md has the command."
    }
  }
}

# A credential has one subject: one for that of old repositories, one for that of new ones.
resource "azurerm_federated_identity_credential" "deployer" {
  for_each = merge([for e, d in module.settings.deployers : {
    for i, form in ["names", "ids"] : "${e}-${form}" => { deployer = e, subject = d.subjects[i] }
  }]...)

  name                = "github-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  parent_id           = azurerm_user_assigned_identity.deployer[each.value.deployer].id
  issuer              = "https://token.actions.githubusercontent.com"
  audience            = ["api://AzureADTokenExchange"]
  subject             = each.value.subject
}

resource "azurerm_role_assignment" "push" {
  for_each = { for e, d in module.settings.deployers : e => d if d.registry != "" }

  scope                = azurerm_container_registry.this[each.value.registry].id
  role_definition_name = module.settings.deployer_roles.registry
  principal_id         = azurerm_user_assigned_identity.deployer[each.key].principal_id
}

# It finds the cluster by this. What it may do there is the Role of its namespace: k8s/deployers.
resource "azurerm_role_assignment" "deployer" {
  for_each = azurerm_user_assigned_identity.deployer

  scope                = azurerm_kubernetes_cluster.this.id
  role_definition_name = module.settings.deployer_roles.cluster
  principal_id         = each.value.principal_id
}

data "azurerm_client_config" "this" {}

# Azure's roles decide in the cluster too, and an owner of the subscription has none there by that.
resource "azurerm_role_assignment" "maker" {
  scope                = azurerm_kubernetes_cluster.this.id
  role_definition_name = module.settings.admin_role
  principal_id         = data.azurerm_client_config.this.object_id

  lifecycle {
    # It stays with whoever made the cluster, whoever applies next.
    ignore_changes = [principal_id]
  }
}

resource "azurerm_role_assignment" "admin" {
  for_each = toset(var.admins)

  scope                = azurerm_kubernetes_cluster.this.id
  role_definition_name = module.settings.admin_role
  principal_id         = each.key
}

# The pods act as this identity.
resource "azurerm_user_assigned_identity" "telemetry" {
  name                = module.settings.telemetry
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = module.settings.labels
}

resource "azurerm_federated_identity_credential" "telemetry" {
  for_each = module.settings.telemetry_members

  name                = "kubernetes-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  parent_id           = azurerm_user_assigned_identity.telemetry.id
  issuer              = azurerm_kubernetes_cluster.this.oidc_issuer_url
  audience            = ["api://AzureADTokenExchange"]
  subject             = each.value
}

resource "azurerm_role_assignment" "telemetry" {
  for_each = toset(module.settings.telemetry_roles)

  scope                = azurerm_application_insights.this.id
  role_definition_name = each.key
  principal_id         = azurerm_user_assigned_identity.telemetry.principal_id
}
