package onnx

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

func featureNames(m *model.Model) []string {
	var names []string
	for _, f := range m.Schema.Features {
		names = append(names, f.Name)
	}
	return names
}

// TestLoadPlain: a file without metadata has its schema from the graph.
func TestLoadPlain(t *testing.T) {
	file := classifierFile()
	data := file.Marshal()
	m, err := Load(data, "plain")
	require.NoError(t, err)
	require.Equal(t, "plain", m.Name)
	require.Equal(t, "1", m.Version)
	require.Len(t, m.Digest, len("sha256:")+64)
	require.Equal(t, Digest(data), m.Digest)
	require.Equal(t, len(data), m.Size)
	require.Equal(t, []string{"X_0", "X_1"}, featureNames(m))
	require.Equal(t, model.Classification, m.Schema.Task)
	require.Equal(t, model.Classes{Strings: []string{"a", "b", "c"}}, m.Schema.Classes)
	require.Equal(t, []model.Output{
		{Name: "label", Role: model.RoleLabel, Type: model.String, Columns: 1},
		{Name: "probabilities", Role: model.RoleProbabilities, Type: model.Float32, Columns: 3},
	}, m.Schema.Outputs)
	require.Equal(t, map[string]int{"ai.onnx.ml.TreeEnsembleClassifier": 1, "ai.onnx.ml.ZipMap": 1}, m.Operators)
	require.Nil(t, m.Golden)

	require.Equal(t, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Digest(nil), "the digest of nothing, from FIPS 180-4")

	file.ModelVersion = 7
	require.Equal(t, "7", load(t, file).Version)
	file.ModelVersion = -7
	require.Equal(t, "1", load(t, file).Version)
	file.Graph.Inputs[0] = rowsOf("X", model.Float32, 0)
	require.Equal(t, []string{"X_0", "X_1"}, featureNames(load(t, file)), "the width is told by the trees")
}

// TestMetadata: what is written is read back, in place of what was there; the
// properties of others stay.
func TestMetadata(t *testing.T) {
	low, high := 0.5, 2.5
	want := &Metadata{
		Name: "flowers", Version: 12,
		Schema: &Schema{
			Task: model.Classification,
			Features: []model.Feature{
				{Name: "length", Unit: "cm", Description: "of it", Minimum: &low, Maximum: &high, Example: 1.5, Histogram: &model.Histogram{Edges: []float64{0.5, 2.5}, Counts: []int64{9}}},
				{Name: "kind", Example: 2.5},
			},
			Classes: &model.Classes{Strings: []string{"a", "b", "c"}},
			Outputs: []model.Output{{Name: "label", Role: model.RoleLabel}},
		},
		Metrics:  &model.Metrics{Method: "m", Values: map[string]float64{"accuracy": 0.5}, Confusion: [][]int64{{1}}},
		Training: &model.Training{Data: "d", Digest: "sha256:1", Rows: 3, Trainer: "t", Settings: map[string]any{"depth": 3.0}, Labels: map[string]int64{"a": 3}, Values: &model.Histogram{Edges: []float64{1, 2}, Counts: []int64{3}}},
		Golden:   &model.Golden{Source: "hand", Tolerance: 1e-6, Rows: []model.GoldenRow{{Instance: json.RawMessage(`[1,2]`), Label: json.RawMessage(`"a"`), Probabilities: []float64{1, 0, 0}, Why: "w"}}},
	}
	file := classifierFile()
	file.Metadata = []Property{{keyName, "old"}, {"author", "me"}, {keyMetrics, "broken"}, {"author", "and you"}}
	require.NoError(t, file.SetMetadata(want))
	parsed, err := Parse(file.Marshal())
	require.NoError(t, err)
	got, err := parsed.ReadMetadata()
	require.NoError(t, err)
	require.Equal(t, want, got)
	var keys []string
	for _, p := range parsed.Metadata {
		keys = append(keys, p.Key)
	}
	require.Equal(t, []string{keyFormat, keyName, keyVersion, keySchema, keyMetrics, keyTraining, keyGolden, "author", "author"}, keys)

	m := load(t, file)
	require.Equal(t, "flowers", m.Name)
	require.Equal(t, "12", m.Version)
	require.Equal(t, []string{"length", "kind"}, featureNames(m))
	require.Equal(t, model.Float32, m.Schema.Features[1].Type)
	require.Equal(t, 1, m.Schema.Features[1].Column)
	require.Equal(t, want.Golden, m.Golden)
	require.Equal(t, want.Metrics, m.Metrics)
	require.Equal(t, want.Training, m.Training)

	// Nothing to say takes no more room than its format.
	require.NoError(t, file.SetMetadata(&Metadata{}))
	require.Equal(t, []Property{{keyFormat, "1"}, {"author", "me"}, {"author", "and you"}}, file.Metadata)
	empty, err := file.ReadMetadata()
	require.NoError(t, err)
	require.Equal(t, &Metadata{}, empty)

	require.EqualError(t, file.SetMetadata(&Metadata{Training: &model.Training{Settings: map[string]any{"f": func() {}}}}),
		"metadata tepal.training: json: unsupported type: func()")
}

