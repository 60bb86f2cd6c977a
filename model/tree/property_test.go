package tree

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// walker evaluates an ensemble straight from its attributes, one node at a time
// and by ONNX's description of them. It shares no code with the flat form.
type walker struct {
	*Attributes
	// ids are the trees in the order in which their roots appear, roots the
	// places of those.
	ids   []int64
	roots []int
}

// find returns the place of a node in the columns.
func (w walker) find(tree, node int64) int {
	for i := range w.NodeIDs {
		if w.TreeIDs[i] == tree && w.NodeIDs[i] == node {
			return i
		}
	}
	panic("no such node")
}

// newWalker finds the root of each tree: the node that is nobody's child.
func newWalker(a *Attributes) walker {
	w := walker{Attributes: a}
	for i, id := range a.TreeIDs {
		if !w.isChild(i) {
			w.ids, w.roots = append(w.ids, id), append(w.roots, i)
		}
	}
	return w
}

func (w walker) isChild(node int) bool {
	for i := range w.NodeIDs {
		if w.Modes[i] != "LEAF" && w.TreeIDs[i] == w.TreeIDs[node] && (w.TrueIDs[i] == w.NodeIDs[node] || w.FalseIDs[i] == w.NodeIDs[node]) {
			return true
		}
	}
	return false
}

// leaf is where a row ends that starts at a node.
func (w walker) leaf(i int, row []float64) int {
	if w.Modes[i] == "LEAF" {
		return i
	}
	x, t := row[w.FeatureIDs[i]], w.Thresholds[i]
	var yes bool
	switch w.Modes[i] {
	case "BRANCH_LEQ":
		yes = x <= t
	case "BRANCH_LT":
		yes = x < t
	case "BRANCH_GTE":
		yes = x >= t
	case "BRANCH_GT":
		yes = x > t
	case "BRANCH_EQ":
		yes = x == t
	case "BRANCH_NEQ":
		yes = x != t
	}
	if math.IsNaN(x) {
		yes = len(w.MissingTracksTrue) > 0 && w.MissingTracksTrue[i] != 0
	}
	if yes {
		return w.leaf(w.find(w.TreeIDs[i], w.TrueIDs[i]), row)
	}
	return w.leaf(w.find(w.TreeIDs[i], w.FalseIDs[i]), row)
}

// answer aggregates the weights of the leaves that a row reaches, in the type F.
func answer[F float](w walker, aggregate string, row []float64) []F {
	scores, scored := make([]F, w.Targets), make([]bool, w.Targets)
	for k, id := range w.ids {
		leaf := w.leaf(w.roots[k], row)
		for j := range w.Weights {
			if w.WeightTreeIDs[j] != id || w.WeightNodeIDs[j] != w.NodeIDs[leaf] {
				continue
			}
			target, v := w.WeightTargets[j], F(w.Weights[j])
			switch {
			case aggregate == "SUM" || aggregate == "AVERAGE":
				scores[target] += v
			case !scored[target], aggregate == "MIN" && v < scores[target], aggregate == "MAX" && v > scores[target]:
				scores[target] = v
			}
			scored[target] = true
		}
	}
	if aggregate == "AVERAGE" {
		for target := range scores {
			scores[target] /= F(len(w.ids))
		}
	}
	return scores
}

// grower makes random ensembles.
type grower struct {
	*rand.Rand
	*Attributes
	features int
	modes    []string
}

var everyMode = []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"}

// values are those of thresholds and of rows, so that they often meet. All of
// them are float32 values.
var values = []float64{math.Inf(-1), -1.5, -1e-45, math.Copysign(0, -1), 0, 1e-45, 0.5, 0.50000006, 1, 7, math.MaxFloat32, math.Inf(1)}

