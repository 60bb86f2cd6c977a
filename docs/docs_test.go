// Package docs_test holds the documents to the code: what they name must exist,
// what they show must be answered, and what the code has they must not leave
// out.
package docs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/server"
	"github.com/tepalhq/tepal/telemetry"
)

const (
	root   = ".."
	module = "github.com/tepalhq/tepal"
)

// page is a Markdown file of the repository.
type page struct {
	// path is relative to the root, with slashes.
	path string
	text string
	// prose is the text without its blocks of code.
	prose string
	// spans are its pieces of code within sentences, blocks those that stand alone.
	spans  []string
	blocks []block
}

// block is a piece of code with the language of its fence; none when it is
// only indented.
type block struct{ language, text string }

var (
	span    = regexp.MustCompile("`([^`]+)`")
	heading = regexp.MustCompile(`(?m)^(#{1,6}) +(.+)$`)
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// pages reads every Markdown file but those that tools have put there.
func pages(t *testing.T) []page {
	t.Helper()
	var list []page
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", ".venv", "bin"}, name):
			return filepath.SkipDir
		case filepath.Ext(name) != ".md":
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		list = append(list, read(t, filepath.ToSlash(relative)))
		return nil
	}))
	require.NotEmpty(t, list)
	return list
}

// read splits a page into prose and code.
func read(t *testing.T, path string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	p := page{path: path, text: string(text)}
	var open *block
	blank := true
	// The indentation of the block, which is none of its text.
	margin := ""
	for line := range strings.Lines(p.text) {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		indented := strings.HasPrefix(line, "    ")
		if open != nil && open.language == "" && !indented {
			open = nil
		}
		switch {
		case isFence && open == nil:
			p.blocks = append(p.blocks, block{language: fence})
			open = &p.blocks[len(p.blocks)-1]
			margin, _, _ = strings.Cut(line, "`")
		case isFence:
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, margin)
		case indented && blank:
			margin = "    "
			p.blocks = append(p.blocks, block{text: strings.TrimPrefix(line, margin)})
			open = &p.blocks[len(p.blocks)-1]
		default:
			p.prose += line
		}
		blank = strings.TrimSpace(line) == ""
	}
	require.True(t, open == nil || open.language == "", "%s: a fence is not closed", path)
	for _, found := range span.FindAllStringSubmatch(p.prose, -1) {
		p.spans = append(p.spans, strings.Join(strings.Fields(found[1]), " "))
	}
	return p
}

