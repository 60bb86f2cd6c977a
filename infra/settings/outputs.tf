output "cloud" {
  description = "Which of the three clouds."
  value       = var.cloud
}

output "project" {
  description = "Project ID, account number or subscription ID."
  value       = var.project
}

output "mode" {
  description = "Standard or managed."
  value       = var.mode
}

output "region" {
  description = "Where everything is."
  value       = local.region
}

output "zones" {
  description = "Zones that nodes are spread over."
  value       = local.zones
}

output "cluster" {
  description = "The cluster's name."
  value       = local.cluster
}

output "node_pool" {
  description = "The name of the standard cluster's pool of nodes. AKS takes at most twelve letters and digits."
  value       = var.cloud == "azure" ? "default" : "default-pool"
}

output "machine_type" {
  description = "The nodes' machine type."
  value       = local.machine_type
}

output "node_count" {
  description = "Nodes in all zones together."
  value       = var.node_count
}

output "nodes_per_zone" {
  description = "Nodes in each zone, as Google Cloud counts them."
  value       = local.nodes_per_zone
  precondition {
    condition     = var.cloud != "gcp" || floor(local.nodes_per_zone) == local.nodes_per_zone
    error_message = "Google Cloud has the same number of nodes in each zone: node_count must be a multiple of the number of zones."
  }
}

output "keep" {
  description = "For each registry, after how many days an image goes, and how many of the last ones stay."
  value       = local.keep
}

output "image" {
  description = "The image, without tag or digest."
  value       = local.image
}

output "resource_group" {
  description = "Azure's resource group."
  value       = local.resource_group
}

output "registries" {
  description = "The registries' names: of images, and of the images of previews."
  value       = local.registries
  precondition {
    condition     = var.cloud != "azure" || can(regex("^[A-Za-z0-9]{5,42}$", local.registry))
    error_message = "Azure's registries have 5 to 50 letters and digits: 42 leave room for the name of the previews' own."
  }
}

output "github_repository" {
  description = "The repository whose workflows deploy; without a name where none was given."
  value       = local.github
}

output "deployers" {
  description = "For each of GitHub's environments: the identity that its jobs act as, the namespace and the registry that this may change, its role in Kubernetes, and how GitHub's token names such a job."
  value       = local.deployers
}

output "trust" {
  description = "Which of GitHub's tokens Google Cloud takes, and whom each is taken for: the subject of a deployer. A subject of Google Cloud has at most 127 bytes, GitHub's own may have more."
  value = {
    condition = join(" && ", [
      "assertion.repository_owner_id == '${local.github.owner_id}'",
      "assertion.repository_id == '${local.github.id}'",
      "(${join(" || ", [for e, d in local.deployers : d.branch == "" ? "assertion.environment == '${e}'" : "assertion.environment == '${e}' && assertion.ref == 'refs/heads/${d.branch}'"])})",
    ])
    subject = "assertion.repository_id + ':' + assertion.environment"
  }
}

output "deployer_roles" {
  description = "What a deployer may do with its registry and the cluster."
  value       = local.deployer_roles
}

output "admin_role" {
  description = "What the admins may do in the cluster."
  value       = local.admin_role
}

output "telemetry" {
  description = "The name of the telemetry identity, and of the service account in Kubernetes that acts as it."
  value       = "telemetry-access"
}

output "telemetry_roles" {
  description = "What the telemetry identity may do."
  value       = local.telemetry_roles
}

output "telemetry_annotation" {
  description = "The annotation by which the service account in Kubernetes names the telemetry identity."
  value       = local.annotation
}

output "namespaces" {
  description = "The environments' namespaces, each with a service account that acts as the telemetry identity."
  value       = local.namespaces
}

output "telemetry_members" {
  description = "For each namespace, how the cloud names its service account."
  value = { for n in local.namespaces : n => {
    gcp   = "serviceAccount:${var.project}.svc.id.goog[${n}/telemetry-access]"
    aws   = "system:serviceaccount:${n}:telemetry-access"
    azure = "system:serviceaccount:${n}:telemetry-access"
  }[var.cloud] }
}

output "apis" {
  description = "APIs (Azure: resource providers) to switch on."
  value       = local.apis
}

output "get_credentials" {
  description = "The command that tells kubectl of the cluster."
  value       = local.get_credentials
}

output "labels" {
  description = "Labels of everything that takes them."
  value       = merge(var.labels, { app = "iris-classifier", managed-by = "terraform" })
}

output "subnets" {
  description = "Parts of the network: eight of the size /20 for nodes, the last half for pods."
  value = {
    nodes   = [for i in range(length(local.zones)) : cidrsubnet(var.network, 4, i)]
    public  = [for i in range(length(local.zones)) : cidrsubnet(var.network, 4, 4 + i)]
    virtual = cidrsubnet(var.network, 4, 7)
    pods    = cidrsubnet(var.network, 1, 1)
  }
}

output "state" {
  description = "The bucket (Azure: storage account) for Terraform's state. Its name is unique in the world because the project's is."
  value = {
    gcp   = "${var.project}-tepal-state"
    aws   = "tepal-state-${var.project}"
    azure = "tepal${substr(sha256(var.project), 0, 16)}"
  }[var.cloud]
}
