package tree

import (
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// underRace reports whether the race detector is on: sync.Pool then drops some
// of what it is given, so that allocations cannot be counted.
func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// stump compares feature 0 with a threshold. Where the comparison is true the
// answer is 1, and else 2.
func stump(mode string, threshold float64) *Attributes {
	return &Attributes{
		TreeIDs: []int64{0, 0, 0}, NodeIDs: []int64{0, 1, 2}, FeatureIDs: []int64{0, 0, 0},
		Modes:   []string{mode, "LEAF", "LEAF"},
		TrueIDs: []int64{1, 0, 0}, FalseIDs: []int64{2, 0, 0}, Thresholds: []float64{threshold, 0, 0},
		WeightTreeIDs: []int64{0, 0}, WeightNodeIDs: []int64{1, 2}, WeightTargets: []int64{0, 0}, Weights: []float64{1, 2},
		Targets: 1,
	}
}

// tensorOf makes a tensor of one of the types from float64 values.
func tensorOf(typ model.Type, columns int, values ...float64) *model.Tensor {
	var t model.Tensor
	t.Resize(typ, len(values)/max(columns, 1), columns)
	for i, v := range values {
		switch typ {
		case model.Float32:
			t.Float32s[i] = float32(v)
		case model.Float64:
			t.Float64s[i] = v
		case model.Int32:
			t.Int32s[i] = int32(v)
		case model.Int64:
			t.Int64s[i] = int64(v)
		}
	}
	return &t
}

func regress(t *testing.T, a *Attributes, o Options, x *model.Tensor) []float32 {
	t.Helper()
	o.Double = x.Type == model.Float64
	r, err := New(a, o)
	require.NoError(t, err)
	out := make([]float32, x.Rows()*a.Targets)
	r.Evaluate(x, out, nil)
	return out
}

// TestModes walks each mode over the values around a threshold. T is the true
// branch: what the comparison of IEEE 754 gives, but that ONNX sends NaN to the
// false branch of "not equal" too.
func TestModes(t *testing.T) {
	inf, nan, negativeZero := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	const tiny = 1e-45 // between 0 and the smallest float32 but one
	groups := []struct {
		name      string
		threshold float64
		values    []float64
		want      map[string]string
	}{
		{"one half", 0.5, []float64{-inf, 0.49999997, 0.5, 0.50000006, inf, nan}, map[string]string{
			"BRANCH_LEQ": "TTTFFF", "BRANCH_LT": "TTFFFF", "BRANCH_GTE": "FFTTTF", "BRANCH_GT": "FFFTTF",
			"BRANCH_EQ": "FFTFFF", "BRANCH_NEQ": "TTFTTF",
		}},
		{"zero", 0, []float64{-tiny, negativeZero, 0, tiny, nan}, map[string]string{
			"BRANCH_LEQ": "TTTFF", "BRANCH_LT": "TFFFF", "BRANCH_GTE": "FTTTF", "BRANCH_GT": "FFFTF",
			"BRANCH_EQ": "FTTFF", "BRANCH_NEQ": "TFFTF",
		}},
		{"minus zero", negativeZero, []float64{-tiny, negativeZero, 0, tiny, nan}, map[string]string{
			"BRANCH_LEQ": "TTTFF", "BRANCH_LT": "TFFFF", "BRANCH_GTE": "FTTTF", "BRANCH_GT": "FFFTF",
			"BRANCH_EQ": "FTTFF", "BRANCH_NEQ": "TFFTF",
		}},
		{"infinity", inf, []float64{-inf, 0, math.MaxFloat32, inf, nan}, map[string]string{
			"BRANCH_LEQ": "TTTTF", "BRANCH_LT": "TTTFF", "BRANCH_GTE": "FFFTF", "BRANCH_GT": "FFFFF",
			"BRANCH_EQ": "FFFTF", "BRANCH_NEQ": "TTTFF",
		}},
		{"minus infinity", -inf, []float64{-inf, -math.MaxFloat32, 0, inf, nan}, map[string]string{
			"BRANCH_LEQ": "TFFFF", "BRANCH_LT": "FFFFF", "BRANCH_GTE": "TTTTF", "BRANCH_GT": "FTTTF",
			"BRANCH_EQ": "TFFFF", "BRANCH_NEQ": "FTTTF",
		}},
	}
	for _, g := range groups {
		for mode, want := range g.want {
			for _, typ := range []model.Type{model.Float32, model.Float64} {
				for _, tracks := range []string{"absent", "false", "true"} {
					t.Run(fmt.Sprintf("%s %s %v missing tracks %s", mode, g.name, typ, tracks), func(t *testing.T) {
						a := stump(mode, g.threshold)
						expected := branches(want)
						switch tracks {
						case "false":
							a.MissingTracksTrue = []int64{0, 0, 0}
						case "true":
							a.MissingTracksTrue = []int64{1, 0, 0}
							expected[len(expected)-1] = 1
						}
						require.Equal(t, expected, regress(t, a, Options{}, tensorOf(typ, 1, g.values...)))
					})
				}
			}
		}
	}
}

func branches(letters string) []float32 {
	out := make([]float32, len(letters))
	for i, letter := range letters {
		out[i] = map[rune]float32{'T': 1, 'F': 2}[letter]
	}
	return out
}

// TestDoubleThreshold: the neighbours of a double threshold are doubles.
func TestDoubleThreshold(t *testing.T) {
	below, above := math.Nextafter(5.1, 0), math.Nextafter(5.1, 9)
	for mode, want := range map[string]string{
		"BRANCH_LEQ": "TTF", "BRANCH_LT": "TFF", "BRANCH_GTE": "FTT", "BRANCH_GT": "FFT", "BRANCH_EQ": "FTF", "BRANCH_NEQ": "TFT",
	} {
		got := regress(t, stump(mode, 5.1), Options{}, tensorOf(model.Float64, 1, below, 5.1, above))
		require.Equal(t, branches(want), got, mode)
	}
}

// TestIntegers: integers are compared as float32, in which 2^24+1 is 2^24.
func TestIntegers(t *testing.T) {
	a := stump("BRANCH_GT", 1<<24)
	for _, typ := range []model.Type{model.Int32, model.Int64} {
		got := regress(t, a, Options{}, tensorOf(typ, 1, -5, 1<<24, 1<<24+1, 1<<24+2))
		require.Equal(t, branches("FFFT"), got, "%v", typ)
	}
}

func TestWiderRows(t *testing.T) {
	a := stump("BRANCH_LEQ", 0)
	a.FeatureIDs[0] = 1
	r, err := New(a, Options{})
	require.NoError(t, err)
	require.Equal(t, 2, r.Columns())
	got := regress(t, a, Options{}, tensorOf(model.Float32, 3, 9, -1, 9, -9, 1, -9))
	require.Equal(t, branches("TF"), got)
}

func TestLoneLeaf(t *testing.T) {
	a := &Attributes{
		TreeIDs: []int64{7}, NodeIDs: []int64{3}, FeatureIDs: []int64{0}, Modes: []string{"LEAF"},
		TrueIDs: []int64{0}, FalseIDs: []int64{0}, Thresholds: []float64{math.NaN()},
		WeightTreeIDs: []int64{7}, WeightNodeIDs: []int64{3}, WeightTargets: []int64{0}, Weights: []float64{0.25},
		Targets: 1,
	}
	r, err := New(a, Options{})
	require.NoError(t, err)
	require.Zero(t, r.Columns())
	out := make([]float32, 2)
	r.Evaluate(tensorOf(model.Float32, 1, 1, math.NaN()), out, nil)
	require.Equal(t, []float32{0.25, 0.25}, out)
}

// TestFaults breaks a good ensemble in one place at a time.
func TestFaults(t *testing.T) {
	// Tree 0 is a stump; tree 4 has two splits: 10 (true 11, false 12), 12
	// (true 13, false 14).
	good := func() *Attributes {
		return &Attributes{
			TreeIDs: []int64{0, 0, 0, 4, 4, 4, 4, 4}, NodeIDs: []int64{0, 1, 2, 10, 11, 12, 13, 14},
			FeatureIDs: make([]int64, 8),
			Modes:      []string{"BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "BRANCH_EQ", "LEAF", "LEAF"},
			TrueIDs:    []int64{1, 0, 0, 11, 0, 13, 0, 0}, FalseIDs: []int64{2, 0, 0, 12, 0, 14, 0, 0},
			Thresholds:    make([]float64, 8),
			WeightTreeIDs: []int64{0, 0, 4, 4, 4}, WeightNodeIDs: []int64{1, 2, 11, 13, 14},
			WeightTargets: []int64{0, 1, 0, 1, 0}, Weights: []float64{1, 1, 1, 1, 1},
			Targets: 2,
		}
	}
	_, err := New(good(), Options{})
	require.NoError(t, err)
	for _, c := range []struct {
		name  string
		spoil func(a *Attributes)
		want  string
	}{
		{"no nodes", func(a *Attributes) { a.NodeIDs = nil }, "no nodes"},
		{"tree ids", func(a *Attributes) { a.TreeIDs = a.TreeIDs[1:] }, "nodes_treeids has 7 values for the 8 of nodes_nodeids"},
		{"feature ids", func(a *Attributes) { a.FeatureIDs = nil }, "nodes_featureids has 0 values for the 8 of nodes_nodeids"},
		{"modes", func(a *Attributes) { a.Modes = a.Modes[1:] }, "nodes_modes has 7 values for the 8 of nodes_nodeids"},
		{"true ids", func(a *Attributes) { a.TrueIDs = append(a.TrueIDs, 0) }, "nodes_truenodeids has 9 values for the 8 of nodes_nodeids"},
		{"false ids", func(a *Attributes) { a.FalseIDs = a.FalseIDs[:2] }, "nodes_falsenodeids has 2 values for the 8 of nodes_nodeids"},
		{"thresholds", func(a *Attributes) { a.Thresholds = a.Thresholds[1:] }, "nodes_values has 7 values for the 8 of nodes_nodeids"},
		{"missing tracks", func(a *Attributes) { a.MissingTracksTrue = []int64{1} }, "nodes_missing_value_tracks_true has 1 values for the 8 of nodes_nodeids"},
		{"weights", func(a *Attributes) { a.Weights = a.Weights[1:] }, "the columns of weights differ in length: 5 tree ids, 5 node ids, 5 targets, 4 weights"},
		{"weights' trees", func(a *Attributes) { a.WeightTreeIDs = a.WeightTreeIDs[1:] }, "the columns of weights differ in length: 4 tree ids, 5 node ids, 5 targets, 5 weights"},
		{"weights' nodes", func(a *Attributes) { a.WeightNodeIDs = nil }, "the columns of weights differ in length: 5 tree ids, 0 node ids, 5 targets, 5 weights"},
		{"weights' targets", func(a *Attributes) { a.WeightTargets = append(a.WeightTargets, 0) }, "the columns of weights differ in length: 5 tree ids, 5 node ids, 6 targets, 5 weights"},
		{"no targets", func(a *Attributes) { a.Targets = 0 }, "0 classes or targets are outside 1 to 65536"},
		{"absurdly many targets", func(a *Attributes) { a.Targets = 1 << 40 }, "1099511627776 classes or targets are outside 1 to 65536"},
		{"negative targets", func(a *Attributes) { a.Targets = -1 }, "-1 classes or targets are outside 1 to 65536"},
		{"mode", func(a *Attributes) { a.Modes[5] = "BRANCH_MEMBER" }, `tree 4 node 12 has the unknown mode "BRANCH_MEMBER"`},
		{"no mode", func(a *Attributes) { a.Modes[0] = "" }, `tree 0 node 0 has the unknown mode ""`},
		{"NaN threshold", func(a *Attributes) { a.Thresholds[3] = math.NaN() }, "tree 4 node 10 has the threshold NaN"},
		{"negative feature", func(a *Attributes) { a.FeatureIDs[5] = -1 }, "tree 4 node 12 has the feature id -1"},
		{"huge feature", func(a *Attributes) { a.FeatureIDs[5] = 1 << 40 }, "tree 4 node 12 has the feature id 1099511627776"},
		{"node twice", func(a *Attributes) { a.NodeIDs[7] = 13 }, "tree 4 node 13 stands twice"},
		{"no true child", func(a *Attributes) { a.TrueIDs[3] = 99 }, "tree 4 node 10 has the child 99, which its tree does not have"},
		{"no false child", func(a *Attributes) { a.FalseIDs[0] = 10 }, "tree 0 node 0 has the child 10, which its tree does not have"},
		{"both children one", func(a *Attributes) { a.FalseIDs[5] = 13 }, "tree 4 node 13 is the child of more than one node"},
		{"shared child", func(a *Attributes) { a.TrueIDs[5] = 11 }, "tree 4 node 11 is the child of more than one node"},
		{"two roots", func(a *Attributes) { a.Modes[5] = "LEAF" }, "tree 4 node 10 and tree 4 node 13 are both roots of one tree"},
		{"nothing but a cycle", onlyCycle, "tree 4 node 10 cannot be reached from the root of its tree: it is on a cycle or below one"},
		{"a node is its own child", func(a *Attributes) { a.TrueIDs[3] = 10 }, "tree 4 node 10 cannot be reached from the root of its tree: it is on a cycle or below one"},
		{"a cycle beside a good tree", sideCycle, "tree 4 node 10 cannot be reached from the root of its tree: it is on a cycle or below one"},
		{"weight for a missing node", func(a *Attributes) { a.WeightNodeIDs[4] = 99 }, "weight 4 is for tree 4 node 99, which does not exist"},
		{"weight for a missing tree", func(a *Attributes) { a.WeightTreeIDs[0] = 9 }, "weight 0 is for tree 9 node 1, which does not exist"},
		{"weight for an inner node", func(a *Attributes) { a.WeightNodeIDs[2] = 12 }, "weight 2 is for tree 4 node 12, which is no leaf"},
		{"weight's target too high", func(a *Attributes) { a.WeightTargets[1] = 2 }, "weight 1 of tree 0 node 2 is for the class or target 2 of 2"},
		{"weight's target negative", func(a *Attributes) { a.WeightTargets[1] = -1 }, "weight 1 of tree 0 node 2 is for the class or target -1 of 2"},
		{"NaN weight", func(a *Attributes) { a.Weights[3] = math.NaN() }, "weight 3 of tree 4 node 13 is NaN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, double := range []bool{false, true} {
				a := good()
				c.spoil(a)
				_, err := New(a, Options{Classifies: true, Double: double})
				require.EqualError(t, err, c.want)
				_, err = New(a, Options{Double: double})
				require.EqualError(t, err, c.want)
			}
		})
	}
}

