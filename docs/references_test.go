package docs_test

import (
	"bytes"
	"encoding/xml"
	"go/ast"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestIndex sees that the page of links has every page: those of docs, and of
// each folder in it the first.
func TestIndex(t *testing.T) {
	index := read(t, "docs/README.md")
	var linked []string
	for _, found := range link.FindAllStringSubmatch(index.prose, -1) {
		linked = append(linked, found[1])
	}
	for _, pattern := range []string{"docs/*.md", "docs/*/README.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			name, err := filepath.Rel(filepath.Join(root, "docs"), file)
			require.NoError(t, err)
			assert.True(t, name == "README.md" || slices.Contains(linked, filepath.ToSlash(name)), "no link to %s", name)
		}
	}
}

// TestPaths looks for the files that pages name, in sentences and in commands,
// and for paths of a machine.
func TestPaths(t *testing.T) {
	machine := regexp.MustCompile(`(^|[\s"'(=` + "`" + `])(/(home|root|Users|tmp|var|opt|mnt|work|workspace)/|[A-Z]:\\)`)
	known := folders(t)
	count := 0
	for _, p := range pages(t) {
		assert.Empty(t, machine.FindString(p.text), "%s: a path of somebody's machine", p.path)
		for _, command := range p.commands() {
			for word := range strings.FieldsSeq(command) {
				count += checkPath(t, p.path, strings.Trim(word, `'",;`), known)
			}
		}
	}
	assert.Greater(t, count, 100)
}

// folders are those at the root. What make puts there is not there in a fresh
// clone.
func folders(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	var list []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "bin" && e.Name() != ".venv" {
			list = append(list, e.Name())
		}
	}
	return list
}

// checkPath looks for a word that has the form of a path below one of the
// folders, and returns how many it looked for.
func checkPath(t *testing.T, where, word string, folders []string) int {
	t.Helper()
	form := regexp.MustCompile(`^(?:\./)?(\.?[A-Za-z][\w*-]*)/[\w.*/-]*$`)
	found := form.FindStringSubmatch(word)
	if found == nil || !slices.Contains(folders, found[1]) {
		return 0
	}
	assert.True(t, exists(word), "%s: there is no %s", where, word)
	return 1
}

// makefile is the text of the Makefile and of the files that it includes.
func makefile(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "make", "*.mk"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all strings.Builder
	for _, file := range append(files, filepath.Join(root, "Makefile")) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}

// targets are those of the Makefile, with what each needs made before.
func targets(t *testing.T) map[string][]string {
	t.Helper()
	list := make(map[string][]string)
	for _, found := range regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):([^=\n#]*)`).FindAllStringSubmatch(makefile(t), -1) {
		list[found[1]] = strings.Fields(found[2])
	}
	return list
}

// called are the targets that a command makes.
func called(command string) []string {
	var list []string
	call := regexp.MustCompile(`(?:^|&& |\$\(|; |run: )(?:DRY_RUN=1 |[A-Z_]+=\S+ )*make ((?:--[a-z-]+ )*[a-z][a-z0-9-]*)`)
	for _, found := range call.FindAllStringSubmatch(command, -1) {
		words := strings.Fields(found[1])
		list = append(list, words[len(words)-1])
	}
	return list
}

// TestMakeTargets looks for the targets that pages name.
func TestMakeTargets(t *testing.T) {
	known := targets(t)
	count := 0
	for _, p := range pages(t) {
		for _, command := range p.commands() {
			for _, target := range called(command) {
				count++
				assert.Contains(t, known, target, "%s: make has no such target", p.path)
			}
		}
	}
	assert.Greater(t, count, 50)
}

