package onnx

import (
	"os"
	"runtime"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/rows"
)

// What Load may allocate in all, and so may one Run, garbage included: so many bytes for each byte
// of the file, and so many for the widest row that it takes. The worst file
// there is has nothing but empty nodes or attributes, of two bytes each.
const (
	bytesForEach = 512
	bytesAtLeast = 64 << 20
)

// FuzzLoad gives any bytes to Load. It never panics, and allocates in
// proportion to the file; what it takes answers a row of zeros, or says why
// not, with an answer that is JSON; and what Parse reads, Marshal writes.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{
		"cast_f32_string", "cast_string_f64", "classifier_f32_2_strings", "classifier_f32_3_votes_ties", "classifier_f32_lone_leaf",
		"classifier_f64_eq", "classifier_int64", "div_f32_table", "div_i32_columns", "identity_bool", "lightgbm_2",
		"pipeline_cast_label_string", "pipeline_zipmap_numbers", "regressor_f32_3_softmax", "regressor_f64_1_average_base",
	} {
		data, err := os.ReadFile("testdata/cases/" + name + ".onnx")
		require.NoError(f, err)
		f.Add(data)
		f.Add(data[:len(data)/2])
		// Every 37th byte with one bit turned.
		mutated := append([]byte(nil), data...)
		for i := 0; i < len(mutated); i += 37 {
			mutated[i] ^= 1 << (i % 8)
		}
		f.Add(mutated)
	}
	named := classifierFile()
	require.NoError(f, named.SetMetadata(&Metadata{Name: "x", Version: 1, Schema: &Schema{
		Features: []model.Feature{{Name: "a", Example: 1.0}, {Name: "b"}},
		Outputs:  []model.Output{{Name: "label", Role: model.RoleLabel}},
	}}))
	f.Add(named.Marshal())
	f.Add(wide().Marshal())
	f.Add(regressorFile().Marshal())
	f.Add(productFile().Marshal())
	f.Add(growingFile(3).Marshal())
	f.Fuzz(func(t *testing.T, data []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := Load(data, "m")
		runtime.ReadMemStats(&after)
		require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(bytesForEach*len(data)+bytesAtLeast), "of %d bytes", len(data))
		checkMarshal(t, data)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		checkZeros(t, m)
	})
}

// checkMarshal sees that what was read is written as it was read.
func checkMarshal(t *testing.T, data []byte) {
	t.Helper()
	file, err := Parse(data)
	if err != nil {
		return
	}
	written := file.Marshal()
	again, err := Parse(written)
	require.NoError(t, err)
	require.Equal(t, written, again.Marshal())
}

// checkZeros has a model answer a row of zeros.
func checkZeros(t *testing.T, m *model.Model) {
	t.Helper()
	var req rows.Request
	var p model.Predictions
	var before, after runtime.MemStats
	req.Batch.Reset(&m.Schema)
	req.Batch.Append(&m.Schema)
	runtime.ReadMemStats(&before)
	err := m.Predict(t.Context(), &req.Batch, &p)
	runtime.ReadMemStats(&after)
	require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(bytesForEach*m.Size+bytesAtLeast), "of %d bytes", m.Size)
	if err != nil {
		require.NotEmpty(t, err.Error())
		return
	}
	answer := rows.New(m).Append(nil, &req, &p)
	require.True(t, jsontext.Value(answer).IsValid(), "%s", answer)
}

// productFile asks for the product of its two constants, and again for each of
// its nodes but the first, which no output needs.
func productFile() *Model {
	return fileOf(Graph{
		Nodes: []Node{
			operation("Add", []string{"A", "B"}, []string{"a"}),
			operation("Add", []string{"a", "A"}, []string{"b"}),
			operation("Add", []string{"b", "A"}, []string{"c"}),
			operation("Add", []string{"X", "X"}, []string{"Y"}),
		},
		Initializers: []Tensor{zeros("A", 16384, 1), zeros("B", 1, 16384)},
		Inputs:       []ValueInfo{rowsOf("X", model.Float32, 1)}, Outputs: []ValueInfo{{Name: "Y"}, {Name: "c"}},
	})
}

// growingFile does the same with a row's value in between, so that only running
// tells, and with further nodes of that size.
func growingFile(further int) *Model {
	g := Graph{
		Nodes:        []Node{operation("Add", []string{"X", "A"}, []string{"a"}), operation("Add", []string{"a", "B"}, []string{"y"})},
		Initializers: []Tensor{zeros("A", 16384, 1), zeros("B", 1, 16384)},
		Inputs:       []ValueInfo{rowsOf("X", model.Float32, 1)},
	}
	last := "y"
	for range further {
		g.Nodes, last = append(g.Nodes, operation("Add", []string{last, "A"}, []string{last + "y"})), last+"y"
	}
	g.Outputs = []ValueInfo{{Name: last}}
	return fileOf(g)
}

// TestMemory loads, and runs, files made to take as much memory as they can.
func TestMemory(t *testing.T) {
	repeat := func(n int, part []byte) [][]byte {
		parts := make([][]byte, n)
		for i := range parts {
			parts[i] = part
		}
		return parts
	}
	const n = 100_000
	file := func(parts ...[]byte) []byte { return append(varint(1, 8), enclosed(7, parts...)...) }
	widest := regressorFile()
	widest.Graph.Inputs[0] = rowsOf("X", model.Float32, 0)
	set(&widest.Graph.Nodes[0], intsAttribute("nodes_featureids", maxColumns-1, 0, 0))
	targets := regressorFile()
	set(&targets.Graph.Nodes[0], intAttribute("n_targets", 1<<16))
	targets.Metadata = []Property{{keySchema, `{"outputs":[{"name":"Y","role":"probabilities"}]}`}}
	for _, c := range []struct {
		name string
		data []byte
		ok   bool
	}{
		{"empty nodes", file(repeat(n, enclosed(1))...), false},
		{"empty attributes", file(enclosed(1, repeat(n, enclosed(5))...)), false},
		{"empty names", file(enclosed(1, repeat(n, enclosed(1))...)), false},
		{"empty outputs", file(repeat(n, enclosed(12))...), false},
		{"dimensions", file(enclosed(11, enclosed(2, enclosed(1, enclosed(2, repeat(n, enclosed(1))...))))), false},
		{"small tensors", file(repeat(n, enclosed(5, varint(2, 6), varint(5, 0)))...), false},
		{"properties", append(file(), append([]byte(nil), joined(repeat(n, enclosed(14)))...)...), false},
		{"the widest row", widest.Marshal(), true},
		{"the most classes", targets.Marshal(), true},
		{"the product of constants", productFile().Marshal(), false},
		{"the product of constants and a row", growingFile(9).Marshal(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			m, err := Load(c.data, "m")
			runtime.ReadMemStats(&after)
			require.Equal(t, c.ok, err == nil, "%v", err)
			taken := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes for %d of the file", taken, len(c.data))
			require.LessOrEqual(t, taken, uint64(bytesForEach*len(c.data)+bytesAtLeast))
			if c.ok {
				checkZeros(t, m)
			}
		})
	}
}

func joined(parts [][]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
