"""Cases of one hand-made tree ensemble each."""

import numpy as np

from record import Case, make_model, tensor_info
from trees import (
    MODES,
    TRANSFORMS,
    Branch,
    Layout,
    Leaf,
    Shape,
    classifier,
    grow,
    positive,
    regressor,
    rows,
    seeded,
    signed,
    vote,
    wide,
)

FLOATS = {"float32": "f32", "float64": "f64"}
AGGREGATES = ("SUM", "AVERAGE", "MIN", "MAX")
STRINGS = ["setosa", "versicolor", "virginica"]
NUMBERS = [10, -3, 7]
FIVE = [4, 8, 15, 16, 23]
BASES = [0.5, -0.25, 0.1]

LABEL_OF_TWO = (
    "Two classes whose leaves weigh both: ONNX Runtime answers the second class wherever its score is above 0, "
    "whichever score is higher, and integer labels come out as 0 and 1 instead of classlabels_int64s."
)
SECOND_UNHIT = (
    "In a row that reaches no weight of the second class ONNX Runtime answers -s and s, where s is the first class's."
)
BASE_OF_TWO = (
    "Of two base values ONNX Runtime adds the second to the first class's score s and answers -(s + b) and s + b, "
    "which drops the second class's own score; a single one goes to the first class, and in the reference to both."
)
SECOND_ONLY = (
    "Only the second class has weights: ONNX Runtime answers 0 for the first class's score instead of completing it. "
    "A single base value is lost, and of two the second takes the place of the second class's score."
)
FIRST_ONLY_TWO_BASES = (
    "Only the first class has weights and there are two base values: ONNX Runtime answers the first class's score with "
    "its base value and 0, and takes the label as if that first score were the second class's. The reference drops the "
    "second base value."
)
ONE_CLASS = (
    "One class: ONNX Runtime answers the labels 1 and 0, for a score above 0 or not, instead of the class's own, and "
    "ignores LOGISTIC, SOFTMAX and SOFTMAX_ZERO."
)
BASE_UNHIT = (
    "In a row where no reached leaf weighs a target, ONNX Runtime drops that target's base value and answers 0."
)
UNHIT_LOSES = (
    "A class that no reached leaf weighs scores 0, yet ONNX Runtime never answers it, even if all others are negative."
)
ONE_TARGET = "ONNX Runtime ignores LOGISTIC, SOFTMAX and SOFTMAX_ZERO for a single target."
UNWEIGHTED_LEAF = (
    "With a single target ONNX Runtime takes a leaf without weight for one that weighs its nodes_values, 0 here."
)
PROBIT = (
    "Both compute PROBIT by an approximation that is good to some three digits, ONNX Runtime in float32; NaN outside "
    "[0, 1]."
)
# Why answers of the reference are not the expected ones.
MARGIN_TO_ONE = (
    "The reference completes every score s of two classes as 1 - s, margins below 0 too, and answers the second class "
    "above 0.5; a margin's opposite is -s, and its line 0."
)
THREE_AS_TWO = "The reference takes three classes of which one has weights for two."


def cases():
    """Yields every case of this family."""
    yield from modes()
    yield from integer_inputs()
    yield from classes()
    yield from two_classes()
    yield from one_class_id()
    yield from one_class()
    yield from leaves()
    yield from transforms()
    yield from aggregates()
    yield from layouts()
    yield from tensors()
    yield from extremes()
    yield from first_version()


def classify(name, trees, labels, kind="float32", columns=3, ml=3, note="", most=36, distrust="", **options):
    """Makes a case of a TreeEnsembleClassifier from the shape of its trees, or from the trees."""
    rng = seeded(name)
    trees = grow(rng, trees) if isinstance(trees, Shape) else trees
    node = classifier(rng, trees, labels, **options)
    label = tensor_info("label", "string" if isinstance(labels[0], str) else "int64", rank=1)
    outputs = [label, tensor_info("scores", "float32", columns=len(labels))]
    return ensemble(rng, name, node, outputs, kind, columns, ml, most, note, distrust)


def regress(name, trees, targets, kind="float32", columns=3, ml=3, note="", most=36, distrust="", **options):
    """Makes a case of a TreeEnsembleRegressor, as classify does."""
    rng = seeded(name)
    trees = grow(rng, trees) if isinstance(trees, Shape) else trees
    node = regressor(rng, trees, targets, **options)
    outputs = [tensor_info("Y", "float32", columns=targets)]
    return ensemble(rng, name, node, outputs, kind, columns, ml, most, note, distrust)


