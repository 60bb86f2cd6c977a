resource "aws_ecr_repository" "this" {
  for_each = module.settings.registries

  name                 = each.value
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true # `make cleanup` asks

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.this.arn
  }
}

# ECR counts days or images, and not both: previews go by days, the others by number.
resource "aws_ecr_lifecycle_policy" "this" {
  for_each = aws_ecr_repository.this

  repository = each.value.name
  policy = jsonencode({ rules = [{
    rulePriority = 1
    description  = "Old images go"
    action       = { type = "expire" }
    selection = merge({ tagStatus = "any" }, each.key == "previews" ? {
      countType = "sinceImagePushed", countUnit = "days", countNumber = module.settings.keep.previews.days
      } : {
      countType = "imageCountMoreThan", countNumber = module.settings.keep.images.count
    })
  }] })
}
