"""Models, ONNX Runtime's answers to them, and the two files that keep both.

A case is a model and the tensors it is asked about. Recording it writes NAME.onnx and NAME.json beside each other:

    {"note": "only where ONNX Runtime departs from the specification",
     "inputs": [{"name": "X", "type": "float32", "shape": [2, 3], "data": [...]}],
     "outputs": [{"name": "label", "type": "string", "shape": [2], "data": [...]},
                 {"name": "z", "type": "map", "keys": [...], "shape": [2, 3], "data": [...]}]}

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
class Case:
    """One model, the tensors to feed it by input name, and what is odd about ONNX Runtime's answer, if anything."""

    name: str
    model: onnx.ModelProto
    feeds: dict
    note: str = ""


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
    """Checks the case's model, asks ONNX Runtime and writes the case's two files into `folder`."""
    onnx.checker.check_model(case.model, full_check=True)
    answers = run(case.model, case.feeds)
    inputs = [tensor_line(name, value) for name, value in case.feeds.items()]
    outputs = [output_line(case.model, output, value) for output, value in zip(case.model.graph.output, answers)]
    text = document(case.note, inputs, outputs)
    (folder / f"{case.name}.onnx").write_bytes(case.model.SerializeToString(deterministic=True))
    (folder / f"{case.name}.json").write_text(text, encoding="utf-8", newline="\n")


def document(note, inputs, outputs):
    """Puts a case's lines together."""
    head = f'"note":{json.dumps(note)},\n' if note else ""
    text = "{" + head + '"inputs":[\n' + ",\n".join(inputs) + '\n],"outputs":[\n' + ",\n".join(outputs) + "\n]}\n"
    json.loads(text)
    return text


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
