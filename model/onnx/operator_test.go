package onnx

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/artifacts"
	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/rows"
)

func float32Rows(columns int, v ...float32) model.Tensor {
	return model.Tensor{Type: model.Float32, Shape: []int{len(v) / columns, columns}, Float32s: v}
}

// TestBroadcast works ONNX's rule out by hand: shapes are aligned at their last
// dimension, and what has length 1 is repeated.
func TestBroadcast(t *testing.T) {
	two := []int{2, 3}
	for _, c := range []struct {
		name     string
		a, b     model.Tensor
		shape    []int
		sum, div []float32
	}{
		{
			"the same shape", float32Tensor("", two, 2, 4, 6, 8, 10, 12).Tensor, float32Tensor("", two, 1, 2, 3, 4, 5, 6).Tensor,
			two, []float32{3, 6, 9, 12, 15, 18}, []float32{2, 2, 2, 2, 2, 2},
		}, {
			"a scalar to the right", float32Tensor("", two, 2, 4, 6, 8, 10, 12).Tensor, float32Tensor("", nil, 2).Tensor,
			two, []float32{4, 6, 8, 10, 12, 14}, []float32{1, 2, 3, 4, 5, 6},
		}, {
			"a scalar to the left", float32Tensor("", nil, 12).Tensor, float32Tensor("", two, 1, 2, 3, 4, 6, 12).Tensor,
			two, []float32{13, 14, 15, 16, 18, 24}, []float32{12, 6, 4, 3, 2, 1},
		}, {
			"a row of one", float32Tensor("", two, 2, 4, 6, 8, 10, 12).Tensor, float32Tensor("", []int{1}, 2).Tensor,
			two, []float32{4, 6, 8, 10, 12, 14}, []float32{1, 2, 3, 4, 5, 6},
		}, {
			"a row", float32Tensor("", two, 2, 4, 6, 8, 10, 12).Tensor, float32Tensor("", []int{3}, 1, 2, -2).Tensor,
			two, []float32{3, 6, 4, 9, 12, 10}, []float32{2, 2, -3, 8, 5, -6},
		}, {
			"a row of rank 2, to the left", float32Tensor("", []int{1, 3}, 6, 12, 24).Tensor, float32Tensor("", two, 1, 2, 3, 6, 12, 24).Tensor,
			two, []float32{7, 14, 27, 12, 24, 48}, []float32{6, 6, 8, 1, 1, 1},
		}, {
			"a column", float32Tensor("", two, 2, 4, 6, 8, 10, 12).Tensor, float32Tensor("", []int{2, 1}, 2, -1).Tensor,
			two, []float32{4, 6, 8, 7, 9, 11}, []float32{1, 2, 3, -8, -10, -12},
		}, {
			"a column and a row", float32Tensor("", []int{2, 1}, 6, 12).Tensor, float32Tensor("", []int{3}, 1, 2, 3).Tensor,
			two, []float32{7, 8, 9, 13, 14, 15}, []float32{6, 3, 2, 12, 6, 4},
		}, {
			"another rank", float32Tensor("", []int{2, 1, 2}, 2, 4, 6, 8).Tensor, float32Tensor("", []int{2, 1}, 1, 2).Tensor,
			[]int{2, 2, 2}, []float32{3, 5, 4, 6, 7, 9, 8, 10}, []float32{2, 4, 1, 2, 6, 8, 3, 4},
		}, {
			"no rows", float32Tensor("", []int{0, 3}, []float32{}...).Tensor, float32Tensor("", []int{3}, 1, 2, 3).Tensor,
			[]int{0, 3}, []float32{}, []float32{},
		}, {
			"no rows against one", float32Tensor("", []int{1, 3}, 1, 2, 3).Tensor, float32Tensor("", []int{0, 3}, []float32{}...).Tensor,
			[]int{0, 3}, []float32{}, []float32{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, want := range map[string][]float32{"Add": c.sum, "Div": c.div} {
				n := &node{Node: &Node{}, inputs: []*value{{typ: model.Float32}, {typ: model.Float32}}, outputs: []*value{{}}}
				k, err := map[string]func(*node) (kernel, error){"Add": buildAdd, "Div": buildDiv}[name](n)
				require.NoError(t, err)
				var out model.Tensor
				out.Resize(model.Float32, 9, 9)
				require.NoError(t, k.run(&budget{100}, []*model.Tensor{&c.a, &c.b}, []*model.Tensor{&out}))
				require.Equal(t, c.shape, out.Shape, name)
				require.Equal(t, want, out.Float32s, name)
			}
		})
	}
}

