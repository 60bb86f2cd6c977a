package infra_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// schema is what a provider takes in a block. An argument's type, or a block's
// kind ("one" or "many"), ends with an exclamation mark when it is required.
type schema struct {
	Kind      string             `json:"kind"`
	Arguments map[string]string  `json:"arguments"`
	Blocks    map[string]*schema `json:"blocks"`
	Computed  []string           `json:"computed"`
}

type provider struct {
	schema
	Source  string `json:"source"`
	Version string `json:"version"`
	Package string `json:"package"`
}

type schemas struct {
	Providers map[string]*provider `json:"providers"`
	Resource  map[string]*schema   `json:"resource"`
	Data      map[string]*schema   `json:"data"`
}

func readSchemas(t *testing.T) schemas {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(infra, "schema", "schemas.json"))
	require.NoError(t, err)
	var s schemas
	require.NoError(t, json.Unmarshal(text, &s))
	return s
}

// has says whether something can be read under a name.
func (s *schema) has(name string) bool {
	_, argument := s.Arguments[name]
	_, block := s.Blocks[name]
	return argument || block || slices.Contains(s.Computed, name)
}

// checker collects what is wrong with a root.
type checker struct {
	schemas  schemas
	declared map[string]bool
	faults   []string
}

func (c *checker) fault(at hcl.Range, format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf("%s:%d: ", at.Filename, at.Start.Line)+fmt.Sprintf(format, args...))
}

// meta are arguments and blocks that are Terraform's own.
func meta() []string {
	return []string{"count", "for_each", "depends_on", "provider", "lifecycle"}
}

// check holds a root to the schemas, and its references to what it declares.
func check(s schemas, body, settings *hclsyntax.Body) []string {
	c := &checker{schemas: s, declared: map[string]bool{}}
	for _, output := range blocks(settings, "output") {
		c.declared["module.settings."+output.Labels[0]] = true
	}
	for _, block := range body.Blocks {
		switch block.Type {
		case "variable":
			c.declared["var."+block.Labels[0]] = true
		case "locals":
			for name := range block.Body.Attributes {
				c.declared["local."+name] = true
			}
		case "resource":
			c.declared[strings.Join(block.Labels, ".")] = true
		case "data":
			c.declared["data."+strings.Join(block.Labels, ".")] = true
		}
	}
	for _, block := range body.Blocks {
		switch block.Type {
		case "resource":
			c.top(block, s.Resource[block.Labels[0]])
		case "data":
			c.top(block, s.Data[block.Labels[0]])
		case "provider":
			if p := s.Providers[block.Labels[0]]; p == nil {
				c.fault(block.Range(), "no schema of the provider %s", block.Labels[0])
			} else {
				c.body(block.Range(), block.Body, &p.schema, nil)
			}
		case "locals", "output", "module":
			c.references(block.Body, nil)
		}
	}
	slices.Sort(c.faults)
	return c.faults
}

// top checks a resource or a data source, whose body has Terraform's own arguments too.
func (c *checker) top(block *hclsyntax.Block, s *schema) {
	if s == nil {
		c.fault(block.Range(), "no schema of the %s %s: run make infra-schema", block.Type, block.Labels[0])
		return
	}
	own := &hclsyntax.Body{Attributes: maps.Clone(block.Body.Attributes)}
	for _, name := range meta() {
		delete(own.Attributes, name)
	}
	for _, inner := range block.Body.Blocks {
		if inner.Type != "lifecycle" {
			own.Blocks = append(own.Blocks, inner)
			continue
		}
		if ignored, ok := inner.Body.Attributes["ignore_changes"]; ok {
			for _, traversal := range ignored.Expr.Variables() {
				if !s.has(traversal.RootName()) {
					c.fault(ignored.Range(), "%s has no %s to ignore", block.Labels[0], traversal.RootName())
				}
			}
		}
		for _, condition := range inner.Body.Blocks {
			c.references(condition.Body, nil)
		}
	}
	for _, name := range []string{"count", "for_each", "depends_on"} {
		if attribute, ok := block.Body.Attributes[name]; ok {
			c.expression(attribute.Expr, nil)
		}
	}
	c.body(block.Range(), own, s, nil)
}

