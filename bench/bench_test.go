//go:build linux

package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
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
	served, err := repository.Open(t.Context(), variant{}.source())
	require.NoError(t, err)
	var reference *caller
	for _, v := range telemetrySuite().variants {
		if v.build == nil {
			continue
		}
		handler, shutdown, err := v.build(t.Context(), served, io.Discard)
		require.NoError(t, err, v.name)
		c := newCaller(t.Context(), routed(handler))
		if reference == nil {
			reference = c
		}
		for _, body := range bodies(&served.Schema, 1) {
			answer := string(c.call(body))
			assert.NotContains(t, answer, "warnings", "%s: %s", v.name, body)
			assert.JSONEq(t, string(reference.call(body)), answer, "%s: %s", v.name, body)
		}
		require.NoError(t, shutdown(t.Context()), v.name)
	}
}

func TestBodiesHaveTheirRows(t *testing.T) {
	served, err := repository.Open(t.Context(), variant{}.source())
	require.NoError(t, err)
	for _, rows := range []int{2, 300} {
		for _, body := range bodies(&served.Schema, rows) {
			var batch []map[string]float64
			require.NoError(t, json.Unmarshal(body, &batch))
			assert.Len(t, batch, rows)
			assert.Len(t, batch[rows-1], 4)
		}
	}
}

// cells counts the rows of a report's tables by their names.
func cells(report string) map[string]int {
	found := make(map[string]int)
	for line := range strings.Lines(report) {
		if name, _, is := strings.Cut(strings.TrimPrefix(line, "| `"), "` |"); is {
			found[name]++
		}
	}
	return found
}

// TestCompare goes the whole way once, as briefly as it can.
func TestCompare(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, os.WriteFile(page, []byte("before\n<!-- bench-telemetry:begin -->\nold\n<!-- bench-telemetry:end -->\nafter\n"), 0o600))
	c := compareCmd{Suite: "telemetry", Rounds: 1, Duration: 50 * time.Millisecond, Commit: "abc", Write: page}
	require.NoError(t, c.Run(t.Context()))
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	report := string(text)
	assert.True(t, strings.HasPrefix(report, "before\n<!-- bench-telemetry:begin -->\n\n"))
	assert.True(t, strings.HasSuffix(report, "\n<!-- bench-telemetry:end -->\nafter\n"))
	assert.Contains(t, report, "commit abc. 1 rounds of 50ms each.")
	assert.NotContains(t, report, "old")
	assert.NotContains(t, report, "NaN")
	// Of the whole server there is no handler to call alone.
	assert.Equal(t, map[string]int{
		"bare": 2, "door": 2, "metrics": 2, "logs": 2, "traces-1": 2, "traces-100": 2, "tepal-1": 1, "tepal-100": 1, "stock": 2,
	}, cells(report))
	c.Variants = []string{"stock"}
	require.NoError(t, c.Run(t.Context()))
	again, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Equal(t, report, string(again), "a part is no result")
}