def ensemble(rng, name, node, outputs, kind, columns, ml, most, note, distrust):
    """Wraps an ensemble's node as a model and makes its rows."""
    model = make_model(name, [node], [tensor_info("X", kind, columns=columns)], outputs, ml=ml)
    return Case(name, model, {"X": rows(rng, model, columns, np.dtype(kind).type, most)}, note, distrust)


def as_tensors(kind):
    """Returns the layout for thresholds and weights of an input type: tensors for float64, plain lists otherwise."""
    return Layout(tensors="float64" if kind == "float64" else "")


def modes():
    """Each node mode alone, and all together with every kind of missing-value list."""
    for kind, short in FLOATS.items():
        for mode in MODES:
            plain = mode.removeprefix("BRANCH_").lower()
            yield from one_shape(f"{short}_{plain}", kind, Shape(modes=(mode,), missing="mixed"))
        for missing in ("absent", "never", "always", "mixed"):
            yield from one_shape(f"{short}_mixed_modes_missing_{missing}", kind, Shape(missing=missing))
    for mode in MODES:
        for missing in ("never", "always"):
            name = f"classifier_f32_{mode.removeprefix('BRANCH_').lower()}_missing_{missing}"
            yield classify(name, Shape(modes=(mode,), missing=missing), STRINGS)


def one_shape(suffix, kind, shape):
    """One shape as a classifier of three classes and as a regressor of one target."""
    listed = shape.missing != "absent"
    layout = as_tensors(kind)
    yield classify(f"classifier_{suffix}", shape, STRINGS, kind, layout=layout, missing=listed)
    single = Shape(**{**vars(shape), "ids": (0,), "weights": wide})
    yield regress(f"regressor_{suffix}", single, 1, kind, layout=layout, missing=listed)


def integer_inputs():
    """Integer features, which ONNX Runtime compares as float32; it has no regressor for them."""
    for kind in ("int64", "int32"):
        yield classify(f"classifier_{kind}", Shape(missing="mixed"), NUMBERS, kind)
        large = Shape(thresholds=(16777216.0, -16777216.0, 2.0**30, 0.5, -0.5, 2.0**53, 1e30))
        yield classify(f"classifier_{kind}_large", large, NUMBERS, kind)


def classes():
    """Class counts, labels and base values."""
    for kind, short in FLOATS.items():
        layout = as_tensors(kind)
        yield classify(f"classifier_{short}_3_numbers", Shape(), NUMBERS, kind, layout=layout)
        yield classify(f"classifier_{short}_3_base_3", Shape(), STRINGS, kind, layout=layout, base_values=BASES)
        five = Shape(ids=(0, 1, 2, 3, 4), trees=5)
        yield classify(f"classifier_{short}_5_numbers", five, FIVE, kind, layout=layout)
        yield classify(f"classifier_{short}_5_strings", five, ["a", "b", "", "é", "0"], kind, layout=layout)
        base = [0.1, 0.2, 0.3, -0.3, 0.0]
        yield classify(f"classifier_{short}_5_base_5", five, FIVE, kind, layout=layout, base_values=base)
        votes = Shape(trees=6, most=1, weights=vote)
        yield classify(f"classifier_{short}_3_votes_ties", votes, STRINGS, kind, layout=layout)
        votes = Shape(trees=5, ids=(0, 1, 2, 3, 4), most=1, weights=vote)
        yield classify(f"classifier_{short}_5_votes_ties", votes, FIVE, kind, layout=layout)


