package onnx

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// randomGraph wires random operators to each other, to inputs and to constants.
// Most of such graphs make little sense, and many none at all.
func randomGraph(r *rand.Rand) *Model {
	types := []model.Type{model.Float32, model.Float32, model.Float64, model.Int32, model.Int64, model.Bool, model.String}
	g := Graph{Inputs: []ValueInfo{rowsOf("X", types[r.IntN(3)], int64(r.IntN(4)))}}
	if r.IntN(3) == 0 {
		g.Inputs = append(g.Inputs, rowsOf("V", types[r.IntN(len(types))]))
	}
	values := []string{"X"}
	for i := range 3 {
		t := Tensor{Name: "c" + strconv.Itoa(i)}
		shape := make([]int, r.IntN(4))
		for d := range shape {
			shape[d] = []int{1, 1, 1, 2, 3, 0}[r.IntN(6)]
		}
		t.Resize(types[r.IntN(4)], shape...)
		for j := range t.Float32s {
			t.Float32s[j] = float32(j) - 1
		}
		g.Initializers, values = append(g.Initializers, t), append(values, t.Name)
	}
	for i := range 1 + r.IntN(5) {
		pick := func() string { return values[r.IntN(len(values))] }
		out := "y" + strconv.Itoa(i)
		var n Node
		switch r.IntN(6) {
		case 0:
			n = operation("Add", []string{pick(), pick()}, []string{out})
		case 1:
			n = operation("Div", []string{pick(), pick()}, []string{out})
		case 2:
			n = operation("Cast", []string{pick()}, []string{out}, intAttribute("to", []int64{1, 1, 6, 7, 8, 9, 11}[r.IntN(7)]))
		case 3:
			n = operation("Identity", []string{pick()}, []string{out})
		case 4:
			n = mlOperation("TreeEnsembleRegressor", []string{pick()}, []string{out}, append(treeAttributes("target"), intAttribute("n_targets", 2))...)
		case 5:
			n = mlOperation("TreeEnsembleClassifier", []string{pick()}, []string{out, "s" + out}, append(treeAttributes("class"), intsAttribute("classlabels_int64s", 5, 6))...)
			values = append(values, "s"+out)
		}
		g.Nodes, values = append(g.Nodes, n), append(values, out)
	}
	for _, i := range r.Perm(len(values))[:1+r.IntN(3)] {
		g.Outputs = append(g.Outputs, ValueInfo{Name: values[i]})
	}
	return fileOf(g)
}

// TestRandomGraphs: whatever the graph, loading and running it ends without a
// panic, twice with the same answer, and an output is as wide as was foretold.
func TestRandomGraphs(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	loaded, answered := 0, 0
	for range 5000 {
		file := randomGraph(r)
		m, err := Load(file.Marshal(), "m")
		if err != nil {
			continue
		}
		loaded++
		for _, n := range []int{1, 3, 0} {
			var batch model.Batch
			var p model.Predictions
			batch.Reset(&m.Schema)
			for range n {
				batch.Append(&m.Schema)
			}
			if m.Predict(t.Context(), &batch, &p) != nil {
				continue
			}
			answered++
			first := make([]model.Tensor, len(p.Outputs))
			for i := range p.Outputs {
				first[i].CopyFrom(&p.Outputs[i])
				if want := m.Schema.Outputs[i].Columns; want > 0 && n > 0 {
					require.Equal(t, want, p.Outputs[i].Width(), "output %d of %+v", i, file.Graph)
				}
			}
			require.NoError(t, m.Predict(t.Context(), &batch, &p))
			for i := range p.Outputs {
				var again model.Tensor
				again.CopyFrom(&p.Outputs[i])
				require.Equal(t, textOf(&first[i]), textOf(&again))
			}
		}
	}
	require.Greater(t, loaded, 300)
	require.Greater(t, answered, 300)
}

// textOf writes a tensor of any type as text, for which NaN equals NaN.
func textOf(t *model.Tensor) []string {
	var out model.Tensor
	if t.Type == model.String {
		return append([]string(nil), t.Strings...)
	}
	if err := (cast{model.String}).run(&budget{t.Len()}, []*model.Tensor{t}, []*model.Tensor{&out}); err != nil {
		return []string{err.Error()}
	}
	return out.Strings
}
