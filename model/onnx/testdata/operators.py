"""Cases of Add, Cast, Constant, Div, Identity and ZipMap, alone and behind a tree ensemble."""

import numpy as np
from onnx import helper, numpy_helper

from ensembles import NUMBERS, STRINGS
from record import ML, TYPES, Case, make_model, map_info, tensor_info
from trees import Layout, Shape, classifier, grow, positive, regressor, rows, seeded, vote

SHORT = {"float32": "f32", "float64": "f64", "int64": "i64", "int32": "i32", "bool": "bool", "string": "string"}
TO_STRING = (
    "The specification leaves the text open. ONNX Runtime prints both float32 and float64 with eight significant "
    "digits (%.8g), and INF, -INF and NaN."
)
PYTHONS = "The reference writes numbers and booleans as Python does, which no other runtime can be expected to."
WRAPS = "The specification leaves an integer out of range open: ONNX Runtime keeps the low 32 bits."

FRACTIONS = [
    0.0,
    -0.0,
    0.5,
    -0.5,
    0.99,
    -0.99,
    1.5,
    -1.5,
    2.5,
    -2.5,
    3.999,
    127.6,
    -128.4,
    65536.25,
    -1e6,
    2147483000.0,
]
MAGNITUDES = [
    *FRACTIONS, 1.0, 10.0, 100.0, 0.1, 0.2, 0.3, 1 / 3, 2 / 3, 0.001, 0.0001, 0.00001, 1e-7, -1e-5, 123456.789, 1e5,
    1e6, 999999.9, 9999999.5, 12345678.0, 123456789.0, 16777216.0, 16777217.0, 99999999.0, 1e8, 1e9, 1e15, 1e16, 1e20,
    3.4e38, 1.17549435e-38, 1e-45, 5.1, 3.5, 1.4,
]  # fmt: skip
ENDS = [np.inf, -np.inf, np.nan]
DOUBLES = [
    1e300,
    -1e300,
    5e-324,
    0.1 + 0.2,
    1e17,
    123456789012345678.0,
    1.7976931348623157e308,
    1.00000005,
    0.123456785,
]
SOURCES = {
    "float32": np.array([*MAGNITUDES, *ENDS], np.float32),
    "float64": np.array([*MAGNITUDES, *ENDS, *DOUBLES], np.float64),
    "int64": np.array(
        [0, 1, -1, 255, 16777217, -16777219, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63)], np.int64
    ),
    "int32": np.array([0, 1, -1, 255, 16777217, -16777219, 2**31 - 1, -(2**31)], np.int32),
    "bool": np.array([True, False, False, True]),
}
TEXTS = ["3.14", "1000", "1e-5", "1E8", "-2.5", "+1", "-0", "0", ".5", "3.", "16777217", "0.1", "1e-45", "5.1"]
TEXT_ENDS = ["NaN", "nan", "INF", "inf", "+INF", "-INF", "-inf", "Infinity", "-Infinity"]
WHOLE_TEXTS = ["0", "12", "-3", "+4", "007", "2147483647", "-2147483648"]


def cases():
    """Yields every case of this family."""
    yield from casts()
    yield from cast_versions()
    yield from identities()
    yield from divisions()
    yield from integer_divisions()
    yield from sums()
    yield from constants()
    yield from pipelines()
    yield from cast_inputs()


def single(name, operator, feeds, kind, constants=(), opset=17, ir=8, note="", distrust="", **options):
    """Makes a case of one operator over its feeds and then its constants; the output has the first operand's rank."""
    operands = [*feeds, *[constant.name for constant in constants]]
    node = helper.make_node(operator, operands, ["y"], **options)
    inputs = [operand_info(key, value) for key, value in feeds.items()]
    if ir < 4:
        # Before version 4 of the format a constant had to be listed as an input too.
        inputs += [operand_info(item.name, numpy_helper.to_array(item)) for item in constants]
    rank = next(iter(feeds.values())).ndim
    output = tensor_info("y", kind, rank)
    return Case(name, make_model(name, [node], inputs, [output], constants, opset=opset, ir=ir), feeds, note, distrust)


def operand_info(name, value):
    """Describes an operand by the array it is fed with, its exact shape included."""
    kind = "string" if value.dtype == object else value.dtype.name
    return helper.make_tensor_value_info(name, TYPES[kind], value.shape)


