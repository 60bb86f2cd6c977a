//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"github.com/tepalhq/tepal/model/repository"
)

// childVariable makes the test's own program a child: it stands in for the one that a bench starts anew.
const childVariable = "BENCH_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
		return
	}
	// For all tests, so that none starts the tests anew.
	if err := os.Setenv(childVariable, "1"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// A comparison of answers that differ would compare nothing.
func TestHandlersGiveTheSameAnswers(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	served, err := repository.Open(t.Context(), source())
	require.NoError(t, err)
	var reference *caller
	for _, v := range variants() {
		if v.build == nil {
			continue
		}
		handler, shutdown, err := v.handler(t.Context(), io.Discard)
		require.NoError(t, err, v.name)
		c := newCaller(t.Context(), handler)
		if reference == nil {
			reference = c
		}
		for _, body := range bodies(&served.Schema) {
			answer := string(c.call(body))
			assert.NotContains(t, answer, "warnings", "%s: %s", v.name, body)
			assert.JSONEq(t, string(reference.call(body)), answer, "%s: %s", v.name, body)
		}
		require.NoError(t, shutdown(t.Context()), v.name)
	}
}

// TestCompare goes the whole way once, as briefly as it can.
func TestCompare(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(page, []byte("before\n"+beginMarker+"\nold\n"+endMarker+"\nafter\n"), 0o600))
	c := compareCmd{
		Rounds: 1, Duration: 50 * time.Millisecond, Connections: 2, Variants: []string{"traces-100", "tepal-1"},
		Commit: "abc", Write: page,
	}
	require.NoError(t, c.Run(t.Context()))
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	report := string(text)
	assert.True(t, strings.HasPrefix(report, "before\n"+beginMarker+"\n\n"))
	assert.True(t, strings.HasSuffix(report, "\n"+endMarker+"\nafter\n"))
	assert.Contains(t, report, "commit abc. 1 rounds of 50ms each, 2 connections.")
	assert.NotContains(t, report, "old")
	assert.NotContains(t, report, "NaN")
	cells := make(map[string]int)
	for line := range strings.Lines(report) {
		if name, _, found := strings.Cut(strings.TrimPrefix(line, "| `"), "` |"); found {
			cells[name]++
		}
	}
	// Of the whole server there is no handler to call alone.
	assert.Equal(t, map[string]int{"bare": 2, "traces-100": 2, "tepal-1": 1}, cells)
}

func TestCompareRefuses(t *testing.T) {
	for name, c := range map[string]compareCmd{
		"no round":        {Duration: time.Second, Connections: 1},
		"no time":         {Rounds: 1, Connections: 1},
		"no connection":   {Rounds: 1, Duration: time.Second},
		"unknown variant": {Rounds: 1, Duration: time.Second, Connections: 1, Variants: []string{"bear"}},
	} {
		assert.Error(t, c.Run(t.Context()), name)
	}
}

func TestCheckFindsAnotherAnswer(t *testing.T) {
	for name, test := range map[string]struct{ status, answer, fault string }{
		"the same but for space": {"200 OK", `{"a": 1}`, ""},
		"another number":         {"200 OK", `{"a":2}`, "is answered with"},
		"no JSON":                {"200 OK", `{`, "unexpected end"},
		"another status":         {"503 Service Unavailable", `{"a":1}`, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				assert.Equal(t, "question", string(got))
				if test.status[0] != '2' {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				_, err = io.WriteString(w, test.answer)
				assert.NoError(t, err)
			}))
			defer server.Close()
			err := check(t.Context(), server.Listener.Addr().String(), [][]byte{request([]byte("question"))}, [][]byte{[]byte(`{"a":1}`)})
			if test.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.fault)
		})
	}
}

// What the exporter sends is counted: three spans of one scope and two of another.
func TestCountSpans(t *testing.T) {
	c, err := newCollector(t.Context())
	require.NoError(t, err)
	defer c.server.Close()
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpoint(c.addr), otlptracehttp.WithInsecure())
	require.NoError(t, err)
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	for _, scope := range []string{"a", "a", "a", "b", "b"} {
		_, span := provider.Tracer(scope).Start(t.Context(), "work")
		span.SetAttributes(attribute.String("key", "value"))
		span.End()
	}
	require.NoError(t, provider.Shutdown(t.Context()))
	assert.EqualValues(t, 5, c.spans.Load())
	assert.Zero(t, count(nil, 1, 2, 2))
	assert.Zero(t, count([]byte{0xff}, 1, 2, 2), "no protobuf")
}

// The ratios are those of each round: 10/100, 60/200 and 60/300, whatever the medians are.
func TestCellTakesRatiosWithinRounds(t *testing.T) {
	rate := func(requests ...int) (list []sample) {
		for _, n := range requests {
			list = append(list, sample{used: used{Requests: n, Took: time.Second}})
		}
		return list
	}
	columns := serverColumns()
	ours, bare := rate(10, 60, 60), rate(100, 200, 300)
	assert.Equal(t, "60 (10–60)", columns[0].cell(ours, bare))
	assert.Equal(t, "0.20 (0.10–0.30)", columns[1].cell(ours, bare))
	assert.Equal(t, "35 (10–60)", columns[0].cell(ours[:2], bare[:2]), "of two, the mean")
}

func TestReplaceSectionNeedsMarkers(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(page, []byte(endMarker+beginMarker), 0o600))
	require.ErrorContains(t, replaceSection(page, "new"), "has no section")
}

func TestUsageGrows(t *testing.T) {
	before := readUsage()
	for n, deadline := 0, time.Now().Add(10*time.Second); readUsage().since(before).CPU < time.Millisecond; n++ {
		require.True(t, time.Now().Before(deadline), "no CPU time used by %d rounds of work", n)
		_, err := json.Marshal(make([]string, n))
		require.NoError(t, err)
	}
	used := readUsage().since(before)
	assert.Positive(t, used.Mallocs)
	assert.Positive(t, used.Bytes)
}
