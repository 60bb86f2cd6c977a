# The AWS Load Balancer Controller makes the load balancers of Services, since EKS's own older one reaches no pod on
# Fargate. `make infra-prepare` installs it, and it acts as this role. Of what the controller asks for
# (kubernetes-sigs/aws-load-balancer-controller v3.5.0, docs/install/iam_policy.json) it has what network load balancers
# need, and not what Ingresses do. What it makes it tags with the cluster's name; balancers, target groups and security
# groups without that it may not change, where AWS has a condition for it.
locals {
  in_region = "${module.settings.region}:${module.settings.project}"
  groups    = "arn:${data.aws_partition.this.partition}:ec2:${local.in_region}:security-group/*"
  balancing = "arn:${data.aws_partition.this.partition}:elasticloadbalancing:${local.in_region}"
  balancer_tag = {
    asked = "aws:RequestTag/elbv2.k8s.aws/cluster"
    has   = "aws:ResourceTag/elbv2.k8s.aws/cluster"
  }
}

data "aws_iam_policy_document" "balancer" {
  # Reading takes no narrower resource.
  statement {
    actions = [
      "ec2:DescribeAccountAttributes",
      "ec2:DescribeAddresses",
      "ec2:DescribeAvailabilityZones",
      "ec2:DescribeInstances",
      "ec2:DescribeInternetGateways",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribeRouteTables",
      "ec2:DescribeSecurityGroups",
      "ec2:DescribeSubnets",
      "ec2:DescribeTags",
      "ec2:DescribeVpcPeeringConnections",
      "ec2:DescribeVpcs",
      "elasticloadbalancing:Describe*",
    ]
    resources = ["*"]
  }
  statement {
    actions   = ["ec2:GetSecurityGroupsForVpc"]
    resources = [aws_vpc.this.arn]
  }
  # An account's first load balancer makes this role of AWS's own.
  statement {
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["arn:${data.aws_partition.this.partition}:iam::${module.settings.project}:role/aws-service-role/elasticloadbalancing.amazonaws.com/*"]
    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values   = ["elasticloadbalancing.amazonaws.com"]
    }
  }

  # Security groups in this network: its own, and rules in the nodes' that let its balancers in.
  statement {
    actions   = ["ec2:CreateSecurityGroup"]
    resources = [aws_vpc.this.arn, local.groups]
  }
  statement {
    actions   = ["ec2:CreateTags"]
    resources = [local.groups]
    condition {
      test     = "StringEquals"
      variable = "ec2:CreateAction"
      values   = ["CreateSecurityGroup"]
    }
    condition {
      test     = "StringEquals"
      variable = local.balancer_tag.asked
      values   = [module.settings.cluster]
    }
  }
  statement {
    actions   = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
    resources = [local.groups]
    condition {
      test     = "ArnEquals"
      variable = "ec2:Vpc"
      values   = [aws_vpc.this.arn]
    }
  }
  statement {
    actions   = ["ec2:CreateTags", "ec2:DeleteSecurityGroup", "ec2:DeleteTags"]
    resources = [local.groups]
    condition {
      test     = "StringEquals"
      variable = local.balancer_tag.has
      values   = [module.settings.cluster]
    }
  }

  # Balancers and target groups, made with the tag and changed if they have it.
  statement {
    actions   = ["elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"]
    resources = ["${local.balancing}:loadbalancer/net/*", "${local.balancing}:targetgroup/*"]
    condition {
      test     = "StringEquals"
      variable = local.balancer_tag.asked
      values   = [module.settings.cluster]
    }
  }
  # In the same breath alone: else it could put the tag on what is another's.
  statement {
    actions   = ["elasticloadbalancing:AddTags"]
    resources = ["${local.balancing}:loadbalancer/net/*", "${local.balancing}:targetgroup/*"]
    condition {
      test     = "StringEquals"
      variable = "elasticloadbalancing:CreateAction"
      values   = ["CreateLoadBalancer", "CreateTargetGroup"]
    }
    condition {
      test     = "StringEquals"
      variable = local.balancer_tag.asked
      values   = [module.settings.cluster]
    }
  }
  statement {
    actions = [
      "elasticloadbalancing:AddTags",
      "elasticloadbalancing:DeleteLoadBalancer",
      "elasticloadbalancing:DeleteTargetGroup",
      "elasticloadbalancing:ModifyLoadBalancerAttributes",
      "elasticloadbalancing:ModifyTargetGroup",
      "elasticloadbalancing:ModifyTargetGroupAttributes",
      "elasticloadbalancing:RemoveTags",
      "elasticloadbalancing:SetIpAddressType",
      "elasticloadbalancing:SetSecurityGroups",
      "elasticloadbalancing:SetSubnets",
    ]
    resources = ["${local.balancing}:loadbalancer/net/*", "${local.balancing}:targetgroup/*"]
    condition {
      test     = "StringEquals"
      variable = local.balancer_tag.has
      values   = [module.settings.cluster]
    }
  }
  # These know no such tag, by the controller's own policy.
  statement {
    actions   = ["elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"]
    resources = ["${local.balancing}:targetgroup/*"]
  }
  statement {
    actions   = ["elasticloadbalancing:CreateListener"]
    resources = ["${local.balancing}:loadbalancer/net/*"]
  }
  statement {
    actions = [
      "elasticloadbalancing:AddTags",
      "elasticloadbalancing:DeleteListener",
      "elasticloadbalancing:ModifyListener",
      "elasticloadbalancing:ModifyListenerAttributes",
      "elasticloadbalancing:RemoveTags",
    ]
    resources = ["${local.balancing}:listener/net/*"]
  }
}

resource "aws_iam_role" "balancer" {
  name               = "${module.settings.cluster}-balancer"
  description        = "AWS Load Balancer Controller"
  assume_role_policy = data.aws_iam_policy_document.pods_trust["balancer"].json
}

resource "aws_iam_role_policy" "balancer" {
  name   = "${module.settings.cluster}-balancer"
  role   = aws_iam_role.balancer.id
  policy = data.aws_iam_policy_document.balancer.json
}
