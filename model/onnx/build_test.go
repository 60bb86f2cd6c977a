package onnx

import (
	"runtime/debug"
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

// The functions below build graphs in few words.

func fileOf(g Graph) *Model {
	return &Model{
		IRVersion: 8, ProducerName: "test", Graph: g,
		OperatorSets: []OperatorSet{{"", 17}, {"ai.onnx.ml", 3}},
	}
}

// rowsOf is the type of a tensor of [N] or [N, columns...].
func rowsOf(name string, typ model.Type, columns ...int64) ValueInfo {
	v := ValueInfo{Name: name, Type: ValueType{Tensor: typ, Dims: []Dim{{Param: "N"}}}}
	for _, n := range columns {
		v.Type.Dims = append(v.Type.Dims, Dim{Value: n})
	}
	return v
}

func operation(op string, inputs, outputs []string, attributes ...Attribute) Node {
	return Node{Name: "n", OpType: op, Inputs: inputs, Outputs: outputs, Attributes: attributes}
}

func mlOperation(op string, inputs, outputs []string, attributes ...Attribute) Node {
	n := operation(op, inputs, outputs, attributes...)
	n.Domain = "ai.onnx.ml"
	return n
}

func intAttribute(name string, v int64) Attribute {
	return Attribute{Name: name, Type: AttributeInt, Int: v}
}

func stringAttribute(name, v string) Attribute {
	return Attribute{Name: name, Type: AttributeString, String: v}
}

func intsAttribute(name string, v ...int64) Attribute {
	return Attribute{Name: name, Type: AttributeInts, Ints: v}
}

func floatsAttribute(name string, v ...float32) Attribute {
	return Attribute{Name: name, Type: AttributeFloats, Floats: v}
}

func stringsAttribute(name string, v ...string) Attribute {
	return Attribute{Name: name, Type: AttributeStrings, Strings: v}
}

func tensorAttribute(name string, v Tensor) Attribute {
	return Attribute{Name: name, Type: AttributeTensor, Tensor: &v}
}

func float32Tensor(name string, shape []int, v ...float32) Tensor {
	return Tensor{Name: name, Tensor: model.Tensor{Type: model.Float32, Shape: shape, Float32s: v}}
}

// zeros is a constant of many values.
func zeros(name string, shape ...int) Tensor {
	t := Tensor{Name: name}
	t.Resize(model.Float32, shape...)
	return t
}

func float64Tensor(name string, shape []int, v ...float64) Tensor {
	return Tensor{Name: name, Tensor: model.Tensor{Type: model.Float64, Shape: shape, Float64s: v}}
}

func int32Tensor(name string, shape []int, v ...int32) Tensor {
	return Tensor{Name: name, Tensor: model.Tensor{Type: model.Int32, Shape: shape, Int32s: v}}
}

func int64Tensor(name string, shape []int, v ...int64) Tensor {
	return Tensor{Name: name, Tensor: model.Tensor{Type: model.Int64, Shape: shape, Int64s: v}}
}

func stringTensor(name string, shape []int, v ...string) Tensor {
	return Tensor{Name: name, Tensor: model.Tensor{Type: model.String, Shape: shape, Strings: v}}
}

// treeAttributes is a tree that sends a row with feature 1 at or below 0.5 to
// its first leaf, and else to its second. The leaves weigh 1 for the class, or
// target, of their own number; prefix is "class" or "target".
func treeAttributes(prefix string) []Attribute {
	return []Attribute{
		intsAttribute("nodes_treeids", 0, 0, 0), intsAttribute("nodes_nodeids", 0, 1, 2),
		intsAttribute("nodes_featureids", 1, 0, 0), stringsAttribute("nodes_modes", "BRANCH_LEQ", "LEAF", "LEAF"),
		intsAttribute("nodes_truenodeids", 1, 0, 0), intsAttribute("nodes_falsenodeids", 2, 0, 0),
		floatsAttribute("nodes_values", 0.5, 0, 0),
		intsAttribute(prefix+"_treeids", 0, 0), intsAttribute(prefix+"_nodeids", 1, 2),
		intsAttribute(prefix+"_ids", 0, 1), floatsAttribute(prefix+"_weights", 1, 1),
	}
}

// classifierFile is a classifier of three classes over the input X of two
// columns, with a ZipMap.
func classifierFile() *Model {
	attributes := append(treeAttributes("class"), stringsAttribute("classlabels_strings", "a", "b", "c"), stringAttribute("post_transform", "NONE"))
	trees := mlOperation("TreeEnsembleClassifier", []string{"X"}, []string{"label", "scores"}, attributes...)
	trees.Name = "trees"
	zip := mlOperation("ZipMap", []string{"scores"}, []string{"probabilities"}, stringsAttribute("classlabels_strings", "a", "b", "c"))
	zip.Name = "zip"
	return fileOf(Graph{
		Nodes:  []Node{trees, zip},
		Inputs: []ValueInfo{rowsOf("X", model.Float32, 2)},
		Outputs: []ValueInfo{
			rowsOf("label", model.String),
			{Name: "probabilities", Type: ValueType{MapKey: model.String, MapValue: model.Float32}},
		},
	})
}

// regressorFile is a regressor of two targets over the input X of two columns.
func regressorFile() *Model {
	trees := mlOperation("TreeEnsembleRegressor", []string{"X"}, []string{"Y"}, append(treeAttributes("target"), intAttribute("n_targets", 2))...)
	trees.Name = "trees"
	return fileOf(Graph{
		Nodes:   []Node{trees},
		Inputs:  []ValueInfo{rowsOf("X", model.Float32, 2)},
		Outputs: []ValueInfo{rowsOf("Y", model.Float32, 2)},
	})
}

func load(t *testing.T, file *Model) *model.Model {
	t.Helper()
	m, err := Load(file.Marshal(), "m")
	require.NoError(t, err)
	return m
}

// run evaluates inputs twice, so that the second run meets the memory of the
// first, and returns the outputs.
func run(t *testing.T, m *model.Model, inputs ...model.Tensor) []model.Tensor {
	t.Helper()
	outputs := make([]model.Tensor, len(m.Schema.Outputs))
	for range 2 {
		require.NoError(t, m.Program.Run(t.Context(), inputs, outputs))
	}
	return outputs
}

// runFails evaluates inputs and returns the error.
func runFails(t *testing.T, m *model.Model, inputs ...model.Tensor) error {
	t.Helper()
	err := m.Program.Run(t.Context(), inputs, make([]model.Tensor, len(m.Schema.Outputs)))
	require.Error(t, err)
	return err
}