// onlyCycle leaves tree 4 with a split whose children are itself and a leaf.
func onlyCycle(a *Attributes) {
	a.TreeIDs, a.NodeIDs, a.FeatureIDs = a.TreeIDs[:5], a.NodeIDs[:5], a.FeatureIDs[:5]
	a.Modes, a.Thresholds, a.TrueIDs, a.FalseIDs = a.Modes[:5], a.Thresholds[:5], a.TrueIDs[:5], a.FalseIDs[:5]
	a.TrueIDs[3], a.FalseIDs[3] = 10, 11
	a.WeightTreeIDs, a.WeightNodeIDs = a.WeightTreeIDs[:3], a.WeightNodeIDs[:3]
	a.WeightTargets, a.Weights = a.WeightTargets[:3], a.Weights[:3]
}

// sideCycle makes node 11 the root of tree 4, beside splits 10 and 12 that are
// each other's children.
func sideCycle(a *Attributes) {
	a.TrueIDs[3], a.FalseIDs[3] = 12, 13
	a.TrueIDs[5], a.FalseIDs[5] = 10, 14
}

func TestOptionFaults(t *testing.T) {
	two := stump("BRANCH_LEQ", 0)
	two.Targets = 2
	three := stump("BRANCH_LEQ", 0)
	three.Targets = 3
	for _, c := range []struct {
		a    *Attributes
		o    Options
		want string
	}{
		{two, Options{Classifies: true, PostTransform: "SOFTPLUS"}, `unknown post_transform "SOFTPLUS"`},
		{two, Options{Classifies: true, BaseValues: []float64{1, 2}}, "2 base_values for two classes of which one has all the weights: it takes one"},
		{leaves(2, []float64{1, 2}), Options{Classifies: true, BaseValues: []float64{1}}, "1 base_values for 2 classes or targets"},
		{leaves(2, []float64{}), Options{Classifies: true, BaseValues: []float64{1}}, "1 base_values for 2 classes or targets"},
		{leaves(1, []float64{1}), Options{Classifies: true, PostTransform: "SOFTMAX"}, "post_transform SOFTMAX makes a single class or target 1 in every row"},
		{leaves(1, []float64{1}), Options{PostTransform: "SOFTMAX_ZERO"}, "post_transform SOFTMAX_ZERO makes a single class or target 1 in every row"},
		{two, Options{BaseValues: []float64{1, math.NaN()}}, "base value 1 is NaN"},
		{three, Options{Classifies: true, BaseValues: []float64{1}}, "1 base_values for 3 classes or targets"},
	} {
		_, err := New(c.a, c.o)
		require.EqualError(t, err, c.want)
	}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Aggregate: "MEDIAN"}, `unknown aggregate_function "MEDIAN"`},
		{Options{PostTransform: "softmax"}, `unknown post_transform "softmax"`},
		{Options{BaseValues: []float64{1}}, "1 base_values for 2 classes or targets"},
	} {
		_, err := New(two, c.o)
		require.EqualError(t, err, c.want)
	}
}

