package docs_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model/repository"
	"github.com/tepalhq/tepal/server"
	"github.com/tepalhq/tepal/telemetry"
)

var update = flag.Bool("update", false, "write the generated parts of documents anew")

// serveIris runs a server of the built-in model on free ports until the test
// ends, and returns its registry and its address.
func serveIris(t *testing.T) (*prometheus.Registry, string) {
	t.Helper()
	var registry *prometheus.Registry
	ctx, cancel := context.WithCancel(t.Context())
	srv, err := server.New(ctx, server.Options{
		Config: server.Config{HTTPAddr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0"},
		Source: repository.Source{Name: "iris", Data: artifacts.Iris},
		Logger: slog.New(slog.DiscardHandler),
		NewTelemetry: func(onPanic http.HandlerFunc) (*telemetry.Telemetry, error) {
			tel, err := telemetry.New(ctx, telemetry.Options{OnPanic: onPanic})
			if err == nil {
				registry = tel.Registry()
			}
			return tel, err
		},
	})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	url := "http://" + srv.HTTPAddr().String()
	require.Eventually(t, func() bool {
		resp, err := http.Get(url + "/ready_check") //nolint:forbidigo // A test's own client.
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, 10*time.Second, 5*time.Millisecond)
	return registry, url
}

// TestCatalogueOfMetrics holds the table of metrics to what a server that has
// answered a request and refused another exports: names, types, labels and
// help texts. With -update it writes the table.
func TestCatalogueOfMetrics(t *testing.T) {
	registry, url := serveIris(t)
	for body, status := range map[string]int{
		`{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`: http.StatusOK, `{`: http.StatusBadRequest,
	} {
		resp, err := http.Post(url+"/predict", "application/json", strings.NewReader(body)) //nolint:forbidigo // A test's own client.
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, status, resp.StatusCode)
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
