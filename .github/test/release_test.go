package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const release, released = "release.yml", built + digest

// tag is a machine for the release v1.2.3, of which the changelog tells. Binaries and their bills are made for real.
func tag(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t, settings(map[string]string{"github.ref_name": "v1.2.3", "github.ref": "refs/tags/v1.2.3", "github.actor": "somebody"}))
	m.env = append(m.env, "REAL=go build \ngo tool -modfile=tools/cyclonedx-gomod/go.mod ", "WAIT_INTERVAL=0", "WAIT=0")
	require.NoError(t, os.WriteFile(filepath.Join(m.stubs, ".tags"), []byte(built+":"+sha+"\n"), 0o600)) // main has built it
	m.changelog("## 1.2.3 - 2026-11-25\n\n### Added\n\n- A first release.\n\n## 1.2.2\n\n- Something older.\n")
	return m
}

func (m *machine) changelog(text string) {
	m.t.Helper()
	require.NoError(m.t, os.WriteFile(filepath.Join(m.root, "CHANGELOG.md"), []byte("# Changelog\n\n"+text), 0o644))
}

// output runs a real command in the copy.
func (m *machine) output(dir, name string, args ...string) string {
	m.t.Helper()
	command := exec.CommandContext(m.t.Context(), name, args...)
	command.Dir = filepath.Join(m.root, dir)
	out, err := command.CombinedOutput()
	require.NoError(m.t, err, "%s", out)
	return string(out)
}

func TestRelease(t *testing.T) {
	m := tag(t)
	require.Equal(t, []string{"success"}, m.run(release, "release"))
	inOrder(t, m.called(),
		"uses docker/login-action password=token registry=ghcr.io username=somebody",
		"uses sigstore/cosign-installer",
		signedBy("main")+" --certificate-github-workflow-sha "+sha+" "+released,
		"cosign sign-blob --yes --bundle bin/dist/checksums.txt.sigstore.json bin/dist/checksums.txt",
		"uses actions/attest-build-provenance subject-path=bin/dist/*.tar.gz",
		"docker buildx imagetools create --tag "+built+":v1.2.3 "+released,
		"go tool -modfile=tools/helm/go.mod helm push bin/dist/iris-classifier-1.2.3.tgz oci://ghcr.io/tepalhq/charts",
		"cosign sign --yes ghcr.io/tepalhq/charts/iris-classifier"+digest,
		"gh release create v1.2.3 --verify-tag --title v1.2.3 --notes-file bin/dist/notes.md ",
	)
	never(t, m.called(), "docker buildx build")
	platforms := []string{"darwin_arm64", "linux_amd64", "linux_arm64"}
	files := []string{"manifests_1.2.3.tar.gz", "iris-classifier-1.2.3.tgz"}
	for _, platform := range platforms {
		files = append(files, "tepal_1.2.3_"+platform+".tar.gz", "tepal_1.2.3_"+platform+".cdx.json")
	}
	_, list, _ := strings.Cut(m.called()[find(m.called(), "gh release create")], "notes.md ")
	published := strings.Fields(strings.ReplaceAll(list, "bin/dist/", ""))
	assert.ElementsMatch(t, append(files, "checksums.txt", "checksums.txt.sigstore.json"), published)
	checked := m.output("bin/dist", "sha256sum", "--check", "--strict", "checksums.txt")
	for _, file := range files {
		assert.Contains(t, checked, file+": OK\n")
	}
	assert.Equal(t, "\n### Added\n\n- A first release.\n", read(t, filepath.Join(m.root, "bin/dist/notes.md")))
	for _, platform := range platforms {
		m.archive("tepal_1.2.3_"+platform, platform)
	}
	m.manifests()
}

// archive looks into the archive of a binary, and starts it where this machine can. Those of others are stand-ins:
// CI builds them.
func (m *machine) archive(name, platform string) {
	m.t.Helper()
	dir := m.t.TempDir()
	m.output("bin/dist", "tar", "--extract", "--file", name+".tar.gz", "--directory", dir)
	for _, file := range []string{"LICENSE", "tepal.1", "completion/tepal.bash", "completion/tepal.fish", "completion/tepal.zsh"} {
		assert.FileExists(m.t, filepath.Join(dir, file))
	}
	if platform != runtime.GOOS+"_"+runtime.GOARCH {
		return
	}
	assert.Contains(m.t, m.output(".", filepath.Join(dir, "tepal"), "version"), "v1.2.3")
	bill := read(m.t, filepath.Join(m.root, "bin/dist", name+".cdx.json"))
	assert.Contains(m.t, bill, `"bomFormat": "CycloneDX"`)
	assert.Contains(m.t, bill, "pkg:golang/go.opentelemetry.io/otel@")
}

// manifests sees that each environment's manifests can be built upon by kustomize, and name the released image alone.
func (m *machine) manifests() {
	m.t.Helper()
	m.output(".", "tar", "--extract", "--file", "bin/dist/manifests_1.2.3.tar.gz", "--directory", "bin")
	for _, env := range []string{"guide", "dev", "staging", "prod"} {
		text := "resources: [../manifests/" + env + ".yaml]\nnameSuffix: -mine\n"
		dir := filepath.Join("bin", "upon-"+env)
		require.NoError(m.t, os.Mkdir(filepath.Join(m.root, dir), 0o755))
		require.NoError(m.t, os.WriteFile(filepath.Join(m.root, dir, "kustomization.yaml"), []byte(text), 0o644))
		built := m.output(".", "kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", dir)
		assert.Contains(m.t, built, "name: iris-classifier-deployment-mine\n")
		assert.Equal(m.t, 1, strings.Count(built, " image: "), env)
		assert.Contains(m.t, built, " image: "+released+"\n", env)
	}
}

func TestReleaseThatFails(t *testing.T) {
	for name, test := range map[string]struct{ fail, never string }{
		"the signature":  {"cosign verify", "go build"},
		"the version":    {"docker buildx imagetools create", "gh"},
		"the checksums'": {"cosign sign-blob", "gh"},
		"the chart":      {"go tool -modfile=tools/helm/go.mod helm push", "gh"},
		"the provenance": {"uses actions/attest-build-provenance", "gh"},
	} {
		t.Run(name, func(t *testing.T) {
			m := tag(t)
			m.env = append(m.env, "REAL=") // what would be signed does not matter here
			m.fail = test.fail
			require.Equal(t, []string{"failure"}, m.run(release, "release"))
			require.GreaterOrEqual(t, find(m.called(), test.fail), 0)
			never(t, m.called(), test.never)
		})
	}
}

// A version of which the changelog says nothing is not released: nothing was pushed by then.
func TestReleaseWithoutNotes(t *testing.T) {
	for name, text := range map[string]string{"unreleased": "## Unreleased\n\n- Something.\n", "another": "## 1.2.30\n\n- Something.\n"} {
		t.Run(name, func(t *testing.T) {
			m := tag(t)
			m.changelog(text)
			require.Equal(t, []string{"failure"}, m.run(release, "release"))
			never(t, m.called(), "docker")
			never(t, m.called(), "cosign")
			never(t, m.called(), "gh")
		})
	}
}