// leaves is an ensemble of lone leaves, whose answer is the same for every row:
// leaf i has the weights[i], one for each target from the first on, NaN for none.
func leaves(targets int, weights ...[]float64) *Attributes {
	a := &Attributes{Targets: targets}
	for i, list := range weights {
		id := int64(i)
		a.TreeIDs, a.NodeIDs, a.FeatureIDs = append(a.TreeIDs, id), append(a.NodeIDs, 0), append(a.FeatureIDs, 0)
		a.Modes, a.Thresholds = append(a.Modes, "LEAF"), append(a.Thresholds, 0)
		a.TrueIDs, a.FalseIDs = append(a.TrueIDs, 0), append(a.FalseIDs, 0)
		for target, w := range list {
			if !math.IsNaN(w) {
				a.WeightTreeIDs, a.WeightNodeIDs = append(a.WeightTreeIDs, id), append(a.WeightNodeIDs, 0)
				a.WeightTargets, a.Weights = append(a.WeightTargets, int64(target)), append(a.Weights, w)
			}
		}
	}
	return a
}

func TestAggregates(t *testing.T) {
	trees := leaves(2, []float64{1, -4}, []float64{6, 0.5}, []float64{2, -1})
	for _, c := range []struct {
		aggregate string
		base      []float64
		want      []float32
	}{
		{"", nil, []float32{9, -4.5}},
		{"SUM", nil, []float32{9, -4.5}},
		{"SUM", []float64{0.5, -1}, []float32{9.5, -5.5}},
		{"AVERAGE", nil, []float32{3, -1.5}},
		{"AVERAGE", []float64{0.5, -1}, []float32{3.5, -2.5}},
		{"MIN", nil, []float32{1, -4}},
		{"MIN", []float64{0.5, -1}, []float32{1.5, -5}},
		{"MAX", nil, []float32{6, 0.5}},
		{"MAX", []float64{0.5, -1}, []float32{6.5, -0.5}},
	} {
		for _, typ := range []model.Type{model.Float32, model.Float64} {
			got := regress(t, trees, Options{Aggregate: c.aggregate, BaseValues: c.base}, tensorOf(typ, 1, 0))
			require.Equal(t, c.want, got, "%s %v %v", c.aggregate, c.base, typ)
		}
	}
	// A target that no leaf votes for is its base value.
	unhit := leaves(2, []float64{1})
	for aggregate := range aggregates {
		got := regress(t, unhit, Options{Aggregate: aggregate, BaseValues: []float64{2, 7}}, tensorOf(model.Float32, 1, 0))
		require.Equal(t, []float32{3, 7}, got, aggregate)
	}
}