// Another program is measured from outside: here this one again, which another suite would take for a stranger.
func TestAnotherProgram(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "1000 bytes"), make([]byte, 1000), 0o600))
	program := func(name string, at float64) variant {
		return variant{name: name, sampled: "1", size: []string{folder}, at: at, command: []string{self, "child", "traces-100", "--port", "{port}"}}
	}
	page := filepath.Join(folder, "page.md")
	require.NoError(t, os.WriteFile(page, []byte("<!-- bench-few:begin --><!-- bench-few:end -->"), 0o600))
	b, err := newBench(&compareCmd{Suite: "telemetry", Duration: 200 * time.Millisecond, Rounds: 1, Write: page})
	require.NoError(t, err)
	defer b.collector.Close()
	one, two := program("one", 1), program("two", 2)
	requests := func(s sample) float64 { return float64(s.loads[2].requests) }
	b.suite = suite{
		name: "few", variants: []variant{one, two}, slopes: []slope{{"", "thing"}},
		loads: []load{{connections: 2}, {connections: 4, share: 0.1}, {connections: 2, rate: 100}},
		tables: []table{
			{"Files:", nil, []column{{"MB on the disk", 4, true, sample.onDisk, itself}}, []int{0}},
			{"Loads:", []string{"t"}, loadColumns(2), nil},
		},
		bars: []bar{
			{column{"so many", 2, true, requests, itself}, "two", 21, false},
			{column{"so few", 2, true, requests, itself}, "two", 21, true},
			{column{"not measured", 2, true, sample.onDisk, itself}, "three", 1, true},
		},
	}
	for _, v := range b.variants {
		s, err := b.measure(t.Context(), &v)
		require.NoError(t, err)
		assert.Positive(t, s.ready)
		assert.Positive(t, s.resident())
		assert.Equal(t, 20, s.loads[2].requests, "100 a second for 200 ms")
		// Its last spans may be lost: it ends by the signal that tells it to.
		b.samples[v.name] = []sample{s}
	}
	report, err := b.report(t.Context())
	require.NoError(t, err)
	assert.Contains(t, report, "| so many | at least 21 | 20.00 (20.00–20.00) | **missed** |\n| so few | at most 21 | 20.00 (20.00–20.00) | held |\n\nFiles:")
	assert.Contains(t, report, "| `one` | 0.0010 (0.0010–0.0010) |")
	assert.Equal(t, map[string]int{"one": 1, "two": 2}, cells(report))
	assert.Contains(t, report, "more for each thing.")
	require.NoError(t, b.write(report))
	svg, err := os.ReadFile(filepath.Join(folder, "page-few.svg"))
	require.NoError(t, err)
	assert.Contains(t, string(svg), "Files: MB on the disk")
	require.NoError(t, xml.Unmarshal(svg, new(struct{})))
}

func TestCompareRefuses(t *testing.T) {
	for name, c := range map[string]compareCmd{
		"no round":        {Suite: "telemetry", Duration: time.Second},
		"no time":         {Suite: "telemetry", Rounds: 1},
		"unknown variant": {Suite: "telemetry", Rounds: 1, Duration: time.Second, Variants: []string{"bear"}},
	} {
		assert.Error(t, c.Run(t.Context()), name)
	}
}

// Every table and bar of a suite shows something, and every slope has a line to fit.
func TestSuites(t *testing.T) {
	for name, make := range suites() {
		b := bench{suite: make()}
		assert.Equal(t, name, b.name)
		for _, table := range b.tables {
			assert.NotEmpty(t, b.shown(table.of), "%s: %s", name, table.title)
		}
		for _, limit := range b.bars {
			_, err := find(b.variants, limit.against)
			assert.NoError(t, err, name)
		}
		for _, s := range b.slopes {
			assert.Greater(t, len(b.shown([]string{s.of})), 2, s.of)
		}
	}
}

// 1 µs for each of 10, 20 and 30 trees, and 5 µs for the rest.
func TestSlope(t *testing.T) {
	b := bench{samples: make(map[string][]sample)}
	for _, n := range []float64{10, 20, 30} {
		v := variant{name: fmt.Sprint("trees ", n), at: n}
		b.variants = append(b.variants, v)
		o := outcome{requests: 1, usage: usage{CPU: time.Duration(5+n) * time.Microsecond}}
		b.samples[v.name] = []sample{{loads: []outcome{o}}}
	}
	var text strings.Builder
	b.writeSlope(&text, slope{"trees", "tree"})
	assert.Equal(t, "\nA request takes 5.0 µs of a processor, and 1.000 µs more for each tree.\n", text.String())
}

