package k8s_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGitOps holds the examples for Argo CD and Flux to the schemas of their kinds, and what they point at to what is there.
func TestGitOps(t *testing.T) {
	conform := tool(t, "kubeconform")
	files, err := filepath.Glob("../gitops/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		checkSchemas(t, conform, file)
		text, err := os.ReadFile(file) //nolint:gosec // a file of this repository
		require.NoError(t, err)
		path := regexp.MustCompile(`(?m)^  +path: (\S+)$`).FindStringSubmatch(string(text))
		require.NotNil(t, path, file)
		assert.FileExists(t, filepath.Join(root, path[1], "kustomization.yaml"))

		broken := filepath.Join(t.TempDir(), "broken.yaml")
		require.NoError(t, os.WriteFile(broken, regexp.MustCompile(`(?m)^  +path: `).ReplaceAll(text, []byte("$0[]")), 0o600))
		out, err := conformity(t, conform, broken)
		assert.Error(t, err, "the schema takes a list for a path: %s", out)
	}
}
