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
	f := grow(t, iris, settings{trees: 3, depth: 4, features: 2, minLeaf: 1}, 1)
	m, err := f.export("iris", iris.classes)
	require.NoError(t, err)

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
	f := grow(t, numbers, settings{trees: 2, depth: 2, features: 1, minLeaf: 1}, 1)
	m, err := f.export("numbers", numbers.classes)
	require.NoError(t, err)
	assert.Equal(t, model.Int64, m.Graph.Outputs[0].Type.Tensor)
	w := newWalker(t, m)
	assert.Equal(t, []int64{-1, 9, 10}, w.ints("classlabels_int64s"))
	assert.NotContains(t, w.columns, "classlabels_strings")
}

// Two classes vote with +1 and -1 on one class id, from which Add and Div get
// v/T: with T trees, v of them for the second class, (v-(T-v)+T)/2T = v/T.
func TestExportTwoClasses(t *testing.T) {
	two := readText(t, "x,kind\n1,a\n2,a\n3,b\n4,b\n")
	f := grow(t, two, settings{trees: 5, depth: 2, features: 1, minLeaf: 1}, 1)
	m, err := f.export("two", two.classes)
	require.NoError(t, err)

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

// children, leafOf and splitOf build trees by hand.
type children = map[string]*trees.DecisionTreeNode

func leafOf(c *columns, class string) *trees.DecisionTreeNode {
	return &trees.DecisionTreeNode{Type: trees.LeafNode, Class: class, ClassAttr: c.class, SplitRule: &trees.DecisionTreeRule{}}
}

func splitOf(a base.Attribute, at float64, below children) *trees.DecisionTreeNode {
	return &trees.DecisionTreeNode{Type: trees.RuleNode, Children: below, SplitRule: &trees.DecisionTreeRule{SplitAttr: a, SplitVal: at}}
}

// golearn's trees may have nodes with one child, and its Predict goes there
// whatever the value is.
func TestExportOnlyChildren(t *testing.T) {
	abc := readText(t, "x,y,kind\n1,1,a\n2,2,b\n3,3,c\n1,1,a\n2,2,b\n3,3,c\n")
	c := newColumns(abc.features, abc.label, abc.classes)
	x, y := c.features[0], c.features[1]
	f := &forest{columns: c, trees: []*trees.DecisionTreeNode{
		splitOf(x, 0, children{"1": leafOf(c, "b")}),
		splitOf(x, 0, children{"0": leafOf(c, "c")}),
		splitOf(x, 1, children{
			"0": splitOf(y, 5, children{"1": splitOf(y, 6, children{"0": leafOf(c, "a")})}),
			"1": splitOf(x, 5, children{"0": splitOf(y, 2, children{"0": leafOf(c, "b"), "1": leafOf(c, "c")})}),
		}),
		leafOf(c, "c"),
	}}
	m, err := f.export("abc", abc.classes)
	require.NoError(t, err)
	w := newWalker(t, m)
	rows := [][]float64{{-1, -1}, {0, 7}, {1, 2}, {2, 2}, {2, 3}, {9, 2}, {9, 9}}
	answers, err := f.answers(rows)
	require.NoError(t, err)
	for tree := range f.trees {
		for i, row := range rows {
			assert.Equal(t, answers[tree][i], w.class(int64(tree), row), "tree %d, row %v", tree, row)
		}
	}
}

func TestExportFaults(t *testing.T) {
	ab := readText(t, "x,kind\n1,a\n2,b\n1,a\n2,b\n")
	c := newColumns(ab.features, ab.label, ab.classes)
	for _, test := range []struct {
		name string
		tree *trees.DecisionTreeNode
		want string
	}{
		{"no child", splitOf(c.features[0], 1, children{}),
			"tree 1: a node split by DecisionTreeRule(x <= 1.000000) has no child to go to"},
		{"unknown class", splitOf(c.features[0], 1, children{"0": leafOf(c, "a"), "1": leafOf(c, "z")}),
			`tree 1: node 2 votes for "z", which is no class`},
		{"unknown feature", splitOf(base.NewFloatAttribute("q"), 1, children{"0": leafOf(c, "a"), "1": leafOf(c, "b")}),
			"tree 1: node 0 splits on FloatAttribute(q), which is no feature"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &forest{columns: c, trees: []*trees.DecisionTreeNode{leafOf(c, "a"), test.tree}}
			_, err := f.export("ab", ab.classes)
			assert.EqualError(t, err, test.want)
		})
	}
}
