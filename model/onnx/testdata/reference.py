"""What ONNX's own reference implementation answers, which is the specification where words leave a gap.

It does not take every file. Where the meaning of what it does not take is given by the specification's words, the model
is first written in the words that it takes: a list of missing values that is left out is one of zeros, a leaf without
weights weighs 0, a tensor is a list of its own type, and a regression's post transform is the function that the
reference has for classifiers. Two slips are mended: of two classes of which only the second has weights it would read
the column of the first, and for the MIN and MAX of no votes it would answer the largest or the least number, not 0.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops.aionnxml import _common_classifier as transforms
from onnx.reference.ops.aionnxml import op_tree_ensemble_helper

ML = "ai.onnx.ml"
TRANSFORMS = {
    b"LOGISTIC": transforms.logistic,
    b"SOFTMAX": transforms.softmax,
    b"SOFTMAX_ZERO": transforms.softmax_zero,
    b"PROBIT": transforms.probit,
}


class Attributes(op_tree_ensemble_helper.TreeEnsembleAttributes):
    """Attributes of which some are tensors."""

    def add(self, name, value):
        """Takes an attribute; the name of a tensor is that of the list in whose place it stands."""
        if not name.endswith("_as_tensor"):
            super().add(name, value)
        elif value is not None:
            super().add(name.removesuffix("_as_tensor"), np.asarray(value))


op_tree_ensemble_helper.TreeEnsembleAttributes = Attributes


class ZipMap(OpRun):
    """The operator that the reference has not: a dictionary for each row."""

    op_domain = ML

    def _run(self, x, classlabels_int64s=None, classlabels_strings=None):
        keys = classlabels_int64s or classlabels_strings
        return ([dict(zip(keys, row)) for row in x],)


def refer(model, feeds):
    """Returns the outputs in graph order, or None where the reference has no answer."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    finish = None
    for node in plain.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            spell_out(node)
        if node.op_type == "TreeEnsembleRegressor":
            finish = finisher(node)
    try:
        with np.errstate(all="ignore"):
            answers = ReferenceEvaluator(plain, new_ops=[ZipMap]).run(None, feeds)
            if finish and len(plain.graph.node) == 1:
                answers = [finish(answers[0])]
    except (KeyError, TypeError, ValueError, NotImplementedError, RuntimeError, IndexError):
        return None
    return [typed(value, output) for value, output in zip(answers, model.graph.output)]


def finisher(node):
    """Takes the end of a regression off its node and returns it: what becomes of the aggregated votes."""
    transform, tensor = take(node, "post_transform"), take(node, "base_values_as_tensor")
    base = take(node, "base_values") if tensor is None else numpy_helper.to_array(tensor)

    def finish(votes):
        votes = np.where(np.abs(votes) == np.finfo(votes.dtype).max, 0, votes)
        values = (votes if base is None else votes + np.array(base)).astype(np.float32)
        return TRANSFORMS[transform](values) if transform in TRANSFORMS and values.size else values

    return finish


def typed(value, output):
    """Gives an output the type that the graph declares."""
    if isinstance(value, list):
        return value
    kind = output.type.tensor_type.elem_type
    return np.asarray(value).astype(object if kind == onnx.TensorProto.STRING else helper.tensor_dtype_to_np_dtype(kind))


def attribute(node, name):
    """Returns an attribute's value, or None."""
    for item in node.attribute:
        if item.name == name:
            return helper.get_attribute_value(item)
    return None


def take(node, name):
    """Removes an attribute and returns its value, or None."""
    value = attribute(node, name)
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    return value


def put(node, name, value):
    """Gives a node an attribute in place of the one it had."""
    take(node, name)
    node.attribute.append(helper.make_attribute(name, value))


def labels(node):
    """Returns a classifier's class labels."""
    return attribute(node, "classlabels_strings") or attribute(node, "classlabels_int64s")


def spell_out(node):
    """Adds to an ensemble the zeros that it means."""
    ids = attribute(node, "nodes_nodeids")
    if attribute(node, "nodes_missing_value_tracks_true") is None:
        put(node, "nodes_missing_value_tracks_true", [0] * len(ids))
    kind = "class" if node.op_type == "TreeEnsembleClassifier" else "target"
    targets = attribute(node, f"{kind}_ids")
    if kind == "class" and set(targets) == {1} and len(labels(node)) == 2:
        put(node, "class_ids", [0] * len(targets))
    weights = attribute(node, f"{kind}_weights")
    if weights is None or attribute(node, "aggregate_function") in (b"MIN", b"MAX"):
        return
    trees, nodes, targets = (attribute(node, f"{kind}_{name}") for name in ("treeids", "nodeids", "ids"))
    weighed = set(zip(trees, nodes))
    rows = zip(attribute(node, "nodes_treeids"), ids, attribute(node, "nodes_modes"))
    bare = [(tree, leaf) for tree, leaf, mode in rows if mode == b"LEAF" and (tree, leaf) not in weighed]
    if not bare:
        return
    put(node, f"{kind}_treeids", [*trees, *[tree for tree, _ in bare]])
    put(node, f"{kind}_nodeids", [*nodes, *[leaf for _, leaf in bare]])
    put(node, f"{kind}_ids", [*targets, *[targets[0]] * len(bare)])
    put(node, f"{kind}_weights", [*weights, *[0.0] * len(bare)])