func TestBroadcastFaults(t *testing.T) {
	for _, c := range []struct {
		a, b []int
		want string
	}{
		{[]int{2, 3}, []int{2}, "the shapes [2 3] and [2] do not go together"},
		{[]int{2, 3}, []int{3, 3}, "the shapes [2 3] and [3 3] do not go together"},
		{[]int{0}, []int{2}, "the shapes [0] and [2] do not go together"},
	} {
		_, err := broadcast(nil, c.a, c.b)
		require.EqualError(t, err, c.want)
	}
}

// TestBudget: a run pays for every value of every result.
func TestBudget(t *testing.T) {
	b := budget{left: 10}
	require.NoError(t, b.take(2, 3))
	require.NoError(t, b.take())
	require.NoError(t, b.take(0, 7))
	for _, shape := range [][]int{{4}, {2, 2}, {1 << 32, 1 << 32}, {1 << 31, 1 << 31, 4}} {
		require.EqualError(t, b.take(shape...), fmt.Sprintf("no room for a result of the shape %v: a run computes at most 131072 values for each row", shape))
	}
	var out model.Tensor
	require.NoError(t, b.resize(&out, model.Bool, 3))
	require.Len(t, out.Bools, 3)
	require.Error(t, b.resize(&out, model.Bool, 1))
	require.Error(t, b.take())
	require.NoError(t, b.take(0))
	require.Equal(t, budget{}, b)
}

