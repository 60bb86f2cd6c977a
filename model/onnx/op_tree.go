package onnx

import (
	"fmt"
	"slices"

	"github.com/tepalhq/tepal/model"
	"github.com/tepalhq/tepal/model/tree"
)

// Tree ensembles: ai.onnx.ml TreeEnsembleClassifier and TreeEnsembleRegressor,
// opsets 1 and 3. Both are deprecated from opset 5 on, and still served.

func buildTreeClassifier(n *node) (kernel, error) {
	classes, err := n.classes()
	if err != nil {
		return nil, err
	}
	k, err := buildTrees(n, "class", classes.Len(), tree.Options{Classifies: true}, model.Float32, model.Float64, model.Int64, model.Int32)
	if err != nil {
		return nil, err
	}
	k.classes, k.scores = classes, none
	label := n.outputs[0]
	label.typ, label.axes, label.role, label.classes = labelType(classes), axes{n.inputs[0].axes[0]}, model.RoleLabel, classes
	if label.typ == model.String {
		n.scratch = []*value{{typ: model.Int64, axes: label.axes}}
	}
	if len(n.outputs) > 1 {
		k.scores = 1
		scores := n.outputs[1]
		scores.typ, scores.axes, scores.classes = model.Float32, axes{n.inputs[0].axes[0], axis(k.targets)}, classes
		scores.bound(k.ensemble.Bounds())
		scores.role = scores.classRole()
	}
	return k, nil
}

func buildTreeRegressor(n *node) (kernel, error) {
	targets := n.int("n_targets", 1)
	if targets < 1 || targets > tree.MaxTargets {
		return nil, unsupported("n_targets %d is outside 1 to %d", targets, tree.MaxTargets)
	}
	k, err := buildTrees(n, "target", int(targets), tree.Options{Aggregate: n.string("aggregate_function")}, model.Float32, model.Float64)
	if err != nil {
		return nil, err
	}
	out := n.outputs[0]
	out.typ, out.axes, out.role = model.Float32, axes{n.inputs[0].axes[0], axis(k.targets)}, model.RoleValue
	out.bound(k.ensemble.Bounds())
	return k, nil
}

// buildTrees compiles the ensemble of either operator, whose input is to be of
// one of the types; weights is "class" or "target", the prefix of the weights'
// columns.
func buildTrees(n *node, weights string, targets int, o tree.Options, types ...model.Type) (*trees, error) {
	in := n.inputs[0]
	if len(in.axes) != 2 || in.axes[1] == rowsAxis {
		return nil, unsupported("input %q has the shape %v where [rows columns] is needed", in.name, in.axes)
	}
	if !slices.Contains(types, in.typ) {
		return nil, unsupported("input %q is of type %v, which is not supported", in.name, in.typ)
	}
	a := &tree.Attributes{
		TreeIDs:           n.ints("nodes_treeids"),
		NodeIDs:           n.ints("nodes_nodeids"),
		FeatureIDs:        n.ints("nodes_featureids"),
		Modes:             n.strings("nodes_modes"),
		TrueIDs:           n.ints("nodes_truenodeids"),
		FalseIDs:          n.ints("nodes_falsenodeids"),
		Thresholds:        n.numbers("nodes_values"),
		MissingTracksTrue: n.ints("nodes_missing_value_tracks_true"),
		Covers:            n.numbers("nodes_hitrates"),
		WeightTreeIDs:     n.ints(weights + "_treeids"),
		WeightNodeIDs:     n.ints(weights + "_nodeids"),
		WeightTargets:     n.ints(weights + "_ids"),
		Weights:           n.numbers(weights + "_weights"),
		Targets:           targets,
	}
	o.Double, o.BaseValues, o.PostTransform = in.typ == model.Float64, n.numbers("base_values"), n.string("post_transform")
	if n.err != nil {
		return nil, n.err
	}
	ensemble, err := tree.New(a, o)
	if err != nil {
		return nil, err
	}
	n.warnOfSilent(weights, a)
	return &trees{ensemble: ensemble, targets: targets}, in.need(ensemble.Columns())
}

// warnOfSilent warns of classes or targets that no leaf votes for: all rows are
// answered alike there. A classifier of two classes may do with the votes for
// one of them.
func (n *node) warnOfSilent(what string, a *tree.Attributes) {
	voted := make(map[int64]bool)
	for i, target := range a.WeightTargets {
		if a.Weights[i] != 0 {
			voted[target] = true
		}
	}
	silent := a.Targets - len(voted)
	if both := what == "class" && a.Targets == 2; silent > 0 && (silent > 1 || !both) {
		first := int64(0)
		for voted[first] {
			first++
		}
		more := ""
		if silent > 1 {
			more = fmt.Sprintf(", nor for %d others", silent-1)
		}
		n.warnings = append(n.warnings, fmt.Sprintf("no leaf votes for %s %d of 0 to %d%s", what, first, a.Targets-1, more))
	}
}

// trees is the kernel of both operators.
type trees struct {
	ensemble tree.Ensemble
	targets  int
	// scores is the output that the scores are; none when they are not asked for.
	scores int
	// classes are a classifier's; nil for a regressor.
	classes *model.Classes
}

// run fills the outputs: a regressor's are its values, a classifier's its
// labels and, where they are asked for, its scores. The indices of the classes
// are the labels to be; those of text have scratch of their own, the last.
func (k *trees) run(b *budget, in, out []*model.Tensor) error {
	x, columns := in[0], k.ensemble.Columns()
	if len(x.Shape) != 2 || x.Shape[1] < columns {
		return fmt.Errorf("the input has the shape %v where [rows, %d] is needed", x.Shape, columns)
	}
	var scores []float32
	if k.scores != none {
		if err := b.resize(out[k.scores], model.Float32, x.Rows(), k.targets); err != nil {
			return err
		}
		scores = out[k.scores].Float32s
	}
	if k.classes == nil {
		k.ensemble.Evaluate(x, scores, nil)
		return nil
	}
	label, indices := out[0], out[0]
	if len(k.classes.Strings) > 0 {
		indices = out[len(out)-1]
		if err := b.resize(label, model.String, x.Rows()); err != nil {
			return err
		}
	}
	if err := b.resize(indices, model.Int64, x.Rows()); err != nil {
		return err
	}
	k.ensemble.Evaluate(x, scores, indices.Int64s)
	if label == indices {
		convert(indices.Int64s, label.Int64s, func(class int64) int64 { return k.classes.Ints[class] })
	} else {
		convert(indices.Int64s, label.Strings, func(class int64) string { return k.classes.Strings[class] })
	}
	return nil
}
