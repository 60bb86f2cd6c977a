package drift

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// TestPSI: with numbers worked out by hand. With a floor of 0.0001, ln 10000 = 9.210340372 and ln 5000 = 8.517193191.
func TestPSI(t *testing.T) {
	for _, test := range []struct {
		name            string
		live, reference []uint64
		want            float64
	}{
		{"the same", []uint64{30, 70}, []uint64{30, 70}, 0},
		{"the same shares", []uint64{3, 7}, []uint64{300, 700}, 0},
		// 0.3 ln(0.8/0.5) - 0.3 ln(0.2/0.5) = 0.3 ln 4
		{"80/20 for 50/50", []uint64{80, 20}, []uint64{50, 50}, 0.415888308},
		{"it is symmetric", []uint64{50, 50}, []uint64{80, 20}, 0.415888308},
		// 0.1 ln(0.3/0.2) + 0 ln(0.5/0.5) - 0.1 ln(0.2/0.3) = 0.2 ln 1.5
		{"three bins", []uint64{3, 5, 2}, []uint64{20, 50, 30}, 0.081093022},
		// -0.5 ln(0.5/1) + 0.4999 ln(0.5/0.0001) = 0.346573590 + 4.257744876
		{"a bin that was empty", []uint64{50, 50}, []uint64{100, 0}, 4.604318466},
		// 2 x 0.9999 ln(1/0.0001)
		{"everything moved", []uint64{0, 9}, []uint64{9, 0}, 18.418838676},
		{"empty in both", []uint64{5, 0}, []uint64{9, 0}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := psi(test.live, test.reference)
			require.True(t, ok)
			assert.InDelta(t, test.want, got, 1e-9)
		})
	}
	_, ok := psi([]uint64{0, 0}, []uint64{1, 1})
	assert.False(t, ok, "no samples")
	_, ok = psi([]uint64{1, 1}, []uint64{0, 0})
	assert.False(t, ok, "no reference")
}

// TestOracle: counts and indexes are those that NumPy and SciPy come to.
func TestOracle(t *testing.T) {
	text, err := os.ReadFile("testdata/psi.json")
	require.NoError(t, err)
	var cases []struct {
		Name, Type string
		Edges      []float64
		Reference  []int64
		Values     []*float64
		Counts     []uint64
		Missing    uint64
		OutOfRange uint64 `json:"out_of_range"`
		PSI        float64
	}
	require.NoError(t, json.Unmarshal(text, &cases))
	require.NotEmpty(t, cases)
	types := map[string]model.Type{
		"float32": model.Float32, "float64": model.Float64, "int32": model.Int32, "int64": model.Int64, "bool": model.Bool,
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			m := regression(model.Feature{
				Histogram: &model.Histogram{Edges: c.Edges, Counts: c.Reference},
				Minimum:   &c.Edges[0], Maximum: &c.Edges[len(c.Edges)-1],
			})
			m.Schema.Features[0].Type, m.Schema.Inputs[0].Type = types[c.Type], types[c.Type]
			m.Program = programFunc(func(in, out []model.Tensor) { out[0].Resize(model.Float64, in[0].Rows(), 1) })
			var x exchange
			x.batch.Reset(&m.Schema)
			for _, v := range c.Values {
				if v == nil {
					missing := nan()
					v = &missing
				}
				row, cells := x.batch.Append(&m.Schema), &x.batch.Inputs[0]
				switch cells.Type {
				case model.Float32:
					cells.Float32s[row] = float32(*v)
				case model.Float64:
					cells.Float64s[row] = *v
				case model.Int32:
					cells.Int32s[row] = int32(*v)
				case model.Int64:
					cells.Int64s[row] = int64(*v)
				case model.Bool:
					cells.Bools[row] = *v == 1
				}
			}
			require.NoError(t, m.Predict(t.Context(), &x.batch, &x.answers))
			monitor := watch(t, m)
			monitor.observe(&x)
			got := monitor.Report().Features[0]
			assert.Equal(t, c.Counts, got.Live.Counts)
			assert.Equal(t, c.Missing, got.Missing)
			assert.Equal(t, c.OutOfRange, got.OutOfRange)
			assert.Equal(t, uint64(len(c.Values))-c.Missing, got.Samples)
			require.NotNil(t, got.PSI)
			assert.InDelta(t, c.PSI, *got.PSI, 1e-6)
		})
	}
}

