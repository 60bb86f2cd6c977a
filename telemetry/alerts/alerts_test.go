// Package alerts_test holds the rules, the dashboards and the documents to each
// other and to a running server: what they ask for must exist. A dashboard with
// a misspelt metric looks like a quiet night.
package alerts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/server"
	"github.com/tepalhq/tepal/telemetry"
)

const (
	root       = "../.."
	dashboards = "../dashboards"
	playbooks  = root + "/docs/playbooks"
	runbooks   = "https://github.com/tepalhq/tepal/blob/main/docs/playbooks/"
)

// targetLabels are those that a scraper adds to every metric of a target.
var targetLabels = []string{"namespace", "job", "instance", "pod", "container"}

// family is what is known of a metric. Bounds are those of a histogram.
type family struct {
	kind   string
	labels map[string]bool
	bounds map[string]bool
}

// catalogue is every metric that may be named, by its name.
type catalogue map[string]family

// exported asks a running server for its metrics, once everything that makes one
// appear has happened.
func exported(t *testing.T) catalogue {
	t.Helper()
	t.Setenv("OTEL_SDK_DISABLED", "true")
	ctx, stop := context.WithCancel(t.Context())
	srv, err := server.New(ctx, server.Options{
		Config: server.Config{HTTPAddr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0"},
		Source: repository.Source{Name: "iris", Data: artifacts.Iris},
		Logger: telemetry.NewLogger(io.Discard, telemetry.LogOptions{}),
		NewTelemetry: func(onPanic http.HandlerFunc) (*telemetry.Telemetry, error) {
			return telemetry.New(ctx, telemetry.Options{OnPanic: onPanic})
		},
	})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	defer func() {
		stop()
		require.NoError(t, <-done)
	}()
	// The second is a problem.
	for _, exchange := range []struct {
		body   string
		status int
	}{{`{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`, http.StatusOK}, {`{}`, http.StatusUnprocessableEntity}} {
		require.Eventually(t, func() bool {
			status, _ := ask(t, http.MethodPost, "http://"+srv.HTTPAddr().String()+"/predict", exchange.body)
			return status == exchange.status
		}, 10*time.Second, 5*time.Millisecond)
	}
	status, text := ask(t, http.MethodGet, "http://"+srv.OpsAddr().String()+"/metrics", "")
	require.Equal(t, http.StatusOK, status)
	return parseExposition(t, text)
}

func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(answer)
}

// parseExposition reads the Prometheus text format as far as names, types and
// labels go.
func parseExposition(t *testing.T, text string) catalogue {
	t.Helper()
	list := make(catalogue)
	label := regexp.MustCompile(`[{,]([a-z_]+)="((?:[^"\\]|\\.)*)"`)
	var current family
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 4 && words[1] == "TYPE":
			current = family{kind: words[3], labels: make(map[string]bool), bounds: make(map[string]bool)}
			list[words[2]] = current
		case !strings.HasPrefix(line, "#"):
			for _, found := range label.FindAllStringSubmatch(line, -1) {
				if found[1] == "le" {
					current.bounds[found[2]] = true
					continue
				}
				current.labels[found[1]] = true
			}
		}
	}
	require.NotEmpty(t, list)
	return list
}

// elsewhere reads the list of metrics that others export.
func elsewhere(t *testing.T) catalogue {
	t.Helper()
	list := make(catalogue)
	for line := range strings.Lines(read(t, dashboards+"/metrics-elsewhere.txt")) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		require.GreaterOrEqual(t, len(words), 2, line)
		f := family{kind: words[1], labels: make(map[string]bool)}
		for _, name := range words[2:] {
			f.labels[name] = true
		}
		list[words[0]] = f
	}
	return list
}

// known is the whole catalogue: what the server exports, what others do, and
// what the rules record.
func known(t *testing.T) catalogue {
	t.Helper()
	list := exported(t)
	maps.Copy(list, elsewhere(t))
	for _, r := range rules(t) {
		if r.Record != "" {
			list[r.Record] = family{kind: "gauge", labels: map[string]bool{}}
		}
	}
	return list
}

// find looks a series up; the suffixes of a histogram belong to it.
func (c catalogue) find(series string) (f family, suffix string, ok bool) {
	if f, ok = c[series]; ok {
		return f, "", true
	}
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if base, cut := strings.CutSuffix(series, suffix); cut {
			f, ok = c[base]
			return f, suffix, ok && (f.kind == "histogram" || f.kind == "summary" && suffix != "_bucket")
		}
	}
	return family{}, "", false
}