// TestRunBudget: 131,072 values for each row, by hand: two results of 65,536
// columns are all that there is room for, whatever computes them.
func TestRunBudget(t *testing.T) {
	wide := func(nodes ...Node) *model.Model {
		return load(t, fileOf(Graph{
			Nodes: nodes, Initializers: []Tensor{zeros("C", 1, 1<<16)},
			Inputs: []ValueInfo{rowsOf("X", model.Float32, 1)}, Outputs: []ValueInfo{{Name: "Y"}},
		}))
	}
	twice := wide(operation("Add", []string{"X", "C"}, []string{"a"}), operation("Add", []string{"a", "C"}, []string{"Y"}))
	run(t, twice, float32Rows(1, 1))
	require.Equal(t, []int{3, 1 << 16}, run(t, twice, float32Rows(1, 1, 2, 3))[0].Shape)

	const fault = `node 2 "n" (%s): no room for a result of the shape [%d 65536]: a run computes at most 131072 values for each row`
	first := []Node{operation("Add", []string{"X", "C"}, []string{"a"}), operation("Add", []string{"a", "C"}, []string{"b"})}
	thrice := wide(append(first, operation("Add", []string{"a", "b"}, []string{"Y"}))...)
	require.EqualError(t, runFails(t, thrice, float32Rows(1, 1)), fmt.Sprintf(fault, "Add", 1))
	require.EqualError(t, runFails(t, thrice, float32Rows(1, 1, 2)), fmt.Sprintf(fault, "Add", 2))
	require.EqualError(t, runFails(t, wide(append(first, operation("Cast", []string{"b"}, []string{"Y"}, intAttribute("to", 11)))...), float32Rows(1, 1)),
		fmt.Sprintf(fault, "Cast", 1))

	// What no output needs is not computed, and costs nothing.
	unused := wide(append(first, operation("Add", []string{"a", "b"}, []string{"c"}), operation("Add", []string{"X", "X"}, []string{"Y"}))...)
	require.Equal(t, []float32{2}, run(t, unused, float32Rows(1, 1))[0].Float32s)

	// Trees, with scores and without; those that nobody asks for take no room.
	many := append(treeAttributes("class"), Attribute{Name: "classlabels_int64s", Type: AttributeInts, Ints: upTo(1 << 16)})
	target := append(treeAttributes("target"), intAttribute("n_targets", 1<<16))
	classifier := func(outputs ...string) *model.Model {
		return load(t, fileOf(Graph{
			Nodes: []Node{
				mlOperation("TreeEnsembleRegressor", []string{"X"}, []string{"Y"}, target...),
				mlOperation("TreeEnsembleClassifier", []string{"X"}, outputs, many...),
			},
			Inputs: []ValueInfo{rowsOf("X", model.Float32, 2)}, Outputs: []ValueInfo{{Name: "Y"}, {Name: "label"}},
		}))
	}
	require.EqualError(t, runFails(t, classifier("label", "scores"), float32Rows(2, 1, 2)),
		`node 1 "n" (ai.onnx.ml.TreeEnsembleClassifier): no room for a result of the shape [1]: a run computes at most 131072 values for each row`)
	require.Equal(t, []int64{1}, run(t, classifier("label"), float32Rows(2, 1, 2))[1].Int64s)
	three := fileOf(Graph{
		Nodes: []Node{
			mlOperation("TreeEnsembleRegressor", []string{"X"}, []string{"Y"}, target...),
			mlOperation("TreeEnsembleRegressor", []string{"X"}, []string{"Z"}, target...),
			mlOperation("TreeEnsembleRegressor", []string{"X"}, []string{"W"}, target...),
		},
		Inputs: []ValueInfo{rowsOf("X", model.Float32, 2)}, Outputs: []ValueInfo{{Name: "Y"}, {Name: "Z"}, {Name: "W"}},
	})
	require.EqualError(t, runFails(t, load(t, three), float32Rows(2, 1, 2)), fmt.Sprintf(fault, "ai.onnx.ml.TreeEnsembleRegressor", 1))

	// Copies of one value for several outputs are paid for too.
	same := fileOf(Graph{
		Nodes:  []Node{operation("Identity", []string{"X"}, []string{"Y"}), operation("Identity", []string{"X"}, []string{"Z"})},
		Inputs: []ValueInfo{rowsOf("X", model.Float32, 1<<16)}, Outputs: []ValueInfo{{Name: "X"}, {Name: "Y"}, {Name: "Z"}},
	})
	require.EqualError(t, runFails(t, load(t, same), zeros("", 1, 1<<16).Tensor),
		"graph output 2: no room for a result of the shape [1 65536]: a run computes at most 131072 values for each row")
}

func upTo(n int) []int64 {
	list := make([]int64, n)
	for i := range list {
		list[i] = int64(i)
	}
	return list
}

// TestArithmeticTypes: each type, division of integers towards zero included.
func TestArithmeticTypes(t *testing.T) {
	div := operation("Div", []string{"X", "C"}, []string{"Y"})
	out := run(t, load(t, operationFile(div, model.Int32, int32Tensor("C", []int{2}, 2, -1))), model.Tensor{
		Type: model.Int32, Shape: []int{2, 2}, Int32s: []int32{-7, math.MaxInt32, 7, 5},
	})
	require.Equal(t, []int32{-3, -math.MaxInt32, 3, -5}, out[0].Int32s)
	out = run(t, load(t, operationFile(div, model.Int64, int64Tensor("C", []int{1, 2}, 2, -1))), model.Tensor{
		Type: model.Int64, Shape: []int{1, 2}, Int64s: []int64{-7, math.MaxInt64},
	})
	require.Equal(t, []int64{-3, -math.MaxInt64}, out[0].Int64s)
	out = run(t, load(t, operationFile(div, model.Float64, float64Tensor("C", nil, 0))), model.Tensor{
		Type: model.Float64, Shape: []int{1, 2}, Float64s: []float64{1, -1},
	})
	require.Equal(t, []float64{math.Inf(1), math.Inf(-1)}, out[0].Float64s)

	add := operation("Add", []string{"C", "X"}, []string{"Y"})
	out = run(t, load(t, operationFile(add, model.Int64, int64Tensor("C", nil, 1))), model.Tensor{
		Type: model.Int64, Shape: []int{1, 2}, Int64s: []int64{math.MaxInt64, -1},
	})
	require.Equal(t, []int64{math.MinInt64, 0}, out[0].Int64s)
	out = run(t, load(t, operationFile(add, model.Int32, int32Tensor("C", nil, 1))), model.Tensor{
		Type: model.Int32, Shape: []int{1, 2}, Int32s: []int32{4, 5},
	})
	require.Equal(t, []int32{5, 6}, out[0].Int32s)
	out = run(t, load(t, operationFile(add, model.Float64, float64Tensor("C", []int{2}, 0.5, 0.25))), model.Tensor{
		Type: model.Float64, Shape: []int{1, 2}, Float64s: []float64{1, 2},
	})
	require.Equal(t, []float64{1.5, 2.25}, out[0].Float64s)
}