// grow makes trees whose nodes have ids in no order, and lists nodes and
// weights in no order either.
func grow(r *rand.Rand, trees, targets int) *Attributes {
	g := grower{Rand: r, Attributes: &Attributes{Targets: targets}, features: 1 + r.IntN(4), modes: everyMode}
	if r.IntN(2) == 0 {
		g.modes = everyMode[r.IntN(6):][:1]
	}
	for _, tree := range r.Perm(trees) {
		g.node(int64(10*tree), r.Perm(1<<7), 1, r.IntN(6))
	}
	if r.IntN(3) > 0 {
		for range g.NodeIDs {
			g.MissingTracksTrue = append(g.MissingTracksTrue, int64(r.IntN(2)))
		}
	}
	g.Shuffle(len(g.NodeIDs), g.swapNodes)
	g.Shuffle(len(g.Weights), g.swapWeights)
	return g.Attributes
}

// node adds the node at a place of a binary heap, and those below it.
func (g *grower) node(tree int64, ids []int, place, depth int) {
	mode := "LEAF"
	var yes, no int
	if depth > 0 && g.IntN(5) > 0 {
		mode, yes, no = g.modes[g.IntN(len(g.modes))], ids[2*place], ids[2*place+1]
	}
	g.TreeIDs, g.NodeIDs = append(g.TreeIDs, tree), append(g.NodeIDs, int64(ids[place]))
	g.Modes, g.FeatureIDs = append(g.Modes, mode), append(g.FeatureIDs, int64(g.IntN(g.features)))
	g.TrueIDs, g.FalseIDs = append(g.TrueIDs, int64(yes)), append(g.FalseIDs, int64(no))
	g.Thresholds = append(g.Thresholds, values[g.IntN(len(values))])
	if mode != "LEAF" {
		g.node(tree, ids, 2*place, depth-1)
		g.node(tree, ids, 2*place+1, depth-1)
		return
	}
	// Every leaf weighs every target, some of them twice.
	for target := range g.Targets {
		for range 1 + g.IntN(2) {
			g.WeightTreeIDs, g.WeightNodeIDs = append(g.WeightTreeIDs, tree), append(g.WeightNodeIDs, int64(ids[place]))
			g.WeightTargets, g.Weights = append(g.WeightTargets, int64(target)), append(g.Weights, g.NormFloat64())
		}
	}
}

func (g *grower) swapNodes(i, j int) {
	for _, column := range [][]int64{g.TreeIDs, g.NodeIDs, g.FeatureIDs, g.TrueIDs, g.FalseIDs, g.MissingTracksTrue} {
		if len(column) > 0 {
			column[i], column[j] = column[j], column[i]
		}
	}
	g.Modes[i], g.Modes[j] = g.Modes[j], g.Modes[i]
	g.Thresholds[i], g.Thresholds[j] = g.Thresholds[j], g.Thresholds[i]
}

func (g *grower) swapWeights(i, j int) {
	for _, column := range [][]int64{g.WeightTreeIDs, g.WeightNodeIDs, g.WeightTargets} {
		column[i], column[j] = column[j], column[i]
	}
	g.Weights[i], g.Weights[j] = g.Weights[j], g.Weights[i]
}

// rowsFor draws rows of which some have missing values.
func rowsFor(r *rand.Rand, typ model.Type, columns int) *model.Tensor {
	cells := make([]float64, 24*max(columns, 1))
	for i := range cells {
		switch r.IntN(8) {
		case 0:
			cells[i] = math.NaN()
		case 1:
			cells[i] = float64(float32(r.NormFloat64()))
		default:
			cells[i] = values[r.IntN(len(values))]
		}
	}
	return tensorOf(typ, max(columns, 1), cells...)
}

// TestRandomEnsembles holds the flat form against the walker, to the last bit:
// both add in the order of the file.
func TestRandomEnsembles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 250 {
		targets := 1 + r.IntN(4)
		a := grow(r, 1+round%9, targets)
		aggregate := []string{"SUM", "AVERAGE", "MIN", "MAX"}[r.IntN(4)]
		checkRandom[float32](t, r, a, model.Float32, aggregate)
		checkRandom[float64](t, r, a, model.Float64, aggregate)
	}
}

