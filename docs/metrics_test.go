package docs_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the generated parts of documents anew")

// TestCatalogueOfMetrics holds the table of metrics to what a server that has
// answered a request and refused another exports: names, types, labels and
// help texts. With -update it writes the table.
func TestCatalogueOfMetrics(t *testing.T) {
	address, registry := serve(t)
	for body, status := range map[string]int{
		`{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`: http.StatusOK, `{`: http.StatusBadRequest,
	} {
		got, _ := exchange(t, address, "POST /predict\nContent-Type: application/json\n\n"+body)
		require.Equal(t, status, got)
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	var table strings.Builder
	table.WriteString("\n\n| name | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	exported := make(map[string]bool)
	for _, family := range families {
		name := family.GetName()
		exported[name] = true
		if standard(name) {
			continue
		}
		var labels []string
		for _, pair := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+pair.GetName()+"`")
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()), strings.Join(labels, ", "), family.GetHelp())
	}
	// What was not exercised would be missing.
	descs := make(chan *prometheus.Desc, 1000)
	registry.Describe(descs)
	close(descs)
	for desc := range descs {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(desc.String())[1]
		if !standard(name) {
			assert.Contains(t, exported, name)
		}
	}

	path := filepath.Join(root, "docs/telemetry.md")
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(page), "<!-- metrics -->")
	require.True(t, ok)
	have, after, ok := strings.Cut(rest, "\n<!-- end of metrics -->")
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(before+"<!-- metrics -->"+table.String()+"\n<!-- end of metrics -->"+after), 0o600))
		return
	}
	assert.Equal(t, table.String(), have, "run: go test ./docs -run TestCatalogueOfMetrics -update")
}

// standard reports whether a metric is one of the Prometheus client's own.
func standard(name string) bool {
	return strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_")
}