// TestMetadataIsLenient: what an older reader may ignore, it ignores.
func TestMetadataIsLenient(t *testing.T) {
	file := classifierFile()
	file.Metadata = []Property{{keyFormat, "1"}, {"tepal.later", "?"}, {keySchema, `{"task":"classification","later":1,"features":[{"name":"a","later":{}},{"name":"b"}]}`}}
	require.Equal(t, []string{"a", "b"}, featureNames(load(t, file)))
	require.Equal(t, "m", load(t, file).Name)
	require.Equal(t, strings.Repeat("x", 128), func() string {
		m, err := Load(file.Marshal(), strings.Repeat("x", 128))
		require.NoError(t, err)
		return m.Name
	}())
}

// TestRoles: what outputs mean, inferred and told.
func TestRoles(t *testing.T) {
	cast := func(to int64) Node {
		return operation("Cast", []string{"X"}, []string{"Y"}, intAttribute("to", to))
	}
	const (
		label, scores, value, other = model.RoleLabel, model.RoleScores, model.RoleValue, model.RoleOther
	)
	for _, c := range []struct {
		name     string
		node     Node
		typ      model.Type
		columns  int64
		metadata string
		role     model.Role
		task     model.Task
		classes  model.Classes
	}{
		{"numbers with a fraction", cast(11), model.Float32, 2, "", value, model.Regression, model.Classes{}},
		{"an integer", cast(7), model.Float32, 1, "", label, model.Classification, model.Classes{}},
		{"text", cast(8), model.Float32, 1, "", label, model.Classification, model.Classes{}},
		{"two integers", cast(7), model.Float32, 2, "", other, model.Regression, model.Classes{}},
		{"a short integer", cast(6), model.Float32, 1, "", other, model.Regression, model.Classes{}},
		{"bools", cast(9), model.Float32, 2, "", other, model.Regression, model.Classes{}},
		{"scores by word", cast(11), model.Float32, 2, `{"outputs":[{"name":"Y","role":"scores"}]}`, scores, model.Classification, model.Classes{Ints: []int64{0, 1}}},
		{"scores with their classes", cast(11), model.Float32, 2, `{"outputs":[{"name":"Y","role":"scores"}],"classes":["no","yes"]}`, scores, model.Classification, model.Classes{Strings: []string{"no", "yes"}}},
		{"nothing of weight by word", cast(11), model.Float32, 2, `{"outputs":[{"name":"Y","role":"other"}]}`, other, model.Regression, model.Classes{}},
		{"a label with its classes", cast(7), model.Float32, 1, `{"classes":[4,5]}`, label, model.Classification, model.Classes{Ints: []int64{4, 5}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := operationFile(c.node, c.typ)
			file.Graph.Inputs[0] = rowsOf("X", c.typ, c.columns)
			if c.metadata != "" {
				file.Metadata = []Property{{keySchema, c.metadata}}
			}
			m := load(t, file)
			require.Equal(t, c.role, m.Schema.Outputs[0].Role)
			require.Equal(t, c.task, m.Schema.Task)
			require.True(t, c.classes.Equal(m.Schema.Classes), "%v", m.Schema.Classes)
		})
	}
}

