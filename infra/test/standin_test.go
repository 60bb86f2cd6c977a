package infra_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// Terraform itself takes each root, and runs the root's own tests, with the
// stand-in in the provider's place: pinned versions are those it is installed as.
func TestTerraformTakesTheRoots(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"settings", "gcp", "aws", "azure"} {
		require.NoError(t, os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(infra, name))))
	}
	standin := filepath.Join(dir, "standin")
	run(t, filepath.Join(infra, "..", "tools", "standin"), "go", "build", "-o", standin, ".")
	schemas, err := filepath.Abs(filepath.Join(infra, "schema", "schemas.json"))
	require.NoError(t, err)
	t.Setenv("STANDIN_SCHEMAS", schemas)
	t.Setenv("TF_CLI_CONFIG_FILE", os.DevNull)
	for name, provider := range readSchemas(t).Providers {
		place := filepath.Join(dir, "mirror", "registry.terraform.io", filepath.FromSlash(provider.Source), provider.Version, runtime.GOOS+"_"+runtime.GOARCH)
		require.NoError(t, os.MkdirAll(place, 0o755))
		require.NoError(t, os.Link(standin, filepath.Join(place, "terraform-provider-"+name+"_v"+provider.Version)))
	}
	plans := map[string]plan{}
	for root := range roots {
		at := filepath.Join(dir, root)
		require.NoError(t, os.RemoveAll(filepath.Join(at, ".terraform.lock.hcl")))
		run(t, at, "terraform", "init", "-no-color", "-input=false", "-backend=false", "-plugin-dir="+filepath.Join(dir, "mirror"))
		run(t, at, "terraform", "validate", "-no-color")
		out := run(t, at, "terraform", "test", "-json", "-verbose")
		require.Contains(t, out, `"passed":3,"failed":0`)
		plans[root] = planned(t, out, "standard")
	}
	trust(t, plans)
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}
