package main

import (
	"slices"

	"github.com/sjwhitworth/golearn/trees"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/onnx"
)

// The names of the graph's input and outputs, and of the tensors between nodes.
const (
	inputFeatures       = "features"
	outputLabel         = "label"
	outputProbabilities = "probabilities"
	votesTensor         = "votes"
	shiftedTensor       = "shifted_votes"
	treesTensor         = "trees"
	divisorTensor       = "divisor"
)

const (
	producer     = "tepal train"
	onnxMLDomain = "ai.onnx.ml"
)

// export writes the forest as an ONNX graph that answers what a majority of
// golearn's trees answers. Votes are counted as whole numbers and divided
// once: adding 1/T for each tree would round, and rounding breaks ties.
func (f *forest) export(name string, classes model.Classes) *onnx.Model {
	e := ensemble{columns: f.columns, binary: classes.Len() == 2}
	for i, tree := range f.trees {
		e.add(int64(i), int64(len(e.nodeIDs)), tree)
	}
	labelType := model.String
	if len(classes.Ints) > 0 {
		labelType = model.Int64
	}
	m := &onnx.Model{
		ProducerName: producer,
		Graph: onnx.Graph{
			Name:   name,
			Nodes:  []onnx.Node{e.node(classes)},
			Inputs: []onnx.ValueInfo{tensorInfo(inputFeatures, model.Float64, int64(len(f.columns.features)))},
			Outputs: []onnx.ValueInfo{
				tensorInfo(outputLabel, labelType),
				tensorInfo(outputProbabilities, model.Float32, int64(classes.Len())),
			},
		},
		// The versions that ONNX 1.12 brought out together. Version 3 of ai.onnx.ml
		// is the first with thresholds of double precision, which golearn's splits
		// need.
		IRVersion:    8,
		OperatorSets: []onnx.OperatorSet{{Domain: "", Version: 17}, {Domain: onnxMLDomain, Version: 3}},
	}
	e.addProbabilities(&m.Graph, float32(len(f.trees)))
	return m
}

// addProbabilities turns votes into probabilities. Two classes arrive as their
// lead over each other, v-w and w-v, from which (v-w+T)/2T is v/T again.
func (e *ensemble) addProbabilities(g *onnx.Graph, trees float32) {
	if !e.binary {
		g.Initializers = []onnx.Tensor{scalar(treesTensor, trees)}
		g.Nodes = append(g.Nodes, operator("Div", outputProbabilities, votesTensor, treesTensor))
		return
	}
	g.Initializers = []onnx.Tensor{scalar(treesTensor, trees), scalar(divisorTensor, 2*trees)}
	g.Nodes = append(g.Nodes,
		operator("Add", shiftedTensor, votesTensor, treesTensor),
		operator("Div", outputProbabilities, shiftedTensor, divisorTensor))
}

func operator(op, output string, inputs ...string) onnx.Node {
	return onnx.Node{Name: output, OpType: op, Inputs: inputs, Outputs: []string{output}}
}

func scalar(name string, v float32) onnx.Tensor {
	return onnx.Tensor{Name: name, Tensor: model.Tensor{Type: model.Float32, Shape: []int{}, Float32s: []float32{v}}}
}

// tensorInfo describes a tensor with a row for each instance.
func tensorInfo(name string, t model.Type, columns ...int64) onnx.ValueInfo {
	dims := []onnx.Dim{{Param: "N"}}
	for _, n := range columns {
		dims = append(dims, onnx.Dim{Value: n})
	}
	return onnx.ValueInfo{Name: name, Type: onnx.ValueType{Tensor: t, Dims: dims}}
}

