package onnx

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tepalhq/tepal/model"
)

// set replaces an attribute of a node, or adds it.
func set(n *Node, a Attribute) {
	for i := range n.Attributes {
		if n.Attributes[i].Name == a.Name {
			n.Attributes[i] = a
			return
		}
	}
	n.Attributes = append(n.Attributes, a)
}

func unset(n *Node, name string) {
	for i := range n.Attributes {
		if n.Attributes[i].Name == name {
			n.Attributes = append(n.Attributes[:i:i], n.Attributes[i+1:]...)
			return
		}
	}
}

// operationFile is a file of one node, over the inputs X and, when it has two,
// C, a constant.
func operationFile(n Node, typ model.Type, constants ...Tensor) *Model {
	return fileOf(Graph{
		Nodes: []Node{n}, Initializers: constants,
		Inputs:  []ValueInfo{rowsOf("X", typ, 2)},
		Outputs: []ValueInfo{{Name: "Y"}},
	})
}

// TestGraphFaults breaks a good graph in one place at a time. A fault of a node
// is told with the node's place and name, and its operator.
func TestGraphFaults(t *testing.T) {
	const (
		trees     = `node 0 "trees" (ai.onnx.ml.TreeEnsembleClassifier): `
		zip       = `node 1 "zip" (ai.onnx.ml.ZipMap): `
		supported = "; supported are Add, Cast, Constant, Div, Identity, ai.onnx.ml.TreeEnsembleClassifier, ai.onnx.ml.TreeEnsembleRegressor, ai.onnx.ml.ZipMap"
	)
	load(t, classifierFile())
	for _, c := range []struct {
		name  string
		spoil func(m *Model, trees, zip *Node)
		want  string
	}{
		{"no graph", func(m *Model, _, _ *Node) { m.Graph = Graph{} }, "the graph has no inputs"},
		{"no inputs", func(m *Model, _, _ *Node) { m.Graph.Inputs = nil }, "the graph has no inputs"},
		{"no outputs", func(m *Model, _, _ *Node) { m.Graph.Outputs = nil }, "the graph has no outputs"},
		{"only constants for inputs", func(m *Model, _, _ *Node) {
			m.Graph.Initializers = []Tensor{float32Tensor("X", []int{1, 2}, 1, 2)}
		}, "the graph has no inputs"},

		{"several unknown operators", func(m *Model, n, zip *Node) {
			n.OpType, zip.OpType = "Scaler", "Concat"
			zip.Domain = "ai.onnx"
			m.Graph.Nodes = append(m.Graph.Nodes, *zip, *n)
		}, `operators that are not supported: "Concat", "ai.onnx.ml.Scaler"` + supported},
		{"a long name and an odd one", func(_ *Model, n, zip *Node) {
			n.Domain, n.OpType = "", strings.Repeat("x", 1000)
			zip.Domain, zip.OpType = "", "a\nb"
		}, `operators that are not supported: "a\nb", "` + strings.Repeat("x", 64) + `"` + supported},
		{"many unknown operators", func(m *Model, n, _ *Node) {
			for i := range 20 {
				m.Graph.Nodes = append(m.Graph.Nodes, Node{OpType: "Op" + string(rune('A'+i))})
			}
		}, `operators that are not supported: "OpA", "OpB", "OpC", "OpD", "OpE", "OpF", "OpG", "OpH", "OpI", "OpJ", "OpK", "OpL", "OpM", "OpN", "OpO", "OpP" and 4 more` + supported},
		{"an unknown operator", func(_ *Model, n, _ *Node) { n.OpType, n.Domain = "Relu", "" }, `operators that are not supported: "Relu"` + supported},
		{"an operator of another domain", func(_ *Model, n, _ *Node) { n.Domain = "com.example" }, `operators that are not supported: "com.example.TreeEnsembleClassifier"` + supported},
		{"no operator", func(_ *Model, _, n *Node) { *n = Node{} }, `operators that are not supported: ""` + supported},
		{"a domain that is not imported", func(m *Model, _, _ *Node) { m.OperatorSets = m.OperatorSets[:1] }, trees + "the file imports no operator set of its domain"},
		{"no operator sets", func(m *Model, _, _ *Node) { m.OperatorSets = nil }, trees + "the file imports no operator set of its domain"},
		{"version 0", func(m *Model, _, _ *Node) { m.OperatorSets[1].Version = 0 }, trees + "version 0 of its operator set is not supported; versions 1 to 5 are"},
		{"a negative version", func(m *Model, _, _ *Node) { m.OperatorSets[1].Version = -3 }, trees + "version -3 of its operator set is not supported; versions 1 to 5 are"},
		{"no inputs of a node", func(_ *Model, n, _ *Node) { n.Inputs = nil }, trees + "it has 0 inputs where 1 are needed"},
		{"an input too many", func(_ *Model, n, _ *Node) { n.Inputs = []string{"X", "X"} }, trees + "it has 2 inputs where 1 are needed"},
		{"no outputs of a node", func(_ *Model, n, _ *Node) { n.Outputs = nil }, trees + "it has 0 outputs where 1 to 2 are possible"},
		{"an output too many", func(_ *Model, _, n *Node) { n.Outputs = []string{"a", "b"} }, zip + "it has 2 outputs where 1 are needed"},

		{"an undefined value", func(_ *Model, n, _ *Node) { n.Inputs[0] = "x" }, trees + `input "x" is not defined`},
		{"an input left out", func(_ *Model, n, _ *Node) { n.Inputs[0] = "" }, trees + `input "" is not defined`},
		{"nodes in the wrong order", func(m *Model, _, _ *Node) {
			m.Graph.Nodes[0], m.Graph.Nodes[1] = m.Graph.Nodes[1], m.Graph.Nodes[0]
		}, `node 0 "zip" (ai.onnx.ml.ZipMap): input "scores" comes from node 1, which does not stand before it: the graph has a cycle or is not sorted`},
		{"a cycle", func(_ *Model, n, _ *Node) { n.Inputs[0] = "probabilities" }, trees + `input "probabilities" comes from node 1, which does not stand before it: the graph has a cycle or is not sorted`},
		{"a cycle of one", func(_ *Model, _, n *Node) { n.Inputs[0] = "probabilities" }, zip + `input "probabilities" comes from node 1, which does not stand before it: the graph has a cycle or is not sorted`},
		{"a value defined by two nodes", func(_ *Model, _, n *Node) { n.Outputs[0] = "label" }, zip + `the value "label" is defined twice`},
		{"a value defined twice by a node", func(_ *Model, n, _ *Node) { n.Outputs = []string{"scores", "scores"} }, trees + `the value "scores" is defined twice`},
		{"a node that defines an input", func(_ *Model, _, n *Node) { n.Outputs[0] = "X" }, zip + `the value "X" is defined twice`},
		{"an input twice", func(m *Model, _, _ *Node) { m.Graph.Inputs = append(m.Graph.Inputs, m.Graph.Inputs[0]) }, `graph input "X": the value "X" is defined twice`},
		{"an input without a name", func(m *Model, _, _ *Node) { m.Graph.Inputs[0].Name = "" }, `graph input "": a value has no name`},
		{"a constant twice", func(m *Model, _, _ *Node) {
			m.Graph.Initializers = []Tensor{float32Tensor("c", []int{}, 1), float32Tensor("c", []int{}, 1)}
		}, `initializer 1: the value "c" is defined twice`},
		{"a constant without a name", func(m *Model, _, _ *Node) { m.Graph.Initializers = []Tensor{float32Tensor("", []int{}, 1)} }, "initializer 0: a value has no name"},
		{"an undefined output", func(m *Model, _, _ *Node) { m.Graph.Outputs[0].Name = "y" }, `graph output "y" is not defined`},
		{"an output without a name", func(m *Model, _, _ *Node) { m.Graph.Outputs[0].Name = "" }, `graph output "" is not defined`},
		{"an output twice", func(m *Model, _, _ *Node) { m.Graph.Outputs = append(m.Graph.Outputs, m.Graph.Outputs[0]) }, `graph output "label" stands twice`},
		{"an output of another type", func(m *Model, _, _ *Node) { m.Graph.Outputs[0].Type.Tensor = model.Int64 }, `graph output "label": it is declared as int64 and computed as string`},
		{"a map of other values", func(m *Model, _, _ *Node) { m.Graph.Outputs[1].Type.MapValue = model.Float64 }, `graph output "probabilities": it is declared as float64 and computed as float32; export the model with float32 inputs`},
		{"a map with other keys", func(m *Model, _, _ *Node) { m.Graph.Outputs[1].Type.MapKey = model.Int64 }, `graph output "probabilities": its keys are declared as int64 and computed as string`},
		{"a map with other keys, of integers", func(_ *Model, n, zip *Node) { *zip = zipOfInts(1, 2, 3) }, `graph output "probabilities": its keys are declared as string and computed as int64`},
		{"a map without classes", func(m *Model, _, _ *Node) {
			m.Graph.Outputs[1].Name = "X"
		}, `graph output "X": it is declared as a map and computed as float32 without classes`},

		{"an input of rank 0", func(m *Model, _, _ *Node) { m.Graph.Inputs[0].Type.Dims = []Dim{} }, `graph input "X": it has 0 dimensions; [rows] and [rows, columns] are supported`},
		{"an input of unknown rank", func(m *Model, _, _ *Node) { m.Graph.Inputs[0].Type.Dims = nil }, `graph input "X": it has 0 dimensions; [rows] and [rows, columns] are supported`},
		{"an input of rank 3", func(m *Model, _, _ *Node) { m.Graph.Inputs[0] = rowsOf("X", model.Float32, 2, 2) }, `graph input "X": it has 3 dimensions; [rows] and [rows, columns] are supported`},
		{"trees over one dimension", func(m *Model, _, _ *Node) { m.Graph.Inputs[0] = rowsOf("X", model.Float32) }, trees + `input "X" has the shape [rows] where [rows columns] is needed`},
		{"an absurd width", func(m *Model, _, _ *Node) { m.Graph.Inputs[0] = rowsOf("X", model.Float32, 1<<40) }, `graph input "X": its width 1099511627776 is outside 1 to 65536`},
		{"a negative width", func(m *Model, _, _ *Node) { m.Graph.Inputs[0] = rowsOf("X", model.Float32, -1) }, `graph input "X": its width -1 is outside 1 to 65536`},
		{"an absurd width together", func(m *Model, _, _ *Node) { m.Graph.Inputs = append(m.Graph.Inputs, rowsOf("W", model.Float32, 65536)) }, "the graph takes more than 65536 values in a row"},
		{"an absurd width by use", func(m *Model, n, _ *Node) {
			m.Graph.Inputs[0] = rowsOf("X", model.Float32, 0)
			set(n, intsAttribute("nodes_featureids", math.MaxInt32-1, 0, 0))
		}, "the graph takes more than 65536 values in a row"},
		{"no width", func(m *Model, _, _ *Node) { m.Graph.Inputs = append(m.Graph.Inputs, rowsOf("W", model.Float32, 0)) }, `the width of graph input "W" is neither declared nor told by its use`},
		{"an input too narrow", func(m *Model, _, _ *Node) { m.Graph.Inputs[0] = rowsOf("X", model.Float32, 1) }, trees + `input "X" has 1 columns where 2 are needed`},
		{"an input of no known type", func(m *Model, _, _ *Node) { m.Graph.Inputs[0].Type.Tensor = model.Invalid }, `graph input "X": it is not a tensor of a supported type`},
		{"an input that is a map", func(m *Model, _, _ *Node) {
			m.Graph.Inputs[0].Type = ValueType{MapKey: model.String, MapValue: model.Float32}
		}, `graph input "X": it is not a tensor of a supported type`},
		{"trees over text", func(m *Model, _, _ *Node) { m.Graph.Inputs[0].Type.Tensor = model.String }, trees + `input "X" is of type string, which is not supported`},
		{"two inputs whose columns have one name", func(m *Model, _, _ *Node) { m.Graph.Inputs = append(m.Graph.Inputs, rowsOf("X_1", model.Float32, 1)) }, `schema: two features are called "X_1"`},

		{"an unknown attribute", func(_ *Model, n, _ *Node) { set(n, intAttribute("nodes", 1)); set(n, intAttribute("other", 1)) }, trees + `unknown attribute "nodes"`},
		{"an attribute without a name", func(_ *Model, n, _ *Node) { n.Attributes = append(n.Attributes, intAttribute("", 1)) }, trees + `unknown attribute ""`},
		{"an attribute twice", func(_ *Model, n, _ *Node) { n.Attributes = append(n.Attributes, n.Attributes[3]) }, trees + `attribute "nodes_modes" stands twice`},
		{"an attribute of another type", func(_ *Model, n, _ *Node) { set(n, intAttribute("post_transform", 1)) }, trees + `attribute "post_transform" is of type 2 where 3 is needed`},
		{"an attribute of no type", func(_ *Model, n, _ *Node) { set(n, Attribute{Name: "nodes_nodeids"}) }, trees + `attribute "nodes_nodeids" is of type 0 where 7 is needed`},
		{"the first of two such", func(_ *Model, n, _ *Node) {
			set(n, intAttribute("nodes_modes", 1))
			set(n, intAttribute("nodes_treeids", 1))
		}, trees + `attribute "nodes_treeids" is of type 2 where 7 is needed`},
		{"a post_transform", func(_ *Model, n, _ *Node) { set(n, stringAttribute("post_transform", "RELU")) }, trees + `unknown post_transform "RELU"`},
		{"a mode", func(_ *Model, n, _ *Node) { set(n, stringsAttribute("nodes_modes", "BRANCH_IN", "LEAF", "LEAF")) }, trees + `tree 0 node 0 has the unknown mode "BRANCH_IN"`},
		{"a column of nodes too short", func(_ *Model, n, _ *Node) { unset(n, "nodes_treeids") }, trees + "nodes_treeids has 0 values for the 3 of nodes_nodeids"},
		{"no trees", func(_ *Model, n, _ *Node) { n.Attributes = []Attribute{stringsAttribute("classlabels_strings", "a")} }, trees + "no nodes"},
		{"base values", func(_ *Model, n, _ *Node) { set(n, floatsAttribute("base_values", 1, 2)) }, trees + "2 base_values for 3 classes or targets"},
		{"thresholds twice", func(_ *Model, n, _ *Node) {
			set(n, tensorAttribute("nodes_values_as_tensor", float64Tensor("", []int{3}, 1, 2, 3)))
		}, trees + `attributes "nodes_values" and "nodes_values_as_tensor" are both set`},
		{"thresholds that are integers", func(_ *Model, n, _ *Node) {
			unset(n, "nodes_values")
			set(n, tensorAttribute("nodes_values_as_tensor", int64Tensor("", []int{3}, 1, 2, 3)))
		}, trees + `attribute "nodes_values_as_tensor" is a tensor of int64, not of numbers with a fraction`},
		{"no class labels", func(_ *Model, n, _ *Node) { unset(n, "classlabels_strings") }, trees + "it has no class labels"},
		{"class labels of both types", func(_ *Model, n, _ *Node) { set(n, intsAttribute("classlabels_int64s", 1, 2, 3)) }, trees + "it has class labels of both types"},
		{"a class label twice", func(_ *Model, n, _ *Node) { set(n, stringsAttribute("classlabels_strings", "a", "b", "a")) }, trees + `the class label "a" stands twice`},
		{"class labels of another type", func(_ *Model, n, _ *Node) { set(n, intsAttribute("classlabels_strings", 1)) }, trees + `attribute "classlabels_strings" is of type 7 where 8 is needed`},
		{"a class that has no label", func(_ *Model, n, _ *Node) { set(n, stringsAttribute("classlabels_strings", "a")) }, trees + "weight 1 of tree 0 node 2 is for the class or target 1 of 1"},

		{"fewer labels than columns", func(_ *Model, _, n *Node) { set(n, stringsAttribute("classlabels_strings", "a", "b")) }, zip + "it has 2 class labels for 3 columns"},
		{"more labels than columns", func(_ *Model, _, n *Node) {
			set(n, stringsAttribute("classlabels_strings", "a", "b", "c", "d"))
		}, zip + "it has 4 class labels for 3 columns"},
		{"a map of labels", func(_ *Model, _, n *Node) { n.Inputs[0] = "label" }, zip + `input "label" is of type string where float32 is needed`},
		{"an unknown attribute of ZipMap", func(_ *Model, _, n *Node) { set(n, intAttribute("axis", 1)) }, zip + `unknown attribute "axis"`},
		{"a ZipMap without labels", func(_ *Model, _, n *Node) { n.Attributes = nil }, zip + "it has no class labels"},
		{"a ZipMap's label twice", func(_ *Model, _, n *Node) { *n = zipOfInts(1, 2, 1) }, `node 1 "n" (ai.onnx.ml.ZipMap): the class label "1" stands twice`},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := classifierFile()
			c.spoil(file, &file.Graph.Nodes[0], &file.Graph.Nodes[1])
			_, err := Load(file.Marshal(), "m")
			require.EqualError(t, err, c.want)
		})
	}
}