def two_classes():
    """Two classes with weights for both."""
    both = Shape(ids=(0, 1), fewest=2, most=2, weights=positive)
    either = Shape(ids=(0, 1), fewest=2, most=2, weights=signed)
    for kind, short in FLOATS.items():
        layout = as_tensors(kind)
        yield classify(f"classifier_{short}_2_strings", both, ["no", "yes"], kind, layout=layout, note=LABEL_OF_TWO)
        yield classify(f"classifier_{short}_2_signed", either, ["no", "yes"], kind, layout=layout, note=LABEL_OF_TWO)
    yield classify("classifier_f32_2_numbers", either, [10, -3], note=LABEL_OF_TWO)
    votes = Shape(ids=(0, 1), trees=4, most=1, weights=vote)
    yield classify("classifier_f32_2_votes", votes, [0, 1], note=f"{LABEL_OF_TWO} {SECOND_UNHIT}")
    sparse = Shape(ids=(0, 1), most=1, weights=signed)
    yield classify("classifier_f32_2_second_unhit", sparse, [0, 1], note=f"{LABEL_OF_TWO} {SECOND_UNHIT}")
    for base in ([0.25], [0.1, 0.2]):
        for transform in ("NONE", "LOGISTIC"):
            name = f"classifier_f32_2_base_{len(base)}_{transform.lower()}"
            note = f"{LABEL_OF_TWO} {BASE_OF_TWO}"
            yield classify(name, either, [0, 1], base_values=base, post_transform=transform, note=note)


def one_class_id():
    """Two classes of which only one has weights: how exporters write binary models, with class id 0."""
    signs = {"positive": positive, "signed": signed}
    for index in (0, 1):
        for sign, weights in signs.items():
            # Without "not equal", which ONNX Runtime, the source for margins, finds true of NaN.
            shape = Shape(ids=(index,), weights=weights, modes=MODES[:-1])
            for transform in TRANSFORMS:
                if index == 0 and transform == "PROBIT":
                    continue  # ONNX Runtime leaves the second score as it finds the memory.
                name = f"classifier_f32_2_only_{index}_{sign}_{transform.lower()}"
                known = told(index, sign, transform)
                yield classify(name, shape, [10, -3], post_transform=transform, **known)
            yield from one_class_id_with_base(index, sign, shape)
            yield from one_class_id_on_the_line(index, sign)
            layout = Layout(tensors="float64")
            name = f"classifier_f64_2_only_{index}_{sign}"
            known = told(index, sign, "NONE")
            yield classify(name, shape, ["no", "yes"], "float64", layout=layout, **known)


def told(index, sign, transform):
    """Returns what is to be said of two classes of which only one has weights."""
    known = {"note": SECOND_ONLY} if index else {}
    if sign == "signed" and transform == "NONE":
        known["distrust"] = MARGIN_TO_ONE
    return known


def one_class_id_on_the_line(index, sign):
    """Scores that lie exactly on the line between the classes, 0.5 or 0, and one step above it; one weight is 0."""
    low, line = (0.0, 0.5) if sign == "positive" else (-0.25, 0.25)
    above = float(np.nextafter(np.float32(line), np.float32(1)))
    first = stump(0, 0.0, Leaf([(index, low)]), Leaf([(index, 0.25)]))
    second = stump(1, 0.0, Leaf([(index, line)]), stump(2, 0.0, Leaf([(index, above)]), Leaf([(index, 0.0)])))
    known = told(index, sign, "NONE")
    yield classify(f"classifier_f32_2_only_{index}_{sign}_on_the_line", [first, second], ["no", "yes"], **known)


def one_class_id_with_base(index, sign, shape):
    """The same with one base value and with two."""
    for base in ([0.25], [0.1, 0.2]):
        for transform in ("NONE", "LOGISTIC"):
            name = f"classifier_f32_2_only_{index}_{sign}_base_{len(base)}_{transform.lower()}"
            known = told(index, sign, transform)
            if len(base) == 2 and not index:
                known["note"] = FIRST_ONLY_TWO_BASES
            yield classify(name, shape, [10, -3], base_values=base, post_transform=transform, **known)


def one_class():
    """A single class, by number and with one base value at most: ONNX Runtime crashes on more or on a string label."""
    # Without "not equal", which ONNX Runtime, the only one to answer, finds true of NaN.
    shape = Shape(ids=(0,), weights=signed, modes=MODES[:-1])
    for transform in TRANSFORMS:
        yield classify(f"classifier_f32_1_{transform.lower()}", shape, [10], post_transform=transform, note=ONE_CLASS)
    yield classify("classifier_f32_1_base_1", shape, [10], base_values=[0.25], note=ONE_CLASS)


