data "aws_partition" "this" {}

resource "aws_budgets_budget" "this" {
  count = var.budget == null ? 0 : 1

  name         = module.settings.cluster
  budget_type  = "COST"
  limit_amount = tostring(var.budget.amount)
  # AWS counts in dollars, whatever it is paid in; in China in yuan.
  limit_unit = data.aws_partition.this.partition == "aws-cn" ? "CNY" : "USD"
  time_unit  = "MONTHLY"

  dynamic "notification" {
    for_each = [50, 90, 100]
    content {
      comparison_operator        = "GREATER_THAN"
      notification_type          = "ACTUAL"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.budget.emails
    }
  }
}

# One key for the cluster's secrets and the images.
resource "aws_kms_key" "this" {
  #checkov:skip=CKV2_AWS_64:Without a policy of its own a key has AWS's default: the account's IAM decides.
  description             = "Secrets of ${module.settings.cluster}, and its images"
  enable_key_rotation     = true
  deletion_window_in_days = 7
}