// commands returns every piece of code that may be a command: spans, and the
// lines of blocks, those that a backslash continues joined.
func (p *page) commands() []string {
	list := slices.Clone(p.spans)
	for _, b := range p.blocks {
		text := strings.ReplaceAll(b.text, "\\\n", " ")
		for line := range strings.Lines(text) {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// anchors returns the names that GitHub gives a page's headings.
func (p *page) anchors() map[string]bool {
	names := make(map[string]bool)
	seen := make(map[string]int)
	for _, h := range heading.FindAllStringSubmatch(p.prose, -1) {
		text := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(h[2], "$1")
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsNumber(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(text))
		seen[name]++
		if n := seen[name]; n > 1 {
			name += "-" + strconv.Itoa(n-1)
		}
		names[name] = true
	}
	return names
}

// section returns the prose below the heading of that text, up to the next
// heading of its level or above.
func (p *page) section(t *testing.T, title string) string {
	t.Helper()
	headings := heading.FindAllStringSubmatchIndex(p.prose, -1)
	for i, h := range headings {
		if p.prose[h[4]:h[5]] != title {
			continue
		}
		end := len(p.prose)
		for _, next := range headings[i+1:] {
			if next[3]-next[2] <= h[3]-h[2] {
				end = next[0]
				break
			}
		}
		return p.prose[h[1]:end]
	}
	require.Failf(t, "no such heading", "%s: %s", p.path, title)
	return ""
}

// rows returns the cells of the tables in a piece of prose, without their heads.
func rows(prose string) [][]string {
	var list [][]string
	head := true
	for line := range strings.Lines(prose) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			head = true
			continue
		case strings.HasPrefix(line, "| ---"):
			head = false
			continue
		case head:
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		list = append(list, cells)
	}
	return list
}

// coded returns the code spans of a piece of prose.
func coded(prose string) []string {
	var list []string
	for _, found := range span.FindAllStringSubmatch(prose, -1) {
		list = append(list, strings.Join(strings.Fields(found[1]), " "))
	}
	return list
}

func exists(path string) bool {
	found, err := filepath.Glob(filepath.Join(root, path))
	return err == nil && len(found) > 0
}

// TestLinks follows every link that stays in the repository.
func TestLinks(t *testing.T) {
	all := make(map[string]*page)
	list := pages(t)
	for i := range list {
		all[list[i].path] = &list[i]
	}
	for _, p := range list {
		for _, found := range link.FindAllStringSubmatch(p.prose, -1) {
			target, anchor, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				assert.True(t, strings.HasPrefix(target, "https://"), "%s: %s", p.path, target)
				continue
			}
			to := p.path
			if target != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(p.path), target))
			}
			assert.True(t, filepath.IsLocal(to) && exists(to), "%s: %s leads nowhere", p.path, found[1])
			if anchor != "" && assert.Contains(t, all, to, "%s: %s has an anchor in no page", p.path, found[1]) {
				assert.True(t, all[to].anchors()[anchor], "%s: %s has no such heading", p.path, found[1])
			}
		}
	}
}

// TestFolders holds the map of folders to those there are.
func TestFolders(t *testing.T) {
	page := read(t, "docs/architecture.md")
	var mapped []string
	for _, row := range rows(page.section(t, "Folders")) {
		mapped = append(mapped, coded(row[0])...)
	}
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	var folders []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && e.Name() != "bin" {
			folders = append(folders, e.Name())
		}
	}
	assert.ElementsMatch(t, folders, mapped)
}

// option is one flag as a help text shows it.
type option struct{ variable, value string }

// programs are the flags of each command, by its name: "tepal serve", "train".
type programs map[string]map[string]option

// help builds the programs and reads their help texts.
func help(t *testing.T) programs {
	t.Helper()
	folder := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", folder, "./cmd/tepal", "./cmd/train", "./cmd/loadtest")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	ask := func(program string, args ...string) string {
		command := exec.CommandContext(t.Context(), filepath.Join(folder, program), append(args, "--help")...)
		command.Env = []string{}
		text, err := command.Output()
		require.NoError(t, err)
		return string(text)
	}
	tepal := ask("tepal")
	list := programs{"tepal": flags(tepal), "train": flags(ask("train")), "loadtest": flags(ask("loadtest"))}
	_, commands, found := strings.Cut(tepal, "Commands:\n")
	require.True(t, found)
	for _, found := range regexp.MustCompile(`(?m)^  ([a-z]+)`).FindAllStringSubmatch(commands, -1) {
		list["tepal "+found[1]] = flags(ask("tepal", found[1]))
	}
	require.Greater(t, len(list), 5)
	return list
}

// flags reads a help text, whose lines are wrapped. An argument is among the
// flags by its own form, such as [<model>].
func flags(text string) map[string]option {
	// What a line break brings to the front of a line stands further right.
	start := regexp.MustCompile(`(?m)^ {2,6}(?:-\w, )?(?:--([a-z0-9-]+)(?:=(\S+))?|\[<[a-z]+>\])`)
	variable := regexp.MustCompile(`\(\$(TEPAL_[A-Z_]+)\)`)
	list := make(map[string]option)
	found := start.FindAllStringSubmatchIndex(text, -1)
	for i, at := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		var f option
		if at[4] >= 0 {
			f.value = strings.Trim(text[at[4]:at[5]], `"`)
		}
		if v := variable.FindStringSubmatch(text[at[1]:end]); v != nil {
			f.variable = v[1]
		}
		name := strings.TrimSpace(text[at[0]:at[1]])
		if at[2] >= 0 {
			name = text[at[2]:at[3]]
		}
		list[name] = f
	}
	return list
}