def cast(name, value, kind, **options):
    """Makes a case of one Cast."""
    return single(name, "Cast", {"x": value}, kind, to=TYPES[kind], **options)


def casts():
    """Cast from each type to each, where the result does not depend on the processor."""
    for source, values in SOURCES.items():
        for kind in TYPES:
            floats = source.startswith("float")
            whole = floats and kind.startswith("int")
            note = TO_STRING if floats and kind == "string" else WRAPS if (source, kind) == ("int64", "int32") else ""
            value = np.array(FRACTIONS, source) if whole else values
            distrust = PYTHONS if kind == "string" and (floats or source == "bool") else ""
            yield cast(f"cast_{SHORT[source]}_{SHORT[kind]}", value, kind, note=note, distrust=distrust)
    for kind in ("float32", "float64"):
        yield cast(f"cast_string_{SHORT[kind]}", np.array([*TEXTS, *TEXT_ENDS], object), kind)
    for kind in ("int64", "int32"):
        yield cast(f"cast_string_{SHORT[kind]}", np.array(WHOLE_TEXTS, object), kind)
    yield cast("cast_string_string", np.array(["", "a", "é", "1.50", " x "], object), "string")


def cast_versions():
    """Cast as other versions of the operator set number it."""
    value = np.array(FRACTIONS, np.float32)
    for opset in (6, 9, 13, 19, 21):
        yield cast(f"cast_opset_{opset}", value, "int64", opset=opset)
    yield cast("cast_opset_19_string", value, "string", opset=19, note=TO_STRING, distrust=PYTHONS)


def identities():
    """Identity of each type."""
    for source, values in SOURCES.items():
        yield single(f"identity_{SHORT[source]}", "Identity", {"x": values}, source)
    yield single("identity_string", "Identity", {"x": np.array([["", "a"], ["é", "0"]], object)}, "string")
    yield single("identity_opset_1", "Identity", {"x": SOURCES["float32"]}, "float32", opset=1)


def divisions():
    """Div of floats: zeros, infinities and NaN on either side, and each way to broadcast the divisor."""
    for kind in ("float32", "float64"):
        dtype = np.dtype(kind).type
        special = np.array([1, -1, 0.0, -0.0, np.nan, np.inf, -np.inf, 7.5, 1e-30, np.finfo(dtype).max, 0.1, 2], dtype)
        table = special.reshape(4, 3)
        for name, divisor in {
            "scalar": np.array(3, dtype),
            "length_1": np.array([0.3], dtype),
            "columns": np.array([3, -0.0, 1e-3], dtype),
            "rows": np.array([[7], [np.inf], [0.0], [-0.1]], dtype),
            "table": np.array([[1, 2, 3], [np.nan, 0, -np.inf], [0, -3, 1e-30], [0.1, 0.5, -7]], dtype),
            "zero": np.array(0.0, dtype),
            "negative_zero": np.array([-0.0], dtype),
        }.items():
            constant = numpy_helper.from_array(divisor, "d")
            yield single(f"div_{SHORT[kind]}_{name}", "Div", {"x": table}, kind, [constant])
    floats = helper.make_tensor("d", TYPES["float32"], [], [7.0])
    yield single("div_f32_typed_constant", "Div", {"x": table_of(8)}, "float32", [floats])
    yield single("div_f32_listed_constant", "Div", {"x": table_of(8)}, "float32", [floats], opset=8, ir=3)
    yield single("div_f32_two_inputs", "Div", {"a": table_of(6), "b": table_of(6)[::-1].copy()}, "float32")
    yield single("div_f32_wider_divisor", "Div", {"a": table_of(4)[:1], "b": table_of(4)}, "float32")
    yield single("div_f32_opset_7", "Div", {"x": table_of(4)}, "float32", [floats], opset=7)


def table_of(height):
    """Makes a float32 table of three columns."""
    return (np.arange(height * 3, dtype=np.float32).reshape(height, 3) - 5) / np.float32(3)


def integer_divisions():
    """Div of integers, which cuts towards zero. ONNX Runtime fails by zero, and crashes on the lowest number by -1."""
    for kind in ("int64", "int32"):
        dtype = np.dtype(kind).type
        limits = np.iinfo(dtype)
        table = np.array([[7, -7, 8], [-8, 1, -1], [0, limits.max, limits.min], [100, -100, 99]], dtype)
        for name, divisor in {
            "scalar": np.array(2, dtype),
            "negative": np.array(-3, dtype),
            "length_1": np.array([7], dtype),
            "columns": np.array([2, -2, 3], dtype),
            "rows": np.array([[2], [-2], [5], [-7]], dtype),
        }.items():
            constant = numpy_helper.from_array(divisor, "d")
            yield single(f"div_{SHORT[kind]}_{name}", "Div", {"x": table}, kind, [constant])