// rule is one rule of the rule file.
type rule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "rules.yaml")), &file))
	var list []rule
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	require.NotEmpty(t, list)
	return list
}

func alertRules(t *testing.T) []rule {
	t.Helper()
	return slices.DeleteFunc(rules(t), func(r rule) bool { return r.Alert == "" })
}

// ruleTests is what promtool reads from rules_test.yaml.
type ruleTests struct {
	Tests []struct {
		Name  string `yaml:"name"`
		Input []struct {
			Series string `yaml:"series"`
		} `yaml:"input_series"`
		Alerts []struct {
			Name   string `yaml:"alertname"`
			Expect []any  `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
		Expressions []struct {
			Expr string `yaml:"expr"`
		} `yaml:"promql_expr_test"`
	} `yaml:"tests"`
}

func tests(t *testing.T) ruleTests {
	t.Helper()
	var file ruleTests
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "rules_test.yaml")), &file))
	return file
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// documents are the pages below docs, by their path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	list := make(map[string]string)
	require.NoError(t, filepath.WalkDir(root+"/docs", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			list[path] = read(t, path)
		}
		return err
	}))
	require.NotEmpty(t, list)
	return list
}

// expressions are all queries of the rules, their tests, the dashboards and the
// documents, by where they stand; variables of dashboards have a value.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	list := make(map[string]string)
	for _, r := range rules(t) {
		list["rules.yaml: "+r.Record+r.Alert] = r.Expr
	}
	for _, test := range tests(t).Tests {
		for i, e := range test.Expressions {
			list[fmt.Sprintf("rules_test.yaml: %s, expression %d", test.Name, i)] = e.Expr
		}
		for i, input := range test.Input {
			list[fmt.Sprintf("rules_test.yaml: %s, series %d", test.Name, i)] = input.Series
		}
	}
	for _, name := range []string{"grafana.json", "cloud-monitoring.json"} {
		var dashboard any
		require.NoError(t, json.Unmarshal([]byte(read(t, filepath.Join(dashboards, name))), &dashboard))
		before := len(list)
		queries(dashboard, name, list)
		assert.Greater(t, len(list), before+10, name)
	}
	for path, text := range documents(t) {
		for i, found := range regexp.MustCompile("(?s)```promql\n(.+?)```").FindAllStringSubmatch(text, -1) {
			list[fmt.Sprintf("%s: query %d", path, i+1)] = found[1]
		}
	}
	return list
}

// queries finds the queries in a dashboard. label_values is no PromQL; its
// argument is.
func queries(node any, path string, list map[string]string) {
	switch node := node.(type) {
	case []any:
		for i, v := range node {
			queries(v, fmt.Sprintf("%s/%d", path, i), list)
		}
	case map[string]any:
		for key, v := range node {
			text, isText := v.(string)
			switch {
			case isText && (key == "expr" || key == "prometheusQuery" || key == "definition"):
				list[path+"/"+key] = setVariables(text)
			default:
				queries(v, path+"/"+key, list)
			}
		}
	}
}

func setVariables(query string) string {
	if found := regexp.MustCompile(`^label_values\((.+), \w+\)$`).FindStringSubmatch(query); found != nil {
		query = found[1]
	}
	query = strings.NewReplacer(
		"$__rate_interval", "5m", "$__range", "6h", "$availability", "0.999", "$in_time", "0.99",
		"${namespace}", `namespace="prod"`,
	).Replace(query)
	return regexp.MustCompile(`"\$(namespace|job|model)"`).ReplaceAllString(query, `".*"`)
}

// selector is one series that a query asks for.
type selector struct {
	name   string
	labels map[string]string
	// within are the functions around it, the innermost last.
	within []string
}

var (
	token = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|#[^\n]*|[0-9][0-9a-z.]*|\$\w+|[A-Za-z_:][A-Za-z0-9_:]*|[^\sA-Za-z0-9_:"#$]`)
	ident = regexp.MustCompile(`^[A-Za-z_:]`)
)

// parse takes the series and the labels of groupings and matchings out of a
// query. It knows just as much of PromQL as that needs; promtool checks the rest.
func parse(query string) (selectors []selector, groupings []string) {
	tokens := token.FindAllString(query, -1)
	at := func(i int) string {
		if i < len(tokens) {
			return tokens[i]
		}
		return ""
	}
	// labels takes the names up to the closing bracket, and returns its place.
	labels := func(i int) int {
		for ; at(i) != ")" && i < len(tokens); i++ {
			if ident.MatchString(at(i)) {
				groupings = append(groupings, at(i))
			}
		}
		return i
	}
	var open []string
	var label string
	for i := 0; i < len(tokens); i++ {
		word := tokens[i]
		switch {
		case word == "[":
			for at(i) != "]" && i < len(tokens) {
				i++
			}
		case word == "(":
			open = append(open, "")
		case word == ")":
			open = open[:max(len(open)-1, 0)]
		case word == "offset":
			i++
		case !ident.MatchString(word) || slices.Contains([]string{"and", "or", "unless", "bool"}, word):
		case slices.Contains([]string{"by", "without", "on", "ignoring", "group_left", "group_right"}, word):
			i = labels(i + 1)
		case at(i+1) == "(":
			open = append(open, word)
			i++
		case at(i+1) == "by" || at(i+1) == "without":
			// An aggregation with its grouping in front.
			open = append(open, word)
			i = labels(i+2) + 1
		default:
			s := selector{name: word, labels: make(map[string]string), within: append([]string{}, open...)}
			if at(i+1) == "{" {
				for i += 2; at(i) != "}" && i < len(tokens); i++ {
					if strings.HasPrefix(at(i), `"`) {
						s.labels[label] = strings.Trim(at(i), `"`)
					} else if ident.MatchString(at(i)) {
						label = at(i)
					}
				}
			}
			selectors = append(selectors, s)
		}
	}
	return selectors, groupings
}

func TestParse(t *testing.T) {
	selectors, groupings := parse(`histogram_quantile(0.95, sum by (le) (rate(a_bucket{x="b{c", y=~"d|e"}[5m]))) > 2 * b:c # d
		and on (job) (up offset 5m unless absent(e)) or sum(f) without (z)`)
	assert.Equal(t, []selector{
		{name: "a_bucket", labels: map[string]string{"x": "b{c", "y": "d|e"}, within: []string{"histogram_quantile", "sum", "rate"}},
		{name: "b:c", labels: map[string]string{}, within: []string{}},
		{name: "up", labels: map[string]string{}, within: []string{""}},
		{name: "e", labels: map[string]string{}, within: []string{"", "absent"}},
		{name: "f", labels: map[string]string{}, within: []string{"sum"}},
	}, selectors)
	assert.Equal(t, []string{"le", "job", "z"}, groupings)
}

// TestQueries looks for each series and label of each query, and sees that
// functions are given what they are made for.
func TestQueries(t *testing.T) {
	metrics := known(t)
	anyLabel := map[string]bool{"le": true}
	for _, f := range metrics {
		maps.Copy(anyLabel, f.labels)
	}
	for _, label := range targetLabels {
		anyLabel[label] = true
	}
	unused := elsewhere(t)
	for where, query := range expressions(t) {
		selectors, groupings := parse(query)
		assert.True(t, len(selectors) > 0 || strings.HasPrefix(query, "vector("), "%s asks for nothing", where)
		for _, label := range groupings {
			assert.True(t, anyLabel[label], "%s: no metric has the label %s", where, label)
		}
		for _, s := range selectors {
			delete(unused, s.name)
			f, suffix, ok := metrics.find(s.name)
			if !assert.True(t, ok, "%s: nothing exports %s", where, s.name) {
				continue
			}
			for label := range s.labels {
				assert.True(t, f.labels[label] || slices.Contains(targetLabels, label) || label == "le" && suffix == "_bucket",
					"%s: %s has no label %s", where, s.name, label)
			}
			// Without a suffix it is a native histogram, which not every scraper keeps.
			assert.False(t, f.kind == "histogram" && suffix == "", "%s: %s is a histogram", where, s.name)
			grows := f.kind == "counter" || suffix != ""
			for _, function := range s.within {
				switch function {
				case "rate", "increase", "irate":
					assert.True(t, grows, "%s: %s(%s), which is a %s", where, function, s.name, f.kind)
				case "histogram_quantile":
					assert.Equal(t, "_bucket", suffix, "%s: %s(%s)", where, function, s.name)
					assert.Contains(t, groupings, "le", where)
				}
			}
		}
	}
	assert.Empty(t, slices.Collect(maps.Keys(unused)), "listed and not in use")
}

// TestDocuments looks for each metric that a page names. A name before a star or
// an ellipsis stands for all that begin so.
func TestDocuments(t *testing.T) {
	metrics := known(t)
	name := regexp.MustCompile(`(?:^|[^\w/.:-])((?:tepal|http_server|kube|container|go|process|namespace_job:tepal|tepal:objective)_[a-z]\w*(?::\w+)*)(\*|…)?`)
	count := 0
	for path, text := range documents(t) {
		for _, found := range name.FindAllStringSubmatch(text, -1) {
			count++
			_, _, ok := metrics.find(found[1])
			for full := range metrics {
				ok = ok || found[2] != "" && strings.HasPrefix(full, found[1])
			}
			assert.True(t, ok, "%s: nothing exports %s", path, found[1])
		}
	}
	assert.Greater(t, count, 20)
}

// TestObjectives holds the time of the second objective to the histogram.
func TestObjectives(t *testing.T) {
	var bounds []string
	for _, r := range rules(t) {
		selectors, _ := parse(r.Expr)
		for _, s := range selectors {
			if le := s.labels["le"]; le != "" {
				bounds = append(bounds, le)
			}
		}
	}
	require.Len(t, bounds, 1, "the time has one place")
	metrics := exported(t)
	assert.True(t, metrics["http_server_request_duration_seconds"].bounds[bounds[0]], bounds[0])
}

// TestAlerts sees that whoever is woken knows why, and what to do.
func TestAlerts(t *testing.T) {
	index := read(t, playbooks+"/README.md")
	linked := make(map[string]bool)
	for _, r := range alertRules(t) {
		t.Run(r.Alert, func(t *testing.T) {
			assert.Regexp(t, `^Tepal[A-Z]`, r.Alert)
			assert.Contains(t, []string{"page", "ticket"}, r.Labels["severity"])
			assert.NotEmpty(t, r.Annotations["summary"])
			assert.NotEmpty(t, r.Annotations["description"])
			name, ours := strings.CutPrefix(r.Annotations["runbook_url"], runbooks)
			require.True(t, ours, r.Annotations["runbook_url"])
			linked[name] = true
			assert.Contains(t, read(t, filepath.Join(playbooks, name)), "`"+r.Alert+"`", "the playbook does not name it")
			assert.Contains(t, index, "| `"+r.Alert+"` | "+r.Labels["severity"]+" | ", "the index does not have it")
		})
	}
	files, err := filepath.Glob(playbooks + "/*.md")
	require.NoError(t, err)
	for _, file := range files {
		name := filepath.Base(file)
		assert.Equal(t, name != "README.md", linked[name], "%s: does an alert link to it?", name)
		assert.True(t, name == "README.md" || strings.Contains(index, "]("+name+")"), "the index does not link to %s", name)
	}
}

// TestPlaybooks sees that pages name only alerts there are, and have the same parts.
func TestPlaybooks(t *testing.T) {
	var names []string
	for _, r := range alertRules(t) {
		names = append(names, r.Alert)
	}
	for path, text := range documents(t) {
		for _, found := range regexp.MustCompile("`(Tepal[A-Z]\\w+)`").FindAllStringSubmatch(text, -1) {
			assert.Contains(t, names, found[1], path)
		}
		if filepath.Base(filepath.Dir(path)) != "playbooks" || filepath.Base(path) == "README.md" {
			continue
		}
		var parts []string
		for _, found := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(text, -1) {
			parts = append(parts, found[1])
		}
		assert.Equal(t, []string{"What it means", "What users see", "Where to look", "Likely causes", "What to do", "How to prevent it"}, parts, path)
	}
}

// TestAlertsAreTested wants each alert to fire, and not to, in rules_test.yaml.
func TestAlertsAreTested(t *testing.T) {
	fires, silent := make(map[string]bool), make(map[string]bool)
	for _, test := range tests(t).Tests {
		for _, a := range test.Alerts {
			if len(a.Expect) > 0 {
				fires[a.Name] = true
			} else {
				silent[a.Name] = true
			}
		}
	}
	for _, r := range alertRules(t) {
		assert.True(t, fires[r.Alert], "%s never fires", r.Alert)
		assert.True(t, silent[r.Alert], "%s always fires", r.Alert)
	}
}

// TestGrafana holds the dashboard to what one needs that is imported anywhere.
func TestGrafana(t *testing.T) {
	var dashboard struct {
		SchemaVersion int
		Panels        []struct {
			ID                       int
			Type, Title, Description string
			Datasource               struct{ UID string }
			FieldConfig              struct{ Defaults struct{ Unit string } }
			GridPos                  struct{ X, Y, W, H int }
			Targets                  []struct {
				RefID      string
				Datasource struct{ UID string }
				Exemplar   bool
			}
		}
		Templating struct{ List []struct{ Name, Type string } }
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, dashboards+"/grafana.json")), &dashboard))
	assert.GreaterOrEqual(t, dashboard.SchemaVersion, 39)
	ids, exemplars := make(map[int]bool), make(map[string]bool)
	taken := make(map[[2]int]string)
	for _, p := range dashboard.Panels {
		assert.False(t, ids[p.ID], "%s: its number is taken", p.Title)
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				place := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				assert.Less(t, place[0], 24, p.Title)
				require.Empty(t, taken[place], "%s overlaps", p.Title)
				taken[place] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		assert.NotEmpty(t, p.Description, p.Title)
		assert.NotEmpty(t, p.FieldConfig.Defaults.Unit, p.Title)
		assert.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		refs := make(map[string]bool)
		for _, target := range p.Targets {
			assert.Equal(t, "${datasource}", target.Datasource.UID, p.Title)
			assert.False(t, refs[target.RefID], p.Title)
			refs[target.RefID] = true
			exemplars[p.Type] = exemplars[p.Type] || target.Exemplar
		}
		assert.NotEmpty(t, refs, p.Title)
	}
	assert.True(t, exemplars["timeseries"] && exemplars["heatmap"], "exemplars lead from a slow request to its trace")
	var variables []string
	for _, v := range dashboard.Templating.List {
		variables = append(variables, v.Name)
	}
	assert.Equal(t, []string{"datasource", "namespace", "job", "model", "availability", "in_time", "threshold"}, variables)
}

