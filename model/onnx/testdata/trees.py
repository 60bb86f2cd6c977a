"""Random tree ensembles as nodes of the two TreeEnsemble operators, and the rows that try them hardest."""

import random
from dataclasses import dataclass

import numpy as np
from onnx import helper, numpy_helper

from record import ML, attributes

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")


@dataclass
class Leaf:
    """A leaf's weights: pairs of class or target index and weight."""

    weights: list


@dataclass
class Branch:
    """A test of one feature; `missing` says whether NaN takes the true branch."""

    feature: int
    mode: str
    threshold: float
    missing: bool
    yes: object
    no: object


def signed(rng):
    """Draws a weight of either sign."""
    return rng.uniform(-1, 1)


def wide(rng):
    """Draws a weight as a regression has it."""
    return rng.uniform(-10, 10)


def positive(rng):
    """Draws a weight as a forest of probabilities has it."""
    return rng.uniform(0.01, 0.5)


def vote(_):
    """The weight of one tree's vote."""
    return 1.0


@dataclass(frozen=True)
class Shape:
    """How random trees look.

    `missing` is absent, never, always or mixed: what nodes_missing_value_tracks_true holds. `ids` are the classes or
    targets that leaves may weigh, between `fewest` and `most` of them each. `weights` draws one weight. `thresholds`
    are used as well as random ones.
    """

    features: int = 3
    trees: int = 3
    depth: int = 4
    modes: tuple = MODES
    missing: str = "absent"
    ids: tuple = (0, 1, 2)
    fewest: int = 1
    most: int = 3
    weights: object = positive
    thresholds: tuple = (-2.0, -0.5, 0.0, 0.25, 1.0, 3.0)


def grow(rng, shape):
    """Grows the trees of an ensemble; the first is never a lone leaf."""
    trees = [branch(rng, shape, shape.depth)]
    while len(trees) < shape.trees:
        trees.append(subtree(rng, shape, rng.randint(2, shape.depth)))
    return trees


def subtree(rng, shape, depth):
    """Grows a tree of at most `depth` tests on a path; some paths end early."""
    if depth == 0 or (depth < shape.depth and rng.random() < 0.15):
        return leaf(rng, shape)
    return branch(rng, shape, depth)


def branch(rng, shape, depth):
    """Grows a test and what hangs below it."""
    threshold = rng.choice(shape.thresholds) if rng.random() < 0.6 else rng.uniform(-3, 4)
    return Branch(
        feature=rng.randrange(shape.features),
        mode=rng.choice(shape.modes),
        threshold=threshold,
        missing=shape.missing == "always" or (shape.missing == "mixed" and rng.random() < 0.5),
        yes=subtree(rng, shape, depth - 1),
        no=subtree(rng, shape, depth - 1),
    )


def leaf(rng, shape):
    """Draws a leaf."""
    count = rng.randint(shape.fewest, min(shape.most, len(shape.ids)))
    return Leaf([(index, shape.weights(rng)) for index in sorted(rng.sample(shape.ids, count))])


@dataclass(frozen=True)
class Layout:
    """How trees become lists of nodes.

    `tree_ids` names the trees, 0, 1, 2 … without it. `spread` gives nodes random ids with gaps, not 0, 1, 2 ….
    `shuffle` lists a tree's nodes below its root in random order, and all leaf weights too. `tensors` says which of
    thresholds, weights and base values are tensor attributes: none of them, or float32 or float64 tensors.
    """

    tree_ids: tuple = ()
    spread: bool = False
    shuffle: bool = False
    tensors: str = ""


def classifier(rng, trees, labels, layout=Layout(), missing=True, **options):
    """Makes a TreeEnsembleClassifier from X to label and scores; `labels` are all strings or all integers."""
    kind = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s"
    values = node_lists(rng, trees, "class", layout, missing) | typed(options, layout)
    values[kind] = labels
    return helper.make_node("TreeEnsembleClassifier", ["X"], ["label", "scores"], domain=ML, **values)


def regressor(rng, trees, targets, layout=Layout(), missing=True, **options):
    """Makes a TreeEnsembleRegressor from X to Y."""
    values = node_lists(rng, trees, "target", layout, missing) | typed(options, layout)
    return helper.make_node("TreeEnsembleRegressor", ["X"], ["Y"], domain=ML, n_targets=targets, **values)


def node_lists(rng, trees, kind, layout, missing):
    """Writes trees as the operators' parallel lists; `kind` is class or target."""
    nodes, weights = [], []
    total = sum(count(tree) for tree in trees)
    for position, tree in enumerate(trees):
        tree_id = layout.tree_ids[position] if layout.tree_ids else position
        flatten(tree_id, tree, node_ids(rng, count(tree), total, layout), nodes, weights)
    if layout.shuffle:
        nodes = shuffled_below_roots(rng, nodes)
        rng.shuffle(weights)
    values = columns(
        "nodes", ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids"), nodes
    )
    values |= columns(kind, ("treeids", "nodeids", "ids", "weights"), weights)
    if missing:
        values["nodes_missing_value_tracks_true"] = [row[-1] for row in nodes]
    return typed(values, layout)