// TestDivisionWithoutQuotient: a caller's pair of integers that has no quotient
// is that caller's fault, and the row is named.
func TestDivisionWithoutQuotient(t *testing.T) {
	file := func(typ model.Type) *model.Model {
		return load(t, fileOf(Graph{
			Nodes:  []Node{operation("Div", []string{"A", "B"}, []string{"Y"})},
			Inputs: []ValueInfo{rowsOf("A", typ, 2), rowsOf("B", typ, 1)}, Outputs: []ValueInfo{{Name: "Y"}},
		}))
	}
	short := func(columns int, v ...int32) model.Tensor {
		return model.Tensor{Type: model.Int32, Shape: []int{len(v) / columns, columns}, Int32s: v}
	}
	long := func(columns int, v ...int64) model.Tensor {
		return model.Tensor{Type: model.Int64, Shape: []int{len(v) / columns, columns}, Int64s: v}
	}
	by32, by64 := file(model.Int32), file(model.Int64)
	for _, c := range []struct {
		m        *model.Model
		a, b     model.Tensor
		row, got string
	}{
		{by32, short(2, 6, 8), short(1, 0), "/0", "6 divided by 0"},
		{by32, short(2, 6, 8, 1, 2, 3, 4), short(1, 2, -1, 0), "/2", "3 divided by 0"},
		{by32, short(2, 0, math.MinInt32, 0, math.MinInt32), short(1, 1, -1), "/1", "-2147483648 divided by -1"},
		{by64, long(2, 6, 8, 0, 2), long(1, -1, 0), "/1", "0 divided by 0"},
		{by64, long(2, 1, math.MinInt64), long(1, -1), "/0", "-9223372036854775808 divided by -1"},
	} {
		err := unwrapped(runFails(t, c.m, c.a, c.b))
		require.Equal(t, &model.Error{
			Kind: model.KindInvalid, Type: "invalid-value", Detail: "the model divides two integers of which there is no quotient",
			Pointer: c.row, Expected: "a divisor that is not 0, and a quotient that fits " + c.a.Type.String(), Got: c.got,
		}, err)
	}
	require.Equal(t, []int32{-6, 0, -math.MaxInt32, 3}, run(t, by32, short(2, 6, 0, math.MaxInt32, -3), short(1, -1))[0].Int32s[:4:4])
	require.Equal(t, []int64{3, -2}, run(t, by64, long(2, 6, -5), long(1, 2))[0].Int64s, "the failures leave nothing behind")
	// Floats have infinities.
	require.Equal(t, []float32{float32(math.Inf(1)), float32(math.Inf(-1))},
		run(t, file(model.Float32), float32Rows(2, 1, -1), float32Rows(1, 0))[0].Float32s)

	// A 0 in the file is the file's fault, and known when it is loaded.
	for _, zero := range []Tensor{int32Tensor("C", []int{2}, 2, 0), int64Tensor("C", nil, 0)} {
		_, err := Load(operationFile(operation("Div", []string{"X", "C"}, []string{"Y"}), zero.Type, zero).Marshal(), "m")
		require.EqualError(t, err, `node 0 "n" (Div): it divides integers by "C", which has a 0`)
	}
}

