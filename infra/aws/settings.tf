module "settings" {
  source = "../settings"

  cloud               = "aws"
  project             = var.project
  mode                = var.mode
  region              = var.region
  zones               = var.zones
  cluster             = var.cluster
  machine_type        = var.machine_type
  node_count          = var.node_count
  registry            = var.registry
  environments        = var.environments
  github_repository   = var.github_repository
  admins              = var.admins
  authorized_networks = var.authorized_networks
  network             = var.network
  budget              = var.budget
  labels              = var.labels
}

locals {
  standard = module.settings.mode == "standard"
  managed  = module.settings.mode == "managed"
}
