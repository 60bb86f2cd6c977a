# What pods print; without this nothing of it reaches CloudWatch. On nodes the CloudWatch add-on sends it, by Fluent Bit; on
# Fargate AWS does, once the ConfigMap aws-logging says so. The group is the add-on's, by name: it would make it itself, and
# keep lines for ever.
resource "aws_cloudwatch_log_group" "pods" {
  #checkov:skip=CKV_AWS_158:AWS's own key encrypts the logs; they hold no request's content.
  #checkov:skip=CKV_AWS_338:A month of logs; a year costs more than it tells.
  name              = "/aws/containerinsights/${module.settings.cluster}/application"
  retention_in_days = 30
}

resource "aws_iam_role" "logs" {
  count = local.standard ? 1 : 0

  name               = "${module.settings.cluster}-logs"
  description        = "Logs of pods"
  assume_role_policy = data.aws_iam_policy_document.pods_trust["logs"].json
}

# The policy that the add-on asks for.
resource "aws_iam_role_policy_attachment" "logs" {
  count = local.standard ? 1 : 0

  role       = aws_iam_role.logs[0].name
  policy_arn = "${local.managed_policy}/CloudWatchAgentServerPolicy"
}

resource "aws_eks_addon" "logs" {
  count = local.standard ? 1 : 0

  cluster_name             = aws_eks_cluster.this.name
  addon_name               = "amazon-cloudwatch-observability"
  service_account_role_arn = aws_iam_role.logs[0].arn
  # The logs of pods, and nothing that costs beside: no logs of machines, no metrics of each container.
  configuration_values = jsonencode({
    containerLogs = { enabled = true, fluentBit = { config = { extraFiles = { "dataplane-log.conf" = "", "host-log.conf" = "" } } } }
    agent = { config = {
      logs   = { metrics_collected = { application_signals = {} } }
      traces = { traces_collected = { application_signals = {} } }
    } }
  })

  # The group first, or the add-on makes it.
  depends_on = [aws_eks_node_group.default, aws_iam_role_policy_attachment.logs, aws_cloudwatch_log_group.pods]
}

data "aws_iam_policy_document" "fargate_logs" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.pods.arn}:*"]
  }
}

# Fargate writes as the role that it starts pods with.
resource "aws_iam_role_policy" "fargate_logs" {
  count = local.managed ? 1 : 0

  name   = "logs"
  role   = aws_iam_role.fargate[0].id
  policy = data.aws_iam_policy_document.fargate_logs.json
}