func TestCheckFindsAnotherAnswer(t *testing.T) {
	const right = `{"label": "a", "probabilities": {"a": 0.75, "b": 0.25}}`
	for name, test := range map[string]struct{ status, answer, fault string }{
		"the same but for rounding": {"200 OK", `{"label":"a","probabilities":{"b":0.25000001,"a":0.75},"more":1}`, ""},
		"another label":             {"200 OK", `{"label":"b","probabilities":{"a":0.75,"b":0.25}}`, "is answered with"},
		"another probability":       {"200 OK", `{"label":"a","probabilities":{"a":0.7501,"b":0.25}}`, "is answered with"},
		"a class too few":           {"200 OK", `{"label":"a","probabilities":{"a":0.75}}`, "is answered with"},
		"another class":             {"200 OK", `{"label":"a","probabilities":{"a":0.75,"c":0.25}}`, "is answered with"},
		"long, so in chunks":        {"200 OK", right + strings.Repeat(" ", 1<<16), ""},
		"no JSON":                   {"200 OK", `{`, "unexpected end"},
		"another status":            {"503 Service Unavailable", right, "503"},
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
			question := request([]byte("question"))
			err := check(t.Context(), server.Listener.Addr().String(), [][]byte{question, question}, [][]byte{[]byte(right), []byte(right)})
			if test.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.fault)
		})
	}
}

// With one connection and answers that take 20 ms, requests that are due each 10 ms wait for longer and longer, and that is
// seen: the fifth is due after 40 ms and is answered after 100.
func TestOpenLoopCountsFromWhenARequestWasDue(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		<-time.After(20 * time.Millisecond)
	}))
	defer server.Close()
	l := load{connections: 1, rate: 100}
	took, err := l.send(t.Context(), server.Listener.Addr().String(), [][]byte{request(nil)}, 50*time.Millisecond)
	require.NoError(t, err)
	require.Len(t, took, 5)
	assert.GreaterOrEqual(t, took[0], 19*time.Millisecond)
	assert.GreaterOrEqual(t, took[4], 59*time.Millisecond)
}

// What the exporter sends is counted: three spans of one scope and two of another.
func TestCountSpans(t *testing.T) {
	c := newCollector()
	defer c.Close()
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(c.URL))
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
			list = append(list, sample{loads: []outcome{{requests: n, took: time.Second}}})
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
	require.NoError(t, os.WriteFile(page, []byte("endbegin"), 0o600))
	require.ErrorContains(t, replaceSection(page, "begin", "end", "new"), "has no section")
}

func TestUsageGrows(t *testing.T) {
	read := func() usage {
		u := allocated()
		require.NoError(t, u.add(strconv.Itoa(os.Getpid())))
		return u
	}
	before := read()
	for n, deadline := 0, time.Now().Add(time.Minute); read().since(before).CPU < 20*time.Millisecond; n++ {
		require.True(t, time.Now().Before(deadline), "no CPU time used by %d rounds of work", n)
		_, err := json.Marshal(make([]string, n))
		require.NoError(t, err)
	}
	used := read().since(before)
	assert.Positive(t, used.Mallocs)
	assert.Positive(t, used.Bytes)
	assert.Positive(t, used.Resident)
}

// BenchmarkRequest is the way of one instance through the built-in model, step by step. BenchmarkChain, in the package
// server, has all of them and what stands before and after.
func BenchmarkRequest(b *testing.B) {
	served, err := repository.Open(b.Context(), variant{}.source())
	require.NoError(b, err)
	var x work
	list := bodies(&served.Schema, 1)
	decode := func(n int) error {
		x.body.Reset()
		x.body.Write(list[n%len(list)])
		return x.decoder.Decode(served.Codec, &x.body, &x.request, 1)
	}
	require.NoError(b, decode(0)) // for the steps after it
	steps := map[string]func(n int) error{
		"decode":  decode,
		"program": func(int) error { return served.Predict(b.Context(), &x.request.Batch, &x.answers) },
		"encode":  func(int) error { x.out = served.Codec.Append(x.out[:0], &x.request, &x.answers); return nil },
	}
	for _, name := range []string{"decode", "program", "encode"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if err := steps[name](n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