// TestRunFaults: what only the shapes of a run tell.
func TestRunFaults(t *testing.T) {
	wide := fileOf(Graph{
		Nodes: []Node{
			operation("Add", []string{"X", "W"}, []string{"Y"}),
			mlOperation("TreeEnsembleRegressor", []string{"X"}, []string{"t"}, append(treeAttributes("target"), intAttribute("n_targets", 2))...),
		},
		Inputs: []ValueInfo{rowsOf("X", model.Float32, 0), rowsOf("W", model.Float32, 3)}, Outputs: []ValueInfo{{Name: "Y"}, {Name: "t"}},
	})
	require.EqualError(t, runFails(t, load(t, wide), float32Rows(2, 1, 2), float32Rows(3, 1, 2, 3)), `node 0 "n" (Add): the shapes [1 2] and [1 3] do not go together`)

	for _, file := range []*Model{classifierFile(), regressorFile()} {
		op := file.Graph.Nodes[0].OpType
		narrow := float32Rows(1, 1, 2)
		require.EqualError(t, runFails(t, load(t, file), narrow), `node 0 "trees" (ai.onnx.ml.`+op+`): the input has the shape [2 1] where [rows, 2] is needed`)
	}
}

// TestCastText: numbers in text, as strconv reads them; integers keep all
// their digits.
func TestCastText(t *testing.T) {
	casts := func(to int64) *model.Model {
		return load(t, operationFile(operation("Cast", []string{"X"}, []string{"Y"}, intAttribute("to", to), intAttribute("saturate", 0)), model.String))
	}
	words := func(a, b string) model.Tensor {
		return model.Tensor{Type: model.String, Shape: []int{1, 2}, Strings: []string{a, b}}
	}
	require.Equal(t, []float32{0.1, float32(math.Inf(1))}, run(t, casts(1), words(" 0.1 ", "1e39"))[0].Float32s)
	require.Equal(t, []float64{math.Inf(-1), 1e300}, run(t, casts(11), words("-INF", "1e300"))[0].Float64s)
	require.Equal(t, []float64{math.Inf(1), 0}, run(t, casts(11), words("1e400", "1e-400"))[0].Float64s)
	require.Equal(t, []int64{9007199254740993, math.MinInt64}, run(t, casts(7), words("9007199254740993", "-9223372036854775808"))[0].Int64s)
	require.Equal(t, []int64{100, -3}, run(t, casts(7), words("1e2", " -3.9"))[0].Int64s)
	require.Equal(t, []int32{100, math.MinInt32}, run(t, casts(6), words("100.5", "2147483648"))[0].Int32s)
	require.Equal(t, []bool{true, false}, run(t, casts(9), words("2", "0"))[0].Bools)
	require.Equal(t, []string{"x", ""}, run(t, casts(8), words("x", ""))[0].Strings)

	for _, s := range []string{"x", "", "1,5", "0x", "٣"} {
		require.Equal(t, &model.Error{
			Kind: model.KindInvalid, Type: "invalid-value", Detail: "the model reads a number from a text that is none",
			Pointer: "/0", Expected: "a number in text", Got: strconv.Quote(s),
		}, unwrapped(runFails(t, casts(1), words("1", s))))
	}
}

func unwrapped(err error) error {
	if inner, ok := err.(interface{ Unwrap() error }); ok {
		return inner.Unwrap()
	}
	return err
}