func zipOfInts(labels ...int64) Node {
	return mlOperation("ZipMap", []string{"scores"}, []string{"probabilities"}, intsAttribute("classlabels_int64s", labels...))
}

func TestRegressorFaults(t *testing.T) {
	const trees = `node 0 "trees" (ai.onnx.ml.TreeEnsembleRegressor): `
	load(t, regressorFile())
	for _, c := range []struct {
		name  string
		spoil func(m *Model, n *Node)
		want  string
	}{
		{"an aggregate", func(_ *Model, n *Node) { set(n, stringAttribute("aggregate_function", "MEAN")) }, trees + `unknown aggregate_function "MEAN"`},
		{"no targets", func(_ *Model, n *Node) { set(n, intAttribute("n_targets", 0)) }, trees + "n_targets 0 is outside 1 to 65536"},
		{"absurdly many targets", func(_ *Model, n *Node) { set(n, intAttribute("n_targets", 1<<40)) }, trees + "n_targets 1099511627776 is outside 1 to 65536"},
		{"too few targets", func(_ *Model, n *Node) { unset(n, "n_targets") }, trees + "weight 1 of tree 0 node 2 is for the class or target 1 of 1"},
		{"targets as text", func(_ *Model, n *Node) { set(n, stringAttribute("n_targets", "2")) }, trees + `attribute "n_targets" is of type 3 where 2 is needed`},
		{"base values", func(_ *Model, n *Node) { set(n, floatsAttribute("base_values", 1)) }, trees + "1 base_values for 2 classes or targets"},
		{"integers", func(m *Model, _ *Node) { m.Graph.Inputs[0].Type.Tensor = model.Int64 }, trees + `input "X" is of type int64, which is not supported`},
		{"too narrow", func(m *Model, _ *Node) { m.Graph.Inputs[0] = rowsOf("X", model.Float32, 1) }, trees + `input "X" has 1 columns where 2 are needed`},
		{"a NaN weight", func(_ *Model, n *Node) { set(n, floatsAttribute("target_weights", 1, float32(math.NaN()))) }, trees + "weight 1 of tree 0 node 2 is NaN"},
		{"a classifier's weights", func(_ *Model, n *Node) { set(n, floatsAttribute("class_weights", 1, 1)) }, trees + `unknown attribute "class_weights"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := regressorFile()
			c.spoil(file, &file.Graph.Nodes[0])
			_, err := Load(file.Marshal(), "m")
			require.EqualError(t, err, c.want)
		})
	}
}

func TestOperatorFaults(t *testing.T) {
	binary := func(op string) Node { return operation(op, []string{"X", "C"}, []string{"Y"}) }
	one := float32Tensor("C", []int{}, 1)
	for _, c := range []struct {
		name string
		file *Model
		want string
	}{
		{"Cast to nothing", operationFile(operation("Cast", []string{"X"}, []string{"Y"}), model.Float32), `node 0 "n" (Cast): it casts: there is no element type 0`},
		{"Cast to 16 bits", operationFile(operation("Cast", []string{"X"}, []string{"Y"}, intAttribute("to", 10)), model.Float32), `node 0 "n" (Cast): it casts: the element type float16 is not supported`},
		{"Cast to a type by name", operationFile(operation("Cast", []string{"X"}, []string{"Y"}, stringAttribute("to", "FLOAT")), model.Float32), `node 0 "n" (Cast): it casts: there is no element type 0`},
		{"Cast with an unknown attribute", operationFile(operation("Cast", []string{"X"}, []string{"Y"}, intAttribute("to", 1), intAttribute("round", 1)), model.Float32), `node 0 "n" (Cast): unknown attribute "round"`},
		{"Identity with an attribute", operationFile(operation("Identity", []string{"X"}, []string{"Y"}, intAttribute("to", 1)), model.Float32), `node 0 "n" (Identity): unknown attribute "to"`},
		{"Div by another type", operationFile(binary("Div"), model.Float64, one), `node 0 "n" (Div): inputs "X" and "C" are of types float64 and float32, which must be one`},
		{"Add of text", operationFile(binary("Add"), model.String, stringTensor("C", []int{}, "x")), `node 0 "n" (Add): inputs of type string cannot be computed with`},
		{"Add of bools", operationFile(operation("Add", []string{"X", "X"}, []string{"Y"}), model.Bool), `node 0 "n" (Add): inputs of type bool cannot be computed with`},
		{"Div with an attribute of old", operationFile(operation("Div", []string{"X", "C"}, []string{"Y"}, intAttribute("axis", 1)), model.Float32, one), `node 0 "n" (Div): unknown attribute "axis"`},
		{"Add with one input", operationFile(operation("Add", []string{"X"}, []string{"Y"}), model.Float32), `node 0 "n" (Add): it has 1 inputs where 2 are needed`},
		{"Add with three inputs", operationFile(operation("Add", []string{"X", "X", "X"}, []string{"Y"}), model.Float32), `node 0 "n" (Add): it has 3 inputs where 2 are needed`},
		{"Add with an input left out", operationFile(operation("Add", []string{"X", ""}, []string{"Y"}), model.Float32), `node 0 "n" (Add): input "" is not defined`},
		{
			"constants that are large together",
			operationFile(operation("Add", []string{"A", "C"}, []string{"Y"}), model.Float32, zeros("A", 257, 1), zeros("C", 1, 256)),
			`node 0 "n" (Add): two constants of the shapes [257 1] and [1 256] make more than 65536 values`,
		},
		{
			"constants that do not go together",
			operationFile(operation("Add", []string{"A", "C"}, []string{"Y"}), model.Float32, zeros("A", 3), zeros("C", 2)),
			`node 0 "n" (Add): the shapes [3] and [2] do not go together`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(c.file.Marshal(), "m")
			require.EqualError(t, err, c.want)
		})
	}
	for op, version := range map[string]int64{"Add": 6, "Div": 6, "Cast": 5, "Identity": 0} {
		n := binary(op)
		if op == "Cast" || op == "Identity" {
			n = operation(op, []string{"X"}, []string{"Y"})
		}
		file := operationFile(n, model.Float32, one)
		file.OperatorSets[0].Version = version
		_, err := Load(file.Marshal(), "m")
		require.EqualError(t, err, `node 0 "n" (`+op+`): version `+string(rune('0'+version))+` of its operator set is not supported; versions `+string(rune('1'+version))+` to 28 are`)
	}
	// ai.onnx is the long name of the domain without one.
	file := operationFile(binary("Add"), model.Float32, one)
	file.OperatorSets[0].Domain = "ai.onnx"
	load(t, file)
}

func TestMetadataFaults(t *testing.T) {
	schema := func(text string) []Property { return []Property{{keySchema, text}} }
	for _, c := range []struct {
		name string
		with []Property
		want string
	}{
		{"a newer format", []Property{{keyFormat, "2"}}, "metadata tepal.format is 2 and this program reads up to 1: use a newer tepal"},
		{"format 0", []Property{{keyFormat, "0"}}, `metadata tepal.format is "0", which is no version from 1`},
		{"a format in words", []Property{{keyFormat, "one"}}, `metadata tepal.format is "one", which is no version from 1`},
		{"an empty format", []Property{{keyFormat, ""}}, `metadata tepal.format is "", which is no version from 1`},
		{"version 0", []Property{{keyVersion, "0"}}, `metadata tepal.version is "0", which is no version from 1`},
		{"a version with dots", []Property{{keyVersion, "1.2"}}, `metadata tepal.version is "1.2", which is no version from 1`},
		{"an empty version", []Property{{keyVersion, ""}}, `metadata tepal.version is "", which is no version from 1`},
		{"a version beyond counting", []Property{{keyVersion, "9223372036854775808"}}, `metadata tepal.version is "9223372036854775808", which is no version from 1`},
		{"a key twice", []Property{{keyName, "a"}, {"x", ""}, {"x", ""}, {keyName, "a"}}, "metadata tepal.name stands twice"},
		{"a name with a slash", []Property{{keyName, "a/b"}}, `"a/b" is no name for a model: it takes 1 to 128 letters, digits, '.', '_' and '-', and starts with a letter or digit; rename the file or set tepal.name`},
		{"a name that starts with a dot", []Property{{keyName, "..a"}}, `"..a" is no name for a model: it takes 1 to 128 letters, digits, '.', '_' and '-', and starts with a letter or digit; rename the file or set tepal.name`},
		{"a name with a line end", []Property{{keyName, "a\n"}}, `"a\n" is no name for a model: it takes 1 to 128 letters, digits, '.', '_' and '-', and starts with a letter or digit; rename the file or set tepal.name`},

		{"broken JSON", schema(`{"features":`), "metadata tepal.schema: unexpected end of JSON input"},
		{"metrics that are a list", []Property{{keyMetrics, `[]`}}, "metadata tepal.metrics: json: cannot unmarshal array into Go value of type model.Metrics"},
		{"golden rows in words", []Property{{keyGolden, `{"tolerance":"small"}`}}, "metadata tepal.golden: json: cannot unmarshal string into Go struct field Golden.tolerance of type float64"},
		{"a label twice", []Property{{keyGolden, `{"rows":[{"instance":[1,2],"label":"a","label":"b"}]}`}}, `metadata tepal.golden: jsontext: duplicate object member name "label" within "/rows/0"`},
		{"training that is empty", []Property{{keyTraining, ``}}, "metadata tepal.training: unexpected end of JSON input"},
		{"training values that are no histogram", []Property{{keyTraining, `{"values":{"edges":[1,2],"counts":[]}}`}}, "metadata tepal.training: values: its histogram has 2 edges for 0 counts"},
		{"a negative count of a label", []Property{{keyTraining, `{"labels":{"a":-2}}`}}, `metadata tepal.training: label "a" has the count -2`},
		{"classes of both types", schema(`{"classes":["a",1]}`), "metadata tepal.schema: classes must be an array of strings or an array of integers"},

		{"too few features", schema(`{"features":[{"name":"a"}]}`), "the schema names 1 features and the graph takes 2"},
		{"too many features", schema(`{"features":[{"name":"a"},{"name":"b"},{"name":"c"}]}`), "the schema names 3 features and the graph takes 2"},
		{"a feature twice", schema(`{"features":[{"name":"a"},{"name":"a"}]}`), `schema: two features are called "a"`},
		{"a feature without a name", schema(`{"features":[{"name":"a"},{}]}`), "schema: feature 1 has no name"},
		{"other classes", schema(`{"classes":["a","b","x"]}`), "the schema's classes [a b x] are not the graph's [a b c]"},
		{"classes in another order", schema(`{"classes":["a","c","b"]}`), "the schema's classes [a c b] are not the graph's [a b c]"},
		{"classes of another type", schema(`{"classes":[0,1,2]}`), "the schema's classes [0 1 2] are not the graph's [a b c]"},
		{"no classes", schema(`{"classes":[]}`), "the schema's classes [] are not the graph's [a b c]"},
		{"a class twice", schema(`{"classes":["a","a"]}`), `the schema's class "a" stands twice`},
		{"another task", schema(`{"task":"regression"}`), "the schema says regression and the graph's outputs make it a classification"},
		{"an unknown task", schema(`{"task":"ranking"}`), "the schema says ranking and the graph's outputs make it a classification"},
		{"an unknown role", schema(`{"outputs":[{"name":"label","role":"class"}]}`), `output "label" has the unknown role "class"`},
		{"no role", schema(`{"outputs":[{"name":"label"}]}`), `output "label" has the unknown role ""`},
		{"an output that the graph lacks", schema(`{"outputs":[{"name":"variance","role":"value"}]}`), `the schema describes the output "variance", which the graph does not have`},
		{"an output that stays inside", schema(`{"outputs":[{"name":"scores","role":"value"}]}`), `the schema describes the output "scores", which the graph does not have`},
		{"a value that is text", schema(`{"outputs":[{"name":"label","role":"value"}]}`), `output "label" is of type string, which cannot be a value`},
		{"probabilities that are text", schema(`{"outputs":[{"name":"label","role":"probabilities"}]}`), `output "label" is of type string, which cannot be a probabilities`},
		{"a role twice", schema(`{"outputs":[{"name":"label","role":"label"},{"name":"probabilities","role":"label"}]}`), "the schema gives two outputs the role label"},
		{"an output twice", schema(`{"outputs":[{"name":"label","role":"label"},{"name":"label","role":"label"}]}`), "the schema gives two outputs the role label"},
		{"a label with a fraction", schema(`{"outputs":[{"name":"probabilities","role":"label"}]}`), `output "probabilities" is of type float32, which cannot be a label`},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := classifierFile()
			file.Metadata = c.with
			_, err := Load(file.Marshal(), "m")
			require.EqualError(t, err, c.want)
		})
	}
	for _, name := range []string{"", "-", "a b", strings.Repeat("x", 129), "é"} {
		_, err := Load(classifierFile().Marshal(), name)
		require.ErrorContains(t, err, "is no name for a model", name)
	}
}