// TestRolesTold: what the metadata says comes before what is inferred.
func TestRolesTold(t *testing.T) {
	two := fileOf(Graph{
		Nodes: []Node{
			operation("Identity", []string{"X"}, []string{"first"}), operation("Identity", []string{"X"}, []string{"second"}),
		},
		Inputs:  []ValueInfo{rowsOf("X", model.Float32, 1)},
		Outputs: []ValueInfo{{Name: "first"}, {Name: "second"}},
	})
	m := load(t, two)
	require.Equal(t, model.RoleValue, m.Schema.Outputs[0].Role)
	require.Equal(t, model.RoleOther, m.Schema.Outputs[1].Role)
	two.Metadata = []Property{{keySchema, `{"outputs":[{"name":"second","role":"value"}]}`}}
	m = load(t, two)
	require.Equal(t, model.RoleOther, m.Schema.Outputs[0].Role)
	require.Equal(t, model.RoleValue, m.Schema.Outputs[1].Role)
}

// TestScaledScores: through arithmetic with constants, Cast and Identity,
// scores stay probabilities and a label stays one.
func TestScaledScores(t *testing.T) {
	file := classifierFile()
	file.Graph.Nodes[1] = operation("Div", []string{"scores", "two"}, []string{"half"})
	file.Graph.Nodes = append(file.Graph.Nodes,
		operation("Add", []string{"row", "half"}, []string{"moved"}),
		operation("Identity", []string{"moved"}, []string{"again"}),
		operation("Cast", []string{"again"}, []string{"probabilities"}, intAttribute("to", 11)),
		operation("Identity", []string{"label"}, []string{"class"}),
	)
	file.Graph.Initializers = []Tensor{float32Tensor("two", []int{}, 2), float32Tensor("row", []int{3}, 0, 0.25, 0)}
	file.Graph.Outputs = []ValueInfo{{Name: "class"}, {Name: "probabilities"}}
	m := load(t, file)
	require.Equal(t, []model.Output{
		{Name: "class", Role: model.RoleLabel, Type: model.String, Columns: 1},
		{Name: "probabilities", Role: model.RoleProbabilities, Type: model.Float64, Columns: 3},
	}, m.Schema.Outputs)
	require.Equal(t, []string{"a", "b", "c"}, m.Schema.Classes.Strings)
	out := run(t, m, float32Rows(2, 0, 1))
	require.Equal(t, []string{"b"}, out[0].Strings)
	require.Equal(t, []float64{0, 0.75, 0}, out[1].Float64s)

	// A row of constants widens a column.
	file = operationFile(operation("Add", []string{"X", "C"}, []string{"Y"}), model.Float32, float32Tensor("C", []int{3}, 1, 2, 3))
	file.Graph.Inputs[0] = rowsOf("X", model.Float32, 1)
	require.Equal(t, 3, load(t, file).Schema.Outputs[0].Columns)
}