// TestCastEdges: what fits no integer becomes the least one.
func TestCastEdges(t *testing.T) {
	casts := func(from model.Type, to int64) *model.Model {
		return load(t, operationFile(operation("Cast", []string{"X"}, []string{"Y"}, intAttribute("to", to)), from))
	}
	doubles := func(v ...float64) model.Tensor {
		return model.Tensor{Type: model.Float64, Shape: []int{len(v) / 2, 2}, Float64s: v}
	}
	x := doubles(-0.9, 2147483647.9, -2147483648.9, 2147483648, math.NaN(), math.Inf(1))
	require.Equal(t, []int32{0, math.MaxInt32, math.MinInt32, math.MinInt32, math.MinInt32, math.MinInt32}, run(t, casts(model.Float64, 6), x)[0].Int32s)
	x = doubles(9223372036854774784, 9223372036854775808, -9223372036854775808, math.Inf(-1), math.NaN(), -1.5)
	require.Equal(t, []int64{9223372036854774784, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, -1}, run(t, casts(model.Float64, 7), x)[0].Int64s)
	x = doubles(1e6, 123456789, 0.1, -0.0001234567891, math.NaN(), math.Inf(-1))
	require.Equal(t, []string{"1000000", "1.2345679e+08", "0.1", "-0.00012345679", "NaN", "-INF"}, run(t, casts(model.Float64, 8), x)[0].Strings)
	x = doubles(1e39, 0.1)
	require.Equal(t, []float32{float32(math.Inf(1)), 0.1}, run(t, casts(model.Float64, 1), x)[0].Float32s)
	long := model.Tensor{Type: model.Int64, Shape: []int{1, 2}, Int64s: []int64{1<<32 + 5, -1}}
	require.Equal(t, []int32{5, -1}, run(t, casts(model.Int64, 6), long)[0].Int32s, "the low bits, as in C")
	require.Equal(t, []bool{true, true}, run(t, casts(model.Int64, 9), long)[0].Bools)
}

// TestSharedOutputs: outputs that are one value, or an input, are copies that the caller may write to.
func TestSharedOutputs(t *testing.T) {
	file := fileOf(Graph{
		Nodes: []Node{
			operation("Add", []string{"X", "C"}, []string{"sum"}),
			operation("Identity", []string{"sum"}, []string{"again"}),
			operation("Identity", []string{"X"}, []string{"same"}),
			operation("Cast", []string{"sum"}, []string{"third"}, intAttribute("to", 1)),
		},
		Initializers: []Tensor{float32Tensor("C", []int{1, 2}, 10, 20)},
		Inputs:       []ValueInfo{rowsOf("X", model.Float32, 2)},
		Outputs:      []ValueInfo{{Name: "sum"}, {Name: "X"}, {Name: "again"}, {Name: "same"}, {Name: "third"}},
	})
	m := load(t, file)
	x := float32Rows(2, 1, 2)
	outputs := make([]model.Tensor, 5)
	for range 3 {
		require.NoError(t, m.Program.Run(t.Context(), []model.Tensor{x}, outputs))
		for i, want := range [][]float32{{11, 22}, {1, 2}, {11, 22}, {1, 2}, {11, 22}} {
			require.Equal(t, want, outputs[i].Float32s, "output %d", i)
			require.Equal(t, []int{1, 2}, outputs[i].Shape)
		}
		// What is written to the outputs reaches neither the input nor another
		// output.
		for i := range outputs {
			outputs[i].Float32s[0], outputs[i].Shape[0] = float32(-i), 9
		}
		for i := range outputs {
			require.Equal(t, []float32{float32(-i)}, outputs[i].Float32s[:1])
		}
		require.Equal(t, []float32{1, 2}, x.Float32s)
		require.Equal(t, []int{1, 2}, x.Shape)
	}
}

// TestFrames: a larger batch between two small ones leaves nothing behind.
func TestFrames(t *testing.T) {
	m := load(t, classifierFile())
	outputs := make([]model.Tensor, 2)
	for _, n := range []int{2, 5, 0, 1} {
		x := model.Tensor{Type: model.Float32, Shape: []int{n, 2}, Float32s: make([]float32, 2*n)}
		want := make([]string, n)
		for i := range n {
			x.Float32s[2*i+1], want[i] = float32(i%2), []string{"a", "b"}[i%2]
		}
		require.NoError(t, m.Program.Run(t.Context(), []model.Tensor{x}, outputs))
		require.Equal(t, want, append([]string{}, outputs[0].Strings...))
		require.Equal(t, []int{n, 3}, outputs[1].Shape)
	}
}

