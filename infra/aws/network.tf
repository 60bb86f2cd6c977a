resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11:Flow logs of a whole network cost more than this cluster; switch them on where they are asked for.
  cidr_block           = var.network
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = module.settings.cluster }
}

# AWS's own default lets everything in it talk: take that away.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
}

# The tags tell EKS which subnets are for load balancers that face the internet, and which for inner ones.
resource "aws_subnet" "public" {
  count = length(module.settings.zones)

  vpc_id            = aws_vpc.this.id
  availability_zone = module.settings.zones[count.index]
  cidr_block        = module.settings.subnets.public[count.index]

  tags = {
    Name                     = "${module.settings.cluster}-public-${count.index}"
    "kubernetes.io/role/elb" = "1"
  }
}

resource "aws_subnet" "nodes" {
  count = length(module.settings.zones)

  vpc_id            = aws_vpc.this.id
  availability_zone = module.settings.zones[count.index]
  cidr_block        = module.settings.subnets.nodes[count.index]

  tags = {
    Name                              = "${module.settings.cluster}-nodes-${count.index}"
    "kubernetes.io/role/internal-elb" = "1"
  }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

# One for all zones: when its zone fails, nodes elsewhere keep serving but fetch nothing new. One in each zone costs
# more than the nodes do.
resource "aws_eip" "nat" {
  domain = "vpc"
}

resource "aws_nat_gateway" "this" {
  allocation_id = aws_eip.nat.id
  subnet_id     = aws_subnet.public[0].id

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
}

resource "aws_route" "public" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  count = length(module.settings.zones)

  route_table_id = aws_route_table.public.id
  subnet_id      = aws_subnet.public[count.index].id
}

resource "aws_route_table" "nodes" {
  vpc_id = aws_vpc.this.id
}

resource "aws_route" "nodes" {
  route_table_id         = aws_route_table.nodes.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this.id
}

resource "aws_route_table_association" "nodes" {
  count = length(module.settings.zones)

  route_table_id = aws_route_table.nodes.id
  subnet_id      = aws_subnet.nodes[count.index].id
}