// TestReport: the bins hold their lower edges, the last one its upper edge too, and those at the ends what is beyond.
func TestReport(t *testing.T) {
	low, high := 0.25, 2.5
	m := regression(
		model.Feature{Name: "whole", Histogram: halves(), Minimum: &low, Maximum: &high},
		model.Feature{Name: "bare", Minimum: &low},
		model.Feature{Name: "unknown", Histogram: &model.Histogram{Edges: []float64{0, 1}, Counts: []int64{0}}},
	)
	m.Training = &model.Training{Values: halves()}
	monitor := watch(t, m)
	monitor.observe(ask(t, m,
		[]float64{-9, 0, 0}, []float64{0.25, 1, 0}, []float64{math.Nextafter(1, 0), 0.25, 0}, []float64{1, nan(), 0},
		[]float64{2, math.Inf(1), 0}, []float64{2.5, math.Inf(-1), 0}, []float64{math.Inf(1), 5, 0}, []float64{nan(), 5, 0},
	))
	got, err := json.Marshal(monitor.Report())
	require.NoError(t, err)
	// 3 of 7 and 4 of 7: (3/7 - 1/2) ln(6/7) + (4/7 - 1/2) ln(8/7) = (1/14) ln(4/3) = 0.020549. The output is the first
	// feature, and out of range beyond the edges.
	assert.JSONEq(t, `{
		"model":"made", "version":"7", "window_seconds":3600,
		"features":[
			{"name":"whole", "psi":0.020549, "samples":7, "missing":1, "out_of_range":2,
			 "reference":{"edges":[0,1,2],"counts":[50,50]}, "live":{"counts":[3,4]}},
			{"name":"bare", "psi":null, "samples":7, "missing":1, "out_of_range":2, "reference":null, "live":null},
			{"name":"unknown", "psi":null, "samples":8, "missing":0, "out_of_range":0,
			 "reference":{"edges":[0,1],"counts":[0]}, "live":{"counts":[8]}}],
		"output":{"psi":0.020549, "samples":7, "missing":1, "out_of_range":3,
			"reference":{"edges":[0,1,2],"counts":[50,50]}, "live":{"counts":[3,4]}}}`, string(got))
}

// TestInputs: features may be spread over inputs in any order. A text is a value, even an empty one, and its histogram,
// if an artifact has one, says nothing of it.
func TestInputs(t *testing.T) {
	m := regression()
	m.Schema.Inputs = []model.Input{
		{Name: "a", Type: model.Float32, Columns: 2}, {Name: "b", Type: model.String, Columns: 1, Vector: true},
	}
	m.Schema.Features = []model.Feature{
		{Name: "text", Type: model.String, Input: 1, Histogram: halves()},
		{Name: "second", Type: model.Float32, Column: 1, Histogram: halves()},
		{Name: "first", Type: model.Float32, Histogram: halves()},
	}
	m.Schema.Outputs = []model.Output{{Name: "y", Role: model.RoleValue, Type: model.Float32, Columns: 2}}
	m.Program = programFunc(func(in, out []model.Tensor) { out[0].Resize(model.Float32, in[0].Rows(), 2) })
	var x exchange
	x.batch.Reset(&m.Schema)
	for range 3 {
		x.batch.Append(&m.Schema)
	}
	copy(x.batch.Inputs[0].Float32s, []float32{0, 1.5, 0.5, 1.5, 1, 1.5})
	copy(x.batch.Inputs[1].Strings, []string{"", "x", ""})
	require.NoError(t, m.Predict(t.Context(), &x.batch, &x.answers))
	monitor := watch(t, m)
	monitor.observe(&x)
	r := monitor.Report()
	assert.Equal(t, Variable{Name: "text", Samples: 3}, r.Features[0])
	assert.Equal(t, []uint64{0, 3}, r.Features[1].Live.Counts)
	assert.Equal(t, []uint64{2, 1}, r.Features[2].Live.Counts)
	assert.Nil(t, r.Output, "a value with two targets is not watched")
}

