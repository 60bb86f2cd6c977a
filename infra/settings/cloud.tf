variable "cloud" {
  description = "Which of the three clouds: \"gcp\", \"aws\" or \"azure\"."
  type        = string
  nullable    = false
  validation {
    condition     = contains(["gcp", "aws", "azure"], var.cloud)
    error_message = "cloud is \"gcp\", \"aws\" or \"azure\"."
  }
  validation {
    condition = can(regex({
      gcp   = "^[a-z][a-z0-9-]{4,28}[a-z0-9]$"
      aws   = "^[0-9]{12}$"
      azure = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    }[var.cloud], var.project))
    error_message = "project is a project ID on gcp, twelve digits on aws, and a subscription ID in small letters on azure."
  }
  validation {
    condition = alltrue([for a in var.admins : can(regex({
      gcp   = "^(user|group|serviceAccount|principal|principalSet):[^ ]+$"
      aws   = "^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[^ *]+$"
      azure = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    }[var.cloud], a))])
    error_message = "admins are members such as \"user:me@example.com\" on gcp, ARNs of roles and users on aws, and object IDs in small letters on azure."
  }
}