def sums():
    """Add of each type of number: infinities and NaN, integers that overflow, and each way to broadcast."""
    for kind in ("float32", "float64", "int64", "int32"):
        dtype = np.dtype(kind).type
        if kind.startswith("float"):
            largest = np.finfo(dtype).max
            special = np.array([1, -1, 0.0, -0.0, np.nan, np.inf, -np.inf, 7.5, 1e-30, largest, 0.1, 2], dtype)
        else:
            limits = np.iinfo(dtype)
            special = np.array([1, -1, 0, limits.max, limits.min, 7, -7, 100, -100, 2, 3, 5], dtype)
        table = special.reshape(4, 3)
        for name, term in {
            "scalar": np.array(3, dtype),
            "length_1": np.array([-7], dtype),
            "columns": np.array([3, -5, special[9]], dtype),
        }.items():
            yield single(f"add_{SHORT[kind]}_{name}", "Add", {"x": table}, kind, [numpy_helper.from_array(term, "c")])
        yield single(f"add_{SHORT[kind]}_table", "Add", {"a": table, "b": table[::-1].copy()}, kind)
        yield single(f"add_{SHORT[kind]}_rows", "Add", {"a": table, "b": table[:, 1:2].copy()}, kind)
        yield single(f"add_{SHORT[kind]}_wider", "Add", {"a": table[:, 2:].copy(), "b": table}, kind)
    yield single("add_f32_no_rows", "Add", {"a": table_of(0), "b": table_of(0)}, "float32")


def constants():
    """Constant in each of its forms, beside a row; texts are read as numbers first."""
    for name, kind, options in (
        ("tensor_f32", "float32", {"value": numpy_helper.from_array(np.array([0.1, -0.0, np.inf], np.float32))}),
        ("tensor_f64", "float64", {"value": numpy_helper.from_array(np.array([0.1, 1e300, 3]))}),
        ("tensor_i64", "int64", {"value": numpy_helper.from_array(np.array([[2**53 + 1, 0, -1]]))}),
        ("float", "float32", {"value_float": 0.1}),
        ("floats", "float32", {"value_floats": [0.1, 2.0, -3.5]}),
        ("int", "int64", {"value_int": -7}),
        ("ints", "int64", {"value_ints": [1, 2, 3]}),
        ("string", "float32", {"value_string": "1.5"}),
        ("strings", "float32", {"value_strings": ["1.5", "-2", "1e-3"]}),
    ):
        made = "text" if name.startswith("string") else "c"
        nodes = [helper.make_node("Constant", [], [made], **options), helper.make_node("Add", ["x", "c"], ["y"])]
        if made == "text":
            nodes.insert(1, cast_node("text", "c", kind))
        value = table_of(4).astype(np.dtype(kind))
        model = make_model(f"constant_{name}", nodes, [operand_info("x", value)], [tensor_info("y", kind, 2)])
        yield Case(f"constant_{name}", model, {"x": value})


def pipeline(name, ensemble, later, outputs, kind="float32", constants=(), before=()):
    """Makes a case of a tree ensemble over X with nodes before and after it."""
    inputs = [tensor_info("X", kind, columns=3)]
    nodes = [*before, ensemble, *later]
    return Case(name, model := make_model(name, nodes, inputs, outputs, constants), {"X": table(name, model, kind)})


def table(name, model, kind):
    """Makes rows for a model whose input has any type."""
    rng = seeded(name)
    if kind == "bool":
        return np.array([[rng.random() < 0.5 for _ in range(3)] for _ in range(20)])
    if kind == "string":
        numbers = rows(rng, model, 3, np.float32)
        return np.array([[str(cell).replace("inf", "INF") for cell in row] for row in numbers], object)
    return rows(rng, model, 3, np.dtype(kind).type)


def grown(name, labels, shape=Shape(), **options):
    """Grows a classifier for a pipeline."""
    rng = seeded(f"{name} trees")
    return classifier(rng, grow(rng, shape), labels, **options)


