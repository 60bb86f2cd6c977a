package onnx

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// TestBroadcastAxes: ONNX's rule, aligned at the last dimension, where some
// lengths are known and others are those of the batch or of the run.
func TestBroadcastAxes(t *testing.T) {
	for _, c := range []struct {
		a, b, want axes
		err        string
	}{
		{axes{rowsAxis, 3}, axes{rowsAxis, 3}, axes{rowsAxis, 3}, ""},
		{axes{rowsAxis, 3}, axes{}, axes{rowsAxis, 3}, ""},
		{axes{rowsAxis, 3}, axes{1, 3}, axes{rowsAxis, 3}, ""},
		{axes{rowsAxis, 3}, axes{rowsAxis, 1}, axes{rowsAxis, 3}, ""},
		{axes{rowsAxis}, axes{rowsAxis, 1}, axes{rowsAxis, rowsAxis}, ""},
		{axes{rowsAxis, 3}, axes{1, 1, 1}, axes{1, rowsAxis, 3}, ""},
		{axes{rowsAxis, openAxis}, axes{3}, axes{rowsAxis, 3}, ""},
		{axes{3}, axes{rowsAxis, openAxis}, axes{rowsAxis, 3}, ""},
		{axes{rowsAxis, openAxis}, axes{1}, axes{rowsAxis, openAxis}, ""},
		{axes{rowsAxis, openAxis}, axes{rowsAxis}, axes{rowsAxis, rowsAxis}, ""},
		{axes{0, 3}, axes{1, 3}, axes{0, 3}, ""},
		{axes{rowsAxis}, axes{rowsAxis, 3}, nil, "the shapes [rows] and [rows 3] go together for some numbers of rows only"},
		{axes{4, 3}, axes{rowsAxis, 3}, nil, "the shapes [4 3] and [rows 3] go together for some numbers of rows only"},
		{axes{rowsAxis, 2}, axes{rowsAxis, 3}, nil, "the shapes [rows 2] and [rows 3] do not go together"},
		{axes{0}, axes{rowsAxis, openAxis, 2}, nil, "the shapes [0] and [rows ? 2] do not go together"},
	} {
		got, err := broadcastAxes(c.a, c.b)
		if c.err != "" {
			require.EqualError(t, err, c.err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%v and %v", c.a, c.b)
	}
}

func TestAxes(t *testing.T) {
	for _, c := range []struct {
		axes    axes
		text    string
		eachRow bool
		columns int
	}{
		{axes{rowsAxis}, "[rows]", true, 1},
		{axes{rowsAxis, 4}, "[rows 4]", true, 4},
		{axes{rowsAxis, openAxis}, "[rows ?]", true, 0},
		{axes{rowsAxis, 2, 3}, "[rows 2 3]", true, 6},
		{axes{rowsAxis, rowsAxis}, "[rows rows]", false, 0},
		{axes{1, rowsAxis}, "[1 rows]", false, 0},
		{axes{3}, "[3]", false, 1},
		{axes{}, "[]", false, 1},
	} {
		require.Equal(t, c.text, c.axes.String())
		require.Equal(t, c.eachRow, c.axes.eachRow(), c.text)
		require.Equal(t, c.columns, c.axes.columns(), c.text)
	}
}

// TestOutputsWithoutRows: an output that is an answer has a row for each
// instance; another one without is left out, and a warning says so.
func TestOutputsWithoutRows(t *testing.T) {
	identity := func(in, out string) Node { return operation("Identity", []string{in}, []string{out}) }
	trees := func(in, out string) Node {
		return mlOperation("TreeEnsembleRegressor", []string{in}, []string{out}, append(treeAttributes("target"), intAttribute("n_targets", 2))...)
	}
	column, one := rowsOf("X", model.Float32, 1), float32Tensor("C", []int{1, 2}, 1, 2)
	for _, c := range []struct {
		name     string
		inputs   []ValueInfo
		nodes    []Node
		metadata string
		want     string
	}{
		{"a constant", []ValueInfo{column}, []Node{identity("C", "Y")}, "", `graph output "Y" has the shape [1 2], which is no row for each instance`},
		{"trees over a constant", []ValueInfo{column}, []Node{trees("C", "Y"), identity("X", "Z")}, "", `graph output "Y" has the shape [1 2], which is no row for each instance`},
		{"a constant with a role", []ValueInfo{column}, []Node{identity("X", "Z"), identity("C", "Y")}, `{"outputs":[{"name":"Y","role":"value"}]}`, `the schema gives the output "Y" the role value, and its shape is [1 2], which is no row for each instance`},
		{"rows along columns", []ValueInfo{column, rowsOf("V", model.Float32)}, []Node{operation("Add", []string{"X", "V"}, []string{"Y"})}, "", `graph output "Y" has the shape [rows rows], which is no row for each instance`},
		{"trees over rows along columns", []ValueInfo{column, rowsOf("V", model.Float32)}, []Node{operation("Add", []string{"X", "V"}, []string{"a"}), trees("a", "Y")}, "", `node 1 "n" (ai.onnx.ml.TreeEnsembleRegressor): input "a" has the shape [rows rows] where [rows columns] is needed`},
		{"rows and three columns", []ValueInfo{rowsOf("V", model.Float32), rowsOf("X", model.Float32, 3)}, []Node{operation("Add", []string{"V", "X"}, []string{"Y"})}, "", `node 0 "n" (Add): the shapes [rows] and [rows 3] go together for some numbers of rows only`},
		{"rows in the second place", []ValueInfo{column}, []Node{operation("Add", []string{"X", "D"}, []string{"Y"})}, "", `graph output "Y" has the shape [1 rows 1], which is no row for each instance`},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := fileOf(Graph{Nodes: c.nodes, Initializers: []Tensor{one, float32Tensor("D", []int{1, 1, 1}, 1)}, Inputs: c.inputs, Outputs: []ValueInfo{{Name: "Y"}}})
			if len(c.nodes) > 1 && c.nodes[0].Outputs[0] != "a" {
				file.Graph.Outputs = append(file.Graph.Outputs, ValueInfo{Name: "Z"})
			}
			if c.metadata != "" {
				file.Metadata = []Property{{keySchema, c.metadata}}
			}
			_, err := Load(file.Marshal(), "m")
			require.EqualError(t, err, c.want)
			require.Equal(t, model.CauseUnsupported, model.CauseOf(err, model.CauseInvalid))
		})
	}

	// As skl2onnx writes it with output_class_labels.
	file := classifierFile()
	set(&file.Graph.Nodes[0], intsAttribute("class_ids", 0, 2))
	file.Graph.Initializers = []Tensor{stringTensor("class_labels", []int{3}, "a", "b", "c")}
	file.Graph.Outputs = append([]ValueInfo{{Name: "class_labels"}}, file.Graph.Outputs...)
	for _, metadata := range [][]Property{nil, {{keySchema, `{"outputs":[{"name":"class_labels","role":"other"}]}`}}} {
		file.Metadata = metadata
		m := load(t, file)
		require.Len(t, m.Schema.Outputs, 2)
		require.Equal(t, []string{
			`node 0 "trees" (ai.onnx.ml.TreeEnsembleClassifier): no leaf votes for class 1 of 0 to 2`,
			`graph output "class_labels" is left out: its shape is [3], which is no row for each instance`,
		}, m.Warnings)
		require.Equal(t, []string{"a"}, run(t, m, float32Rows(2, 0, 0))[0].Strings)
	}
}