func TestClassifierWithoutScores(t *testing.T) {
	file := classifierFile()
	file.Graph.Nodes = file.Graph.Nodes[:1]
	file.Graph.Nodes[0].Outputs = file.Graph.Nodes[0].Outputs[:1]
	file.Graph.Outputs = file.Graph.Outputs[:1]
	m := load(t, file)
	require.Equal(t, []string{"a", "b"}, run(t, m, float32Rows(2, 0, 0, 0, 1))[0].Strings)
	require.Equal(t, []string{"a", "b", "c"}, m.Schema.Classes.Strings)

	// Nor need the label have a name.
	file = classifierFile()
	file.Graph.Nodes[0].Outputs[0] = ""
	file.Graph.Outputs = file.Graph.Outputs[1:]
	require.Equal(t, []float32{0, 1, 0}, run(t, load(t, file), float32Rows(2, 0, 1))[0].Float32s)
}

// TestManyInputs: four inputs of one column and of several types; each feature
// finds its own by name.
func TestManyInputs(t *testing.T) {
	casts := func(in, out string) Node {
		return operation("Cast", []string{in}, []string{out}, intAttribute("to", 1))
	}
	file := fileOf(Graph{
		Nodes: []Node{
			casts("age", "age_number"), casts("grade", "grade_number"), casts("member", "member_number"),
			operation("Div", []string{"income", "thousand"}, []string{"income_scaled"}),
			operation("Add", []string{"age_number", "grade_number"}, []string{"a"}),
			operation("Add", []string{"a", "member_number"}, []string{"b"}),
			operation("Add", []string{"b", "income_scaled"}, []string{"score"}),
		},
		Initializers: []Tensor{float32Tensor("thousand", []int{1}, 1000)},
		Inputs: []ValueInfo{
			rowsOf("income", model.Float32, 1), rowsOf("age", model.Int64, 1), rowsOf("grade", model.String, 1), rowsOf("member", model.Bool, 1),
		},
		Outputs: []ValueInfo{rowsOf("score", model.Float32, 1)},
	})
	m := load(t, file)
	var names []string
	for _, f := range m.Schema.Features {
		names = append(names, f.Name+" "+f.Type.String())
	}
	require.Equal(t, []string{"income float32", "age int64", "grade string", "member bool"}, names)
	require.Equal(t, model.Regression, m.Schema.Task)

	codec := rows.New(m)
	var decoder rows.Decoder
	var req rows.Request
	var p model.Predictions
	body := `[{"member":true,"grade":"0.5","age":30,"income":2000},[4000,20,"0.25",false]]`
	require.NoError(t, decoder.Decode(codec, bytes.NewBufferString(body), &req, 9))
	require.NoError(t, m.Predict(t.Context(), &req.Batch, &p))
	require.Equal(t, `[{"value":33.5},{"value":24.25}]`, string(codec.Append(nil, &req, &p)))

	// A text that is no number is the caller's fault, although only the graph knows.
	require.NoError(t, decoder.Decode(codec, bytes.NewBufferString(`[[1,1,"good",true]]`), &req, 9))
	require.Equal(t, model.KindInvalid, model.KindOf(m.Predict(t.Context(), &req.Batch, &p)))
}

// TestVectorInput: an input of one dimension has one feature.
func TestVectorInput(t *testing.T) {
	file := fileOf(Graph{
		Nodes:        []Node{operation("Add", []string{"X", "C"}, []string{"Y"})},
		Initializers: []Tensor{float64Tensor("C", []int{1}, 1)},
		Inputs:       []ValueInfo{rowsOf("X", model.Float64), {Name: "C", Type: ValueType{Tensor: model.Float64, Dims: []Dim{{Value: 1}}}}},
		Outputs:      []ValueInfo{rowsOf("Y", model.Float64)},
	})
	m := load(t, file)
	require.Equal(t, []model.Input{{Name: "X", Type: model.Float64, Columns: 1, Vector: true}}, m.Schema.Inputs, "a constant is no input")
	var batch model.Batch
	batch.Reset(&m.Schema)
	batch.Append(&m.Schema)
	batch.Append(&m.Schema)
	batch.Inputs[0].Float64s[1] = 5
	var p model.Predictions
	batch.Inputs[0].Float64s[0] = 4
	require.NoError(t, m.Predict(t.Context(), &batch, &p))
	require.Equal(t, []float64{5, 6}, p.Value().Float64s)
	require.Equal(t, []int{2}, p.Value().Shape)
}