// TestTransforms compares with the functions' definitions: softmax of
// logarithms gives the ratio of their arguments.
func TestTransforms(t *testing.T) {
	x := tensorOf(model.Float64, 1, 0)
	many := leaves(3, []float64{0, math.Log(2), math.Log(4)})
	for _, c := range []struct {
		transform string
		want      []float64
		tolerance float64
	}{
		{"", []float64{0, math.Log(2), math.Log(4)}, 1e-7},
		{"NONE", []float64{0, math.Log(2), math.Log(4)}, 1e-7},
		{"SOFTMAX", []float64{1. / 7, 2. / 7, 4. / 7}, 1e-7},
		// What is zero is left out.
		{"SOFTMAX_ZERO", []float64{0, 2. / 6, 4. / 6}, 1e-7},
		{"LOGISTIC", []float64{1. / 2, 2. / 3, 4. / 5}, 1e-7},
	} {
		require.InDeltaSlice(t, c.want, regress(t, many, Options{PostTransform: c.transform}, x), c.tolerance, c.transform)
	}
	// Quantiles of the normal distribution, which the approximation meets to
	// some three digits; the last one in its far tail.
	quantiles := leaves(4, []float64{0.5, 0.975, 0.158655, 1e-9})
	got := regress(t, quantiles, Options{PostTransform: "PROBIT"}, x)
	require.InDeltaSlice(t, []float64{0, 1.959964, -1, -5.997807}, got, 2e-2)
	require.Equal(t, []float32{float32(math.Inf(-1)), float32(math.Inf(1))}, regress(t, leaves(2, []float64{0, 1}), Options{PostTransform: "PROBIT"}, x))
	// A single target is transformed like one of several.
	for transform, want := range map[string]float64{"NONE": 0.975, "LOGISTIC": 1 / (1 + math.Exp(-0.975)), "PROBIT": 1.959964} {
		got := regress(t, leaves(1, []float64{0.975}), Options{PostTransform: transform}, x)
		require.InDelta(t, want, got[0], 1e-2, transform)
	}
	// What is all zero is left out, and leaves all as likely.
	zero := leaves(3, []float64{0, 0, 0})
	require.InDeltaSlice(t, []float64{1. / 3, 1. / 3, 1. / 3}, regress(t, zero, Options{PostTransform: "SOFTMAX_ZERO"}, x), 1e-7)
	// Large scores do not overflow.
	large := leaves(2, []float64{1000, 1000})
	require.Equal(t, []float32{0.5, 0.5}, regress(t, large, Options{PostTransform: "SOFTMAX"}, x))
	negative := leaves(2, []float64{-1000, 1000})
	require.Equal(t, []float32{0, 1}, regress(t, negative, Options{PostTransform: "LOGISTIC"}, x))
}

