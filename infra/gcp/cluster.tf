# The guide's mlops-standard: a regional control plane, and nodes in as many zones as `zones` names.
resource "google_container_cluster" "standard" {
  #checkov:skip=CKV_GCP_12:Dataplane V2 enforces network policies; the check knows the older Calico alone.
  #checkov:skip=CKV_GCP_65:Groups for RBAC need a Google Workspace, which not everybody has.
  #checkov:skip=CKV_GCP_66:Binary Authorization needs attestations, which the release makes by keyless signatures instead.
  #checkov:skip=CKV_GCP_69:The default pool is removed; the metadata server is set in the pool that replaces it.
  count = local.standard ? 1 : 0

  name     = module.settings.cluster
  location = module.settings.region

  network             = google_compute_network.this.id
  subnetwork          = google_compute_subnetwork.nodes.id
  datapath_provider   = "ADVANCED_DATAPATH"
  resource_labels     = module.settings.labels
  deletion_protection = false # `make cleanup` asks

  # The pool below replaces this one, which takes no settings that can change.
  remove_default_node_pool    = true
  initial_node_count          = 1
  node_locations              = module.settings.zones
  enable_shielded_nodes       = true
  enable_intranode_visibility = true

  node_config {
    machine_type    = module.settings.machine_type
    service_account = google_service_account.nodes.email

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = false
  }

  master_authorized_networks_config {
    dynamic "cidr_blocks" {
      for_each = var.authorized_networks
      content {
        cidr_block = cidr_blocks.value
      }
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  workload_identity_config {
    workload_pool = "${module.settings.project}.svc.id.goog"
  }

  gateway_api_config {
    channel = "CHANNEL_STANDARD"
  }

  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS"]
    managed_prometheus {
      enabled = true
    }
  }

  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS"]
  }

  release_channel {
    channel = "REGULAR"
  }

  lifecycle {
    # Only the pool that is removed had them.
    ignore_changes = [node_config, initial_node_count]
  }

  depends_on = [google_project_iam_member.nodes]
}

resource "google_container_node_pool" "default" {
  count = local.standard ? 1 : 0

  name     = module.settings.node_pool
  cluster  = google_container_cluster.standard[0].id
  location = module.settings.region

  # Counted for each zone.
  node_count     = module.settings.nodes_per_zone
  node_locations = module.settings.zones

  node_config {
    machine_type    = module.settings.machine_type
    disk_size_gb    = 30
    service_account = google_service_account.nodes.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"] # what the account may do decides
    resource_labels = module.settings.labels

    # Pods see the identity of their own service account, and not the node's.
    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  upgrade_settings {
    max_surge       = 1
    max_unavailable = 0
  }

  lifecycle {
    # `make pause` takes the nodes away and `make resume` brings them back: neither is a drift.
    ignore_changes = [node_count]
  }
}

# The guide's mlops-auto: Google runs the nodes, and pods are paid by what they request.
resource "google_container_cluster" "managed" {
  #checkov:skip=CKV_GCP_12:Autopilot enforces network policies by Dataplane V2; the check knows the older Calico alone.
  #checkov:skip=CKV_GCP_61:Autopilot has intranode visibility on, and takes no setting for it.
  #checkov:skip=CKV_GCP_65:Groups for RBAC need a Google Workspace, which not everybody has.
  #checkov:skip=CKV_GCP_66:Binary Authorization needs attestations, which the release makes by keyless signatures instead.
  #checkov:skip=CKV_GCP_69:Autopilot's nodes have the metadata server, and take no setting for it.
  count = local.managed ? 1 : 0

  name     = module.settings.cluster
  location = module.settings.region

  enable_autopilot    = true
  network             = google_compute_network.this.id
  subnetwork          = google_compute_subnetwork.nodes.id
  resource_labels     = module.settings.labels
  deletion_protection = false # `make cleanup` asks

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = false
  }

  master_authorized_networks_config {
    dynamic "cidr_blocks" {
      for_each = var.authorized_networks
      content {
        cidr_block = cidr_blocks.value
      }
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  cluster_autoscaling {
    auto_provisioning_defaults {
      service_account = google_service_account.nodes.email
      oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    }
  }

  release_channel {
    channel = "REGULAR"
  }

  depends_on = [google_project_iam_member.nodes]
}
