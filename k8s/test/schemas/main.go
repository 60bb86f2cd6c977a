// Command schemas writes the JSON schemas that kubeconform holds the manifests to:
// of each kind in use a file, from the OpenAPI document of Kubernetes and from the
// custom resource definitions of KEDA and the Gateway API, as they are in those
// projects' Go modules. Descriptions are left out, and unknown fields refused.
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

// kubernetes is read for its OpenAPI document alone, so it is no requirement of
// this module, and its checksum stands here.
const (
	kubernetes = "k8s.io/kubernetes@v1.37.1"
	sum        = "h1:LTUzSbp9n0W7649oVKBYfC48zcoD3vCk++1PZQn28q8="
)

// kinds are those in use, by their names in the OpenAPI document.
var kinds = []string{
	"io.k8s.api.core.v1.Namespace", "io.k8s.api.core.v1.ServiceAccount", "io.k8s.api.core.v1.ConfigMap",
	"io.k8s.api.core.v1.Service", "io.k8s.api.apps.v1.Deployment", "io.k8s.api.policy.v1.PodDisruptionBudget",
	"io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler", "io.k8s.api.networking.v1.NetworkPolicy",
}

// custom are the definitions in use, by module and file.
var custom = [][2]string{
	{"github.com/kedacore/keda/v2", "config/crd/bases/keda.sh_scaledobjects.yaml"},
	{"sigs.k8s.io/gateway-api", "config/crd/standard/gateway.networking.k8s.io_gateways.yaml"},
	{"sigs.k8s.io/gateway-api", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"},
}

func main() {
	if err := run("testdata/schemas"); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(folder string) error {
	dir, err := download()
	if err != nil {
		return err
	}
	if err := builtin(filepath.Join(dir, "api/openapi-spec/swagger.json"), folder); err != nil {
		return err
	}
	for _, c := range custom {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", c[0]).Output()
		if err != nil {
			return fmt.Errorf("%s: %w", c[0], err)
		}
		if err := definition(filepath.Join(strings.TrimSpace(string(out)), c[1]), folder); err != nil {
			return err
		}
	}
	return nil
}

// download brings the module of Kubernetes here, and checks that it is the one.
func download() (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", kubernetes).Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", kubernetes, err)
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	if module.Sum != sum {
		return "", fmt.Errorf("%s has the sum %s, not %s", kubernetes, module.Sum, sum)
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
