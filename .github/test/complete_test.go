package test

import (
	"os"
	"os/exec"
	slash "path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestTargets sees that the targets exist that any workflow or action asks make for.
func TestTargets(t *testing.T) {
	included, err := filepath.Glob("../../make/*.mk")
	require.NoError(t, err)
	var makefile string
	for _, file := range append(included, "../../Makefile") {
		makefile += read(t, file)
	}
	files, err := filepath.Glob("../workflows/*.yml")
	require.NoError(t, err)
	actions, err := filepath.Glob("../actions/*/action.yml")
	require.NoError(t, err)
	asked := regexp.MustCompile(`(?m)(?:run: |\$\(|^ +)make (?:--no-print-directory )?([a-z][a-z0-9-]*)`)
	count := 0
	for _, file := range append(files, actions...) {
		for _, found := range asked.FindAllStringSubmatch(read(t, file), -1) {
			count++
			assert.True(t, regexp.MustCompile(`(?m)^`+found[1]+`:`).MatchString(makefile), "%s: there is no target %s", file, found[1])
		}
	}
	assert.Greater(t, count, 20)
}

// TestDependabot sees that it looks at all that names a version.
func TestDependabot(t *testing.T) {
	var config struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "../dependabot.yml")), &config))
	listed, err := exec.CommandContext(t.Context(), "git", "-C", "../..", "ls-files").Output()
	require.NoError(t, err)
	ecosystems := map[string]string{"go.mod": "gomod", "requirements.txt": "pip", "Dockerfile": "docker", "versions.tf": "terraform"}
	for file := range strings.FieldsSeq(string(listed)) {
		ecosystem := ecosystems[slash.Base(file)]
		if ecosystem == "" {
			continue
		}
		directory, seen := slash.Join("/", slash.Dir(file)), false
		for _, update := range config.Updates {
			for _, pattern := range append(update.Directories, update.Directory) {
				matches, err := slash.Match(pattern, directory)
				require.NoError(t, err)
				seen = seen || matches && update.Ecosystem == ecosystem
			}
		}
		assert.True(t, seen, "no update of %s", file)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}