// TestFlags looks for the flags and variables that pages name, and holds the
// page on the load test to its help text, both ways. The page on tepal's own
// command line is held to it in cmd/tepal.
func TestFlags(t *testing.T) {
	programs := help(t)
	anyFlag, variables := make(map[string]bool), make(map[string]bool)
	for _, flags := range programs {
		for name, f := range flags {
			anyFlag[name], variables[f.variable] = true, true
		}
	}
	for _, p := range pages(t) {
		for _, name := range regexp.MustCompile(`TEPAL_[A-Z_]*[A-Z]`).FindAllString(p.text, -1) {
			assert.True(t, variables[name], "%s: no flag reads %s", p.path, name)
		}
		for _, command := range p.commands() {
			checkCommand(t, p.path, command, programs, anyFlag)
		}
	}
	load := read(t, "docs/loadtest.md")
	told := make(map[string]string)
	for _, row := range rows(load.section(t, "Flags")) {
		value := ""
		if strings.HasPrefix(row[1], "`") {
			value = strings.Trim(row[1], "`")
		}
		told[strings.TrimPrefix(coded(row[0])[0], "--")] = value
	}
	flags := make(map[string]string)
	for name, f := range programs["loadtest"] {
		// A value with a capital letter stands for one: the flag has no default.
		if strings.ToLower(f.value) != f.value {
			f.value = ""
		}
		flags[name] = f.value
	}
	delete(flags, "help")
	assert.Equal(t, flags, told)
}

// checkCommand looks for each flag of a command of ours; a flag alone may be of
// any.
func checkCommand(t *testing.T, path, command string, programs programs, anyFlag map[string]bool) {
	t.Helper()
	command = strings.TrimPrefix(strings.Replace(command, "go run ./cmd/", "", 1), "bin/")
	words := strings.Fields(command)
	known := anyFlag
	switch {
	case len(words) == 0:
		return
	case programs[words[0]] != nil:
		known = make(map[string]bool)
		name := words[0]
		if len(words) > 1 && programs[name+" "+words[1]] != nil {
			name += " " + words[1]
		}
		for flag := range programs[name] {
			known[flag] = true
		}
	case !strings.HasPrefix(command, "--"):
		return
	}
	for _, word := range words {
		if flag, ok := strings.CutPrefix(word, "--"); ok {
			flag, _, _ = strings.Cut(flag, "=")
			assert.True(t, known[flag], "%s: there is no flag --%s in %q", path, flag, command)
		}
	}
}

// sources parses the package's files, tests excepted.
func sources(t *testing.T, folder string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}

// packages returns every folder of the module with a Go file that is no test,
// relative to the root.
func packages(t *testing.T) []string {
	t.Helper()
	var list []string
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && slices.Contains([]string{".git", ".venv", "testdata"}, d.Name()) {
			return fs.SkipDir
		}
		// Tools and some tests are modules of their own.
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
			return fs.SkipDir
		}
		if folder := filepath.Dir(path); filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go") {
			relative, err := filepath.Rel(root, folder)
			require.NoError(t, err)
			list = append(list, filepath.ToSlash(relative))
		}
		return nil
	}))
	slices.Sort(list)
	return slices.Compact(list)
}

// TestPackages holds the table of packages to the imports of the code.
func TestPackages(t *testing.T) {
	page := read(t, "docs/architecture.md")
	told := make(map[string][]string)
	for _, row := range rows(page.section(t, "Packages")) {
		told[coded(row[0])[0]] = coded(row[2])
	}
	assert.Len(t, told, len(packages(t)))
	for _, folder := range packages(t) {
		var imports []string
		for _, file := range sources(t, folder) {
			for _, spec := range file.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				require.NoError(t, err)
				if ours, ok := strings.CutPrefix(path, module+"/"); ok {
					imports = append(imports, ours)
				}
			}
		}
		slices.Sort(imports)
		assert.ElementsMatch(t, slices.Compact(imports), told[folder], folder)
	}
}