// body checks arguments and blocks; iterators are the names that dynamic blocks around it define.
func (c *checker) body(at hcl.Range, body *hclsyntax.Body, s *schema, iterators []string) {
	for name, attribute := range body.Attributes {
		kind, ok := s.Arguments[name]
		switch {
		case ok:
			c.value(attribute, strings.TrimSuffix(kind, "!"))
		case s.Blocks[name] != nil:
			c.fault(attribute.Range(), "%s is a block, not an argument", name)
		default:
			c.fault(attribute.Range(), "there is no argument %s", name)
		}
		c.expression(attribute.Expr, iterators)
	}
	count := map[string]int{}
	for _, block := range body.Blocks {
		name, inner, around := block.Type, block.Body, iterators
		if name == "dynamic" {
			name = block.Labels[0]
			content := blocks(block.Body, "content")
			if len(content) != 1 || block.Body.Attributes["for_each"] == nil {
				c.fault(block.Range(), "dynamic %s wants for_each and one content", name)
				continue
			}
			c.expression(block.Body.Attributes["for_each"].Expr, iterators)
			inner, around = content[0].Body, append(slices.Clone(iterators), name)
		}
		count[name]++
		switch nested := s.Blocks[name]; {
		case nested != nil:
			c.body(block.Range(), inner, nested, around)
		case s.Arguments[name] != "":
			c.fault(block.Range(), "%s is an argument, not a block", name)
		default:
			c.fault(block.Range(), "there is no block %s", name)
		}
	}
	for name, kind := range s.Arguments {
		if strings.HasSuffix(kind, "!") && body.Attributes[name] == nil {
			c.fault(at, "the argument %s is missing", name)
		}
	}
	for name, nested := range s.Blocks {
		if strings.HasSuffix(nested.Kind, "!") && count[name] == 0 {
			c.fault(at, "the block %s is missing", name)
		}
		if strings.HasPrefix(nested.Kind, "one") && count[name] > 1 {
			c.fault(at, "there is more than one block %s", name)
		}
	}
}

// value holds a value that is known beforehand to the argument's type.
func (c *checker) value(attribute *hclsyntax.Attribute, kind string) {
	value, diags := attribute.Expr.Value(nil)
	if diags.HasErrors() || value.IsNull() {
		return // known only when it runs
	}
	parsed, diags := hclsyntax.ParseExpression([]byte(kind), "", hcl.InitialPos)
	if diags.HasErrors() {
		return
	}
	want, diags := typeexpr.TypeConstraint(parsed)
	if diags.HasErrors() {
		return // an object, whose fields the manifests do not all tell
	}
	if _, err := convert.Convert(value, want); err != nil {
		c.fault(attribute.Range(), "%s is a %s: %v", attribute.Name, kind, err)
	}
	if want == cty.Number && value.Type() == cty.String {
		c.fault(attribute.Range(), "%s is a number, not a text", attribute.Name)
	}
}

// references checks all expressions of a body whose names are free.
func (c *checker) references(body *hclsyntax.Body, iterators []string) {
	for _, attribute := range body.Attributes {
		c.expression(attribute.Expr, iterators)
	}
	for _, block := range body.Blocks {
		c.references(block.Body, iterators)
	}
}

func (c *checker) expression(expression hclsyntax.Expression, iterators []string) {
	for _, traversal := range expression.Variables() {
		c.reference(expression.Range(), steps(traversal), iterators)
	}
	// A splat's source and what is read of each element are apart.
	_ = hclsyntax.VisitAll(expression, func(node hclsyntax.Node) hcl.Diagnostics {
		if splat, ok := node.(*hclsyntax.SplatExpr); ok {
			source, isName := splat.Source.(*hclsyntax.ScopeTraversalExpr)
			each, isRead := splat.Each.(*hclsyntax.RelativeTraversalExpr)
			if isName && isRead {
				c.reference(expression.Range(), append(steps(source.Traversal), steps(each.Traversal)...), iterators)
			}
		}
		return nil
	})
}

// reference checks that what is read is declared, and has the attribute.
func (c *checker) reference(at hcl.Range, path, iterators []string) {
	known := c.schemas.Resource
	name := slices.Clone(path)
	switch {
	case slices.Contains([]string{"each", "count", "path"}, path[0]) || slices.Contains(iterators, path[0]):
		return
	case path[0] == "var" || path[0] == "local":
		name = path[:min(2, len(path))]
	case path[0] == "module":
		name = path[:min(3, len(path))]
	case path[0] == "data":
		known, path = c.schemas.Data, path[1:]
		name = name[:min(3, len(name))]
	default:
		name = path[:min(2, len(path))]
	}
	if !c.declared[strings.Join(name, ".")] {
		c.fault(at, "%s is not declared", strings.Join(name, "."))
		return
	}
	if s := known[path[0]]; s != nil && len(path) > 2 && !s.has(path[2]) {
		c.fault(at, "%s has no attribute %s", path[0], path[2])
	}
}

func TestRootsFitTheSchemas(t *testing.T) {
	s := readSchemas(t)
	settings := parse(t, "settings")
	for root := range roots {
		t.Run(root, func(t *testing.T) {
			body := parse(t, root)
			assert.Greater(t, len(blocks(body, "resource")), 15, "whole, and not a sample")
			assert.Empty(t, check(s, body, settings))
		})
	}
}