def leaves():
    """Leaves with many weights, with one class twice, and with none."""
    full = Shape(ids=(0, 1, 2, 3, 4), fewest=5, most=5, weights=signed)
    yield classify("classifier_f32_many_weights", full, FIVE)
    twice = [stump(0, 0.0, Leaf([(0, 0.5), (0, 0.25), (2, 0.7)]), Leaf([(1, 0.1), (2, -1.0), (1, 0.3)]))]
    yield classify("classifier_f32_class_twice_on_leaf", twice, STRINGS)
    bare = [stump(0, 0.0, Leaf([(0, 0.5)]), Leaf([(1, 0.5)])), stump(1, 1.0, Leaf([]), Leaf([(2, 2.0)])), Leaf([])]
    yield classify("classifier_f32_leaf_without_weight", bare, STRINGS)
    empty = [stump(0, 0.0, Leaf([]), Leaf([(1, 0.5)]))]
    base = [0.1, 0.2, 0.3]
    yield classify(
        "classifier_f32_leaf_without_weight_base_3", empty, STRINGS, base_values=base, distrust=THREE_AS_TWO
    )
    negative = [stump(0, 0.0, Leaf([(0, -0.5), (1, -0.2)]), Leaf([(1, -0.5), (2, -0.5)]))]
    yield classify("classifier_f32_negative_and_unhit", negative, STRINGS, note=UNHIT_LOSES)
    bare = [stump(0, 0.0, Leaf([(0, 0.5), (2, 4.0)]), Leaf([(1, 0.5)])), stump(1, 1.0, Leaf([]), Leaf([(2, -2.0)]))]
    for aggregate in AGGREGATES:
        yield regress(f"regressor_f32_leaf_without_weight_{aggregate.lower()}", bare, 3, aggregate_function=aggregate)
    one = [stump(0, 0.0, Leaf([(0, 0.5)]), Leaf([])), stump(1, 1.0, Leaf([]), Leaf([(0, -2.0)]))]
    for aggregate in AGGREGATES:
        name = f"regressor_f32_1_leaf_without_weight_{aggregate.lower()}"
        note = UNWEIGHTED_LEAF if aggregate in ("MIN", "MAX") else ""
        yield regress(name, one, 1, aggregate_function=aggregate, note=note)


def stump(feature, threshold, yes, no, mode="BRANCH_LEQ"):
    """Makes a tree of one test."""
    return Branch(feature, mode, threshold, False, yes, no)


def transforms():
    """Every post transform, for two and three classes and one and three targets."""
    for transform in TRANSFORMS:
        short = transform.lower()
        weights = positive if transform == "PROBIT" else signed
        note = PROBIT if transform == "PROBIT" else ""
        options = {"post_transform": transform}
        # SOFTMAX_ZERO is about scores of 0: leave classes out on some leaves.
        three = Shape() if transform == "SOFTMAX_ZERO" else Shape(weights=weights, fewest=3)
        yield classify(f"classifier_f32_3_{short}", three, STRINGS, note=note, **options)
        layout = Layout(tensors="float64")
        yield classify(f"classifier_f64_3_{short}", three, STRINGS, "float64", layout=layout, note=note, **options)
        two = Shape(ids=(0, 1), fewest=2, most=2, weights=weights)
        of_two = f"{LABEL_OF_TWO} {note}".strip()
        yield classify(f"classifier_f32_2_{short}", two, ["no", "yes"], note=of_two, **options)
        sparse = Shape(weights=weights)
        yield regress(f"regressor_f32_3_{short}", sparse, 3, note=note, **options)
        yield regress(f"regressor_f64_3_{short}", sparse, 3, "float64", layout=layout, note=note, **options)
        one = Shape(ids=(0,), weights=weights)
        note = note if transform in ("NONE", "PROBIT") else ONE_TARGET
        yield regress(f"regressor_f32_1_{short}", one, 1, note=note, **options)