// TestDependencies holds the table of dependencies to go.mod.
func TestDependencies(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	list.Dir = root
	out, err := list.Output()
	require.NoError(t, err)
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	require.NoError(t, json.Unmarshal(out, &mod))
	var direct, told []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	page := read(t, "docs/architecture.md")
	for _, row := range rows(page.section(t, "Direct dependencies")) {
		told = append(told, coded(row[0])...)
	}
	assert.ElementsMatch(t, direct, told)
}

// TestOperators holds the README's list of operators to the compiler's table.
func TestOperators(t *testing.T) {
	var table []string
	for _, file := range sources(t, "model/onnx") {
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || v.Names[0].Name != "operators" {
				return true
			}
			for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
				table = append(table, text(t, e.(*ast.KeyValueExpr).Key))
			}
			return false
		})
	}
	require.NotEmpty(t, table)
	readme := read(t, "README.md")
	_, after, found := strings.Cut(readme.section(t, "Limits today"), "- Operators: ")
	require.True(t, found)
	list, _, _ := strings.Cut(after, ". ")
	assert.ElementsMatch(t, table, coded(list))
}

func text(t *testing.T, e ast.Expr) string {
	t.Helper()
	literal, ok := e.(*ast.BasicLit)
	require.True(t, ok, "%T is no literal", e)
	s, err := strconv.Unquote(literal.Value)
	require.NoError(t, err)
	return s
}

// slugs finds the types of problems in a file. They stand in literals of
// model.Error, in assignments to the field Type, and as arguments of functions
// that have a parameter called slug.
func slugs(t *testing.T, file *ast.File, takers map[string]int) []string {
	t.Helper()
	var list []string
	add := func(e ast.Expr) {
		if name, ok := e.(*ast.Ident); ok && name.Name == "slug" {
			return
		}
		list = append(list, text(t, e))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if name := last(n.Type); name != "Error" {
				return true
			}
			at := slices.IndexFunc(n.Elts, func(e ast.Expr) bool { return last(e.(*ast.KeyValueExpr).Key) == "Type" })
			require.GreaterOrEqual(t, at, 0, "an error has no type")
			add(n.Elts[at].(*ast.KeyValueExpr).Value)
		case *ast.AssignStmt:
			for i, to := range n.Lhs {
				if s, ok := to.(*ast.SelectorExpr); ok && s.Sel.Name == "Type" && i < len(n.Rhs) && isText(n.Rhs[i]) {
					add(n.Rhs[i])
				}
			}
		case *ast.CallExpr:
			if place, ok := takers[last(n.Fun)]; ok {
				add(n.Args[place])
			}
		}
		return true
	})
	return list
}

func isText(e ast.Expr) bool {
	literal, ok := e.(*ast.BasicLit)
	return ok && literal.Kind == token.STRING
}

// last is the last name of an expression: Error of model.Error.
func last(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// takers finds the functions with a parameter called slug, and its place.
func takers(file *ast.File) map[string]int {
	found := make(map[string]int)
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		place := 0
		for _, field := range f.Type.Params.List {
			for _, name := range field.Names {
				if name.Name == "slug" {
					found[f.Name.Name] = place
				}
				place++
			}
		}
	}
	return found
}

