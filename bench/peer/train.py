"""Trains the models of the comparison and of the scale, on data/iris.csv and on numbers made here.

    python train.py DIR

writes into DIR

    forest.joblib, forest.onnx   a random forest of 70 trees on Iris: the same one for the peer and for Tepal
    logistic.joblib              a logistic regression on Iris, for the peer alone
    trees-N.onnx                 forests on Iris that differ by the number of their trees
    features-N.onnx              forests of 70 trees that differ by the number of their features

The ONNX files have Tepal's metadata, with golden rows that scikit-learn answered.
"""

import csv
import json
import sys
from pathlib import Path

import joblib
import numpy
import onnx
from skl2onnx import to_onnx
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

DATA = Path(__file__).resolve().parents[2] / "data" / "iris.csv"
TREES = 70


def main():
    """Writes all models into the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    names, rows, species = flowers()
    shipped = forest(rows, species, TREES)
    export(shipped, names, rows, folder / "forest.onnx")
    for name, model in ("forest", shipped), ("logistic", LogisticRegression(max_iter=1000).fit(rows, species)):
        model.feature_names_in_ = numpy.array(names, dtype=object)  # as if it had learnt from a frame
        joblib.dump(model, folder / f"{name}.joblib")
    for trees in (10, 70, 300, 1000):
        export(forest(rows, species, trees), names, rows, folder / f"trees-{trees}.onnx")
    for width in (4, 32, 128):
        # Bounded leaves, so that the trees are of much the same size at each width.
        made, labels = make_classification(
            1000, width, n_informative=4, n_redundant=0, n_classes=3, n_clusters_per_class=1, random_state=1
        )
        made = made.round(3)
        export(forest(made, labels, TREES, max_leaf_nodes=16), [f"f{i}" for i in range(width)], made, folder / f"features-{width}.onnx")


def flowers():
    """Reads Iris: names, rows and species."""
    with DATA.open(encoding="utf-8") as file:
        head, *lines = csv.reader(file)
    return head[:-1], numpy.array([line[:-1] for line in lines], dtype=float), [line[-1] for line in lines]


def forest(rows, labels, trees, **settings):
    """Trains a random forest, with scikit-learn's own settings but for those given."""
    return RandomForestClassifier(trees, random_state=1, **settings).fit(rows, labels)


def export(model, names, rows, path):
    """Writes a forest as ONNX, with the names, the ranges and golden rows."""
    single = rows.astype(numpy.float32)
    made = to_onnx(model, single[:1], options={"zipmap": False})
    golden = single[:: len(single) // 16]
    answers = zip(golden.tolist(), model.predict(golden).tolist(), model.predict_proba(golden).tolist())
    metadata = {
        "tepal.format": "1",
        "tepal.name": path.stem,
        "tepal.version": "1",
        "tepal.schema": json.dumps(
            {
                "task": "classification",
                "features": [
                    {"name": name, "minimum": column.min(), "maximum": column.max(), "example": column[0]}
                    for name, column in zip(names, rows.T)
                ],
            }
        ),
        "tepal.golden": json.dumps(
            {
                "source": "scikit-learn's predict_proba",
                "tolerance": 1e-5,
                "rows": [{"instance": x, "label": label, "probabilities": p} for x, label, p in answers],
            }
        ),
    }
    for key, value in metadata.items():
        made.metadata_props.add(key=key, value=value)
    onnx.save(made, path)


if __name__ == "__main__":
    main()
