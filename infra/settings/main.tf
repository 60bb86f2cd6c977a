# Names, modes, roles and sizes, for all three clouds: everything that can be decided without asking one.
# There is no provider in here, so `terraform test` runs it anywhere.

terraform {
  required_version = ">= 1.11"
}

locals {
  defaults = {
    gcp = {
      region       = "us-central1"
      machine_type = "e2-medium"
      registry     = "mlops-images"
    }
    aws = {
      region       = "us-west-2"
      machine_type = "t3.medium"
      registry     = "mlops-images"
    }
    azure = {
      region       = "westus2"
      machine_type = "Standard_DS2_v2"
      registry     = "mlopsImages"
    }
  }
  default = local.defaults[var.cloud]

  region       = coalesce(var.region, local.default.region)
  machine_type = coalesce(var.machine_type, local.default.machine_type)
  registry     = coalesce(var.registry, local.default.registry)
  cluster      = coalesce(var.cluster, var.mode == "standard" ? "mlops-standard" : "mlops-auto")

  zones = var.zones != null ? var.zones : {
    gcp   = ["${local.region}-a", "${local.region}-b"]
    aws   = ["${local.region}a", "${local.region}b"]
    azure = ["1", "2"]
  }[var.cloud]

  # Google Cloud counts the nodes of a regional pool for each zone: two in all are one in each of two zones.
  nodes_per_zone = var.node_count / length(local.zones)

  resource_group = "my-aks-rg"

  # Google Cloud's APIs and Azure's providers are off until they are switched on; AWS has no such switch.
  apis = {
    gcp = [
      "artifactregistry.googleapis.com",
      "billingbudgets.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "cloudtrace.googleapis.com",
      "compute.googleapis.com",
      "container.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "serviceusage.googleapis.com",
      "sts.googleapis.com",
      "telemetry.googleapis.com",
    ]
    aws = []
    azure = concat([
      "Microsoft.Compute",
      "Microsoft.Consumption",
      "Microsoft.ContainerRegistry",
      "Microsoft.ContainerService",
      "Microsoft.Insights",
      "Microsoft.ManagedIdentity",
      "Microsoft.Network",
      "Microsoft.OperationalInsights",
      "Microsoft.Storage",
    ], var.mode == "managed" ? ["Microsoft.ContainerInstance"] : [])
  }[var.cloud]

  # Whom the jobs of each of GitHub's environments act as. The account of the guide has the guide's name. What deletes
  # previews is not held up by those who let previews in, so it has an environment of its own, and may do nothing else.
  github      = var.github_repository == null ? { name = "", id = 0, owner_id = 0 } : var.github_repository
  github_name = split("/", local.github.name == "" ? "/" : local.github.name)
  namespaces  = [for e in var.environments : local.deployers[e].namespace]
  jobs        = concat(var.environments, contains(var.environments, "preview") ? ["clean-up"] : [])
  deployers = { for e in local.jobs : e => {
    name      = e == "guide" ? "cicd-deployer" : "cicd-deployer-${e}"
    namespace = e == "guide" ? "default" : e == "clean-up" ? "iris-preview" : "iris-${e}"
    role      = e == "clean-up" ? "preview-clean-up" : "deployer"
    registry  = e == "clean-up" ? "" : e == "preview" ? "previews" : "images"
    branch    = e == "preview" ? "" : e == "dev" ? "dev" : "main"
    subject   = "${local.github.id}:${e}"
    # GitHub's token has the second for repositories that were made, renamed or transferred from 15 July 2026 on.
    subjects = [
      "repo:${local.github.name}:environment:${e}",
      "repo:${local.github_name[0]}@${local.github.owner_id}/${local.github_name[1]}@${local.github.id}:environment:${e}",
    ]
  } }

  # Pull requests push into the second, so that no pull request's image is where the others come from.
  registries = {
    images   = local.registry
    previews = var.cloud == "azure" ? "${local.registry}Previews" : "${local.registry}-previews"
  }

  # What a deployer may do: push images into its registry, and find the cluster, where it has a Role in its namespace
  # (k8s/deployers). AWS has no role for either alone: infra/aws writes a policy out.
  deployer_roles = {
    gcp   = { registry = "roles/artifactregistry.writer", cluster = "roles/container.clusterViewer" }
    aws   = { registry = "", cluster = "" }
    azure = { registry = "AcrPush", cluster = "Azure Kubernetes Service Cluster User Role" }
  }[var.cloud]

  # Old images go, but for the last ones. What a release or a rollout needs again is in GitHub's registry too.
  keep = {
    images   = { days = 90, count = 100 }
    previews = { days = 14, count = 1 }
  }

  # What the admins may do: everything in the cluster, such as making namespaces, which no deployer may.
  admin_role = {
    gcp   = "roles/container.admin"
    aws   = "AmazonEKSClusterAdminPolicy"
    azure = "Azure Kubernetes Service RBAC Cluster Admin"
  }[var.cloud]

  # What the pods may do: write telemetry, and read none.
  telemetry_roles = {
    gcp   = ["roles/logging.logWriter", "roles/cloudtrace.agent", "roles/telemetry.tracesWriter"]
    aws   = ["AWSXRayDaemonWriteAccess"]
    azure = ["Monitoring Metrics Publisher"]
  }[var.cloud]

  image = {
    gcp   = "${local.region}-docker.pkg.dev/${var.project}/${local.registry}/iris"
    aws   = "${var.project}.dkr.ecr.${local.region}.amazonaws.com/${local.registry}"
    azure = "${lower(local.registry)}.azurecr.io/iris"
  }[var.cloud]

  get_credentials = {
    gcp   = "gcloud container clusters get-credentials ${local.cluster} --location=${local.region} --project=${var.project}"
    aws   = "aws eks update-kubeconfig --name ${local.cluster} --region ${local.region}"
    azure = "az aks get-credentials --resource-group ${local.resource_group} --name ${local.cluster} --subscription ${var.project}"
  }[var.cloud]

  annotation = {
    gcp   = "iam.gke.io/gcp-service-account"
    aws   = "eks.amazonaws.com/role-arn"
    azure = "azure.workload.identity/client-id"
  }[var.cloud]
}