// ensemble holds the columns of a TreeEnsembleClassifier: one entry for each
// node, and one for each leaf's vote.
type ensemble struct {
	columns *columns
	// binary marks two classes, whose votes are cast as +1 and -1 on one class
	// id. With weights on both, ONNX Runtime answers the second class whenever
	// it has a vote at all; on one, it answers it when the sum is above zero,
	// so that a tie goes to the first.
	binary bool

	treeIDs, nodeIDs, featureIDs []int64
	thresholds                   []float64
	modes                        []string
	trueIDs, falseIDs            []int64

	voteTreeIDs, voteNodeIDs, voteClasses []int64
	weights                               []float64
}

// add appends the nodes of a tree from n downwards, the first of which is entry
// start, and returns n's id. Ids count a tree's nodes from 0, parents before
// children.
func (e *ensemble) add(tree, start int64, n *trees.DecisionTreeNode) (id int64) {
	i := len(e.nodeIDs)
	id = int64(i) - start
	e.treeIDs = append(e.treeIDs, tree)
	e.nodeIDs = append(e.nodeIDs, id)
	e.featureIDs = append(e.featureIDs, 0)
	e.thresholds = append(e.thresholds, 0)
	e.modes = append(e.modes, "LEAF")
	e.trueIDs = append(e.trueIDs, 0)
	e.falseIDs = append(e.falseIDs, 0)
	if n.Children == nil {
		e.addVote(tree, id, slices.Index(e.columns.classes, n.Class))
		return id
	}
	// golearn goes below when the value is not greater than the split.
	e.modes[i] = "BRANCH_LEQ"
	e.featureIDs[i] = int64(slices.Index(e.columns.features, n.SplitRule.SplitAttr))
	e.thresholds[i] = n.SplitRule.SplitVal
	e.trueIDs[i] = e.add(tree, start, n.Children[below])
	e.falseIDs[i] = e.add(tree, start, n.Children[above])
	return id
}

func (e *ensemble) addVote(tree, node int64, class int) {
	id, weight := int64(class), 1.0
	if e.binary {
		id, weight = 0, float64(2*class-1)
	}
	e.voteTreeIDs = append(e.voteTreeIDs, tree)
	e.voteNodeIDs = append(e.voteNodeIDs, node)
	e.voteClasses = append(e.voteClasses, id)
	e.weights = append(e.weights, weight)
}

// node makes the operator. Its attributes stand in alphabetical order.
func (e *ensemble) node(classes model.Classes) onnx.Node {
	labels := onnx.Attribute{Name: "classlabels_strings", Type: onnx.AttributeStrings, Strings: classes.Strings}
	if len(classes.Ints) > 0 {
		labels = onnx.Attribute{Name: "classlabels_int64s", Type: onnx.AttributeInts, Ints: classes.Ints}
	}
	return onnx.Node{
		Name: "forest", OpType: "TreeEnsembleClassifier", Domain: onnxMLDomain,
		Inputs: []string{inputFeatures}, Outputs: []string{outputLabel, votesTensor},
		Attributes: []onnx.Attribute{
			ints("class_ids", e.voteClasses),
			ints("class_nodeids", e.voteNodeIDs),
			ints("class_treeids", e.voteTreeIDs),
			doubles("class_weights_as_tensor", e.weights),
			labels,
			ints("nodes_falsenodeids", e.falseIDs),
			ints("nodes_featureids", e.featureIDs),
			{Name: "nodes_modes", Type: onnx.AttributeStrings, Strings: e.modes},
			ints("nodes_nodeids", e.nodeIDs),
			ints("nodes_treeids", e.treeIDs),
			ints("nodes_truenodeids", e.trueIDs),
			doubles("nodes_values_as_tensor", e.thresholds),
			{Name: "post_transform", Type: onnx.AttributeString, String: "NONE"},
		},
	}
}

func ints(name string, values []int64) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.AttributeInts, Ints: values}
}

func doubles(name string, values []float64) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.AttributeTensor, Tensor: &onnx.Tensor{
		Name:   name,
		Tensor: model.Tensor{Type: model.Float64, Shape: []int{len(values)}, Float64s: values},
	}}
}