// TestSmallProbabilities: the tails are as small as they are, by
// exp(-x)/(1+exp(-x)), whichever class they belong to.
func TestSmallProbabilities(t *testing.T) {
	x := tensorOf(model.Float32, 1, 0)
	for margin, tail := range map[float64]float64{
		3: 0.04742587317756678, 17: 4.139937549e-08, 20: 2.0611536181902037e-09, 40: 4.248354255291589e-18, 80: 1.8048513878454153e-35,
	} {
		for _, c := range []struct {
			name string
			a    *Attributes
			o    Options
			want []float64
		}{
			{"a target", leaves(2, []float64{-margin, margin}), Options{PostTransform: "LOGISTIC"}, []float64{tail, 1 - tail}},
			{"the first class", leaves(2, []float64{margin}), Options{Classifies: true, PostTransform: "LOGISTIC"}, []float64{tail, 1 - tail}},
			{"the second class", leaves(2, []float64{-margin}), Options{Classifies: true, PostTransform: "LOGISTIC"}, []float64{1 - tail, tail}},
			{"one of three classes", leaves(3, []float64{-margin, 0, 0}), Options{Classifies: true, PostTransform: "LOGISTIC"}, []float64{tail, 0.5, 0.5}},
			{"two classes, SOFTMAX", leaves(2, []float64{0, -margin}), Options{Classifies: true, PostTransform: "SOFTMAX"}, []float64{1 - tail, tail}},
			{"two large scores, SOFTMAX", leaves(2, []float64{1000, 1000 - margin}), Options{Classifies: true, PostTransform: "SOFTMAX"}, []float64{1 - tail, tail}},
			{"one column, SOFTMAX", leaves(2, []float64{-margin / 2}), Options{Classifies: true, PostTransform: "SOFTMAX"}, []float64{1 - tail, tail}},
		} {
			e, err := New(c.a, c.o)
			require.NoError(t, err)
			got := make([]float32, c.a.Targets)
			e.Evaluate(x, got, make([]int64, 1))
			for i, want := range c.want {
				require.InEpsilon(t, want, got[i], 1e-6, "%s, %v", c.name, margin)
			}
		}
	}
}