// TestProblems holds the page of problems to the types in the code, and their
// statuses to the transcripts.
func TestProblems(t *testing.T) {
	var inCode []string
	for _, folder := range packages(t) {
		if folder != "server" && folder != "model" && !strings.HasPrefix(folder, "model/") {
			continue
		}
		files := sources(t, folder)
		functions := make(map[string]int)
		for _, file := range files {
			for name, place := range takers(file) {
				functions[name] = place
			}
		}
		for _, file := range files {
			inCode = append(inCode, slugs(t, file, functions)...)
		}
	}
	slices.Sort(inCode)
	page := read(t, "docs/problems.md")
	statuses := make(map[string]string)
	var told []string
	for _, h := range heading.FindAllStringSubmatch(page.prose, -1) {
		if h[1] == "##" {
			told = append(told, h[2])
			status := regexp.MustCompile(`^\s*\*\*(\d{3})\.\*\* `).FindStringSubmatch(page.section(t, h[2]))
			require.NotNil(t, status, h[2])
			statuses[h[2]] = status[1]
			assert.Contains(t, page.section(t, h[2]), "\nDo: ", h[2])
		}
	}
	assert.ElementsMatch(t, slices.Compact(inCode), told)

	files, err := filepath.Glob(filepath.Join(root, "server/testdata/transcripts/*/*.http"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	recorded := regexp.MustCompile(`"type":"https://[^"]*/docs/problems\.md#([^"]+)".*"status":(\d+)`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if found := recorded.FindStringSubmatch(string(text)); found != nil {
			assert.Equal(t, found[2], statuses[found[1]], file)
		}
	}
}

// TestProblemIndex holds the table at the top of the page of problems to its
// sections: each is there once, in the row of its status.
func TestProblemIndex(t *testing.T) {
	page := read(t, "docs/problems.md")
	index, _, found := strings.Cut(page.prose, "\n## ")
	require.True(t, found)
	var linked, sections []string
	for _, row := range rows(index) {
		for _, to := range link.FindAllStringSubmatch(row[1], -1) {
			name := strings.TrimPrefix(to[1], "#")
			linked = append(linked, name)
			status := regexp.MustCompile(`\*\*(\d{3})\.\*\*`).FindStringSubmatch(page.section(t, name))
			require.NotNil(t, status, name)
			assert.Contains(t, strings.Split(row[0], ", "), status[1], name)
		}
	}
	for _, h := range heading.FindAllStringSubmatch(page.prose, -1) {
		if h[1] == "##" {
			sections = append(sections, h[2])
		}
	}
	assert.ElementsMatch(t, sections, linked)
}

// TestRoutes holds the page on HTTP to the routes of the server, both ways.
func TestRoutes(t *testing.T) {
	routes := serverRoutes(t)
	request := regexp.MustCompile(`^(?:GET|HEAD|POST|PUT|DELETE) (/\S*)`)
	for _, p := range pages(t) {
		for _, s := range p.spans {
			if found := request.FindStringSubmatch(s); found != nil {
				assert.True(t, routes[found[1]], "%s: there is no route %s", p.path, found[1])
			}
		}
	}
	page := read(t, "docs/api.md")
	for route := range routes {
		if profile, ok := strings.CutPrefix(route, "/debug/pprof/"); ok && profile != "" {
			assert.Contains(t, page.spans, profile)
			continue
		}
		assert.True(t, slices.ContainsFunc(page.spans, func(s string) bool { return s == "GET "+route || s == "POST "+route }), route)
	}
}

// TestLimits holds the table of limits to the constants of the code.
func TestLimits(t *testing.T) {
	constants := make(map[string]constant.Value)
	for _, folder := range []string{"server", "model/repository"} {
		for _, file := range sources(t, folder) {
			for _, d := range file.Decls {
				collect(constants, d)
			}
		}
	}
	page := read(t, "docs/api.md")
	told := make(map[string]string)
	for _, row := range rows(page.section(t, "Limits")) {
		told[row[0]] = row[1]
	}
	for what, name := range map[string]string{
		"body, line of a stream": "DefaultMaxBodyBytes", "instances in a request, or in a line": "DefaultMaxBatch", "wait in the queue": "DefaultQueueTimeout",
		"headers, with the line of the request": "maxHeaderBytes", "lines of headers, likewise": "maxHeaderLines", "time for the headers": "readHeaderTimeout", "time for the whole request, or for a line": "readTimeout",
		"time from the end of the headers to the end of the answer, but for streams": "writeTimeout", "idle connection": "idleTimeout",
		"artifact": "MaxArtifactBytes", "connections to port 8002": "opsConnections",
	} {
		require.Contains(t, constants, name)
		value, ok := constant.Int64Val(constants[name])
		require.True(t, ok, name)
		assert.Equal(t, value, amount(t, told[what]), what)
	}
}

// collect evaluates the constants of a declaration as far as they are numbers.
func collect(constants map[string]constant.Value, d ast.Decl) {
	g, ok := d.(*ast.GenDecl)
	if !ok || g.Tok != token.CONST {
		return
	}
	for _, s := range g.Specs {
		v := s.(*ast.ValueSpec)
		for i := range v.Values {
			if value := evaluate(v.Values[i]); value.Kind() == constant.Int {
				constants[v.Names[i].Name] = value
			}
		}
	}
}

func evaluate(e ast.Expr) constant.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.SelectorExpr:
		if last(e) == "Second" {
			return constant.MakeInt64(int64(time.Second))
		}
	case *ast.BinaryExpr:
		x, y := evaluate(e.X), evaluate(e.Y)
		if x.Kind() != constant.Int || y.Kind() != constant.Int {
			return constant.MakeUnknown()
		}
		if n, ok := constant.Uint64Val(y); ok && e.Op == token.SHL {
			return constant.Shift(x, e.Op, uint(n))
		}
		return constant.BinaryOp(x, e.Op, y)
	}
	return constant.MakeUnknown()
}

