// Command schemas writes the JSON schemas that kubeconform holds the manifests to:
// of each kind in use a file, from the OpenAPI document of Kubernetes and from the
// custom resource definitions of KEDA, the Gateway API, Argo CD and Flux, as they are
// in those projects' Go modules. Descriptions are left out, and unknown fields refused.
//
//	cd k8s/test && go run ./schemas
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// The modules are read for their documents alone, so they are no requirements of
// this module, and their checksums stand here.
const kubernetes = "k8s.io/kubernetes@v1.37.1"

var sums = map[string]string{
	kubernetes:                                      "h1:LTUzSbp9n0W7649oVKBYfC48zcoD3vCk++1PZQn28q8=",
	"github.com/kedacore/keda/v2@v2.21.0":           "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
	"sigs.k8s.io/gateway-api@v1.6.1":                "h1:mock6phZbI6rvZerwrVNk7hVNymQgHo+6sJ81Ia7ftY=",
	"github.com/argoproj/argo-cd/v3@v3.5.7":         "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=",
	"github.com/fluxcd/kustomize-controller@v1.9.6": "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE=",
	"github.com/fluxcd/source-controller@v1.9.2":    "h1:dPaSvA6Gd/YYsVCOALG8hq8ADA23fXK36yFzbj8tv/o=",
}

// kinds are those in use, by their names in the OpenAPI document.
var kinds = []string{
	"io.k8s.api.core.v1.Namespace", "io.k8s.api.core.v1.ServiceAccount", "io.k8s.api.core.v1.ConfigMap",
	"io.k8s.api.core.v1.Service", "io.k8s.api.apps.v1.Deployment", "io.k8s.api.policy.v1.PodDisruptionBudget",
	"io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler", "io.k8s.api.networking.v1.NetworkPolicy",
}

// custom are the definitions in use, by module and file.
var custom = [][2]string{
	{"github.com/kedacore/keda/v2@v2.21.0", "config/crd/bases/keda.sh_scaledobjects.yaml"},
	{"sigs.k8s.io/gateway-api@v1.6.1", "config/crd/standard/gateway.networking.k8s.io_gateways.yaml"},
	{"sigs.k8s.io/gateway-api@v1.6.1", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"},
	{"github.com/argoproj/argo-cd/v3@v3.5.7", "manifests/crds/application-crd.yaml"},
	{"github.com/fluxcd/kustomize-controller@v1.9.6", "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"},
	{"github.com/fluxcd/source-controller@v1.9.2", "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml"},
}

func main() {
	if err := run("testdata/schemas"); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(folder string) error {
	dir, err := download(kubernetes)
	if err != nil {
		return err
	}
	if err := builtin(filepath.Join(dir, "api/openapi-spec/swagger.json"), folder); err != nil {
		return err
	}
	for _, c := range custom {
		dir, err := download(c[0])
		if err != nil {
			return err
		}
		if err := definition(filepath.Join(dir, c[1]), folder); err != nil {
			return err
		}
	}
	return nil
}

// download brings a module here, and checks that it is the one.
func download(name string) (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", name).Output() //nolint:gosec // one of those above
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	if module.Sum != sums[name] {
		return "", fmt.Errorf("%s has the sum %s, not %s", name, module.Sum, sums[name])
	}
	return module.Dir, nil
}

// builtin writes a schema for each kind, with the definitions that it refers to.
func builtin(file, folder string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var document struct{ Definitions map[string]any }
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	for _, name := range kinds {
		used := make(map[string]any)
		collect(name, document.Definitions, used)
		parts := strings.Split(name, ".")
		group, version, kind := parts[3], parts[4], parts[5]
		suffix := "-" + group + "-" + version
		switch group {
		case "core":
			suffix = "-" + version
		}
		if err := write(folder, kind+suffix, map[string]any{"$ref": "#/definitions/" + name, "definitions": used}); err != nil {
			return err
		}
	}
	return nil
}

// collect puts a definition, and all that it refers to, into used.
func collect(name string, from, used map[string]any) {
	if _, ok := used[name]; ok {
		return
	}
	used[name] = strict(from[name])
	var walk func(any)
	walk = func(node any) {
		switch typed := node.(type) {
		case map[string]any:
			if ref, ok := typed["$ref"].(string); ok {
				collect(strings.TrimPrefix(ref, "#/definitions/"), from, used)
			}
			for _, child := range typed {
				walk(child)
			}
		case []any:
			for _, child := range typed {
				walk(child)
			}
		}
	}
	walk(used[name])
}

// definition writes the schema of the stored version of a custom resource.
func definition(file, folder string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name    string
				Storage bool
				Schema  struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return err
	}
	for _, v := range crd.Spec.Versions {
		if !v.Storage {
			continue
		}
		schema := v.Schema.OpenAPIV3Schema
		// Which are everywhere, and nowhere spelt out.
		schema["properties"].(map[string]any)["metadata"] = map[string]any{"type": "object", "additionalProperties": true}
		group, _, _ := strings.Cut(crd.Spec.Group, ".")
		return write(folder, crd.Spec.Names.Kind+"-"+group+"-"+v.Name, strict(schema))
	}
	return fmt.Errorf("%s stores no version", file)
}

// strict copies a schema without its texts, refuses fields that it does not know,
// and says in JSON Schema what Kubernetes has words of its own for.
func strict(node any) any {
	switch typed := node.(type) {
	case map[string]any:
		if typed["format"] == "int-or-string" || typed["x-kubernetes-int-or-string"] == true {
			return map[string]any{"type": []any{"integer", "string"}}
		}
		result := make(map[string]any, len(typed))
		for key, child := range typed {
			_, isText := child.(string)
			if key == "description" && isText || strings.HasPrefix(key, "x-kubernetes-") {
				continue
			}
			result[key] = strict(child)
		}
		_, hasProperties := typed["properties"].(map[string]any)
		_, isSaid := typed["additionalProperties"]
		if hasProperties && typed["type"] == "object" && !isSaid {
			result["additionalProperties"] = false
		}
		return result
	case []any:
		result := make([]any, 0, len(typed))
		for _, child := range typed {
			result = append(result, strict(child))
		}
		return result
	}
	return node
}

// write puts a schema on one line: git shows that it changed, nobody reads it.
func write(folder, name string, schema any) error {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(schema); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, strings.ToLower(name)+".json"), text.Bytes(), 0o600)
}
