terraform {
  required_version = ">= 1.11"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "4.55.0"
    }
  }

  # `make infra-state` makes the account and says how to name it here.
  backend "azurerm" {
    container_name   = "state"
    key              = "tepal.tfstate"
    use_azuread_auth = true
  }
}

provider "azurerm" {
  subscription_id                 = module.settings.project
  resource_provider_registrations = "none"
  resource_providers_to_register  = module.settings.apis

  features {
    # Application Insights puts rules of its own there, which Terraform does not know. `make cleanup` asks.
    resource_group {
      prevent_deletion_if_contains_resources = false
    }
  }
}