// TestSilentTargets: classes and targets that no leaf votes for.
func TestSilentTargets(t *testing.T) {
	const classifier, regressor = `node 0 "trees" (ai.onnx.ml.TreeEnsembleClassifier): `, `node 0 "trees" (ai.onnx.ml.TreeEnsembleRegressor): `
	for _, c := range []struct {
		name  string
		file  *Model
		spoil func(n *Node)
		want  []string
	}{
		{"every target", regressorFile(), func(*Node) {}, nil},
		{"one target of three", regressorFile(), func(n *Node) { set(n, intAttribute("n_targets", 3)) }, []string{regressor + "no leaf votes for target 2 of 0 to 2"}},
		{"most targets", regressorFile(), func(n *Node) { set(n, intAttribute("n_targets", 1000)) }, []string{regressor + "no leaf votes for target 2 of 0 to 999, nor for 997 others"}},
		{"weights of 0", regressorFile(), func(n *Node) { set(n, floatsAttribute("target_weights", 0, 1)) }, []string{regressor + "no leaf votes for target 0 of 0 to 1"}},
		{"a class of three", classifierFile(), func(*Node) {}, []string{classifier + "no leaf votes for class 2 of 0 to 2"}},
		{"one of two classes, which stands for both", classifierFile(), func(n *Node) {
			set(n, stringsAttribute("classlabels_strings", "a", "b"))
			set(n, intsAttribute("class_ids", 0, 0))
		}, nil},
		{"two classes without a vote", classifierFile(), func(n *Node) {
			set(n, stringsAttribute("classlabels_strings", "a", "b"))
			set(n, floatsAttribute("class_weights", 0, 0))
		}, []string{classifier + "no leaf votes for class 0 of 0 to 1, nor for 1 others"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.spoil(&c.file.Graph.Nodes[0])
			if len(c.file.Graph.Nodes) > 1 {
				c.file.Graph.Nodes, c.file.Graph.Outputs = c.file.Graph.Nodes[:1], c.file.Graph.Outputs[:1]
			}
			require.Equal(t, c.want, load(t, c.file).Warnings)
		})
	}
}