// TestClasses: which class wins, and what becomes of the scores of two.
func TestClasses(t *testing.T) {
	none, tenth := math.NaN(), float64(float32(0.1))
	for _, c := range []struct {
		name      string
		trees     *Attributes
		transform string
		base      []float64
		class     int64
		scores    []float32
	}{
		{"the highest of three", leaves(3, []float64{1, 3, 2}), "", nil, 1, []float32{1, 3, 2}},
		{"the first of equals", leaves(3, []float64{1, 2, 2}), "", nil, 1, []float32{1, 2, 2}},
		{"votes add up", leaves(3, []float64{1}, []float64{none, 1}, []float64{none, 1}), "", nil, 1, []float32{1, 2, 0}},
		{"a class without votes has the score 0", leaves(3, []float64{-2, -1}), "", nil, 2, []float32{-2, -1, 0}},
		{"a class without votes has its base value", leaves(3, []float64{2, 1}), "", []float64{0, 0, 3}, 2, []float32{2, 1, 3}},
		{"base values decide", leaves(3, []float64{1, 3, 2}), "", []float64{0, 0, 2}, 2, []float32{1, 3, 4}},
		{"no votes at all", leaves(3, []float64{}), "", nil, 0, []float32{0, 0, 0}},
		{"no votes at all for two", leaves(2, []float64{}), "", []float64{1, 2}, 1, []float32{1, 2}},
		{"the transform leaves the order", leaves(3, []float64{0, float64(float32(math.Log(3))), 0}), "LOGISTIC", nil, 1, []float32{0.5, 0.75, 0.5}},
		{"saturated, the score decides", leaves(3, []float64{0, 200, 300}), "LOGISTIC", nil, 2, []float32{0.5, 1, 1}},
		{"a score left out is no candidate", leaves(3, []float64{0, -1, -1 - math.Log(3)}), "SOFTMAX_ZERO", nil, 1, []float32{0, 0.75, 0.25}},
		{"one class", leaves(1, []float64{0.25}), "", nil, 0, []float32{0.25}},
		{"one class with a base value", leaves(1, []float64{0.25}), "", []float64{0.5}, 0, []float32{0.75}},
		{"one class, LOGISTIC", leaves(1, []float64{math.Log(3)}), "LOGISTIC", nil, 0, []float32{0.75}},
		{"one class, PROBIT", leaves(1, []float64{0.5}), "PROBIT", nil, 0, []float32{0}},
		// One column of weights is the second class's score.
		{"one column, a probability above one half", leaves(2, []float64{0.75}), "", nil, 1, []float32{0.25, 0.75}},
		{"one column, a probability of one half", leaves(2, []float64{0.5}), "", nil, 0, []float32{0.5, 0.5}},
		{"one column, five of ten votes of 0.1", leaves(2, slices.Repeat([][]float64{{tenth}}, 5)...), "", nil, 0, []float32{0.5, 0.5}},
		{"one column, six of ten votes of 0.1", leaves(2, slices.Repeat([][]float64{{tenth}}, 6)...), "", nil, 1, []float32{0.4, 0.6}},
		{"equal once they are float32", leaves(3, []float64{0, 0.5, 0.5 + 1e-9}), "", nil, 1, []float32{0, 0.5, 0.5}},
		{"base values of 0, whatever their number", leaves(3, []float64{1, 3, 2}), "", []float64{0}, 1, []float32{1, 3, 2}},
		{"one column, a positive margin", leaves(2, []float64{0.75}, []float64{-0.5}), "", nil, 1, []float32{-0.25, 0.25}},
		{"one column, no margin", leaves(2, []float64{0.5}, []float64{-0.5}), "", nil, 0, []float32{0, 0}},
		{"one column, a logit", leaves(2, []float64{-1}, []float64{1 + math.Log(3)}), "LOGISTIC", nil, 1, []float32{0.25, 0.75}},
		{"one column, a small positive logit", leaves(2, []float64{0.25}), "LOGISTIC", nil, 1, []float32{0.4378235, 0.5621765}},
		{"one column and its base value", leaves(2, []float64{-1}), "", []float64{1.5}, 1, []float32{-0.5, 0.5}},
		{"one column, SOFTMAX of both margins", leaves(2, []float64{math.Log(3) / 2}), "SOFTMAX", nil, 1, []float32{0.25, 0.75}},
		{"one column, PROBIT of both probabilities", leaves(2, []float64{0.975}), "PROBIT", nil, 1, []float32{-1.961, 1.961}},
		{"one column, listed for the second class", leaves(2, []float64{none, 0.75}), "", nil, 1, []float32{0.25, 0.75}},
		{"one column, a logit listed for the second class", leaves(2, []float64{none, math.Log(3)}), "LOGISTIC", nil, 1, []float32{0.25, 0.75}},
		{"two columns", leaves(2, []float64{3, 1}), "", nil, 0, []float32{3, 1}},
		{"two columns below 0", leaves(2, []float64{-3, -1}), "", nil, 1, []float32{-3, -1}},
		{"two columns, SOFTMAX", leaves(2, []float64{0, math.Log(3)}), "SOFTMAX", nil, 1, []float32{0.25, 0.75}},
		{"two columns and two base values", leaves(2, []float64{3, 1}), "", []float64{1, -2}, 0, []float32{4, -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, typ := range []model.Type{model.Float32, model.Float64} {
				k, err := New(c.trees, Options{Classifies: true, PostTransform: c.transform, BaseValues: c.base, Double: typ == model.Float64})
				require.NoError(t, err)
				require.Zero(t, k.Columns())
				classes, scores := []int64{-1}, make([]float32, c.trees.Targets)
				k.Evaluate(tensorOf(typ, 1, 0), scores, classes)
				require.Equal(t, []int64{c.class}, classes)
				tolerance := 1e-6
				if c.transform == "PROBIT" {
					tolerance = 5e-3 // of the approximation
				}
				require.InDeltaSlice(t, c.scores, scores, tolerance)
			}
		})
	}
}