func TestLabels(t *testing.T) {
	many := model.Classes{}
	labels := make(map[string]int64)
	for i := range 250 {
		many.Ints = append(many.Ints, int64(i))
		labels[strconv.Itoa(i)] = 1
	}
	for _, test := range []struct {
		name     string
		classes  model.Classes
		training *model.Training
		answers  []float64
		check    func(t *testing.T, got *Variable)
	}{
		{
			"texts", model.Classes{Strings: []string{"a", "b"}}, &model.Training{Labels: map[string]int64{"a": 50, "b": 50}},
			[]float64{0, 0, 0, 0, 1},
			func(t *testing.T, got *Variable) {
				assert.Equal(t, []string{"a", "b"}, got.Labels)
				assert.Equal(t, []uint64{50, 50}, got.Reference.Counts)
				assert.Equal(t, []uint64{4, 1}, got.Live.Counts)
				assert.InDelta(t, 0.415888, *got.PSI, 1e-9) // 0.3 ln 4, as above
			},
		},
		{
			"nothing known of training", model.Classes{Strings: []string{"a", "b"}}, nil, []float64{1},
			func(t *testing.T, got *Variable) {
				assert.Nil(t, got.Reference)
				assert.Nil(t, got.PSI)
				assert.Equal(t, []uint64{0, 1}, got.Live.Counts)
			},
		},
		{
			"a label that is no class", model.Classes{Ints: []int64{0, 1}}, nil, []float64{1, 5},
			func(t *testing.T, got *Variable) {
				assert.Equal(t, uint64(1), got.Samples)
				assert.Equal(t, uint64(1), got.Missing)
			},
		},
		{
			"more than 200", many, &model.Training{Labels: labels}, []float64{0, 199, 200, 249},
			func(t *testing.T, got *Variable) {
				require.Len(t, got.Labels, 201)
				assert.Equal(t, []string{"0", "199", "_OTHER"}, []string{got.Labels[0], got.Labels[199], got.Labels[200]})
				assert.Equal(t, []uint64{1, 1, 2}, []uint64{got.Live.Counts[0], got.Live.Counts[199], got.Live.Counts[200]})
				assert.Equal(t, uint64(50), got.Reference.Counts[200])
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := classifier(test.classes)
			m.Training = test.training
			monitor := watch(t, m)
			var rows [][]float64
			for _, class := range test.answers {
				rows = append(rows, []float64{class})
			}
			monitor.observe(ask(t, m, rows...))
			test.check(t, monitor.Report().Output)
		})
	}
}

// after lets the time of a synctest bubble pass.
func after(d time.Duration) { <-time.After(d) }

// TestWindow: rows count for an hour, in panes of a minute, and then no more, also when nothing comes.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := regression(model.Feature{Histogram: halves()})
		monitor := watch(t, m)
		var running sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		running.Go(func() { monitor.Run(ctx) })
		counts := func() []uint64 { return monitor.Report().Features[0].Live.Counts }
		monitor.observe(ask(t, m, repeat(3, 0)...))
		assert.Equal(t, []uint64{3, 0}, counts())
		after(30 * time.Minute)
		monitor.observe(ask(t, m, repeat(2, 1)...))
		after(29*time.Minute + 59*time.Second)
		assert.Equal(t, []uint64{3, 2}, counts(), "the first pane is the oldest one left")
		after(time.Second)
		assert.Equal(t, []uint64{0, 2}, counts())
		after(29 * time.Minute)
		monitor.observe(ask(t, m, repeat(1, 0)...))
		assert.Equal(t, []uint64{1, 2}, counts())
		after(time.Minute)
		assert.Equal(t, []uint64{1, 0}, counts())
		after(3 * time.Hour)
		got := monitor.Report().Features[0]
		assert.Equal(t, []uint64{0, 0}, got.Live.Counts)
		assert.Nil(t, got.PSI)
		monitor.observe(ask(t, m, repeat(4, 1)...))
		assert.Equal(t, []uint64{0, 4}, counts())
		stop()
		running.Wait()
	})
}

// TestPaneIsFull: a count that would not fit in its pane is not made, so that none is left when the pane goes.
func TestPaneIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(time.Hour, 1)
		w.ring[0][0], w.live[0] = math.MaxUint32-1, math.MaxUint32-1
		w.add(0)
		w.add(0)
		assert.Equal(t, uint64(math.MaxUint32), w.live[0])
		after(time.Hour)
		w.advance()
		assert.Zero(t, w.live[0])
	})
}

