resource "aws_ecr_repository" "this" {
  name                 = module.settings.registry
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
