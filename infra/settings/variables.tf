# infra/gcp, infra/aws and infra/azure have this file by a link.
# A value of null means the guide's own for that cloud; infra/settings has them.

variable "project" {
  description = "Google Cloud's project ID, AWS's account number, or Azure's subscription ID."
  type        = string
  nullable    = false
}

variable "mode" {
  description = "Who runs the nodes: \"standard\", then we do, or \"managed\", then the cloud does (Autopilot, Fargate, virtual nodes)."
  type        = string
  default     = "standard"
  nullable    = false
  validation {
    condition     = contains(["standard", "managed"], var.mode)
    error_message = "mode is \"standard\" or \"managed\"."
  }
}

variable "region" {
  description = "Where everything is."
  type        = string
  default     = null
}

variable "zones" {
  description = "Zones of the region that nodes are spread over, two or three. Not every region has those that are the default."
  type        = list(string)
  default     = null
  validation {
    condition     = var.zones == null ? true : contains([2, 3], length(var.zones))
    error_message = "Name two or three zones: one is no spread, and more than three subnets are not planned for."
  }
}

variable "cluster" {
  description = "The cluster's name."
  type        = string
  default     = null
}

variable "machine_type" {
  description = "The nodes' machine type."
  type        = string
  default     = null
}

variable "node_count" {
  description = "How many nodes the standard cluster is made with, in all zones together."
  type        = number
  default     = 2
  nullable    = false
  validation {
    condition     = var.node_count >= 1 && floor(var.node_count) == var.node_count
    error_message = "node_count is a whole number of at least 1."
  }
}

variable "registry" {
  description = "The image registry's name. On Azure it is taken by whoever comes first in the world."
  type        = string
  default     = null
}

variable "environments" {
  description = "Environments to deploy to. Each has an identity, which works in its namespace alone: default for guide, iris-NAME for the others."
  type        = list(string)
  default     = ["guide", "dev", "staging", "prod", "preview"]
  nullable    = false
  validation {
    condition     = length(var.environments) > 0 && length(distinct(var.environments)) == length(var.environments)
    error_message = "Name each environment once, and at least one."
  }
  validation {
    condition     = alltrue([for e in var.environments : contains(["guide", "dev", "staging", "prod", "preview"], e)])
    error_message = "The environments are guide, dev, staging, prod and preview."
  }
}

variable "github_repository" {
  description = "The repository whose workflows deploy. Its name can be given to another repository, its ids cannot: gh api repos/OWNER/NAME tells them."
  type = object({
    name     = string
    id       = number
    owner_id = number
  })
  default = null
  validation {
    condition     = var.github_repository == null ? true : can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository.name))
    error_message = "github_repository.name is owner/name, without wildcards."
  }
  validation {
    condition     = var.github_repository == null ? true : alltrue([for id in [var.github_repository.id, var.github_repository.owner_id] : id >= 1 && floor(id) == id])
    error_message = "The ids are whole numbers: gh api repos/OWNER/NAME --jq '.id, .owner.id'."
  }
}

variable "admins" {
  description = "Who may do everything in the cluster, beside whoever makes it: members such as \"user:me@example.com\" on Google Cloud, ARNs of roles and users on AWS, object IDs of users and groups on Azure."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "authorized_networks" {
  description = "Addresses that reach the Kubernetes API, as CIDR blocks. GitHub's own runners come from anywhere: what keeps others out then is that each caller must sign in."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false
  validation {
    condition     = length(var.authorized_networks) > 0 && alltrue([for n in var.authorized_networks : can(cidrhost(n, 0))])
    error_message = "Name at least one block such as 192.0.2.0/24."
  }
}

variable "network" {
  description = "The addresses of the network, a /16."
  type        = string
  default     = "10.20.0.0/16"
  nullable    = false
  validation {
    condition     = can(cidrhost(var.network, 0)) && endswith(var.network, "/16")
    error_message = "network is a block with /16, such as 10.20.0.0/16."
  }
}

variable "budget" {
  description = "Mails go out at 50, 90 and 100 % of this sum a month, in the currency of the bill; null sets no budget. Google Cloud keeps budgets with the billing account: name it there."
  type = object({
    amount          = number
    emails          = list(string)
    billing_account = optional(string)
  })
  default = null
  validation {
    condition     = var.budget == null ? true : var.budget.amount > 0 && floor(var.budget.amount) == var.budget.amount && length(var.budget.emails) > 0
    error_message = "A budget is a whole number above 0 with at least one address."
  }
}

variable "labels" {
  description = "Labels (tags on AWS and Azure) for everything that takes them, beside app and managed-by."
  type        = map(string)
  default     = {}
  nullable    = false
  validation {
    condition     = alltrue([for k, v in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", k)) && can(regex("^[a-z0-9_-]{0,63}$", v))])
    error_message = "Small letters, digits, hyphens and underscores, at most 63: what all three clouds take."
  }
}
