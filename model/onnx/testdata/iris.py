"""The rows on which the embedded Iris model is compared with ONNX Runtime.

They are the 150 flowers of data/iris.csv, 5,000 random rows of one decimal within the flowers' ranges, which often meet
a threshold exactly or tie, and 5,000 of four decimals over ranges 30 percent wider.
"""

import csv
import gzip
import io
import random
from pathlib import Path

import numpy as np
import onnx

from record import number, run

ROOT = Path(__file__).resolve().parents[3]
CSV = ROOT / "data" / "iris.csv"
MODEL = ROOT / "artifacts" / "iris.onnx"
CLASSES = ["setosa", "versicolor", "virginica"]
RANGES = {"sepal_length": (4.0, 8.0), "sepal_width": (2.0, 4.5), "petal_length": (1.0, 7.0), "petal_width": (0.1, 2.5)}
HALF = 5000
SEED = "iris"


def flowers():
    """Reads data/iris.csv: measurements as float64 [150, 4], and the species' names."""
    with CSV.open(encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    if head != [*RANGES, "species"]:
        raise ValueError(f"{CSV} has the header {head}")
    return np.array([line[:4] for line in lines], np.float64), np.array([line[4] for line in lines])


def random_rows():
    """Draws the 10,000 random rows."""
    rng = random.Random(SEED)
    narrow = [[round(rng.uniform(low, high), 1) for low, high in RANGES.values()] for _ in range(HALF)]
    wide = [[round(rng.uniform(*widened(low, high)), 4) for low, high in RANGES.values()] for _ in range(HALF)]
    return np.array(narrow + wide)


def widened(low, high):
    """Makes a range 30 percent wider, the same on both sides."""
    margin = 0.15 * (high - low)
    return low - margin, high + margin


def record_iris(model_path: Path, folder: Path):
    """Asks ONNX Runtime about every row and writes iris.csv.gz into `folder`."""
    model = onnx.load(model_path)
    onnx.checker.check_model(model, full_check=True)
    rows = np.concatenate([flowers()[0], random_rows()])
    [source] = model.graph.input
    label, probabilities = run(model, {source.name: rows})
    check_answers(label, probabilities)
    text = table(rows, label, probabilities)
    (folder / "iris.csv.gz").write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def check_answers(label, probabilities):
    """Makes sure that the model's outputs mean what the file's header says: the label has the highest probability."""
    if probabilities.dtype != np.float32 or probabilities.shape != (len(label), len(CLASSES)):
        raise ValueError(f"probabilities are {probabilities.dtype} {list(probabilities.shape)}")
    wrong = [index for index, row in enumerate(probabilities) if label[index] != CLASSES[row.argmax()]]
    if wrong:
        raise ValueError(
            f"row {wrong[0]} has the label {label[wrong[0]]} and the probabilities {probabilities[wrong[0]]}"
        )


def table(rows, label, probabilities):
    """Writes the rows and their answers as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*RANGES, "label", *[f"p_{name}" for name in CLASSES]])
    for row, name, shares in zip(rows, label, probabilities):
        writer.writerow([*map(number, row), name, *map(number, shares)])
    return out.getvalue()