// TestHelp sees that `make help` lists about a dozen targets, and `make help-all`
// each one, once.
func TestHelp(t *testing.T) {
	listed := func(target string) map[string]bool {
		//nolint:gosec // G204: the target is one of two texts below.
		out, err := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-C", root, target).Output()
		require.NoError(t, err)
		list := make(map[string]bool)
		for _, found := range regexp.MustCompile(`(?m)^  ([a-z][a-z0-9-]*) +[A-Z].+$`).FindAllStringSubmatch(string(out), -1) {
			assert.False(t, list[found[1]], "%s: twice", found[1])
			list[found[1]] = true
		}
		return list
	}
	short, long := listed("help"), listed("help-all")
	assert.Len(t, short, 13)
	for target := range targets(t) {
		assert.True(t, long[target], "make help-all does not list %s", target)
	}
	for target := range short {
		assert.True(t, long[target], "make help-all does not list %s", target)
	}
}

// TestProofs sees that what the README calls proved on every change is: CI makes
// one of the targets of its row at least, and none of those proved by hand.
func TestProofs(t *testing.T) {
	known := targets(t)
	inCI := make(map[string]bool)
	for _, name := range []string{".ci/run", ".github/workflows/ci.yml"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			for _, target := range called(strings.TrimSpace(line)) {
				inCI[target] = true
				for _, needed := range known[target] {
					inCI[needed] = true
				}
			}
		}
	}
	readme := read(t, "README.md")
	table := rows(readme.section(t, "What it has, and what proves it"))
	assert.Greater(t, len(table), 10)
	for _, row := range table {
		require.Len(t, row, 3)
		require.Contains(t, []string{"on every change", "by hand"}, row[2], row[0])
		require.NotEmpty(t, coded(row[1]), row[0])
		for _, command := range coded(row[1]) {
			require.Len(t, called(command), 1, row[0])
			assert.Equal(t, row[2] == "on every change", inCI[called(command)[0]], command)
		}
	}
}

// TestVariables looks for the variables that pages name: something here must
// read each, or OpenTelemetry's SDK, or a later command of the page. TestFlags
// looks for those of flags.
func TestVariables(t *testing.T) {
	here := allCode(t)
	sdk := openTelemetry(t)
	alone := regexp.MustCompile(`^([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=.*)?$`)
	// Named to say that nothing does, or for what others print.
	unread := []string{"ACCOUNT_ID", "ADDON", "DOCKER_IMAGE_PLACEHOLDER", "OTEL_LOGS_EXPORTER", "PERMISSION_DENIED"}
	given := regexp.MustCompile(`(?:^|[\s(])([A-Z][A-Z0-9_]+)=`)
	count := 0
	for _, p := range pages(t) {
		for _, command := range p.commands() {
			names := given.FindAllStringSubmatch(command, -1)
			if found := alone.FindStringSubmatch(command); found != nil {
				names = append(names, found)
			}
			for _, found := range names {
				name := found[1]
				if strings.HasPrefix(name, "TEPAL_") {
					continue
				}
				count++
				known := slices.Contains(unread, name) || strings.Contains(p.text, "$"+name) || regexp.MustCompile(`\b`+name+`\b`).MatchString(here)
				if rest, ok := strings.CutPrefix(name, "OTEL_EXPORTER_OTLP_"); ok {
					known = known || strings.Contains(sdk, `"`+rest+`"`)
				}
				known = known || strings.HasPrefix(name, "OTEL_") && strings.Contains(sdk, `"`+name+`"`)
				assert.True(t, known, "%s: nothing reads %s", p.path, name)
			}
		}
	}
	assert.Greater(t, count, 100)
}

// allCode is the text of all that is no document: code, scripts, manifests,
// workflows.
func allCode(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains([]string{".git", ".venv", "bin", "testdata"}, name) || path == filepath.Join(root, "docs")):
			return filepath.SkipDir
		case !d.Type().IsRegular() || slices.Contains([]string{".md", ".onnx", ".svg", ".csv"}, filepath.Ext(name)):
			return nil
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	}))
	return all.String()
}

// openTelemetry is the source of the parts of the SDK that read variables.
func openTelemetry(t *testing.T) string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/sdk/metric",
		"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp", "go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp")
	list.Dir = root
	folders, err := list.Output()
	require.NoError(t, err)
	var all strings.Builder
	for folder := range strings.FieldsSeq(string(folders)) {
		require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		}))
	}
	return all.String()
}