// TestRun: Run makes room when a block is full and in any case every second, and ends with its context.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := regression(model.Feature{Histogram: halves()})
		monitor := watch(t, m)
		var running sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		running.Go(func() { monitor.Run(ctx) })
		rows := bufferValues / 2 / 4
		x := ask(t, m, repeat(rows, 0)...)
		for range 40 {
			monitor.observe(x)
			synctest.Wait()
		}
		assert.Equal(t, uint64(40*rows), monitor.Report().Features[0].Samples)
		monitor.observe(ask(t, m, []float64{0}))
		after(foldInterval + time.Millisecond)
		monitor.buffer.mu.Lock()
		assert.Empty(t, monitor.buffer.partial)
		monitor.buffer.mu.Unlock()
		stop()
		running.Wait()
	})
}

// TestBounds: what nobody folds is taken up to a limit and no further; what is beyond it is reported.
func TestBounds(t *testing.T) {
	var dropped int
	m := regression(model.Feature{Histogram: halves()})
	monitor := New(m, time.Hour, func(rows int) { dropped += rows })
	const held = bufferValues / 2 // a row is a feature and the output
	x := ask(t, m, repeat(10_000, 1)...)
	for range 100 {
		monitor.observe(x)
	}
	assert.Equal(t, 1_000_000-held, dropped)
	assert.Equal(t, uint64(held), monitor.Report().Features[0].Samples)
	monitor.observe(x)
	assert.Equal(t, 1_000_000-held, dropped, "there is room again")
	assert.Equal(t, uint64(held+10_000), monitor.Report().Features[0].Samples)

	// A row that is wider than a block has a block of its own.
	wide := regression(make([]model.Feature, 3*blockValues)...)
	monitor = New(wide, time.Hour, func(rows int) { dropped += rows })
	dropped = 0
	monitor.observe(ask(t, wide, make([]float64, 3*blockValues), make([]float64, 3*blockValues)))
	assert.Zero(t, dropped)
	assert.Equal(t, uint64(2), monitor.Report().Features[3*blockValues-1].Samples)
}

// TestNoAllocation: once warm, observing and folding take no memory, whatever comes and however long.
func TestNoAllocation(t *testing.T) {
	m := classifier(model.Classes{Strings: []string{"a", "b"}})
	m.Schema.Features[0].Histogram = halves()
	monitor := New(m, time.Hour, func(int) {})
	x := ask(t, m, repeat(10_000, 1)...)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		monitor.observe(x)
		monitor.mu.Lock()
		monitor.window.start = monitor.window.start.Add(-time.Minute)
		monitor.fold()
		monitor.mu.Unlock()
	}))
	assert.Zero(t, testing.AllocsPerRun(100, func() { monitor.observe(x) }), "neither does a full buffer")
}

// TestConcurrency: nothing is lost or counted twice between requests, the folding and readers.
func TestConcurrency(t *testing.T) {
	m := regression(model.Feature{Histogram: halves()}, model.Feature{})
	var dropped atomic.Int64
	monitor := New(m, time.Hour, func(rows int) { dropped.Add(int64(rows)) })
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(monitor))
	ctx, stop := context.WithCancel(t.Context())
	var running, asking sync.WaitGroup
	running.Go(func() { monitor.Run(ctx) })
	const askers, requests, rows = 8, 200, 300
	batch := make([][]float64, rows)
	for i := range batch {
		batch[i] = []float64{float64(i % 2), nan()}
	}
	for range askers {
		asking.Go(func() {
			x := ask(t, m, batch...)
			for i := range requests {
				monitor.observe(x)
				if i%50 == 0 {
					_, err := registry.Gather()
					assert.NoError(t, err)
				}
			}
		})
	}
	asking.Wait()
	stop()
	running.Wait()
	r := monitor.Report()
	assert.Equal(t, askers*requests*rows-dropped.Load(), int64(r.Features[0].Samples))
	assert.Equal(t, r.Features[0].Samples, r.Features[1].Missing)
	assert.Zero(t, r.Features[1].Samples)
	if dropped.Load() == 0 {
		assert.Equal(t, r.Features[0].Live.Counts[0], r.Features[0].Live.Counts[1])
	}
}