// TestCauses: what ONNX allows and is not there, what is no ONNX, and what is
// wrong, are told apart.
func TestCauses(t *testing.T) {
	with := func(change func(m *Model)) []byte {
		file := classifierFile()
		change(file)
		return file.Marshal()
	}
	for _, c := range []struct {
		name string
		data []byte
		want model.Cause
	}{
		{"no ONNX", []byte{1}, model.CauseCorrupt},
		{"nothing", nil, model.CauseCorrupt},
		{"half a file", classifierFile().Marshal()[:100], model.CauseCorrupt},
		{"an operator", with(func(m *Model) { m.Graph.Nodes[1].OpType = "Scaler" }), model.CauseUnsupported},
		{"an operator whose attribute is of int8", with(func(m *Model) {
			m.Graph.Nodes[0].OpType = "TreeEnsemble"
			m.Graph.Nodes[0].Attributes = []Attribute{tensorAttribute("nodes_modes", Tensor{Element: 3})}
		}), model.CauseUnsupported},
		{"a constant of float16", with(func(m *Model) { m.Graph.Initializers = []Tensor{{Name: "c", Element: 10}} }), model.CauseUnsupported},
		{"thresholds of float16", with(func(m *Model) {
			unset(&m.Graph.Nodes[0], "nodes_values")
			set(&m.Graph.Nodes[0], tensorAttribute("nodes_values_as_tensor", Tensor{Element: 10}))
		}), model.CauseUnsupported},
		{"an input of uint8", with(func(m *Model) { m.Graph.Inputs[0].Type.Tensor = model.Invalid }), model.CauseUnsupported},
		{"a version", with(func(m *Model) { m.OperatorSets[1].Version = 0 }), model.CauseUnsupported},
		{"a newer format", with(func(m *Model) { m.Metadata = []Property{{keyFormat, "2"}} }), model.CauseUnsupported},
		{"an undefined value", with(func(m *Model) { m.Graph.Nodes[0].Inputs[0] = "x" }), model.CauseInvalid},
		{"metadata", with(func(m *Model) { m.Metadata = []Property{{keySchema, "{"}} }), model.CauseInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(c.data, "m")
			require.Error(t, err)
			require.Equal(t, c.want, model.CauseOf(err, model.CauseInvalid), "%v", err)
		})
	}
}