// chain is one tree of n splits, each of whose true branches is a leaf and
// whose false branch is the next split. Leaf i answers i; what fails every
// comparison answers n. Split i asks for the value i.
func chain(mode string, n int) *Attributes {
	a := &Attributes{Targets: 1}
	node := func(id int, mode string, yes, no int, threshold float64) {
		a.TreeIDs, a.NodeIDs, a.FeatureIDs = append(a.TreeIDs, 0), append(a.NodeIDs, int64(id)), append(a.FeatureIDs, 0)
		a.Modes, a.Thresholds = append(a.Modes, mode), append(a.Thresholds, threshold)
		a.TrueIDs, a.FalseIDs = append(a.TrueIDs, int64(yes)), append(a.FalseIDs, int64(no))
		if mode == "LEAF" {
			a.WeightTreeIDs, a.WeightNodeIDs = append(a.WeightTreeIDs, 0), append(a.WeightNodeIDs, int64(id))
			a.WeightTargets, a.Weights = append(a.WeightTargets, 0), append(a.Weights, threshold)
		}
	}
	for i := range n {
		next := i + 1
		if next == n {
			next = 3 * n
		}
		node(i, mode, 2*n+i, next, float64(i))
		node(2*n+i, "LEAF", 0, 0, float64(i))
	}
	node(3*n, "LEAF", 0, 0, float64(n))
	return a
}