// TestClassRoles tells probabilities from other scores, at their operator and
// after arithmetic.
func TestClassRoles(t *testing.T) {
	const probabilities, scores, other = model.RoleProbabilities, model.RoleScores, model.RoleOther
	numbers := func(v ...float32) Tensor { return float32Tensor("C", []int{len(v)}, v...) }
	for _, c := range []struct {
		name      string
		transform string
		weights   [2]float32
		// then takes the scores and the constant to Y; without an operator Y is
		// the scores.
		then     string
		in       [2]string
		constant Tensor
		want     model.Role
	}{
		{"votes of one tree", "NONE", [2]float32{1, 1}, "Identity", [2]string{"scores"}, Tensor{}, probabilities},
		{"a sum that rounding left above 1", "NONE", [2]float32{1.000001, 1}, "Identity", [2]string{"scores"}, Tensor{}, probabilities},
		{"votes above 1", "NONE", [2]float32{1.5, 1}, "Identity", [2]string{"scores"}, Tensor{}, scores},
		{"votes below 0", "NONE", [2]float32{1, -0.1}, "Identity", [2]string{"scores"}, Tensor{}, scores},
		{"LOGISTIC", "LOGISTIC", [2]float32{3, -2}, "Identity", [2]string{"scores"}, Tensor{}, probabilities},
		{"SOFTMAX", "SOFTMAX", [2]float32{3, -2}, "Identity", [2]string{"scores"}, Tensor{}, probabilities},
		{"SOFTMAX_ZERO", "SOFTMAX_ZERO", [2]float32{3, -2}, "Identity", [2]string{"scores"}, Tensor{}, probabilities},
		{"PROBIT", "PROBIT", [2]float32{0.5, 0.25}, "Identity", [2]string{"scores"}, Tensor{}, scores},
		{"votes divided by their number", "NONE", [2]float32{3, 3}, "Div", [2]string{"scores", "C"}, numbers(3), probabilities},
		{"votes divided by less", "NONE", [2]float32{3, 3}, "Div", [2]string{"scores", "C"}, numbers(2), scores},
		{"votes divided by less than nothing", "NONE", [2]float32{1, 1}, "Div", [2]string{"scores", "C"}, numbers(-1), scores},
		{"votes divided by nothing", "NONE", [2]float32{1, 1}, "Div", [2]string{"scores", "C"}, numbers(0), scores},
		{"votes divided by one number each", "NONE", [2]float32{1, 1}, "Div", [2]string{"scores", "C"}, numbers(3, 4, 5), probabilities},
		{"votes that divide", "NONE", [2]float32{1, 1}, "Div", [2]string{"C", "scores"}, numbers(1), other},
		{"shifted probabilities", "NONE", [2]float32{1, 1}, "Add", [2]string{"scores", "C"}, numbers(0.5), scores},
		{"a shift that leaves room", "NONE", [2]float32{0.5, 0.25}, "Add", [2]string{"C", "scores"}, numbers(0.125), probabilities},
		{"a shift of one class", "NONE", [2]float32{0.5, 0.25}, "Add", [2]string{"scores", "C"}, numbers(0, 0.5, 0), probabilities},
		{"a shift below 0", "NONE", [2]float32{0.5, 0.25}, "Add", [2]string{"scores", "C"}, numbers(0, -0.5, 0), scores},
		{"a halved SOFTMAX", "SOFTMAX", [2]float32{3, -2}, "Div", [2]string{"scores", "C"}, numbers(2), probabilities},
		{"a doubled SOFTMAX", "SOFTMAX", [2]float32{3, -2}, "Div", [2]string{"scores", "C"}, numbers(0.5), scores},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := classifierFile()
			trees := &file.Graph.Nodes[0]
			set(trees, stringAttribute("post_transform", c.transform))
			set(trees, floatsAttribute("class_weights", c.weights[:]...))
			inputs := c.in[:]
			if c.then == "Identity" {
				inputs = inputs[:1]
			} else {
				file.Graph.Initializers = []Tensor{c.constant}
			}
			file.Graph.Nodes[1] = operation(c.then, inputs, []string{"Y"})
			file.Graph.Outputs = []ValueInfo{{Name: "Y"}}
			require.Equal(t, c.want, load(t, file).Schema.Outputs[0].Role)
			if c.want == other {
				return
			}
			// ZipMap names the columns, and leaves their meaning.
			file.Graph.Nodes = append(file.Graph.Nodes, mlOperation("ZipMap", []string{"Y"}, []string{"Z"}, stringsAttribute("classlabels_strings", "a", "b", "c")))
			file.Graph.Outputs = []ValueInfo{{Name: "Z"}}
			m := load(t, file)
			require.Equal(t, c.want, m.Schema.Outputs[0].Role)
			require.Equal(t, model.Classification, m.Schema.Task)
			require.Equal(t, []string{"a", "b", "c"}, m.Schema.Classes.Strings)
		})
	}
}

