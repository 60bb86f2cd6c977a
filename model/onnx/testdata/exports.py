"""Cases of tiny models that scikit-learn, XGBoost, LightGBM and CatBoost train on Iris, as their exporters write them.

With each stands what the library itself answers for the flowers among the case's rows, which come first.
"""

import tempfile
from pathlib import Path

import catboost
import lightgbm
import numpy as np
import onnx
import sklearn
import xgboost
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from iris import flowers
from record import Case, Trainer
from trees import rows, seeded

OPERATORS = {"TreeEnsembleClassifier", "TreeEnsembleRegressor", "ZipMap", "Cast", "Identity", "Div"}


def cases():
    """Yields every case of this family."""
    data, species = flowers()
    yield from sklearn_classifiers(data, species)
    yield from sklearn_regressors(data)
    yield from xgboost_models(data, species)
    yield from lightgbm_models(data, species)
    yield from catboost_models(data, species)


def exported(name, model, data, library, trained):
    """Makes a case of an exported model: every tenth flower, then rows at the model's thresholds and beyond.

    `trained` is the library's own model.
    """
    unknown = {node.op_type for node in model.graph.node} - OPERATORS
    if unknown:
        raise ValueError(f"{name} holds {sorted(unknown)}")
    settle(model, name)
    [source] = model.graph.input
    width = data.shape[1]
    hard = rows(seeded(name), model, width, data.dtype.type, 20)
    some = data[::10]
    trainer = Trainer(f"{library.__name__} {library.__version__}", *asked(trained, some))
    return Case(name, model, {source.name: np.concatenate([some, hard])}, trainer=trainer)


def asked(trained, some):
    """Asks a library's own model for labels and numbers; a regression has no labels."""
    labels = np.asarray(trained.predict(some)).reshape(len(some), -1)
    if not hasattr(trained, "predict_proba"):
        return None, labels
    if labels.shape[1] > 1:
        # For two classes with trees for each, XGBoost marks the class in a row of zeros.
        labels = labels.argmax(axis=1)
    if labels.dtype.kind == "U":
        labels = labels.astype(object)
    return labels, trained.predict_proba(some)


def settle(model, name):
    """Fixes what changes from run to run: random names of graphs, and operator sets in the order of their hashes."""
    model.graph.name = name
    opsets = sorted(model.opset_import, key=lambda item: item.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)


def sklearn_classifiers(data, species):
    """Each classifier with three species by name and with two by number, with ZipMap and with tensors."""
    models = {
        "decision_tree": lambda: DecisionTreeClassifier(max_depth=4, random_state=1),
        "random_forest": lambda: RandomForestClassifier(5, max_depth=4, random_state=1, n_jobs=1),
        "extra_trees": lambda: ExtraTreesClassifier(5, max_depth=3, random_state=1, n_jobs=1),
        "gradient_boosting": lambda: GradientBoostingClassifier(n_estimators=2, max_depth=3, random_state=1),
        "hist_gradient_boosting": lambda: HistGradientBoostingClassifier(max_iter=2, max_depth=3, random_state=1),
    }
    single = data.astype(np.float32)
    two = species != "setosa"
    for name, make in models.items():
        three = make().fit(with_gaps(single) if "hist" in name else single, species)
        binary = make().fit(single[two], (species[two] == "virginica").astype(np.int64))
        for zipmap, suffix in ((True, "zipmap"), (False, "tensor")):
            yield exported(f"sklearn_{name}_3_{suffix}", skl(three, single, zipmap), single, sklearn, three)
            yield exported(f"sklearn_{name}_2_{suffix}", skl(binary, single, zipmap), single[two], sklearn, binary)
    named = RandomForestClassifier(5, max_depth=4, random_state=1, n_jobs=1).fit(data[two], species[two])
    yield exported("sklearn_random_forest_2_names_f64", skl(named, data, False), data[two], sklearn, named)
    forest = RandomForestClassifier(5, max_depth=4, random_state=1, n_jobs=1).fit(data, species)
    yield exported("sklearn_random_forest_3_f64", skl(forest, data, False), data, sklearn, forest)
    # The tenths of ten trees do not sum to 1 in float32.
    ten = RandomForestClassifier(10, max_depth=4, random_state=1, n_jobs=1).fit(single[two], species[two])
    yield exported("sklearn_random_forest_2_of_ten", skl(ten, single, False), single[two], sklearn, ten)


def sklearn_regressors(data):
    """Petal width from the other three measurements; once both petal measurements from the sepals."""
    models = {
        "decision_tree": DecisionTreeRegressor(max_depth=4, random_state=1),
        "random_forest": RandomForestRegressor(5, max_depth=4, random_state=1, n_jobs=1),
        "gradient_boosting": GradientBoostingRegressor(n_estimators=3, max_depth=3, random_state=1),
        "hist_gradient_boosting": HistGradientBoostingRegressor(max_iter=3, max_depth=3, random_state=1),
    }
    features = data[:, :3].astype(np.float32)
    for name, model in models.items():
        model.fit(features, data[:, 3])
        yield exported(f"sklearn_{name}_regressor", skl(model, features), features, sklearn, model)
    sepals = data[:, :2].astype(np.float32)
    both = RandomForestRegressor(3, max_depth=3, random_state=1, n_jobs=1).fit(sepals, data[:, 2:])
    yield exported("sklearn_random_forest_regressor_2_targets", skl(both, sepals), sepals, sklearn, both)