// The schemas hold what the roots use, and nothing that was left over.
func TestSchemasAreThoseInUse(t *testing.T) {
	s := readSchemas(t)
	used := map[string][]string{}
	for root := range roots {
		for _, kind := range []string{"resource", "data"} {
			for _, block := range blocks(parse(t, root), kind) {
				used[kind] = append(used[kind], block.Labels[0])
			}
		}
	}
	for kind, have := range map[string]map[string]*schema{"resource": s.Resource, "data": s.Data} {
		slices.Sort(used[kind])
		assert.Equal(t, slices.Compact(used[kind]), slices.Sorted(maps.Keys(have)), "run make infra-schema")
	}
}

// Each fault that Terraform would find with the provider at hand is found without it.
func TestCheckerFindsFaults(t *testing.T) {
	const good = `
resource "google_compute_network" "n" {
  name = "n"
}
`
	for name, test := range map[string]struct{ text, want string }{
		"nothing":            {good, ""},
		"unknown resource":   {`resource "google_compute_net" "n" {}`, "1: no schema of the resource google_compute_net"},
		"unknown argument":   {`resource "google_compute_network" "n" {` + "\n name = \"n\"\n colour = \"red\"\n}", "3: there is no argument colour"},
		"missing argument":   {`resource "google_compute_network" "n" {` + "\n}", "1: the argument name is missing"},
		"missing block":      {`resource "google_billing_budget" "b" {` + "\n billing_account = \"b\"\n}", "1: the block amount is missing"},
		"argument as block":  {good + `resource "google_compute_subnetwork" "s" {` + "\n name = \"s\"\n network = \"n\"\n log_config = {}\n}", "8: log_config is a block, not an argument"},
		"block as argument":  {`resource "google_compute_network" "n" {` + "\n name {}\n}", "2: name is an argument, not a block"},
		"unknown block":      {`resource "google_compute_network" "n" {` + "\n name = \"n\"\n colours {}\n}", "3: there is no block colours"},
		"two of one":         {`resource "google_compute_router_nat" "n" {` + "\n name = \"n\"\n router = \"r\"\n source_subnetwork_ip_ranges_to_nat = \"A\"\n log_config {\n enable = true\n filter = \"ALL\"\n }\n log_config {\n enable = true\n filter = \"ALL\"\n }\n}", "1: there is more than one block log_config"},
		"wrong type":         {`resource "google_compute_network" "n" {` + "\n name = \"n\"\n auto_create_subnetworks = [\"no\"]\n}", "3: auto_create_subnetworks is a bool"},
		"number as text":     {`resource "google_container_node_pool" "p" {` + "\n cluster = \"c\"\n node_count = \"two\"\n}", "3: node_count is a number"},
		"inside a dynamic":   {`resource "google_billing_budget" "b" {` + "\n billing_account = \"b\"\n amount {}\n dynamic \"threshold_rules\" {\n for_each = [1]\n content {\n percent = threshold_rules.value\n threshold_percent = 1\n }\n }\n}", "7: there is no argument percent"},
		"unknown reference":  {`output "o" {` + "\n value = google_compute_network.n.id\n}", "2: google_compute_network.n is not declared"},
		"unknown attribute":  {good + `output "o" {` + "\n value = google_compute_network.n.colour\n}", "google_compute_network has no attribute colour"},
		"unknown in a splat": {good + `output "o" {` + "\n value = google_compute_network.n[*].colour\n}", "google_compute_network has no attribute colour"},
		"unknown variable":   {`output "o" {` + "\n value = var.colour\n}", "2: var.colour is not declared"},
		"unknown setting":    {`output "o" {` + "\n value = module.settings.colour\n}", "2: module.settings.colour is not declared"},
		"ignores nothing":    {`resource "google_compute_network" "n" {` + "\n name = \"n\"\n lifecycle {\n ignore_changes = [colour]\n }\n}", "4: google_compute_network has no colour to ignore"},
		"unknown provider":   {`provider "other" {}`, "1: no schema of the provider other"},
		"provider argument":  {`provider "google" {` + "\n colour = \"red\"\n}", "2: there is no argument colour"},
	} {
		t.Run(name, func(t *testing.T) {
			faults := check(readSchemas(t), parseText(t, "main.tf", test.text), parse(t, "settings"))
			if test.want == "" {
				assert.Empty(t, faults)
				return
			}
			require.NotEmpty(t, faults)
			assert.Contains(t, strings.Join(faults, "\n"), test.want)
		})
	}
}
