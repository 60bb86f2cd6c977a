# What the guide calls things, cloud by cloud, and how each mode differs.

run "gcp_standard" {
  command = plan
  variables {
    cloud   = "gcp"
    project = "my-mlops-project"
  }
  assert {
    condition     = output.cluster == "mlops-standard" && output.mode == "standard"
    error_message = "the standard cluster is mlops-standard"
  }
  assert {
    condition     = output.region == "us-central1" && output.machine_type == "e2-medium" && output.node_pool == "default-pool"
    error_message = "the guide has e2-medium in us-central1"
  }
  assert {
    condition     = output.node_count == 2 && length(output.zones) == 2 && output.nodes_per_zone == 1
    error_message = "two nodes are two in all: one in each of two zones"
  }
  assert {
    condition     = output.registries == { images = "mlops-images", previews = "mlops-images-previews" } && output.image == "us-central1-docker.pkg.dev/my-mlops-project/mlops-images/iris"
    error_message = "images go to LOCATION-docker.pkg.dev/PROJECT/mlops-images/iris"
  }
  assert {
    condition     = output.deployers["guide"].name == "cicd-deployer" && output.deployers["prod"].name == "cicd-deployer-prod" && output.deployer_roles == { registry = "roles/artifactregistry.writer", cluster = "roles/container.clusterViewer" }
    error_message = "cicd-deployer is the guide's, and each writes images and finds the cluster"
  }
  assert {
    condition     = output.admin_role == "roles/container.admin"
    error_message = "admins may do everything in clusters"
  }
  assert {
    condition     = output.telemetry == "telemetry-access" && output.telemetry_annotation == "iam.gke.io/gcp-service-account"
    error_message = "pods act as telemetry-access"
  }
  assert {
    condition     = toset(output.telemetry_roles) == toset(["roles/logging.logWriter", "roles/cloudtrace.agent", "roles/telemetry.tracesWriter"])
    error_message = "telemetry-access writes logs and traces, by either API, and nothing else"
  }
  assert {
    condition = length(setsubtract([
      "container.googleapis.com", "compute.googleapis.com", "artifactregistry.googleapis.com", "iamcredentials.googleapis.com",
      "logging.googleapis.com", "monitoring.googleapis.com", "cloudtrace.googleapis.com",
      "iam.googleapis.com", "sts.googleapis.com", "cloudresourcemanager.googleapis.com", "telemetry.googleapis.com",
    ], output.apis)) == 0
    error_message = "the guide's seven APIs, and four for federation, Terraform and OTLP"
  }
  assert {
    condition     = output.get_credentials == "gcloud container clusters get-credentials mlops-standard --location=us-central1 --project=my-mlops-project"
    error_message = "the command names location and project"
  }
}

run "gcp_managed" {
  command = plan
  variables {
    cloud   = "gcp"
    project = "my-mlops-project"
    mode    = "managed"
  }
  assert {
    condition     = output.cluster == "mlops-auto" && strcontains(output.get_credentials, " mlops-auto ")
    error_message = "the managed cluster is mlops-auto"
  }
}

run "gcp_elsewhere" {
  command = plan
  variables {
    cloud      = "gcp"
    project    = "my-mlops-project"
    region     = "europe-west1"
    zones      = ["europe-west1-b", "europe-west1-c", "europe-west1-d"]
    node_count = 6
    cluster    = "other"
    registry   = "pictures"
  }
  assert {
    condition     = output.nodes_per_zone == 2 && output.image == "europe-west1-docker.pkg.dev/my-mlops-project/pictures/iris"
    error_message = "six nodes in three zones are two in each"
  }
  assert {
    condition     = output.cluster == "other" && length(output.subnets.nodes) == 3
    error_message = "a name that is given holds"
  }
}

run "aws_standard" {
  command = plan
  variables {
    cloud   = "aws"
    project = "123456789012"
  }
  assert {
    condition     = output.cluster == "mlops-standard" && output.region == "us-west-2" && output.machine_type == "t3.medium"
    error_message = "the guide has t3.medium in us-west-2"
  }
  assert {
    condition     = output.image == "123456789012.dkr.ecr.us-west-2.amazonaws.com/mlops-images"
    error_message = "on ECR a repository holds one image"
  }
  assert {
    condition     = output.get_credentials == "aws eks update-kubeconfig --name mlops-standard --region us-west-2"
    error_message = "the guide's command"
  }
  assert {
    condition     = output.telemetry_members["iris-prod"] == "system:serviceaccount:iris-prod:telemetry-access" && output.telemetry_annotation == "eks.amazonaws.com/role-arn"
    error_message = "IRSA names a service account by its token's subject"
  }
  assert {
    condition     = toset(output.telemetry_roles) == toset(["AWSXRayDaemonWriteAccess"])
    error_message = "pods write traces"
  }
  assert {
    condition     = output.admin_role == "AmazonEKSClusterAdminPolicy"
    error_message = "namespaces are made by admins: no deployer may"
  }
  assert {
    condition     = length(output.apis) == 0
    error_message = "AWS has nothing to switch on"
  }
}

run "aws_managed" {
  command = plan
  variables {
    cloud   = "aws"
    project = "123456789012"
    mode    = "managed"
  }
  assert {
    condition     = output.cluster == "mlops-auto"
    error_message = "the managed cluster is mlops-auto"
  }
}

run "azure_standard" {
  command = plan
  variables {
    cloud   = "azure"
    project = "00000000-0000-0000-0000-000000000001"
  }
  assert {
    condition     = output.cluster == "mlops-standard" && output.machine_type == "Standard_DS2_v2" && output.resource_group == "my-aks-rg"
    error_message = "the guide has Standard_DS2_v2 in my-aks-rg"
  }
  assert {
    condition     = output.registries == { images = "mlopsImages", previews = "mlopsImagesPreviews" } && output.image == "mlopsimages.azurecr.io/iris"
    error_message = "the registry is mlopsImages, and its host has small letters"
  }
  assert {
    condition     = output.deployer_roles == { registry = "AcrPush", cluster = "Azure Kubernetes Service Cluster User Role" } && toset(output.telemetry_roles) == toset(["Monitoring Metrics Publisher"])
    error_message = "a deployer pushes and finds the cluster, and pods send telemetry"
  }
  assert {
    condition     = output.admin_role == "Azure Kubernetes Service RBAC Cluster Admin"
    error_message = "RBAC Admin, the next lower role, may not make namespaces"
  }
  assert {
    condition     = !contains(output.apis, "Microsoft.ContainerInstance")
    error_message = "container instances are for virtual nodes alone"
  }
  assert {
    condition     = length(output.state) >= 3 && length(output.state) <= 24 && can(regex("^[a-z0-9]+$", output.state))
    error_message = "a storage account has 3 to 24 small letters and digits"
  }
}

run "azure_managed" {
  command = plan
  variables {
    cloud   = "azure"
    project = "00000000-0000-0000-0000-000000000001"
    mode    = "managed"
  }
  assert {
    condition     = output.cluster == "mlops-auto" && contains(output.apis, "Microsoft.ContainerInstance")
    error_message = "virtual nodes are container instances"
  }
}