func TestDegenerateDepth(t *testing.T) {
	const n = 5000
	x := tensorOf(model.Float32, 1, -1, 0, 0.5, 1, 2499, n-1, n, math.NaN())
	for mode, want := range map[string][]float32{
		"BRANCH_LEQ": {0, 0, 1, 1, 2499, n - 1, n, n},
		"BRANCH_LT":  {0, 1, 1, 2, 2500, n, n, n},
		"BRANCH_EQ":  {n, 0, n, 1, 2499, n - 1, n, n},
		"BRANCH_GTE": {n, 0, 0, 0, 0, 0, 0, n},
		"BRANCH_NEQ": {0, 1, 0, 0, 0, 0, 0, n},
	} {
		require.Equal(t, want, regress(t, chain(mode, n), Options{}, x), mode)
	}
}

// TestConcurrent runs one classifier from eight goroutines.
func TestConcurrent(t *testing.T) {
	a := leaves(3, []float64{1, 2, 3})
	b := stump("BRANCH_LEQ", 0)
	a.TreeIDs, a.NodeIDs = append(a.TreeIDs, 9, 9, 9), append(a.NodeIDs, b.NodeIDs...)
	a.FeatureIDs, a.Modes = append(a.FeatureIDs, b.FeatureIDs...), append(a.Modes, b.Modes...)
	a.TrueIDs, a.FalseIDs = append(a.TrueIDs, b.TrueIDs...), append(a.FalseIDs, b.FalseIDs...)
	a.Thresholds = append(a.Thresholds, b.Thresholds...)
	a.WeightTreeIDs, a.WeightNodeIDs = append(a.WeightTreeIDs, 9, 9), append(a.WeightNodeIDs, 1, 2)
	a.WeightTargets, a.Weights = append(a.WeightTargets, 0, 1), append(a.Weights, 10, 10)
	k, err := New(a, Options{Classifies: true})
	require.NoError(t, err)
	var wait sync.WaitGroup
	wrong := make([]int, 8)
	for g := range wrong {
		wait.Go(func() {
			// Half of the goroutines ask about values below the threshold.
			x, class, want := tensorOf(model.Float32, 1, 1, 1), int64(1), []float32{1, 12, 3, 1, 12, 3}
			if g%2 == 0 {
				x, class, want = tensorOf(model.Float32, 1, -1, -1), 0, []float32{11, 2, 3, 11, 2, 3}
			}
			classes, scores := make([]int64, 2), make([]float32, 6)
			for range 500 {
				k.Evaluate(x, scores, classes)
				if classes[0] != class || classes[1] != class || !slices.Equal(scores, want) {
					wrong[g]++
				}
			}
		})
	}
	wait.Wait()
	require.Equal(t, make([]int, 8), wrong)
}

func TestNoAllocation(t *testing.T) {
	if underRace() {
		t.Skip("the race detector makes sync.Pool drop what it is given")
	}
	k, err := New(leaves(3, []float64{1, 2, 3}), Options{Classifies: true})
	require.NoError(t, err)
	r, err := New(chain("BRANCH_EQ", 8), Options{})
	require.NoError(t, err)
	x := tensorOf(model.Float32, 1, 3)
	classes, scores := make([]int64, 1), make([]float32, 3)
	require.Zero(t, testing.AllocsPerRun(1000, func() { k.Evaluate(x, scores, classes) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { r.Evaluate(x, scores, nil) }))
}

// TestCovers follows rows through trees whose covers are the numbers of their
// nodes: wherever a row stands, the cover is that of the node it stands at, also
// where a comparison became two nodes.
func TestCovers(t *testing.T) {
	for mode, leaves := range map[string][3]float64{
		// What -1, 0 and 1 reach with the threshold 0: 21 is the true branch.
		"BRANCH_LEQ": {21, 21, 22}, "BRANCH_LT": {21, 22, 22}, "BRANCH_GT": {22, 22, 21},
		"BRANCH_GTE": {22, 21, 21}, "BRANCH_EQ": {22, 21, 22}, "BRANCH_NEQ": {21, 22, 21},
	} {
		a := stump(mode, 0)
		a.Covers = []float64{20, 21, 22}
		f, err := build[float32](a)
		require.NoError(t, err)
		require.Len(t, f.covers, len(f.nodes))
		s := f.scratch()
		for i, want := range leaves {
			s.load(tensorOf(model.Float64, 1, float64(i-1)), 0)
			f.walk(s.row, s.leaves)
			require.Equal(t, want, f.covers[s.leaves[0]], "%s of %d", mode, i-1)
			at := f.roots[0].node
			for at != s.leaves[0] {
				require.Equal(t, 20.0, f.covers[at], "%s of %d", mode, i-1)
				at = f.nodes[at].next(s.row)
			}
		}
	}
	f, err := build[float32](stump("BRANCH_EQ", 0))
	require.NoError(t, err)
	require.Nil(t, f.covers)
	a := stump("BRANCH_EQ", 0)
	a.Covers = []float64{1, 2}
	_, err = build[float32](a)
	require.EqualError(t, err, "nodes_hitrates has 2 values for the 3 of nodes_nodeids")
}
