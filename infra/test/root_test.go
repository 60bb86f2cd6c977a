// Package infra_test holds the Terraform roots to the providers' schemas and to
// each other, and the scripts to what they say, without a cloud. It is a module
// of its own: nothing of it belongs to the server.
package infra_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const infra = ".."

// roots are the clouds, with the provider of each.
var roots = map[string]string{"gcp": "google", "aws": "aws", "azure": "azurerm"}

// parse reads all files of a folder as one body.
func parse(t *testing.T, dir string) *hclsyntax.Body {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(infra, dir, "*.tf"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := &hclsyntax.Body{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		body := parseText(t, filepath.Base(file), string(text))
		require.Empty(t, body.Attributes, file)
		all.Blocks = append(all.Blocks, body.Blocks...)
	}
	return all
}

func parseText(t *testing.T, name, text string) *hclsyntax.Body {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(text), name, hcl.InitialPos)
	require.False(t, diags.HasErrors(), "%s", diags)
	return file.Body.(*hclsyntax.Body)
}

// blocks returns those of a type.
func blocks(body *hclsyntax.Body, kind string) []*hclsyntax.Block {
	var found []*hclsyntax.Block
	for _, block := range body.Blocks {
		if block.Type == kind {
			found = append(found, block)
		}
	}
	return found
}

// variables returns the names of all variables, in order.
func variables(body *hclsyntax.Body) []string {
	var list []string
	for _, block := range blocks(body, "variable") {
		list = append(list, block.Labels[0])
	}
	slices.Sort(list)
	return list
}

func literal(t *testing.T, body *hclsyntax.Body, attribute string) string {
	t.Helper()
	require.Contains(t, body.Attributes, attribute)
	value, diags := body.Attributes[attribute].Expr.Value(nil)
	require.False(t, diags.HasErrors(), "%s", diags)
	return value.AsString()
}

func TestRootsHaveTheSameVariables(t *testing.T) {
	for root := range roots {
		target, err := os.Readlink(filepath.Join(infra, root, "variables.tf"))
		require.NoError(t, err)
		assert.Equal(t, "../settings/variables.tf", target)
		assert.Equal(t, variables(parse(t, "settings")), slices.Sorted(slices.Values(append(variables(parse(t, root)), "cloud"))))
	}
}

func TestRootsHandEveryVariableToTheSettings(t *testing.T) {
	for root := range roots {
		body := parse(t, root)
		module := blocks(body, "module")
		require.Len(t, module, 1)
		passed := module[0].Body.Attributes
		assert.Equal(t, root, literal(t, module[0].Body, "cloud"))
		for _, variable := range variables(body) {
			require.Contains(t, passed, variable, root)
			uses := passed[variable].Expr.Variables()
			require.Len(t, uses, 1)
			assert.Equal(t, []string{"var", variable}, steps(uses[0]), root)
		}
		assert.Len(t, passed, len(variables(body))+2, "%s: cloud and source beside the variables", root)
	}
}

func TestRootsHaveTheSameOutputs(t *testing.T) {
	secret := regexp.MustCompile(`connection_string|kube_config|password|private_key|primary_|secondary_|secret|token`)
	outputs := func(root string) map[string]string {
		all := map[string]string{}
		for _, block := range blocks(parse(t, root), "output") {
			all[block.Labels[0]] = literal(t, block.Body, "description")
			// An output is printed after each apply, and read by whoever reads the state.
			for _, traversal := range block.Body.Attributes["value"].Expr.Variables() {
				assert.NotRegexp(t, secret, strings.Join(steps(traversal), "."), "infra/%s: output %s", root, block.Labels[0])
			}
		}
		return all
	}
	want := outputs("gcp")
	for root := range roots {
		assert.Equal(t, want, outputs(root), root)
	}
	// Whoever reads them is told of each.
	readme, err := os.ReadFile(filepath.Join(infra, "README.md"))
	require.NoError(t, err)
	for name := range want {
		assert.True(t, strings.Contains(string(readme), "| `"+name+"`"), "infra/README.md says nothing of the output %s", name)
	}
}