// TestOutputFaults: what the metadata says of outputs that no operator speaks for.
func TestOutputFaults(t *testing.T) {
	schema := func(role string) []Property {
		return []Property{{keySchema, `{"outputs":[{"name":"Y","role":"` + role + `"}]}`}}
	}
	wideLabel := operationFile(operation("Cast", []string{"X"}, []string{"Y"}, intAttribute("to", 7)), model.Float32)
	wideLabel.Metadata = schema("label")
	unknown := operationFile(operation("Identity", []string{"X"}, []string{"Y"}), model.Float32)
	unknown.Metadata = []Property{{keySchema, `{"outputs":[{"name":"Y","role":"scores"}],"classes":["a","b","c"]}`}}
	unproved := operationFile(operation("Identity", []string{"X"}, []string{"Y"}), model.Float32)
	unproved.Metadata = schema("probabilities")
	margins := classifierFile()
	margins.Graph.Nodes[1] = operation("Add", []string{"scores", "one"}, []string{"probabilities"})
	margins.Graph.Initializers = []Tensor{float32Tensor("one", []int{}, 1)}
	margins.Graph.Outputs = []ValueInfo{{Name: "probabilities"}}
	margins.Metadata = []Property{{keySchema, `{"outputs":[{"name":"probabilities","role":"probabilities"}]}`}}
	open := fileOf(Graph{
		Nodes: []Node{
			operation("Identity", []string{"X"}, []string{"Y"}),
			mlOperation("TreeEnsembleRegressor", []string{"X"}, []string{"Z"}, append(treeAttributes("target"), intAttribute("n_targets", 2))...),
		},
		Inputs:  []ValueInfo{rowsOf("X", model.Float32, 0)},
		Outputs: []ValueInfo{{Name: "Y"}},
	})
	open.Metadata = schema("scores")
	for _, c := range []struct {
		name string
		file *Model
		want string
	}{
		{"a label of two columns", wideLabel, `output "Y" has 2 columns, which cannot be a label`},
		{"more classes than columns", unknown, `output "Y" has 2 columns for 3 classes`},
		{"probabilities that nothing bounds", unproved, `output "Y" is said to be probabilities, and its numbers may be outside 0 to 1; its role is scores`},
		{"probabilities above 1", margins, `output "probabilities" is said to be probabilities, and its numbers may be outside 0 to 1; its role is scores`},
		{"scores of no known width", open, `output "Y" has 0 columns for 0 classes`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(c.file.Marshal(), "m")
			require.EqualError(t, err, c.want)
		})
	}
}
