package onnx

import (
	"fmt"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/tree"
)

// Tree ensembles: ai.onnx.ml TreeEnsembleClassifier and TreeEnsembleRegressor,
// opsets 1 and 3. Both are deprecated from opset 5 on, and still served.

// readTrees reads the attributes that both operators have; weights is "class"
// or "target", the prefix of the weights' columns.
func readTrees(n *node, weights string) *tree.Attributes {
	a := &tree.Attributes{
		TreeIDs:           n.ints("nodes_treeids"),
		NodeIDs:           n.ints("nodes_nodeids"),
		FeatureIDs:        n.ints("nodes_featureids"),
		Modes:             n.strings("nodes_modes"),
		TrueIDs:           n.ints("nodes_truenodeids"),
		FalseIDs:          n.ints("nodes_falsenodeids"),
		Thresholds:        n.numbers("nodes_values"),
		MissingTracksTrue: n.ints("nodes_missing_value_tracks_true"),
		WeightTreeIDs:     n.ints(weights + "_treeids"),
		WeightNodeIDs:     n.ints(weights + "_nodeids"),
		WeightTargets:     n.ints(weights + "_ids"),
		Weights:           n.numbers(weights + "_weights"),
	}
	// Hit rates are a hint for laying out nodes, and have no part in the answer.
	n.numbers("nodes_hitrates")
	return a
}

func checkTreeInput(n *node, types ...model.Type) error {
	in := n.inputs[0]
	if in.rank != 2 {
		return fmt.Errorf("input %q has %d dimensions where [rows, columns] is needed", in.name, in.rank)
	}
	for _, t := range types {
		if in.typ == t {
			return nil
		}
	}
	return fmt.Errorf("input %q is of type %v, which it does not take", in.name, in.typ)
}

func buildTreeClassifier(n *node) (kernel, error) {
	if err := checkTreeInput(n, model.Float32, model.Float64, model.Int64, model.Int32); err != nil {
		return nil, err
	}
	a := readTrees(n, "class")
	base, post := n.numbers("base_values"), n.string("post_transform")
	classes, err := n.classes()
	if err != nil {
		return nil, err
	}
	a.Targets = classes.Len()
	c, err := tree.NewClassifier(a, tree.ClassifierOptions{
		PostTransform: post, BaseValues: base, Double: n.inputs[0].typ == model.Float64,
	})
	if err != nil {
		return nil, err
	}
	if err := n.inputs[0].need(c.Columns()); err != nil {
		return nil, err
	}
	label := n.outputs[0]
	label.typ, label.rank, label.columns, label.role, label.classes = labelType(classes), 1, 1, model.RoleLabel, classes
	if len(n.outputs) > 1 {
		scores := n.outputs[1]
		scores.typ, scores.rank, scores.columns, scores.role, scores.classes = model.Float32, 2, classes.Len(), model.RoleProbabilities, classes
	}
	return &treeClassifier{classifier: c, classes: classes}, nil
}

type treeClassifier struct {
	classifier tree.Classifier
	classes    *model.Classes
	pool       pool[[]int]
	spare      pool[[]float32]
}

func (k *treeClassifier) run(b *budget, in, out []*model.Tensor) error {
	rows, err := treeRows(in[0], k.classifier.Columns())
	if err != nil {
		return err
	}
	index := k.pool.get()
	defer k.pool.put(index)
	*index = resize(*index, rows)
	if len(out) > 1 {
		if err := b.resize(out[1], model.Float32, rows, k.classifier.Targets()); err != nil {
			return err
		}
		k.classifier.Classify(in[0], *index, out[1].Float32s)
	} else {
		if err := b.take(rows, k.classifier.Targets()); err != nil {
			return err
		}
		scores := k.spare.get()
		defer k.spare.put(scores)
		*scores = resize(*scores, rows*k.classifier.Targets())
		k.classifier.Classify(in[0], *index, *scores)
	}
	return k.label(b, out[0], *index)
}

func (k *treeClassifier) label(b *budget, out *model.Tensor, index []int) error {
	if err := b.resize(out, labelType(k.classes), len(index)); err != nil {
		return err
	}
	if len(k.classes.Strings) > 0 {
		for i, c := range index {
			out.Strings[i] = k.classes.Strings[c]
		}
		return nil
	}
	for i, c := range index {
		out.Int64s[i] = k.classes.Ints[c]
	}
	return nil
}

func buildTreeRegressor(n *node) (kernel, error) {
	if err := checkTreeInput(n, model.Float32, model.Float64); err != nil {
		return nil, err
	}
	a := readTrees(n, "target")
	targets := n.int("n_targets", 1)
	if targets < 1 || targets > tree.MaxTargets {
		return nil, fmt.Errorf("n_targets %d is outside 1 to %d", targets, tree.MaxTargets)
	}
	a.Targets = int(targets)
	base, post, aggregate := n.numbers("base_values"), n.string("post_transform"), n.string("aggregate_function")
	if n.err != nil {
		return nil, n.err
	}
	r, err := tree.NewRegressor(a, tree.RegressorOptions{
		Aggregate: aggregate, PostTransform: post, BaseValues: base, Double: n.inputs[0].typ == model.Float64,
	})
	if err != nil {
		return nil, err
	}
	if err := n.inputs[0].need(r.Columns()); err != nil {
		return nil, err
	}
	out := n.outputs[0]
	out.typ, out.rank, out.columns, out.role = model.Float32, 2, a.Targets, model.RoleValue
	return treeRegressor{r}, nil
}

type treeRegressor struct{ regressor tree.Regressor }

func (k treeRegressor) run(b *budget, in, out []*model.Tensor) error {
	rows, err := treeRows(in[0], k.regressor.Columns())
	if err != nil {
		return err
	}
	if err := b.resize(out[0], model.Float32, rows, k.regressor.Targets()); err != nil {
		return err
	}
	k.regressor.Regress(in[0], out[0].Float32s)
	return nil
}

// treeRows checks the shape of an input of trees and returns its rows.
func treeRows(x *model.Tensor, columns int) (int, error) {
	if len(x.Shape) != 2 || x.Shape[1] < columns {
		return 0, fmt.Errorf("the input has the shape %v where [rows, %d] is needed", x.Shape, columns)
	}
	return x.Shape[0], nil
}
