package main

import (
	"testing"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/onnx"
)

// walker answers from the attributes of an exported forest, by the letter of
// ONNX's specification and with nothing of Tepal's evaluator.
type walker struct{ columns map[string]onnx.Attribute }

// newWalker reads the file back as anyone would.
func newWalker(t *testing.T, m *onnx.Model) walker {
	t.Helper()
	read, err := onnx.Parse(m.Marshal())
	require.NoError(t, err)
	w := walker{make(map[string]onnx.Attribute)}
	require.Equal(t, "TreeEnsembleClassifier", read.Graph.Nodes[0].OpType)
	for _, a := range read.Graph.Nodes[0].Attributes {
		w.columns[a.Name] = a
	}
	return w
}

func (w walker) ints(name string) []int64      { return w.columns[name].Ints }
func (w walker) doubles(name string) []float64 { return w.columns[name].Tensor.Float64s }

// entry finds a node by its tree and id.
func (w walker) entry(tree, node int64) int {
	for i, id := range w.ints("nodes_nodeids") {
		if id == node && w.ints("nodes_treeids")[i] == tree {
			return i
		}
	}
	return -1
}

// leaf returns the id of the leaf that the row reaches.
func (w walker) leaf(tree int64, row []float64) int64 {
	node := int64(0)
	for {
		i := w.entry(tree, node)
		switch {
		case w.columns["nodes_modes"].Strings[i] == "LEAF":
			return node
		case row[w.ints("nodes_featureids")[i]] <= w.doubles("nodes_values_as_tensor")[i]:
			node = w.ints("nodes_truenodeids")[i]
		default:
			node = w.ints("nodes_falsenodeids")[i]
		}
	}
}

// class returns the class that a tree votes for, with two classes by the sign.
func (w walker) class(tree int64, row []float64) int {
	leaf := w.leaf(tree, row)
	for i, id := range w.ints("class_nodeids") {
		if id != leaf || w.ints("class_treeids")[i] != tree {
			continue
		}
		if len(w.columns["classlabels_strings"].Strings)+len(w.ints("classlabels_int64s")) == 2 {
			return int(w.doubles("class_weights_as_tensor")[i]+1) / 2
		}
		return int(w.ints("class_ids")[i])
	}
	return -1
}

func TestExport(t *testing.T) {
	iris := readIris(t)
	f := grow(t, iris, settings{Trees: 3, Depth: 4, Features: 2, MinLeaf: 1}, 1)
	m := f.export("iris", iris.classes)

	assert.Equal(t, int64(8), m.IRVersion)
	assert.Equal(t, []onnx.OperatorSet{{Version: 17}, {Domain: "ai.onnx.ml", Version: 3}}, m.OperatorSets)
	assert.Equal(t, []onnx.ValueInfo{
		{Name: "features", Type: onnx.ValueType{Tensor: model.Float64, Dims: []onnx.Dim{{Param: "N"}, {Value: 4}}}},
	}, m.Graph.Inputs)
	assert.Equal(t, []onnx.ValueInfo{
		{Name: "label", Type: onnx.ValueType{Tensor: model.String, Dims: []onnx.Dim{{Param: "N"}}}},
		{Name: "probabilities", Type: onnx.ValueType{Tensor: model.Float32, Dims: []onnx.Dim{{Param: "N"}, {Value: 3}}}},
	}, m.Graph.Outputs)

	require.Len(t, m.Graph.Nodes, 2)
	assert.Equal(t, "Div", m.Graph.Nodes[1].OpType)
	assert.Equal(t, []string{"votes", "trees"}, m.Graph.Nodes[1].Inputs)
	assert.Equal(t, []float32{3}, m.Graph.Initializers[0].Float32s)

	w := newWalker(t, m)
	assert.Equal(t, iris.classes.Strings, w.columns["classlabels_strings"].Strings)
	for _, weight := range w.doubles("class_weights_as_tensor") {
		assert.Equal(t, 1.0, weight)
	}
	leaves := 0
	for _, mode := range w.columns["nodes_modes"].Strings {
		if mode == "LEAF" {
			leaves++
		}
	}
	assert.Len(t, w.ints("class_ids"), leaves, "one vote at each leaf")
}

func TestExportIntegerClasses(t *testing.T) {
	numbers := readText(t, "x,kind\n1,10\n2,9\n3,-1\n4,10\n5,9\n6,-1\n")
	f := grow(t, numbers, settings{Trees: 2, Depth: 2, Features: 1, MinLeaf: 1}, 1)
	m := f.export("numbers", numbers.classes)
	assert.Equal(t, model.Int64, m.Graph.Outputs[0].Type.Tensor)
	w := newWalker(t, m)
	assert.Equal(t, []int64{-1, 9, 10}, w.ints("classlabels_int64s"))
	assert.NotContains(t, w.columns, "classlabels_strings")
}

// Two classes vote with +1 and -1 on one class id, from which Add and Div get
// v/T: with T trees, v of them for the second class, (v-(T-v)+T)/2T = v/T.
func TestExportTwoClasses(t *testing.T) {
	two := readText(t, "x,kind\n1,a\n2,a\n3,b\n4,b\n")
	f := grow(t, two, settings{Trees: 5, Depth: 2, Features: 1, MinLeaf: 1}, 1)
	m := f.export("two", two.classes)

	var operators []string
	for _, n := range m.Graph.Nodes {
		operators = append(operators, n.OpType)
	}
	assert.Equal(t, []string{"TreeEnsembleClassifier", "Add", "Div"}, operators)
	assert.Equal(t, []float32{5}, m.Graph.Initializers[0].Float32s)
	assert.Equal(t, []float32{10}, m.Graph.Initializers[1].Float32s)
	w := newWalker(t, m)
	for i, id := range w.ints("class_ids") {
		assert.Zero(t, id)
		assert.Contains(t, []float64{-1, 1}, w.doubles("class_weights_as_tensor")[i])
	}
}

// leafOf and splitOf build trees by hand.
func leafOf(c *columns, class string) *trees.DecisionTreeNode {
	return &trees.DecisionTreeNode{Type: trees.LeafNode, Class: class, ClassAttr: c.class}
}

func splitOf(a base.Attribute, at float64, low, high *trees.DecisionTreeNode) *trees.DecisionTreeNode {
	return &trees.DecisionTreeNode{
		Type: trees.RuleNode, SplitRule: &trees.DecisionTreeRule{SplitAttr: a, SplitVal: at},
		Children: map[string]*trees.DecisionTreeNode{below: low, above: high},
	}
}