// TestCloudMonitoring sees that every tile has a title and a unit, and its place.
func TestCloudMonitoring(t *testing.T) {
	type data struct {
		TimeSeriesQuery struct{ PrometheusQuery, UnitOverride string }
	}
	var dashboard struct {
		MosaicLayout struct {
			Columns int
			Tiles   []struct {
				XPos, YPos, Width, Height int
				Widget                    struct {
					Title     string
					XYChart   struct{ DataSets []data }
					Scorecard *data
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(read(t, dashboards+"/cloud-monitoring.json")), &dashboard))
	taken := make(map[[2]int]bool)
	for _, tile := range dashboard.MosaicLayout.Tiles {
		title := tile.Widget.Title
		assert.NotEmpty(t, title)
		list := tile.Widget.XYChart.DataSets
		if tile.Widget.Scorecard != nil {
			list = append(list, *tile.Widget.Scorecard)
		}
		require.NotEmpty(t, list, title)
		for _, d := range list {
			assert.NotEmpty(t, d.TimeSeriesQuery.PrometheusQuery, title)
			assert.NotEmpty(t, d.TimeSeriesQuery.UnitOverride, title)
		}
		for x := range tile.Width {
			for y := range tile.Height {
				place := [2]int{tile.XPos + x, tile.YPos + y}
				assert.Less(t, place[0], dashboard.MosaicLayout.Columns, title)
				require.False(t, taken[place], "%s overlaps", title)
				taken[place] = true
			}
		}
	}
}

// TestPromtool lets Prometheus itself read the queries, where its tool is
// installed; `make alerts` insists on it.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed; make alerts, which CI runs, insists on it")
	}
	type recording struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var list []recording
	for where, query := range expressions(t) {
		if !strings.HasPrefix(where, "rules") {
			list = append(list, recording{Record: fmt.Sprintf("q%d", len(list)), Expr: query})
		}
	}
	// JSON is YAML.
	text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboards", "rules": list}}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "dashboards.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	for _, args := range [][]string{{"check", "rules", "rules.yaml", file}, {"test", "rules", "rules_test.yaml"}} {
		out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput()
		assert.NoError(t, err, "%s", out)
	}
}