def aggregates():
    """Every aggregate, for one and three targets, with and without base values; of the three, one is often not hit."""
    for kind, short in FLOATS.items():
        for aggregate in AGGREGATES:
            options = {"layout": as_tensors(kind), "aggregate_function": aggregate}
            one = Shape(ids=(0,), trees=4, weights=wide)
            sparse = Shape(trees=4, most=2, weights=wide)
            full = Shape(trees=4, fewest=3, weights=wide)
            lower = aggregate.lower()
            yield regress(f"regressor_{short}_1_{lower}", one, 1, kind, **options)
            yield regress(f"regressor_{short}_1_{lower}_base", one, 1, kind, base_values=[0.5], **options)
            yield regress(f"regressor_{short}_3_{lower}", sparse, 3, kind, **options)
            yield regress(f"regressor_{short}_3_{lower}_base", full, 3, kind, base_values=BASES, **options)
    unhit = Shape(ids=(0, 2), trees=3, most=1, weights=wide)
    for aggregate in AGGREGATES:
        name = f"regressor_f32_target_never_hit_{aggregate.lower()}"
        yield regress(name, unhit, 3, aggregate_function=aggregate)
        yield regress(f"{name}_base", unhit, 3, aggregate_function=aggregate, base_values=BASES, note=BASE_UNHIT)


def layouts():
    """Lone leaves, and every way to name and to order trees and nodes that ONNX Runtime takes."""
    yield classify("classifier_f32_lone_leaf", [Leaf([(0, 0.5), (2, 0.75)])], STRINGS, most=12)
    yield regress("regressor_f32_lone_leaf", [Leaf([(0, 2.5)])], 1, most=12)
    mixed = [stump(1, 0.5, Leaf([(0, 0.5)]), Leaf([(1, 0.25)])), Leaf([(1, 0.375)]), Leaf([(2, 0.4)])]
    yield classify("classifier_f32_lone_leaves_and_tree", mixed, STRINGS)
    for kind, short in FLOATS.items():
        tensors = as_tensors(kind).tensors
        for name, layout in {
            "shuffled": Layout(shuffle=True, tensors=tensors),
            "tree_ids": Layout(tree_ids=(7, 2, 30), tensors=tensors),
            "node_ids": Layout(spread=True, tensors=tensors),
            "all_ids_shuffled": Layout(tree_ids=(7, 2, 30), spread=True, shuffle=True, tensors=tensors),
        }.items():
            shape = Shape(missing="mixed")
            yield classify(f"classifier_{short}_{name}", shape, STRINGS, kind, layout=layout)
            yield regress(f"regressor_{short}_{name}", shape, 3, kind, layout=layout)


def tensors():
    """Attributes as tensors or lists against the input's type."""
    layout = Layout(tensors="float32")
    full = Shape(fewest=3, weights=signed)
    yield classify("classifier_f32_float_tensors", full, STRINGS, layout=layout, base_values=BASES)
    yield regress("regressor_f32_float_tensors", full, 3, layout=layout, base_values=BASES)
    yield classify("classifier_f64_float_lists", full, STRINGS, "float64", base_values=BASES)
    yield regress("regressor_f64_float_lists", full, 3, "float64", base_values=BASES)


def extremes():
    """Infinite and signed zero thresholds, many trees, columns that no test reads, one row and none."""
    infinite = Shape(missing="mixed", thresholds=(float("inf"), float("-inf"), -0.0, 0.0, 1e30, -1e-40))
    for kind, short in FLOATS.items():
        yield classify(f"classifier_{short}_infinite_thresholds", infinite, STRINGS, kind, layout=as_tensors(kind))
        yield regress(f"regressor_{short}_infinite_thresholds", infinite, 3, kind, layout=as_tensors(kind))
    forest = Shape(trees=90, depth=2, modes=("BRANCH_LEQ",))
    yield classify("classifier_f32_90_trees", forest, STRINGS)
    single = Shape(trees=90, depth=2, ids=(0,), modes=("BRANCH_LEQ",), weights=wide)
    yield regress("regressor_f32_90_trees", single, 1)
    yield classify("classifier_f32_unused_columns", Shape(features=2), STRINGS, columns=6)
    yield classify("classifier_f32_one_row", Shape(), STRINGS, most=1)
    yield classify("classifier_f32_no_rows", Shape(), STRINGS, most=0)
    yield regress("regressor_f32_no_rows", Shape(), 3, most=0)


def first_version():
    """The operators as ai.onnx.ml 1 has them."""
    for kind, short in FLOATS.items():
        shape = Shape(missing="mixed", fewest=3, weights=signed)
        yield classify(f"classifier_{short}_v1", shape, STRINGS, kind, ml=1)
        yield regress(f"regressor_{short}_v1", shape, 3, kind, ml=1, base_values=BASES)