def skl(model, data, zipmap=None):
    """Exports a fitted scikit-learn model for inputs of the data's type."""
    options = None if zipmap is None else {id(model): {"zipmap": zipmap}}
    return to_onnx(model, data[:1], options=options, target_opset={"": 17, "ai.onnx.ml": 3})


def xgboost_models(data, species):
    """XGBoost's classifiers and regressor, trained with gaps so that missing values learn a side."""
    settings = {"n_estimators": 2, "max_depth": 3, "n_jobs": 1, "random_state": 1}
    gaps = with_gaps(data.astype(np.float32))
    two = species != "setosa"
    numbers = np.unique(species, return_inverse=True)[1]
    multi = xgboost.XGBClassifier(**settings).fit(gaps, numbers)
    binary = xgboost.XGBClassifier(**settings).fit(gaps[two], numbers[two] - 1)
    regression = xgboost.XGBRegressor(**settings).fit(gaps[:, :3], data[:, 3])
    softprob = {"objective": "multi:softprob", "num_class": 2}
    # Two classes with trees for each: the classes are as many as the trees of a round.
    both = xgboost.XGBClassifier(**settings, **softprob).fit(gaps[two], numbers[two] - 1)
    # Margins of some 30, whose complement is next to nothing.
    steep = {**settings, "n_estimators": 6, "learning_rate": 20, "reg_lambda": 0.1}
    sure = xgboost.XGBClassifier(**steep).fit(gaps[two], numbers[two] - 1)
    models = {"3": multi, "2": binary, "2_softprob": both, "2_sure": sure, "regressor": regression}
    for name, model in models.items():
        width = 3 if name == "regressor" else 4
        onnx_model = convert_xgboost(model, initial_types=[("X", FloatTensorType([None, width]))], target_opset=15)
        yield exported(f"xgboost_{name}", onnx_model, data[:, :width].astype(np.float32), xgboost, model)


def lightgbm_models(data, species):
    """LightGBM's classifiers and regressor; one with a feature of categories, whose tests are for equality."""
    settings = {"n_estimators": 2, "max_depth": 3, "n_jobs": 1, "random_state": 1, "deterministic": True, "verbose": -1}
    gaps = with_gaps(data.astype(np.float32))
    two = species != "setosa"
    numbers = np.unique(species, return_inverse=True)[1]
    multi = lightgbm.LGBMClassifier(**settings).fit(gaps, numbers)
    binary = lightgbm.LGBMClassifier(**settings).fit(gaps[two], numbers[two] - 1)
    regression = lightgbm.LGBMRegressor(**settings).fit(gaps[:, :3], data[:, 3])
    # A single tree of which every leaf is for the second class.
    one = lightgbm.LGBMClassifier(**{**settings, "n_estimators": 1}).fit(data[40:], (numbers[40:] > 0).astype(int))
    models = {"3": multi, "2": binary, "2_one_tree": one, "regressor": regression}
    for name, model in models.items():
        width = 3 if name == "regressor" else 4
        yield exported(f"lightgbm_{name}", lgbm(model, width), data[:, :width].astype(np.float32), lightgbm, model)
    whole = data.astype(np.float32)
    whole[:, 3] = numbers
    categories = lightgbm.LGBMRegressor(**settings, min_data_per_group=5, cat_smooth=1)
    categories.fit(whole, data[:, 3], categorical_feature=[3])
    yield exported("lightgbm_categories", lgbm(categories, 4), whole, lightgbm, categories)


def lgbm(model, width):
    """Exports a fitted LightGBM model. Its classifiers keep their ZipMap: without it the exporter adds a Mul."""
    return convert_lightgbm(model, initial_types=[("X", FloatTensorType([None, width]))], target_opset=15)


def catboost_models(data, species):
    """CatBoost's classifiers, the binary one with base values for both classes, and its regressor."""
    settings = {"iterations": 3, "depth": 2, "random_seed": 1, "thread_count": 1, "allow_writing_files": False, "verbose": 0}
    single = data.astype(np.float32)
    two = species != "setosa"
    numbers = np.unique(species, return_inverse=True)[1]
    multi = catboost.CatBoostClassifier(**settings, loss_function="MultiClass").fit(single, numbers)
    average = catboost.CatBoostClassifier(**settings, boost_from_average=True)
    average.fit(single[two][:70], numbers[two][:70] - 1)
    regression = catboost.CatBoostRegressor(**settings).fit(single[:, :3], data[:, 3])
    yield exported("catboost_3", saved(multi), single, catboost, multi)
    yield exported("catboost_2_from_average", saved(average), single[two], catboost, average)
    yield exported("catboost_regressor", saved(regression), single[:, :3], catboost, regression)


def saved(model):
    """Has CatBoost write a model as ONNX, without the times and settings of its training."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model.save_model(str(path), format="onnx")
        file = onnx.load(path)
    file.producer_version = ""
    del file.metadata_props[:]
    return file


def with_gaps(data):
    """Returns a copy in which every seventh cell is NaN."""
    copy = data.copy()
    copy.reshape(-1)[::7] = np.nan
    return copy
