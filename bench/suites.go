//go:build linux

package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// suite is what one run measures.
type suite struct {
	name     string    // of the markers, and in that of the file of the plots
	variants []variant // each table compares with its first
	loads    []load
	alone    bool // also call the handlers without a network
	tables   []table
	bars     []bar
	slopes   []slope
	versions bool // of the peer
}

// table shows some columns of the variants whose names begin with one of some words; of all, when there is none.
type table struct {
	title   string
	of      []string
	columns []column
	plots   []int // the columns that are drawn too
}

// bar is what a number of the first variant, or its ratio to another's, is promised to be.
type bar struct {
	column
	against string
	limit   float64
	most    bool // the limit is the most allowed, otherwise the least
}

// slope is how the processor time of a request, or of its rows, grows along the variants of a table.
type slope struct{ of, unit string }

func suites() map[string]func() suite {
	return map[string]func() suite{"telemetry": telemetrySuite, "peers": peersSuite, "scale": scaleSuite, "gc": gcSuite}
}

// telemetrySuite adds layer by layer to a bare handler.
func telemetrySuite() suite {
	return suite{
		name: "telemetry", alone: true, loads: []load{{title: "16 connections", connections: 16}},
		variants: []variant{
			{name: "bare", build: bare},
			{name: "door", build: door},
			{name: "metrics", build: layered("off")},
			{name: "logs", build: layered("all")},
			{name: "traces-1", sampled: "0.01", build: layered("all")},
			{name: "traces-100", sampled: "1", build: layered("all")},
			{name: "tepal-1", sampled: "0.01"},
			{name: "tepal-100", sampled: "1"},
			{name: "stock", sampled: "0.01", build: stock},
		},
		tables: []table{
			{"The variants, and what they cost over loopback on 16 connections, for each request:", nil, serverColumns(), nil},
			{"Their handlers alone, without a network, for each call:", []string{"bare", "door", "metrics", "logs", "traces", "stock"}, handlerColumns(), nil},
		},
	}
}

const (
	binary = "bin/tepal"
	models = "bin/models"
	python = ".venv/peer"
	// sampled is the share of requests that are traced, of every variant that has telemetry.
	sampled = "0.01"
)

// shippedServer is Tepal as it is started in production, with a model.
func shippedServer(name, file string, rows int, env ...string) variant {
	path := filepath.Join(models, file)
	return variant{
		name: name, sampled: sampled, model: path, rows: rows, env: env, size: []string{binary, path},
		command: []string{binary, "serve", path, "--http-addr", "127.0.0.1:{port}", "--ops-addr", "127.0.0.1:0", "--drain-delay", "0s"},
	}
}

// peer is the service in Python.
func peer(name, file string, workers int, env ...string) variant {
	path := filepath.Join(models, file)
	return variant{
		name: name, sampled: sampled, model: filepath.Join(models, "forest.onnx"), other: file != "forest.joblib", size: []string{python, path},
		env: append(env, "PEER_MODEL="+path),
		command: []string{
			python + "/bin/uvicorn", "--app-dir", "bench/peer", "service:app", "--port", "{port}", "--workers", strconv.Itoa(workers),
			"--no-access-log", "--log-level", "warning",
		},
	}
}

