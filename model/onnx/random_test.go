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
// A graph that answers one row answers three, and each as it does alone.
func TestRandomGraphs(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	loaded, answered, aligned := 0, 0, 0
	for range 5000 {
		file := randomGraph(r)
		m, err := Load(file.Marshal(), "m")
		if err != nil {
			continue
		}
		loaded++
		if checkRows(t, r, m) {
			aligned++
		}
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
	require.Greater(t, aligned, 100)
	require.Greater(t, loaded, 300)
	require.Greater(t, answered, 300)
}

// checkRows predicts three rows each alone and all together, and reports whether
// there were answers to compare.
func checkRows(t *testing.T, r *rand.Rand, m *model.Model) bool {
	t.Helper()
	together := randomBatch(r, m, 3)
	var all, one model.Predictions
	refused := m.Predict(t.Context(), together, &all)
	for row := range 3 {
		var alone model.Batch
		alone.Reset(&m.Schema)
		alone.Append(&m.Schema)
		for i := range alone.Inputs {
			copyRow(&alone.Inputs[i], &together.Inputs[i], row)
		}
		err := m.Predict(t.Context(), &alone, &one)
		if refused != nil {
			require.Error(t, err, "what no batch answers is found by the proof")
			continue
		}
		require.NoError(t, err)
		for i := range one.Outputs {
			var want model.Tensor
			want.Resize(one.Outputs[i].Type, one.Outputs[i].Shape...)
			copyRow(&want, &all.Outputs[i], row)
			require.Equal(t, textOf(&want), textOf(&one.Outputs[i]), "row %d of output %q", row, m.Schema.Outputs[i].Name)
		}
	}
	return refused == nil
}

// randomBatch has rows of which no two are alike.
func randomBatch(r *rand.Rand, m *model.Model, rows int) *model.Batch {
	var b model.Batch
	b.Reset(&m.Schema)
	for range rows {
		b.Append(&m.Schema)
	}
	for i := range b.Inputs {
		in := &b.Inputs[i]
		for j := range in.Len() {
			v := r.IntN(1000) + 1
			switch in.Type {
			case model.Float32:
				in.Float32s[j] = float32(v) / 8
			case model.Float64:
				in.Float64s[j] = float64(v) / 8
			case model.Int32:
				in.Int32s[j] = int32(v)
			case model.Int64:
				in.Int64s[j] = int64(v)
			case model.Bool:
				in.Bools[j] = v > 500
			case model.String:
				in.Strings[j] = strconv.Itoa(v)
			}
		}
	}
	return &b
}

// copyRow copies a row of src to the only row of dst.
func copyRow(dst, src *model.Tensor, row int) {
	w := src.Width()
	copy(dst.Float32s, src.Float32s[min(row*w, len(src.Float32s)):])
	copy(dst.Float64s, src.Float64s[min(row*w, len(src.Float64s)):])
	copy(dst.Int32s, src.Int32s[min(row*w, len(src.Int32s)):])
	copy(dst.Int64s, src.Int64s[min(row*w, len(src.Int64s)):])
	copy(dst.Bools, src.Bools[min(row*w, len(src.Bools)):])
	copy(dst.Strings, src.Strings[min(row*w, len(src.Strings)):])
}

// textOf writes a tensor of any type as text, for which NaN equals NaN.
func textOf(t *model.Tensor) []string {
	var out model.Tensor
	if t.Type == model.String {
		return append([]string(nil), t.Strings...)
	}
	if err := (cast{to: model.String}).run(&budget{t.Len()}, []*model.Tensor{t}, []*model.Tensor{&out}); err != nil {
		return []string{err.Error()}
	}
	return out.Strings
}
