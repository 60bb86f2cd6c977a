data "google_project" "this" {
  project_id = module.settings.project
}

# Left on when everything else goes: others in the project may use them.
resource "google_project_service" "this" {
  for_each = toset(module.settings.apis)

  service            = each.key
  disable_on_destroy = false
}

resource "google_monitoring_notification_channel" "budget" {
  for_each = toset(var.budget == null ? [] : var.budget.emails)

  display_name = "Budget of ${module.settings.cluster}: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }

  depends_on = [google_project_service.this]
}

resource "google_billing_budget" "this" {
  count = var.budget == null ? 0 : 1

  billing_account = var.budget.billing_account
  display_name    = module.settings.cluster

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }

  amount {
    # In the billing account's currency: any other is refused.
    specified_amount {
      units = tostring(var.budget.amount)
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }

  all_updates_rule {
    monitoring_notification_channels = [for channel in google_monitoring_notification_channel.budget : channel.id]
  }

  lifecycle {
    precondition {
      condition     = var.budget.billing_account != null
      error_message = "Google Cloud keeps budgets with the billing account: set budget.billing_account."
    }
  }

  depends_on = [google_project_service.this]
}