func checkRandom[F float](t *testing.T, r *rand.Rand, a *Attributes, typ model.Type, aggregate string) {
	t.Helper()
	flat, err := New(a, Options{Aggregate: aggregate, Double: typ == model.Float64})
	require.NoError(t, err)
	x := rowsFor(r, typ, flat.Columns())
	got := make([]float32, x.Rows()*a.Targets)
	flat.Evaluate(x, got, nil)

	// Three or more classes are answered by the sums.
	classes, scores := make([]int64, x.Rows()), make([]float32, x.Rows()*a.Targets)
	k, err := New(a, Options{Classifies: true, Double: typ == model.Float64})
	require.NoError(t, err)
	k.Evaluate(x, scores, classes)

	w, row := newWalker(a), make([]float64, x.Width())
	for i := range x.Rows() {
		for j := range row {
			if typ == model.Float32 {
				row[j] = float64(x.Float32s[i*len(row)+j])
			} else {
				row[j] = x.Float64s[i*len(row)+j]
			}
		}
		want := answer[F](w, aggregate, row)
		for j, v := range want {
			if float32(v) != got[i*a.Targets+j] {
				require.Failf(t, "another answer", "%v for %v: %s, row %v, target %d of %+v", got[i*a.Targets+j], v, aggregate, row, j, a)
			}
		}
		if a.Targets > 2 {
			checkClass(t, answer[F](w, "SUM", row), classes[i], scores[i*a.Targets:])
		}
	}
}

func checkClass[F float](t *testing.T, want []F, class int64, scores []float32) {
	t.Helper()
	best := 0
	for j, v := range want {
		if float32(v) != scores[j] {
			require.Failf(t, "another score", "%v for %v", scores[j], v)
		}
		if float32(v) > float32(want[best]) {
			best = j
		}
	}
	require.EqualValues(t, best, class)
}

// TestLabels: every classifier answers a class of the highest score, the first
// of equals where nothing transforms them, and keeps to its bounds.
func TestLabels(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 400 {
		a := grow(r, 1+round%9, 1+r.IntN(4))
		column := a.Targets == 2 && r.IntN(2) == 0
		for i := range a.Weights {
			if column {
				a.WeightTargets[i] = int64(round % 2)
			}
			if round%3 > 0 {
				a.Weights[i] = math.Abs(a.Weights[i]) / float64(len(a.NodeIDs))
			}
		}
		for _, transform := range slices.Sorted(maps.Keys(transforms)) {
			o := Options{Classifies: true, PostTransform: transform, Double: r.IntN(2) == 0}
			if a.Targets == 1 && strings.HasPrefix(transform, "SOFTMAX") {
				continue
			}
			for range r.IntN(2) * a.Targets {
				o.BaseValues = append(o.BaseValues, r.NormFloat64()/2)
			}
			if column && len(o.BaseValues) > 0 {
				o.BaseValues = o.BaseValues[:1]
			}
			checkLabels(t, r, a, o)
		}
	}
}

func checkLabels(t *testing.T, r *rand.Rand, a *Attributes, o Options) {
	t.Helper()
	e, err := New(a, o)
	require.NoError(t, err)
	typ := model.Float32
	if o.Double {
		typ = model.Float64
	}
	x := rowsFor(r, typ, e.Columns())
	classes, scores := make([]int64, x.Rows()), make([]float32, x.Rows()*a.Targets)
	e.Evaluate(x, scores, classes)
	b := e.Bounds()
	for i, class := range classes {
		row := scores[i*a.Targets:][:a.Targets]
		total := float32(0)
		for j, v := range row {
			total += v
			if v > row[class] || v == row[class] && transforms[o.PostTransform] == none && j < int(class) {
				require.Failf(t, "another class scores higher", "%d of %v, %+v", class, row, o)
			}
			if float64(v) < b.Low-1e-5 || float64(v) > b.High+1e-5 || b.Probabilities && !(v >= 0 && v <= 1) {
				require.Failf(t, "a score outside its bounds", "%v outside %+v, %+v", v, b, o)
			}
		}
		if float64(total) > b.Sum+1e-5 {
			require.Failf(t, "a sum above its bound", "%v above %+v, %+v", total, b, o)
		}
	}
}