// TestRegressionAsClasses: a ZipMap makes classes of a regression's targets.
func TestRegressionAsClasses(t *testing.T) {
	for transform, want := range map[string]model.Role{"NONE": model.RoleScores, "SOFTMAX": model.RoleProbabilities} {
		file := regressorFile()
		set(&file.Graph.Nodes[0], floatsAttribute("target_weights", -1, 1))
		file.Graph.Nodes[0].Attributes = append(file.Graph.Nodes[0].Attributes, stringAttribute("post_transform", transform))
		file.Graph.Nodes = append(file.Graph.Nodes, mlOperation("ZipMap", []string{"Y"}, []string{"Z"}, intsAttribute("classlabels_int64s", 3, 4)))
		file.Graph.Outputs = []ValueInfo{{Name: "Z"}}
		require.Equal(t, want, load(t, file).Schema.Outputs[0].Role, transform)
	}
}

// TestBroadcastClasses: one score in each of three columns is three times as
// much together.
func TestBroadcastClasses(t *testing.T) {
	for shift, want := range map[float32]model.Role{0.125: model.RoleProbabilities, 0.25: model.RoleScores} {
		file := regressorFile()
		trees := &file.Graph.Nodes[0]
		set(trees, intAttribute("n_targets", 1))
		set(trees, intsAttribute("target_ids", 0, 0))
		set(trees, floatsAttribute("target_weights", 0.125, 0.2))
		file.Graph.Initializers = []Tensor{float32Tensor("C", []int{3}, shift, shift, shift)}
		file.Graph.Nodes = append(file.Graph.Nodes,
			operation("Add", []string{"Y", "C"}, []string{"wide"}),
			mlOperation("ZipMap", []string{"wide"}, []string{"Z"}, intsAttribute("classlabels_int64s", 3, 4, 5)),
		)
		file.Graph.Outputs = []ValueInfo{{Name: "Z"}}
		require.Equal(t, want, load(t, file).Schema.Outputs[0].Role, "%v", shift)
	}
}

// TestOpenWidth: an input of no declared width is as wide as its widest use,
// directly or through operators that leave the width alone.
func TestOpenWidth(t *testing.T) {
	tree := func(in, out string, feature int64) Node {
		n := mlOperation("TreeEnsembleRegressor", []string{in}, []string{out}, append(treeAttributes("target"), intAttribute("n_targets", 2))...)
		set(&n, intsAttribute("nodes_featureids", feature, 0, 0))
		return n
	}
	for _, c := range []struct {
		name  string
		nodes []Node
	}{
		{"the wider first", []Node{tree("X", "a", 4), tree("X", "b", 2)}},
		{"the wider last", []Node{tree("X", "a", 2), tree("X", "b", 4)}},
		{"through Cast", []Node{
			operation("Cast", []string{"X"}, []string{"d"}, intAttribute("to", 11)), tree("d", "a", 4), tree("X", "b", 1),
		}},
		{"through Div", []Node{operation("Div", []string{"X", "C"}, []string{"d"}), tree("d", "a", 4)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := load(t, fileOf(Graph{
				Nodes: c.nodes, Initializers: []Tensor{float32Tensor("C", []int{1, 1}, 2)},
				Inputs: []ValueInfo{rowsOf("X", model.Float32, 0)}, Outputs: []ValueInfo{{Name: "a"}},
			}))
			require.Equal(t, []string{"X_0", "X_1", "X_2", "X_3", "X_4"}, featureNames(m))
			require.Equal(t, []float32{0, 1}, run(t, m, float32Rows(5, 1, 1, 9, 1, 9))[0].Float32s)
		})
	}
}

func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := load(t, classifierFile())
	require.ErrorIs(t, m.Program.Run(ctx, []model.Tensor{float32Rows(2, 0, 1)}, make([]model.Tensor, 2)), context.Canceled)
}