def count(tree):
    """Counts a tree's nodes."""
    return 1 if isinstance(tree, Leaf) else 1 + count(tree.yes) + count(tree.no)


def node_ids(rng, size, total, layout):
    """Names a tree's nodes. ONNX Runtime takes no child id at or above the number of all nodes of the ensemble."""
    return iter(rng.sample(range(total), size) if layout.spread else range(size))


def flatten(tree_id, tree, ids, nodes, weights):
    """Appends a tree's nodes, root first, and its leaves' weights; returns the root's id."""
    node_id = next(ids)
    if isinstance(tree, Leaf):
        nodes.append((tree_id, node_id, 0, "LEAF", 0.0, 0, 0, 0))
        weights.extend((tree_id, node_id, index, weight) for index, weight in tree.weights)
        return node_id
    place = len(nodes)
    nodes.append(None)
    yes = flatten(tree_id, tree.yes, ids, nodes, weights)
    no = flatten(tree_id, tree.no, ids, nodes, weights)
    nodes[place] = (tree_id, node_id, tree.feature, tree.mode, tree.threshold, yes, no, int(tree.missing))
    return node_id


def shuffled_below_roots(rng, nodes):
    """Shuffles each tree's nodes but its root: ONNX Runtime takes the first node it lists of a tree for the root."""
    result = []
    for tree_id in dict.fromkeys(row[0] for row in nodes):
        root, *rest = [row for row in nodes if row[0] == tree_id]
        rng.shuffle(rest)
        result += [root, *rest]
    return result


def columns(prefix, names, rows):
    """Turns rows into lists named prefix_name; a row's cells beyond the names are left out."""
    return {f"{prefix}_{name}": [row[index] for row in rows] for index, name in enumerate(names)}


def typed(values, layout):
    """Moves the float lists into tensor attributes where the layout asks for it."""
    if not layout.tensors:
        return values
    result = {}
    for name, value in values.items():
        if name in ("nodes_values", "class_weights", "target_weights", "base_values"):
            tensor = f"{name}_as_tensor"
            result[tensor] = numpy_helper.from_array(np.array(value, layout.tensors), tensor)
        else:
            result[name] = value
    return result


def rows(rng, model, columns, dtype, most=36):
    """Makes rows for a model's ensembles: thresholds, their neighbours, signed zeros, infinities, NaN, large values."""
    pools = [pool(values, dtype) for values in thresholds(model, columns)]
    specials = [[special] * columns for special in special_values(dtype)]
    while len(specials) < most:
        specials.append([pick(rng, values, dtype) for values in pools])
    return np.array(specials[:most], dtype).reshape(-1, columns)


def thresholds(model, columns):
    """Lists the thresholds that a model's ensembles hold for each of the input's columns."""
    found = [set() for _ in range(columns)]
    for node in model.graph.node:
        if not node.op_type.startswith("TreeEnsemble"):
            continue
        values = attributes(node)
        limits = values.get("nodes_values") or values["nodes_values_as_tensor"]
        for feature, mode, value in zip(values["nodes_featureids"], values["nodes_modes"], limits):
            if mode != b"LEAF":
                found[feature].add(value)
    return [sorted(values) for values in found]


def pool(values, dtype):
    """Lists the thresholds of one column and what lies next to each in the input's own type."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        whole = [int(value) for value in values if limits.min <= value < limits.max]
        return [0, *[number + step for number in whole for step in (-1, 0, 1)]]
    near = [0.0]
    for value in np.array(values, dtype):
        near += [
            value,
            np.nextafter(value, dtype(-np.inf)),
            np.nextafter(value, dtype(np.inf)),
            dtype(np.float32(value)),
        ]
    return near


def special_values(dtype):
    """Lists the values that each fill a whole row."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return [0, 1, -1, 16777216, 16777217, 16777219, limits.max, limits.min]
    largest = np.finfo(dtype).max
    return [np.nan, np.inf, -np.inf, 0.0, -0.0, largest, -largest, 1e30, -1e30, np.finfo(dtype).smallest_subnormal]


def pick(rng, values, dtype):
    """Draws one cell: mostly at or beside a threshold, now and then special, otherwise anywhere near."""
    draw = rng.random()
    if draw < 0.55:
        return rng.choice(values)
    if draw < 0.7:
        return rng.choice(special_values(dtype))
    return rng.randint(-4, 5) if np.issubdtype(dtype, np.integer) else round(rng.uniform(-4, 5), 2)


def seeded(name):
    """Returns a generator of its own for a name, so that one more case changes no other."""
    return random.Random(name)