// serverRoutes are the paths that the server's code has; those with a star end
// before it.
func serverRoutes(t *testing.T) map[string]bool {
	t.Helper()
	pattern := regexp.MustCompile(`^"/[a-z]`)
	list := make(map[string]bool)
	for _, file := range sources(t, "server") {
		ast.Inspect(file, func(n ast.Node) bool {
			if e, ok := n.(*ast.BasicLit); ok && pattern.MatchString(e.Value) {
				list[strings.TrimSuffix(text(t, e), "*")] = true
			}
			return true
		})
	}
	require.Greater(t, len(list), 8)
	return list
}

// TestURLs looks for the routes of the paths that pages name alone, or ask a
// server for.
func TestURLs(t *testing.T) {
	routes := serverRoutes(t)
	// Where others listen, or what they ask for.
	others := []string{"/", "/v1/traces", "/v1/metrics"}
	alone := regexp.MustCompile(`^/[a-z_]+(?:/[a-z_{}]+)*/?$`)
	model := regexp.MustCompile(`^/models/(iris|flowers)\b`)
	asked := regexp.MustCompile(`(?:localhost:800[02]|ADDRESS)(/[^\s'"?]*)`)
	count := 0
	for _, p := range pages(t) {
		for _, command := range p.commands() {
			paths := asked.FindAllStringSubmatch(command, -1)
			if alone.MatchString(command) {
				paths = append(paths, []string{"", command})
			}
			for _, found := range paths {
				count++
				path := model.ReplaceAllString(found[1], "/models/{name}")
				profile := strings.HasPrefix(path, "/debug/pprof/")
				assert.True(t, routes[path] || profile || slices.Contains(others, path), "%s: there is no route %s", p.path, path)
			}
		}
	}
	assert.Greater(t, count, 25)
}

// object is how Kubernetes' objects are called here.
var object = regexp.MustCompile(`\biris-classifier-[a-z]+\b`)

// manifests is the text of those for Kubernetes.
func manifests(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "k8s"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	}))
	return all.String()
}

// TestObjects looks for the objects that pages name in the manifests.
func TestObjects(t *testing.T) {
	made := object.FindAllString(manifests(t), -1)
	count := 0
	for _, p := range pages(t) {
		for _, name := range object.FindAllString(p.text, -1) {
			count++
			assert.Contains(t, made, name, "%s: no manifest has it", p.path)
		}
	}
	assert.Greater(t, count, 20)
}

// TestPictures holds what is written in pictures to what there is, and sees that
// each stands in a page.
func TestPictures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/*.svg"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var shown strings.Builder
	for _, p := range pages(t) {
		shown.WriteString(p.prose)
	}
	known, routes, made, top := targets(t), serverRoutes(t), object.FindAllString(manifests(t), -1), folders(t)
	for _, file := range files {
		name := filepath.Base(file)
		assert.Contains(t, shown.String(), name+")", "no page shows it")
		for _, line := range written(t, file) {
			for _, target := range called(line) {
				assert.Contains(t, known, target, name)
			}
			for _, found := range object.FindAllString(line, -1) {
				assert.Contains(t, made, found, name)
			}
			for word := range strings.FieldsSeq(line) {
				checkPath(t, name, strings.Trim(word, ",;"), top)
				if strings.HasPrefix(word, "/") {
					assert.True(t, routes[word], "%s: there is no route %s", name, word)
				}
			}
		}
	}
}

// written are the texts in a picture.
func written(t *testing.T, file string) []string {
	t.Helper()
	svg, err := os.ReadFile(file)
	require.NoError(t, err)
	var list []string
	d := xml.NewDecoder(bytes.NewReader(svg))
	inText := false
	for {
		token, err := d.Token()
		if token == nil {
			require.ErrorContains(t, err, "EOF", file)
			require.NotEmpty(t, list, file)
			return list
		}
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
		case xml.EndElement:
			inText = false
		case xml.CharData:
			if inText {
				list = append(list, string(token))
			}
		}
	}
}
