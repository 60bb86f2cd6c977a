terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "6.25.0"
    }
  }

  # `make infra-state` makes the bucket and says how to name it here.
  backend "s3" {
    key          = "tepal/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = module.settings.region
  allowed_account_ids = [module.settings.project]

  default_tags {
    tags = module.settings.labels
  }
}