// amount reads a number with a unit, such as "8 MiB"; times in nanoseconds.
func amount(t *testing.T, s string) int64 {
	t.Helper()
	number, unit, _ := strings.Cut(s, " ")
	n, err := strconv.ParseInt(strings.ReplaceAll(number, ",", ""), 10, 64)
	require.NoError(t, err, s)
	scale, ok := map[string]int64{"": 1, "s": int64(time.Second), "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[unit]
	require.True(t, ok, s)
	return n * scale
}

// serve runs a server with the built-in model until the test is over, and
// returns its address and its metrics.
func serve(t *testing.T) (address string, metrics *prometheus.Registry) {
	t.Helper()
	t.Setenv("OTEL_SDK_DISABLED", "true")
	ctx, stop := context.WithCancel(t.Context())
	srv, err := server.New(ctx, server.Options{
		Config: server.Config{HTTPAddr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0"},
		Source: repository.Source{Name: "iris", Data: artifacts.Iris},
		Logger: telemetry.NewLogger(io.Discard, telemetry.LogOptions{}),
		NewTelemetry: func(onPanic http.HandlerFunc) (*telemetry.Telemetry, error) {
			tel, err := telemetry.New(ctx, telemetry.Options{OnPanic: onPanic})
			if err == nil {
				metrics = tel.Registry()
			}
			return tel, err
		},
	})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	address = srv.HTTPAddr().String()
	require.Eventually(t, func() bool {
		status, _ := exchange(t, address, "GET /ready_check")
		return status == http.StatusOK
	}, 10*time.Second, 5*time.Millisecond)
	return address, metrics
}

// exchange sends a request as the pages write it: a line with method and path,
// headers, an empty line, the body.
func exchange(t *testing.T, address, request string) (int, []byte) {
	t.Helper()
	head, body, _ := strings.Cut(request, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	method, path, _ := strings.Cut(lines[0], " ")
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
	require.NoError(t, err)
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, answer
}

// TestExamples sends every request that stands in a page before an answer. An
// answer must have what the page shows of it.
// TestProblemsWithoutRequests holds the examples of problems that no request on
// the page leads to against those that tests of the server record, numbers
// aside; where none is recorded, against the texts in the code.
func TestProblemsWithoutRequests(t *testing.T) {
	digits := regexp.MustCompile(`\d+(ms|s)?`)
	mask := func(value any) string { return digits.ReplaceAllString(fmt.Sprint(value), "N") }
	files, err := filepath.Glob(filepath.Join(root, "server/testdata/transcripts/*/*.http"))
	require.NoError(t, err)
	recorded := make(map[string][]map[string]any)
	line := regexp.MustCompile(`(?m)^\{"type":"https://[^"]*/docs/problems\.md#([^"]+)".*\}$`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, found := range line.FindAllStringSubmatch(string(text), -1) {
			var answer map[string]any
			require.NoError(t, json.Unmarshal([]byte(found[0]), &answer), file)
			recorded[found[1]] = append(recorded[found[1]], answer)
		}
	}
	var code strings.Builder
	for _, pattern := range []string{"server/*.go", "model/*.go", "model/rows/*.go"} {
		sources, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, source := range sources {
			text, err := os.ReadFile(source)
			require.NoError(t, err)
			code.Write(text)
		}
	}
	page := read(t, "docs/problems.md")
	count := 0
	for _, section := range strings.Split(page.text, "\n## ")[1:] {
		slug, _, _ := strings.Cut(section, "\n")
		example := regexp.MustCompile("(?s)```json\n(.*?)\n```").FindStringSubmatch(section)
		require.NotNil(t, example, slug)
		if strings.Contains(section, "```http") {
			continue // TestExamples sends it
		}
		count++
		shown := decode(t, []byte(example[1])).(map[string]any)
		if answers := recorded[slug]; answers != nil {
			assert.True(t, slices.ContainsFunc(answers, func(answer map[string]any) bool {
				for name, value := range shown {
					if mask(answer[name]) != mask(value) {
						return false
					}
				}
				return true
			}), "%s: no answer is like the example", slug)
			continue
		}
		assert.Contains(t, code.String(), shown["detail"], slug)
		for name := range shown {
			assert.Contains(t, []string{"detail", "expected"}, name, slug)
		}
	}
	assert.Greater(t, count, 5)
}

func TestExamples(t *testing.T) {
	address, _ := serve(t)
	count := 0
	for _, p := range pages(t) {
		for i, b := range p.blocks {
			if b.language == "ndjson" {
				count++
				_, answer := exchange(t, address, p.blocks[i-1].text)
				assert.Equal(t, b.text, string(answer), "%s: %s", p.path, p.blocks[i-1].text)
			}
			if b.language != "json" {
				continue
			}
			shown := decode(t, []byte(b.text))
			if i == 0 || p.blocks[i-1].language != "http" {
				continue
			}
			count++
			_, answer := exchange(t, address, p.blocks[i-1].text)
			got := decode(t, answer)
			members, isObject := shown.(map[string]any)
			if !isObject {
				assert.Equal(t, shown, got, "%s: %s", p.path, p.blocks[i-1].text)
				continue
			}
			for name, value := range members {
				assert.Equal(t, value, got.(map[string]any)[name], "%s: %s: %s", p.path, p.blocks[i-1].text, name)
			}
		}
	}
	assert.Greater(t, count, 10)
}

func decode(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v), string(text))
	return v
}

// TestReadme types the README's curl and expects its answer, byte for byte. Every
// command has a mark by which another test runs it.
func TestReadme(t *testing.T) {
	readme := read(t, "README.md")
	for _, b := range readme.blocks {
		assert.Regexp(t, `^(sh (test|stub)\b.*|json|text output)$`, b.language, b.text)
	}
	at := slices.IndexFunc(readme.blocks, func(b block) bool { return strings.HasPrefix(b.text, "curl ") })
	require.GreaterOrEqual(t, at, 0)
	command := strings.ReplaceAll(readme.blocks[at].text, "\\\n", " ")
	parts := regexp.MustCompile(`^curl localhost:8000(/\S+) -H '([^']+)' +-d '([^']+)'\s*$`).FindStringSubmatch(command)
	require.NotNil(t, parts, command)
	address, _ := serve(t)
	status, answer := exchange(t, address, fmt.Sprintf("POST %s\n%s\n\n%s", parts[1], parts[2], parts[3]))
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, readme.blocks[at+1].text, string(answer))
}
