"""Models, the answers to them by those who should know, and the two files that keep both.

A case is a model and the tensors it is asked about. Recording it writes NAME.onnx and NAME.json beside each other; the
README beside this file has the format.

Data is flat and row-major. A number is the shortest text that reads back as the same value of its own type; NaN and
the infinities are the strings "NaN", "Infinity" and "-Infinity". A map is what ZipMap makes: one row of values for
each dictionary, in the order of the operator's class labels.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from reference import refer

TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
}
ML = "ai.onnx.ml"


@dataclass(frozen=True)
class Trainer:
    """What the library that trained a model answers for its first rows.

    `numbers` are what the file's scores stand for: the library's probabilities, margins or values. `labels` is None for
    a regression.
    """

    name: str
    labels: np.ndarray | None
    numbers: np.ndarray


@dataclass(frozen=True)
class Case:
    """One model, the tensors to feed it by input name, and who knows the answers.

    `note` says what is odd about the answers. `distrust` says why the answers of onnx.reference are not the expected
    ones, though it gives some: ONNX Runtime's are then.
    """

    name: str
    model: onnx.ModelProto
    feeds: dict
    note: str = ""
    distrust: str = ""
    trainer: Trainer | None = None


def tensor_info(name, kind, rank=2, columns=None):
    """Describes a tensor of a graph: a free first dimension N, and `columns` as its last one where known."""
    shape = ["N", *[None] * (rank - 1)][:rank]
    if rank > 1 and columns is not None:
        shape[-1] = columns
    return helper.make_tensor_value_info(name, TYPES[kind], shape)


def map_info(name, key_kind):
    """Describes ZipMap's output: a sequence of maps from class label to float32."""
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    maps = helper.make_map_type_proto(TYPES[key_kind], value)
    return helper.make_value_info(name, helper.make_sequence_type_proto(maps))


def make_model(name, nodes, inputs, outputs, initializers=(), opset=17, ml=3, ir=8):
    """Builds a model with fixed versions and no producer, so that the same graph always gives the same bytes."""
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, ml)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir)


def run(model, feeds):
    """Asks ONNX Runtime, on one thread and with its graph optimiser off, and returns the outputs in graph order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run([output.name for output in model.graph.output], feeds)


def record(case, folder: Path):
    """Checks the case's model, asks who knows and writes the case's two files into `folder`; returns the source."""
    onnx.checker.check_model(case.model, full_check=True)
    runtime, specified = run(case.model, case.feeds), refer(case.model, case.feeds)
    source, answers = "ONNX Runtime", runtime
    if specified is not None and not case.distrust:
        source, answers = "onnx.reference", specified
    parts = [f'"source":{json.dumps(source)}']
    for key, text in (("note", case.note), ("distrust", case.distrust)):
        if text:
            parts.append(f'"{key}":{json.dumps(text)}')
    parts.append(listed("inputs", [tensor_line(name, value) for name, value in case.feeds.items()]))
    parts.append(listed("outputs", output_lines(case.model, answers)))
    for key, other in (("onnxruntime", runtime), ("reference", specified)):
        if other is not None and not alike(answers, other):
            parts.append(listed(key, output_lines(case.model, other)))
    if case.trainer:
        parts.append(trainer_line(case.trainer))
    text = "{" + ",\n".join(parts) + "}\n"
    json.loads(text)
    (folder / f"{case.name}.onnx").write_bytes(case.model.SerializeToString(deterministic=True))
    (folder / f"{case.name}.json").write_text(text, encoding="utf-8", newline="\n")
    return source


def listed(key, lines):
    """Writes a list of lines as a member."""
    return f'"{key}":[\n' + ",\n".join(lines) + "\n]"


def trainer_line(trainer):
    """Writes the trainer's answers as a member."""
    lines = [] if trainer.labels is None else [tensor_line("labels", trainer.labels)]
    lines.append(tensor_line("numbers", trainer.numbers))
    return f'"trainer":{{"name":{json.dumps(trainer.name)},"answers":[\n' + ",\n".join(lines) + "\n]}"


def output_lines(model, answers):
    """Writes the outputs as lines of JSON."""
    return [output_line(model, output, value) for output, value in zip(model.graph.output, answers)]


def alike(some, others):
    """Tells whether two lists of outputs are the same but for rounding."""
    return all(one_alike(a, b) for a, b in zip(some, others))


def one_alike(a, b):
    """Tells whether two outputs are the same but for rounding."""
    if isinstance(a, list):
        return all(x.keys() == y.keys() and one_alike(as_row(x), as_row(y)) for x, y in zip(a, b))
    if a.shape != b.shape or not np.issubdtype(a.dtype, np.floating):
        return a.shape == b.shape and bool((a == b).all())
    scale = 1e-5 * np.maximum(1, np.abs(a))
    with np.errstate(invalid="ignore"):
        return bool(((a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= scale)).all())


def as_row(values):
    """Returns a dictionary's numbers."""
    return np.array(list(values.values()), np.float32)


def output_line(model, output, value):
    """Writes one output as a line of JSON."""
    if output.type.HasField("sequence_type"):
        return map_line(output.name, zipmap_keys(model), value)
    return tensor_line(output.name, value)


def tensor_line(name, value):
    """Writes one tensor as a line of JSON."""
    kind = "string" if value.dtype == object else value.dtype.name
    if kind not in TYPES:
        raise ValueError(f"tensor {name} has type {kind}")
    data = ",".join(cell(item) for item in value.reshape(-1))
    return f'{{"name":{json.dumps(name)},"type":"{kind}","shape":{compact(list(value.shape))},"data":[{data}]}}'


def map_line(name, keys, rows):
    """Writes a list of dictionaries as a line of JSON, each row in the order of `keys`."""
    for row in rows:
        if set(row) != set(keys):
            raise ValueError(f"map {name} has keys {sorted(row)}, not {keys}")
    data = ",".join(cell(np.float32(row[key])) for row in rows for key in keys)
    shape = compact([len(rows), len(keys)])
    return f'{{"name":{json.dumps(name)},"type":"map","keys":{compact(keys)},"shape":{shape},"data":[{data}]}}'


def zipmap_keys(model):
    """Returns the class labels of the model's only ZipMap."""
    [node] = [node for node in model.graph.node if node.op_type == "ZipMap"]
    values = attributes(node)
    labels = values.get("classlabels_strings") or values["classlabels_int64s"]
    return [label.decode() if isinstance(label, bytes) else label for label in labels]


def attributes(node):
    """Returns a node's attributes by name; a tensor as its values, everything else as onnx.helper gives it."""
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    for name, value in values.items():
        if isinstance(value, TensorProto):
            values[name] = onnx.numpy_helper.to_array(value).tolist()
    return values


def cell(value):
    """Writes one element as JSON."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, np.bool_):
        return "true" if value else "false"
    if isinstance(value, np.integer):
        return str(int(value))
    return number(value)


def number(value):
    """Writes a NumPy float as the shortest JSON that reads back as the same value of its own type."""
    if math.isnan(value):
        return '"NaN"'
    if math.isinf(value):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    text = str(value)
    # A reader parses to float64 first and rounds afterwards: make sure that rounding twice does no harm.
    if type(value)(float(text)) != value:
        raise ValueError(f"{text} does not read back as {value!r}")
    return text


def compact(value):
    """Writes small lists without spaces."""
    return json.dumps(value, separators=(",", ":"))