// TestConcurrentRuns: one program, eight goroutines, batches of several sizes.
func TestConcurrentRuns(t *testing.T) {
	m, err := Load(artifacts.Iris, "iris")
	require.NoError(t, err)
	known := irisRows(t)[:150]
	var wait sync.WaitGroup
	faults := make([]string, 8)
	for g := range faults {
		wait.Go(func() {
			var batch model.Batch
			var p model.Predictions
			for round := range 40 {
				chosen := known[(g*17+round)%100:][:1+(g+round)%50]
				batch.Reset(&m.Schema)
				for _, row := range chosen {
					at := batch.Append(&m.Schema)
					copy(batch.Inputs[0].Float64s[4*at:], row.features[:])
				}
				if err := m.Predict(t.Context(), &batch, &p); err != nil {
					faults[g] = err.Error()
					return
				}
				for i, row := range chosen {
					if p.Label().Strings[i] != row.label {
						faults[g] = "row answered as " + p.Label().Strings[i] + ", not " + row.label
					}
				}
			}
		})
	}
	wait.Wait()
	require.Equal(t, make([]string, 8), faults)
}

func TestNoAllocation(t *testing.T) {
	if underRace() {
		t.Skip("the race detector makes sync.Pool drop what it is given")
	}
	m, err := Load(artifacts.Iris, "iris")
	require.NoError(t, err)
	var batch model.Batch
	var p model.Predictions
	batch.Reset(&m.Schema)
	batch.Append(&m.Schema)
	copy(batch.Inputs[0].Float64s, []float64{5.1, 3.5, 1.4, 0.2})
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if err := m.Predict(t.Context(), &batch, &p); err != nil {
			panic(err)
		}
	}))
}

// TestBroadcastAsNumPy compares Add with ONNX's definition, element by element:
// an operand's index is the result's, and 0 where the operand's length is 1.
func TestBroadcastAsNumPy(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 2000 {
		shape := make([]int, r.IntN(5))
		for i := range shape {
			shape[i] = []int{0, 1, 2, 2, 3, 3}[r.IntN(6)]
		}
		operand := func() model.Tensor {
			own := slices.Clone(shape[r.IntN(len(shape)+1):])
			for i := range own {
				if r.IntN(3) == 0 {
					own[i] = 1
				}
			}
			var x model.Tensor
			x.Resize(model.Int64, own...)
			for i := range x.Int64s {
				x.Int64s[i] = r.Int64N(1000)
			}
			return x
		}
		a, b := operand(), operand()
		together, err := broadcast(nil, a.Shape, b.Shape)
		require.NoError(t, err)
		at := func(x *model.Tensor, i int) int64 {
			place, step := 0, 1
			for d, j := len(together)-1, len(x.Shape)-1; j >= 0; d, j = d-1, j-1 {
				if x.Shape[j] > 1 {
					place += i % together[d] * step
				}
				i, step = i/together[d], step*x.Shape[j]
			}
			return x.Int64s[place]
		}
		k, err := buildAdd(&node{Node: &Node{}, inputs: []*value{{typ: model.Int64}, {typ: model.Int64}}, outputs: []*value{{}}})
		require.NoError(t, err)
		var sum model.Tensor
		require.NoError(t, k.run(&budget{1000}, []*model.Tensor{&a, &b}, []*model.Tensor{&sum}))
		for i, got := range sum.Int64s {
			require.Equal(t, at(&a, i)+at(&b, i), got, "%v and %v, element %d", a.Shape, b.Shape, i)
		}
	}
}