func TestCollect(t *testing.T) {
	low := 0.5
	m := classifier(model.Classes{Strings: []string{"a", "b"}})
	m.Training = &model.Training{Labels: map[string]int64{"a": 50, "b": 50}}
	m.Schema.Features[0] = model.Feature{Name: "x", Type: model.Float64, Histogram: halves(), Minimum: &low}
	monitor := watch(t, m)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(monitor))
	const head = `
		# HELP tepal_drift_output_samples Answers in the window.
		# TYPE tepal_drift_output_samples gauge
		tepal_drift_output_samples{model_name="made",model_version="7"} %N
		# HELP tepal_drift_samples Values of a feature in the window.
		# TYPE tepal_drift_samples gauge
		tepal_drift_samples{feature="x",model_name="made",model_version="7"} %N
		# HELP tepal_feature_missing_total Values of a feature that were missing.
		# TYPE tepal_feature_missing_total counter
		tepal_feature_missing_total{feature="x",model_name="made",model_version="7"} 0
		# HELP tepal_feature_out_of_range_total Values of a feature outside the range seen in training.
		# TYPE tepal_feature_out_of_range_total counter
		tepal_feature_out_of_range_total{feature="x",model_name="made",model_version="7"} %O
		`
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(strings.NewReplacer("%N", "0", "%O", "0").Replace(head))))
	monitor.observe(ask(t, m, append(repeat(80, 0), repeat(20, 1)...)...))
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(strings.NewReplacer("%N", "100", "%O", "80").Replace(head)+`
		# HELP tepal_drift_output_psi Population stability index of the answers in the window against training.
		# TYPE tepal_drift_output_psi gauge
		tepal_drift_output_psi{model_name="made",model_version="7"} 0.415888
		# HELP tepal_drift_psi Population stability index of a feature's values in the window against training.
		# TYPE tepal_drift_psi gauge
		tepal_drift_psi{feature="x",model_name="made",model_version="7"} 0.415888
		`)))
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	assert.Empty(t, problems)

	// A second model has series of its own, of its first 200 features.
	wide := regression(make([]model.Feature, 250)...)
	wide.Name = "wide"
	require.NoError(t, registry.Register(watch(t, wide)))
	n, err := testutil.GatherAndCount(registry, "tepal_drift_samples")
	require.NoError(t, err)
	assert.Equal(t, 1+200, n)
}

// BenchmarkObserve is what a request pays; BenchmarkFold what is paid later, for each row, beside it.
func BenchmarkObserve(b *testing.B) {
	for _, size := range sizes() {
		b.Run(size.name, func(b *testing.B) {
			monitor, x := size.build(b)
			b.ReportAllocs()
			for b.Loop() {
				monitor.observe(x)
				if len(monitor.buffer.full) > 0 {
					b.StopTimer()
					monitor.Report()
					b.StartTimer()
				}
			}
		})
	}
}

func BenchmarkFold(b *testing.B) {
	for _, size := range sizes() {
		b.Run(size.name, func(b *testing.B) {
			monitor, x := size.build(b)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				monitor.observe(x)
				b.StartTimer()
				monitor.mu.Lock()
				monitor.fold()
				monitor.mu.Unlock()
			}
		})
	}
}

type size struct {
	name           string
	rows, features int
}

func sizes() []size { return []size{{"1x4", 1, 4}, {"10000x30", 10_000, 30}} }

// build makes a classifier of three classes whose features have ten bins each.
func (s size) build(b *testing.B) (*Monitor, *exchange) {
	b.Helper()
	m := regression(make([]model.Feature, s.features)...)
	m.Schema.Classes = model.Classes{Strings: []string{"setosa", "versicolor", "virginica"}}
	m.Training = &model.Training{Labels: map[string]int64{"setosa": 50, "versicolor": 50, "virginica": 50}}
	h := &model.Histogram{Edges: []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, Counts: make([]int64, 10)}
	for i := range m.Schema.Features {
		m.Schema.Features[i].Histogram = h
	}
	m.Schema.Outputs = []model.Output{{Name: "y", Role: model.RoleLabel, Type: model.String, Columns: 1}}
	m.Program = programFunc(func(in, out []model.Tensor) {
		out[0].Resize(model.String, in[0].Rows())
		for i := range out[0].Strings {
			out[0].Strings[i] = m.Schema.Classes.Text(i % 3)
		}
	})
	rows := make([][]float64, s.rows)
	for i := range rows {
		for j := range s.features {
			rows[i] = append(rows[i], float64((7*i+3*j)%100)/10)
		}
	}
	return watch(b, m), ask(b, m, rows...)
}