def zipmap(labels):
    """Makes a ZipMap of the ensemble's scores."""
    kind = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s"
    return helper.make_node("ZipMap", ["scores"], ["map"], domain=ML, **{kind: labels})


def cast_node(source, target, kind):
    """Makes a Cast within a pipeline."""
    return helper.make_node("Cast", [source], [target], to=TYPES[kind])


def pipelines():
    """What exporters put behind an ensemble."""
    yield from zipmaps()
    yield from label_casts()
    yield from votes()
    name = "pipeline_identity"
    later = [helper.make_node("Identity", ["label"], ["L"]), helper.make_node("Identity", ["scores"], ["S"])]
    yield pipeline(name, grown(name, STRINGS), later, [tensor_info("L", "string", 1), tensor_info("S", "float32")])
    name = "pipeline_regressor_div_cast"
    rng = seeded(f"{name} trees")
    node = regressor(rng, grow(rng, Shape()), 3)
    later = [helper.make_node("Div", ["Y", "d"], ["Q"]), cast_node("Q", "D", "float64")]
    constant = numpy_helper.from_array(np.array([3, -7, 0.1], np.float32), "d")
    outputs = [tensor_info("Y", "float32"), tensor_info("D", "float64")]
    yield pipeline(name, node, later, outputs, constants=[constant])


def zipmaps():
    """ZipMap with string and integer labels, beside the label or alone."""
    for short, labels in {"strings": STRINGS, "numbers": NUMBERS}.items():
        kind = "string" if short == "strings" else "int64"
        name = f"pipeline_zipmap_{short}"
        outputs = [tensor_info("label", kind, 1), map_info("map", kind)]
        yield pipeline(name, grown(name, labels), [zipmap(labels)], outputs)
    name = "pipeline_zipmap_binary"
    shape = Shape(ids=(0,), weights=positive)
    outputs = [tensor_info("label", "string", 1), map_info("map", "string")]
    yield pipeline(name, grown(name, ["no", "yes"], shape), [zipmap(["no", "yes"])], outputs)
    name = "pipeline_zipmap_only"
    yield pipeline(name, grown(name, STRINGS), [zipmap(STRINGS)], [map_info("map", "string")])


def label_casts():
    """A Cast of the label to each type."""
    for kind in TYPES:
        name = f"pipeline_cast_label_{SHORT[kind]}"
        outputs = [tensor_info("L", kind, 1), tensor_info("scores", "float32")]
        yield pipeline(name, grown(name, NUMBERS), [cast_node("label", "L", kind)], outputs)
    name = "pipeline_cast_text_label"
    outputs = [tensor_info("L", "int64", 1), tensor_info("scores", "float32")]
    yield pipeline(name, grown(name, ["10", "-3", "7"]), [cast_node("label", "L", "int64")], outputs)


def votes():
    """A vote for each tree, divided by the number of trees, over float64 features; with ZipMap and without."""
    shape = Shape(trees=7, depth=5, most=1, weights=vote, modes=("BRANCH_LEQ",))
    divide = helper.make_node("Div", ["votes", "T"], ["scores"])
    constant = numpy_helper.from_array(np.array(7, np.float32), "T")
    for name, later, last in (
        ("pipeline_votes", [divide], tensor_info("scores", "float32")),
        ("pipeline_votes_zipmap", [divide, zipmap(STRINGS)], map_info("map", "string")),
    ):
        node = grown(name, STRINGS, shape, layout=Layout(tensors="float64"))
        node.output[1] = "votes"
        yield pipeline(name, node, later, [tensor_info("label", "string", 1), last], "float64", [constant])


def cast_inputs():
    """A Cast of the features before an ensemble."""
    for source, target in (
        ("int64", "float32"),
        ("int32", "float32"),
        ("float64", "float32"),
        ("float32", "float64"),
        ("bool", "float32"),
        ("string", "float32"),
        ("string", "float64"),
    ):
        name = f"pipeline_cast_input_{SHORT[source]}_{SHORT[target]}"
        layout = Layout(tensors="float64" if target == "float64" else "")
        node = grown(name, STRINGS, Shape(missing="mixed"), layout=layout)
        node.input[0] = "F"
        outputs = [tensor_info("label", "string", 1), tensor_info("scores", "float32")]
        yield pipeline(name, node, [], outputs, source, before=[cast_node("X", "F", target)])
