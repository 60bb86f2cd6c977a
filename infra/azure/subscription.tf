resource "azurerm_resource_group" "this" {
  name     = module.settings.resource_group
  location = module.settings.region
  tags     = module.settings.labels
}

resource "azurerm_consumption_budget_subscription" "this" {
  count = var.budget == null ? 0 : 1

  name            = module.settings.cluster
  subscription_id = "/subscriptions/${module.settings.project}"
  amount          = var.budget.amount
  time_grain      = "Monthly"

  time_period {
    start_date = formatdate("YYYY-MM-01'T'00:00:00Z", plantimestamp())
  }

  dynamic "notification" {
    for_each = [50, 90, 100]
    content {
      operator       = "GreaterThan"
      threshold      = notification.value
      contact_emails = var.budget.emails
    }
  }

  lifecycle {
    # It starts with the month in which it is made, and goes on.
    ignore_changes = [time_period]
  }
}
