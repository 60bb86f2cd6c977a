resource "aws_cloudwatch_log_group" "cluster" {
  #checkov:skip=CKV_AWS_158:AWS's own key encrypts the control plane's logs.
  #checkov:skip=CKV_AWS_338:A month of the control plane's logs; a year costs more than it tells.
  name              = "/aws/eks/${module.settings.cluster}/cluster"
  retention_in_days = 30
}

resource "aws_eks_cluster" "this" {
  #checkov:skip=CKV_AWS_38:authorized_networks is open by default for GitHub's runners, which have no fixed addresses; each caller must sign in.
  #checkov:skip=CKV_AWS_39:GitHub's runners reach the API from outside; nodes reach it from inside.
  name                          = module.settings.cluster
  role_arn                      = aws_iam_role.cluster.arn
  enabled_cluster_log_types     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
  bootstrap_self_managed_addons = false

  vpc_config {
    subnet_ids              = aws_subnet.nodes[*].id
    endpoint_private_access = true
    endpoint_public_access  = true
    public_access_cidrs     = var.authorized_networks
  }

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }

  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = aws_kms_key.this.arn
    }
  }

  depends_on = [aws_cloudwatch_log_group.cluster, aws_iam_role_policy_attachment.cluster]
}

# What a cluster does not come with: without metrics-server an HPA knows no CPU.
resource "aws_eks_addon" "network" {
  for_each = toset(["vpc-cni", "kube-proxy"])

  cluster_name = aws_eks_cluster.this.name
  addon_name   = each.key
  # The network policies of k8s/ are enforced by the CNI, if it is told to.
  configuration_values = each.key == "vpc-cni" ? jsonencode({ enableNetworkPolicy = "true" }) : null
}

resource "aws_eks_addon" "pods" {
  for_each = {
    coredns        = local.managed ? jsonencode({ computeType = "Fargate" }) : null
    metrics-server = null
  }

  cluster_name         = aws_eks_cluster.this.name
  addon_name           = each.key
  configuration_values = each.value

  # They are pods, and need somewhere to run.
  depends_on = [aws_eks_node_group.default, aws_eks_fargate_profile.this]
}

resource "aws_launch_template" "nodes" {
  count = local.standard ? 1 : 0

  name_prefix   = "${module.settings.cluster}-"
  instance_type = module.settings.machine_type

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1 # one hop: a pod does not reach the node's credentials
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size = 30
      volume_type = "gp3"
      encrypted   = true
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = module.settings.labels
  }
}

# The guide's mlops-standard.
resource "aws_eks_node_group" "default" {
  count = local.standard ? 1 : 0

  cluster_name    = aws_eks_cluster.this.name
  node_group_name = module.settings.node_pool
  node_role_arn   = aws_iam_role.nodes[0].arn
  subnet_ids      = aws_subnet.nodes[*].id
  ami_type        = "AL2023_x86_64_STANDARD"

  launch_template {
    id      = aws_launch_template.nodes[0].id
    version = aws_launch_template.nodes[0].latest_version
  }

  scaling_config {
    min_size     = module.settings.node_count
    desired_size = module.settings.node_count
    max_size     = module.settings.node_count * 2
  }

  update_config {
    max_unavailable = 1
  }

  lifecycle {
    # `make pause` takes the nodes away and `make resume` brings them back: neither is a drift.
    ignore_changes = [scaling_config]
  }

  depends_on = [aws_iam_role_policy_attachment.nodes, aws_eks_addon.network, aws_route_table_association.nodes]
}

# The guide's managed cluster: AWS runs a pod on a machine of its own. A profile takes five namespaces at most, so each
# has one; EKS makes and deletes one profile at a time.
resource "aws_eks_fargate_profile" "this" {
  for_each = toset(local.managed ? concat(["kube-system"], module.settings.namespaces) : [])

  cluster_name           = aws_eks_cluster.this.name
  fargate_profile_name   = each.key
  pod_execution_role_arn = aws_iam_role.fargate[0].arn
  subnet_ids             = aws_subnet.nodes[*].id

  selector {
    namespace = each.key
  }

  timeouts {
    create = "60m"
    delete = "60m"
  }

  depends_on = [aws_iam_role_policy_attachment.fargate, aws_route_table_association.nodes]
}