// peersSuite compares Tepal with a bare handler and with the service in Python.
func peersSuite() suite {
	loads := []load{
		{title: "closed loop, 1 connection", connections: 1},
		{title: "closed loop, 16 connections", connections: 16},
		{title: "open loop, a tenth of what each bears", connections: 64, share: 0.1},
		{title: "open loop, 50 requests a second", connections: 64, rate: 50},
	}
	plots := [][]int{nil, {0, 5}, {3}, nil}
	tables := []table{{"At rest, and on the disk:", nil, []column{
		{"start to ready, ms", 0, true, sample.startup, itself},
		{"MB after the load", 1, true, sample.resident, itself},
		{"MB on the disk", 1, false, sample.onDisk, itself},
	}, []int{0, 1, 2}}}
	for i, l := range loads {
		tables = append(tables, table{strings.ToUpper(l.title[:1]) + l.title[1:] + ":", nil, loadColumns(i), plots[i]})
	}
	times := func(title, against string, limit float64) bar {
		return bar{column{title, 2, true, of(1, outcome.rate), toFirst}, against, limit, false}
	}
	return suite{
		name: "peers", versions: true, loads: loads, tables: tables,
		variants: []variant{
			shippedServer("tepal", "forest.onnx", 0),
			{name: "bare", build: bare, model: filepath.Join(models, "forest.onnx")},
			peer("guide-forest-1", "forest.joblib", 1), peer("guide-forest-2", "forest.joblib", 2),
			peer("guide-logistic-1", "logistic.joblib", 1), peer("guide-logistic-2", "logistic.joblib", 2),
			peer("lean-logistic-1", "logistic.joblib", 1, "PEER_LEAN=1"), peer("lean-logistic-2", "logistic.joblib", 2, "PEER_LEAN=1"),
		},
		bars: []bar{
			times("requests a second, times the forest's in Python with one worker", "guide-forest-1", 100),
			times("requests a second, times the forest's in Python with two workers", "guide-forest-2", 100),
			times("requests a second, times the logistic regression's with one worker", "guide-logistic-1", 30),
			times("requests a second, times the logistic regression's with two workers", "guide-logistic-2", 30),
			{column{"MB resident after the load", 2, true, sample.resident, itself}, "tepal", 40, true},
			{column{"ms from the start to ready, golden rows included", 2, true, sample.startup, itself}, "tepal", 150, true},
			{column{"p99 at a tenth of the capacity, times the bare handler's", 2, true, of(2, outcome.p99Micros), toFirst}, "bare", 1.3, true},
		},
	}
}

// scaleSuite varies one thing at a time.
func scaleSuite() suite {
	s := suite{
		name: "scale", loads: []load{{title: "16 connections", connections: 16}},
		slopes: []slope{{"trees", "tree"}, {"features", "feature"}, {"rows", "row"}},
	}
	add := func(name string, at int, file string, rows int, env ...string) {
		v := shippedServer(fmt.Sprintf("%s %d", name, at), file, rows, env...)
		v.at, v.other = float64(at), true
		s.variants = append(s.variants, v)
	}
	for _, n := range []int{10, 70, 300, 1000} {
		add("trees", n, fmt.Sprintf("trees-%d.onnx", n), 1)
	}
	for _, n := range []int{4, 32, 128} {
		add("features", n, fmt.Sprintf("features-%d.onnx", n), 1)
	}
	for _, n := range []int{1, 10, 100, 1000, 10000} {
		add("rows", n, "forest.onnx", n)
	}
	for _, n := range []int{1, 2} {
		add("one row, GOMAXPROCS", n, "forest.onnx", 1, fmt.Sprint("GOMAXPROCS=", n))
		add("1000 rows, GOMAXPROCS", n, "forest.onnx", 1000, fmt.Sprint("GOMAXPROCS=", n))
	}
	// What is drawn is the time of a request, rows a core-second, or requests a second.
	for _, of := range []struct {
		name string
		plot int
	}{{"trees", 3}, {"features", 3}, {"rows", 5}, {"one row", 0}, {"1000 rows", 0}} {
		s.tables = append(s.tables, table{strings.ToUpper(of.name[:1]) + of.name[1:] + ":", []string{of.name}, scaleColumns(), []int{of.plot}})
	}
	return s
}

// gcSuite varies the pace of the garbage collector.
func gcSuite() suite {
	s := suite{name: "gc", loads: []load{{title: "16 connections", connections: 16}, {connections: 64, share: 0.1}}}
	for _, env := range []string{"GOGC=250", "GOGC=50", "GOGC=100", "GOGC=200", "GOGC=400", "GOGC=400 GOMEMLIMIT=36MiB"} {
		s.variants = append(s.variants, shippedServer(env, "forest.onnx", 0, strings.Fields(env)...))
	}
	s.tables = []table{
		{"16 connections, closed loop:", nil, append(loadColumns(0), column{"MB", 1, true, sample.resident, itself}), nil},
		{"Open loop, at a tenth of that:", nil, loadColumns(1), nil},
	}
	return s
}

func (s sample) startup() float64 { return float64(s.ready) / float64(time.Millisecond) }

// onDisk has no number for the handlers of this program, whose file holds all of them.
func (s sample) onDisk() float64 {
	if s.size == 0 {
		return math.NaN()
	}
	return s.size / 1e6
}

// resident is what the processes hold after the loads that ask for all they can give, workers included.
func (s sample) resident() float64 {
	most := 0.0
	for _, o := range s.loads {
		most = max(most, float64(o.Resident))
	}
	return most / 1e6
}
