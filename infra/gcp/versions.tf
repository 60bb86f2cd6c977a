terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "7.45.0"
    }
  }

  # `make infra-state` makes the bucket and says how to name it here.
  backend "gcs" {
    prefix = "tepal"
  }
}

provider "google" {
  project               = module.settings.project
  region                = module.settings.region
  default_labels        = module.settings.labels
  billing_project       = module.settings.project
  user_project_override = true
}
