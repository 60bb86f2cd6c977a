locals {
  managed_policy = "arn:${data.aws_partition.this.partition}:iam::aws:policy"
  # The cluster's issuer as a condition names it: without the scheme.
  issuer = trimprefix(aws_eks_cluster.this.identity[0].oidc[0].issuer, "https://")
}

data "aws_iam_policy_document" "service" {
  for_each = {
    cluster = "eks.amazonaws.com"
    nodes   = "ec2.amazonaws.com"
    fargate = "eks-fargate-pods.amazonaws.com"
  }

  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = [each.value]
    }
  }
}

resource "aws_iam_role" "cluster" {
  name               = "${module.settings.cluster}-cluster"
  assume_role_policy = data.aws_iam_policy_document.service["cluster"].json
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "${local.managed_policy}/AmazonEKSClusterPolicy"
}

resource "aws_iam_role" "nodes" {
  count = local.standard ? 1 : 0

  name               = "${module.settings.cluster}-nodes"
  assume_role_policy = data.aws_iam_policy_document.service["nodes"].json
}

resource "aws_iam_role_policy_attachment" "nodes" {
  for_each = toset(local.standard ? ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"] : [])

  role       = aws_iam_role.nodes[0].name
  policy_arn = "${local.managed_policy}/${each.key}"
}

resource "aws_iam_role" "fargate" {
  count = local.managed ? 1 : 0

  name               = "${module.settings.cluster}-fargate"
  assume_role_policy = data.aws_iam_policy_document.service["fargate"].json
}

resource "aws_iam_role_policy_attachment" "fargate" {
  count = local.managed ? 1 : 0

  role       = aws_iam_role.fargate[0].name
  policy_arn = "${local.managed_policy}/AmazonEKSFargatePodExecutionRolePolicy"
}

# The jobs of each environment act as a role of their own, by GitHub's word for who they are, and without a key. An account
# has one provider for an issuer: where GitHub's is there already, import it.
resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]

  lifecycle {
    precondition {
      condition     = var.github_repository != null
      error_message = "Set github_repository to what `gh api repos/OWNER/NAME` tells: infra/README.md has the command."
    }
  }
}

data "aws_iam_policy_document" "deployer_trust" {
  for_each = module.settings.deployers

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.github.arn]
    }
    # AWS takes `sub` of old and new repositories, and the id keeps out who is given the name later.
    dynamic "condition" {
      for_each = {
        aud           = ["sts.amazonaws.com"]
        sub           = each.value.subjects
        repository_id = [split(":", each.value.subject)[0]]
      }
      content {
        test     = "StringEquals"
        variable = "token.actions.githubusercontent.com:${condition.key}"
        values   = condition.value
      }
    }
  }
}

resource "aws_iam_role" "deployer" {
  for_each = module.settings.deployers

  name               = each.value.name
  description        = "CI/CD Deployer (${each.key})"
  assume_role_policy = data.aws_iam_policy_document.deployer_trust[each.key].json
}

data "aws_iam_policy_document" "deployer" {
  for_each = module.settings.deployers

  statement {
    actions   = ["eks:DescribeCluster"]
    resources = [aws_eks_cluster.this.arn]
  }
  dynamic "statement" {
    for_each = each.value.registry == "" ? [] : [aws_ecr_repository.this[each.value.registry].arn]
    content {
      actions = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:CompleteLayerUpload",
        "ecr:DescribeImages",
        "ecr:GetDownloadUrlForLayer",
        "ecr:InitiateLayerUpload",
        "ecr:PutImage",
        "ecr:UploadLayerPart",
      ]
      resources = [statement.value]
    }
  }
  # It takes no narrower resource.
  dynamic "statement" {
    for_each = each.value.registry == "" ? [] : ["*"]
    content {
      actions   = ["ecr:GetAuthorizationToken"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role_policy" "deployer" {
  for_each = module.settings.deployers

  name   = each.value.name
  role   = aws_iam_role.deployer[each.key].id
  policy = data.aws_iam_policy_document.deployer[each.key].json
}

# It is let into the cluster as a member of a group. What that may do is the Role of its namespace: k8s/deployers.
resource "aws_eks_access_entry" "deployer" {
  for_each = module.settings.deployers

  cluster_name      = aws_eks_cluster.this.name
  principal_arn     = aws_iam_role.deployer[each.key].arn
  kubernetes_groups = [each.value.name]
}

# EKS lets whoever makes the cluster in by itself.
resource "aws_eks_access_entry" "admin" {
  for_each = toset(var.admins)

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.key
}

resource "aws_eks_access_policy_association" "admin" {
  for_each = aws_eks_access_entry.admin

  cluster_name  = each.value.cluster_name
  principal_arn = each.value.principal_arn
  policy_arn    = "arn:${data.aws_partition.this.partition}:eks::aws:cluster-access-policy/${module.settings.admin_role}"

  access_scope {
    type = "cluster"
  }
}

# Pods act as roles by the cluster's word for who they are (IRSA): EKS's own pod identity does not reach Fargate.
resource "aws_iam_openid_connect_provider" "cluster" {
  url            = aws_eks_cluster.this.identity[0].oidc[0].issuer
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "pods_trust" {
  for_each = {
    telemetry = values(module.settings.telemetry_members)
    balancer  = ["system:serviceaccount:kube-system:aws-load-balancer-controller"]
    logs      = ["system:serviceaccount:amazon-cloudwatch:cloudwatch-agent"]
  }

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.cluster.arn]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = each.value
    }
  }
}

# The service's pods act as this one.
resource "aws_iam_role" "telemetry" {
  name               = module.settings.telemetry
  description        = "Telemetry Access"
  assume_role_policy = data.aws_iam_policy_document.pods_trust["telemetry"].json
}

resource "aws_iam_role_policy_attachment" "telemetry" {
  for_each = toset(module.settings.telemetry_roles)

  role       = aws_iam_role.telemetry.name
  policy_arn = "${local.managed_policy}/${each.key}"
}

# Where the pods' logs and metrics go; X-Ray's managed policy is for traces alone.
resource "aws_cloudwatch_log_group" "telemetry" {
  #checkov:skip=CKV_AWS_158:AWS's own key encrypts the logs; they hold no request's content.
  #checkov:skip=CKV_AWS_338:A month of logs; a year costs more than it tells.
  name              = "/tepal/${module.settings.cluster}"
  retention_in_days = 30
}

data "aws_iam_policy_document" "telemetry" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.telemetry.arn}:*"]
  }
  statement {
    # It takes no narrower resource: the condition does it.
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]
    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["tepal"]
    }
  }
}

resource "aws_iam_role_policy" "telemetry" {
  name   = module.settings.telemetry
  role   = aws_iam_role.telemetry.id
  policy = data.aws_iam_policy_document.telemetry.json
}