// TestBounds tells forests, whose scores can only be probabilities, from
// margins.
func TestBounds(t *testing.T) {
	infinite := math.Inf(1)
	forest := leaves(3, []float64{0.25, 0.25, 0}, []float64{0.5, 0, 0})
	for _, c := range []struct {
		name string
		a    *Attributes
		o    Options
		want Bounds
	}{
		{"a forest", forest, Options{Classifies: true}, Bounds{High: 1, Sum: 1}},
		{"with base values", forest, Options{Classifies: true, BaseValues: []float64{-0.5, 1, 0.25}}, Bounds{Low: -0.5, High: 2, Sum: 1.75}},
		{"margins", leaves(3, []float64{0.5, -1, 0}, []float64{0.5, 0, 0}), Options{Classifies: true}, Bounds{Low: -1, High: 1, Sum: 1}},
		{"one column of probabilities", leaves(2, []float64{0.25}, []float64{0.5}), Options{Classifies: true}, Bounds{Low: 0, High: 1, Sum: 1}},
		{"one column above one", leaves(2, []float64{0.75}, []float64{0.5}), Options{Classifies: true}, Bounds{Low: -0.25, High: 1.25, Sum: 1}},
		{"one column of margins", leaves(2, []float64{-0.25}, []float64{2}), Options{Classifies: true}, Bounds{Low: -2, High: 2}},
		{"a comparison", stump("BRANCH_EQ", 0), Options{BaseValues: []float64{1}}, Bounds{Low: 1, High: 3, Sum: 3}},
		{"an average", leaves(1, []float64{3}, []float64{-5}), Options{Aggregate: "AVERAGE"}, Bounds{Low: -2.5, High: 1.5, Sum: 1.5}},
		{"LOGISTIC", forest, Options{Classifies: true, PostTransform: "LOGISTIC"}, Bounds{Probabilities: true, High: 1, Sum: 3}},
		{"SOFTMAX", forest, Options{Classifies: true, PostTransform: "SOFTMAX"}, Bounds{Probabilities: true, High: 1, Sum: 1}},
		{"PROBIT", forest, Options{Classifies: true, PostTransform: "PROBIT"}, Bounds{Low: -infinite, High: infinite, Sum: infinite}},
	} {
		e, err := New(c.a, c.o)
		require.NoError(t, err)
		require.Equal(t, c.want, e.Bounds(), c.name)
	}
}

// BenchmarkDepth evaluates one row in 70 full trees of each depth.
func BenchmarkDepth(b *testing.B) {
	for _, depth := range []int{2, 4, 6, 8, 10, 12} {
		b.Run(strconv.Itoa(depth), func(b *testing.B) {
			r := rand.New(rand.NewPCG(3, uint64(depth)))
			k, err := New(full(r, 70, depth), Options{Classifies: true})
			require.NoError(b, err)
			rows := make([]*model.Tensor, 1000)
			for i := range rows {
				rows[i] = tensorOf(model.Float32, 4, r.Float64(), r.Float64(), r.Float64(), r.Float64())
			}
			classes, scores := make([]int64, 1), make([]float32, 3)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				k.Evaluate(rows[i], scores, classes)
				i = (i + 1) % len(rows)
			}
		})
	}
}

// full makes trees in which every leaf is at the same depth.
func full(r *rand.Rand, trees, depth int) *Attributes {
	a := &Attributes{Targets: 3}
	for tree := range int64(trees) {
		for place := int64(1); place < 2<<depth; place++ {
			mode := "BRANCH_LEQ"
			if place >= 1<<depth {
				mode = "LEAF"
				a.WeightTreeIDs, a.WeightNodeIDs = append(a.WeightTreeIDs, tree), append(a.WeightNodeIDs, place)
				a.WeightTargets, a.Weights = append(a.WeightTargets, int64(r.IntN(3))), append(a.Weights, 1)
			}
			a.TreeIDs, a.NodeIDs, a.Modes = append(a.TreeIDs, tree), append(a.NodeIDs, place), append(a.Modes, mode)
			a.FeatureIDs, a.Thresholds = append(a.FeatureIDs, int64(r.IntN(4))), append(a.Thresholds, r.Float64())
			a.TrueIDs, a.FalseIDs = append(a.TrueIDs, 2*place), append(a.FalseIDs, 2*place+1)
		}
	}
	return a
}
