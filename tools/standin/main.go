// Command standin is a provider for Terraform that knows schemas and nothing
// else. It stands in where the real ones cannot be had, so that Terraform itself
// evaluates the roots: its name says whose schemas it serves, and every value
// that a cloud would give stays unknown.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// block is a body in schemas.json.
type block struct {
	Kind      string            `json:"kind"`
	Arguments map[string]string `json:"arguments"`
	Blocks    map[string]block  `json:"blocks"`
	Computed  []string          `json:"computed"`
}

// server answers what Terraform asks before it changes anything. The embedded
// interface is nil: a question beyond that is a fault of the test.
type server struct {
	tfprotov6.ProviderServer
	schemas tfprotov6.GetProviderSchemaResponse
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	// terraform-provider-google is the name that Terraform looks for.
	program, err := os.Executable()
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(program), "terraform-provider-"), "_")
	text, err := os.ReadFile(os.Getenv("STANDIN_SCHEMAS"))
	if err != nil {
		return err
	}
	var file struct {
		Providers map[string]block `json:"providers"`
		Resource  map[string]block `json:"resource"`
		Data      map[string]block `json:"data"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	s := &server{schemas: tfprotov6.GetProviderSchemaResponse{
		Provider:          &tfprotov6.Schema{Block: schemaOf(file.Providers[name])},
		ResourceSchemas:   schemasOf(name, file.Resource),
		DataSourceSchemas: schemasOf(name, file.Data),
	}}
	return tf6server.Serve("registry.terraform.io/hashicorp/"+name, func() tfprotov6.ProviderServer { return s })
}

func schemasOf(provider string, blocks map[string]block) map[string]*tfprotov6.Schema {
	all := map[string]*tfprotov6.Schema{}
	for name, b := range blocks {
		if strings.HasPrefix(name, provider+"_") {
			all[name] = &tfprotov6.Schema{Block: schemaOf(b)}
		}
	}
	return all
}

func schemaOf(b block) *tfprotov6.SchemaBlock {
	s := &tfprotov6.SchemaBlock{}
	for name, kind := range b.Arguments {
		kind, required := strings.CutSuffix(kind, "!")
		s.Attributes = append(s.Attributes, &tfprotov6.SchemaAttribute{
			Name: name, Type: typeOf(kind), Required: required, Optional: !required, Computed: !required && b.Computed != nil,
		})
	}
	for _, name := range b.Computed {
		s.Attributes = append(s.Attributes, &tfprotov6.SchemaAttribute{Name: name, Type: tftypes.DynamicPseudoType, Computed: true})
	}
	for name, nested := range b.Blocks {
		if name == "kubelet_identity" {
			// Optional, and filled by Azure: the real provider has it as an attribute when nobody sets it.
			s.Attributes = append(s.Attributes, &tfprotov6.SchemaAttribute{Name: name, Type: tftypes.DynamicPseudoType, Computed: true, Optional: true})
			continue
		}
		kind, required := strings.CutSuffix(nested.Kind, "!")
		n := &tfprotov6.SchemaNestedBlock{TypeName: name, Block: schemaOf(nested), Nesting: tfprotov6.SchemaNestedBlockNestingModeList}
		if name == "timeouts" {
			n.Nesting = tfprotov6.SchemaNestedBlockNestingModeSingle
		} else if kind == "one" {
			n.MaxItems = 1
		}
		if required {
			n.MinItems = 1
		}
		s.BlockTypes = append(s.BlockTypes, n)
	}
	return s
}

// typeOf reads a type as schemas.json writes it. What it does not tell can be anything.
func typeOf(kind string) tftypes.Type {
	outer, inner, _ := strings.Cut(strings.TrimSuffix(kind, ")"), "(")
	switch outer {
	case "string":
		return tftypes.String
	case "number":
		return tftypes.Number
	case "bool":
		return tftypes.Bool
	case "list", "map":
		element := typeOf(inner)
		switch {
		case element.Is(tftypes.DynamicPseudoType):
		case outer == "list":
			return tftypes.List{ElementType: element}
		default:
			return tftypes.Map{ElementType: element}
		}
	}
	return tftypes.DynamicPseudoType
}

// GetMetadata names nothing: Terraform then asks for the schemas.
func (s *server) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	return &tfprotov6.GetMetadataResponse{}, nil
}

// GetProviderSchema serves the schemas.
func (s *server) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	return &s.schemas, nil
}

// ValidateProviderConfig finds nothing beyond what the schema says.
func (s *server) ValidateProviderConfig(_ context.Context, r *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: r.Config}, nil
}

// ValidateResourceConfig finds nothing beyond what the schema says.
func (s *server) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

// ValidateDataResourceConfig finds nothing beyond what the schema says.
func (s *server) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

// GetResourceIdentitySchemas has none.
func (s *server) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

// StopProvider has nothing to stop.
func (s *server) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}