func TestRootsPinTheProvidersThatWereChecked(t *testing.T) {
	schemas := readSchemas(t)
	for root, provider := range roots {
		var pinned []string
		for _, terraform := range blocks(parse(t, root), "terraform") {
			for _, required := range blocks(terraform.Body, "required_providers") {
				require.Contains(t, required.Body.Attributes, provider, root)
				require.Len(t, required.Body.Attributes, 1, root)
				value, diags := required.Body.Attributes[provider].Expr.Value(nil)
				require.False(t, diags.HasErrors())
				pinned = append(pinned, value.GetAttr("source").AsString(), value.GetAttr("version").AsString())
			}
		}
		checked := schemas.Providers[provider]
		assert.Equal(t, []string{checked.Source, checked.Version}, pinned, root)
		assert.Contains(t, checked.Package, "provider-"+provider+"@")
	}
}

// Nodes come and go by `make pause` and `make resume`: Terraform must not see it.
func TestNodeCountsAreIgnored(t *testing.T) {
	for root, want := range map[string]struct{ resource, ignored string }{
		"gcp":   {"google_container_node_pool", "node_count"},
		"aws":   {"aws_eks_node_group", "scaling_config"},
		"azure": {"azurerm_kubernetes_cluster", "default_node_pool.node_count"},
	} {
		seen := 0
		for _, resource := range blocks(parse(t, root), "resource") {
			if resource.Labels[0] != want.resource {
				continue
			}
			seen++
			lifecycle := blocks(resource.Body, "lifecycle")
			require.Len(t, lifecycle, 1)
			var ignored []string
			for _, traversal := range lifecycle[0].Body.Attributes["ignore_changes"].Expr.Variables() {
				ignored = append(ignored, strings.Join(steps(traversal), "."))
			}
			assert.Equal(t, []string{want.ignored}, ignored, root)
		}
		assert.Equal(t, 1, seen, root)
	}
}

// steps are the names of a reference; indices are left out.
func steps(traversal hcl.Traversal) []string {
	var list []string
	for _, step := range traversal {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			list = append(list, step.Name)
		case hcl.TraverseAttr:
			list = append(list, step.Name)
		}
	}
	return list
}

// Whatever takes labels has them: by the provider, or by itself.
func TestLabels(t *testing.T) {
	const labels = "module.settings.labels"
	reads := func(body *hclsyntax.Body, attribute string) string {
		if body.Attributes[attribute] == nil {
			return ""
		}
		var names []string
		for _, traversal := range body.Attributes[attribute].Expr.Variables() {
			names = append(names, strings.Join(steps(traversal), "."))
		}
		return strings.Join(names, " ")
	}
	resources := readSchemas(t).Resource
	for root, by := range map[string]struct {
		// argument is what a resource must set by itself, since the provider does not.
		argument string
		provider func(*hclsyntax.Body) string
	}{
		"gcp": {"resource_labels", func(provider *hclsyntax.Body) string { return reads(provider, "default_labels") }},
		"aws": {"", func(provider *hclsyntax.Body) string { return reads(blocks(provider, "default_tags")[0].Body, "tags") }},
		// azurerm has no such argument.
		"azure": {"tags", func(*hclsyntax.Body) string { return labels }},
	} {
		assert.Equal(t, labels, by.provider(blocks(parse(t, root), "provider")[0].Body), root)
		count := 0
		for _, resource := range blocks(parse(t, root), "resource") {
			if by.argument != "" && resources[resource.Labels[0]].Arguments[by.argument] != "" {
				count++
				assert.Equal(t, labels, reads(resource.Body, by.argument), "infra/%s: %s", root, strings.Join(resource.Labels, "."))
			}
		}
		assert.Equal(t, by.argument != "", count > 0, root)
	}
}

// The state is in the cloud, where nobody else writes it at the same time. Google Cloud and Azure lock without being told.
func TestStateIsLocked(t *testing.T) {
	for root, kind := range map[string]string{"gcp": "gcs", "aws": "s3", "azure": "azurerm"} {
		backends := blocks(blocks(parse(t, root), "terraform")[0].Body, "backend")
		require.Len(t, backends, 1, root)
		assert.Equal(t, []string{kind}, backends[0].Labels)
		if root == "aws" {
			for _, want := range []string{"use_lockfile", "encrypt"} {
				require.Contains(t, backends[0].Body.Attributes, want)
				value, diags := backends[0].Body.Attributes[want].Expr.Value(nil)
				require.False(t, diags.HasErrors())
				assert.True(t, value.True(), want)
			}
		}
	}
}
