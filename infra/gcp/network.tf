resource "google_compute_network" "this" {
  #checkov:skip=CKV2_GCP_18:GKE opens in its firewall what its nodes need, and nothing else is in this network.
  name                    = module.settings.cluster
  auto_create_subnetworks = false

  depends_on = [google_project_service.this]
}

resource "google_compute_subnetwork" "nodes" {
  name                     = module.settings.cluster
  network                  = google_compute_network.this.id
  region                   = module.settings.region
  ip_cidr_range            = module.settings.subnets.nodes[0]
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = module.settings.subnets.pods
  }

  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = module.settings.subnets.virtual
  }

  log_config {
    aggregation_interval = "INTERVAL_5_MIN"
    flow_sampling        = 0.1
  }
}

# Nodes have no public address: what they fetch from outside Google goes through here.
resource "google_compute_router" "this" {
  name    = module.settings.cluster
  network = google_compute_network.this.id
  region  = module.settings.region
}

resource "google_compute_router_nat" "this" {
  name                               = module.settings.cluster
  router                             = google_compute_router.this.name
  region                             = module.settings.region
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
}
