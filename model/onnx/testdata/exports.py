"""Cases of tiny models that scikit-learn, XGBoost and LightGBM train on Iris, as their exporters write them."""

import lightgbm
import numpy as np
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
from record import Case
from trees import rows, seeded

OPERATORS = {"TreeEnsembleClassifier", "TreeEnsembleRegressor", "ZipMap", "Cast", "Identity", "Div"}


def cases():
    """Yields every case of this family."""
    data, species = flowers()
    yield from sklearn_classifiers(data, species)
    yield from sklearn_regressors(data)
    yield from xgboost_models(data, species)
    yield from lightgbm_models(data, species)


def exported(name, model, data):
    """Makes a case of an exported model: every fifth flower, then rows at the model's thresholds and beyond."""
    unknown = {node.op_type for node in model.graph.node} - OPERATORS
    if unknown:
        raise ValueError(f"{name} holds {sorted(unknown)}")
    settle(model, name)
    [source] = model.graph.input
    width = data.shape[1]
    hard = rows(seeded(name), model, width, data.dtype.type, 20)
    return Case(name, model, {source.name: np.concatenate([data[::10], hard])})


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
            yield exported(f"sklearn_{name}_3_{suffix}", skl(three, single, zipmap), single)
            yield exported(f"sklearn_{name}_2_{suffix}", skl(binary, single, zipmap), single[two])
    named = RandomForestClassifier(5, max_depth=4, random_state=1, n_jobs=1).fit(data[two], species[two])
    yield exported("sklearn_random_forest_2_names_f64", skl(named, data, False), data[two])
    forest = RandomForestClassifier(5, max_depth=4, random_state=1, n_jobs=1).fit(data, species)
    yield exported("sklearn_random_forest_3_f64", skl(forest, data, False), data)


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
        yield exported(f"sklearn_{name}_regressor", skl(model, features), features)
    sepals = data[:, :2].astype(np.float32)
    both = RandomForestRegressor(3, max_depth=3, random_state=1, n_jobs=1).fit(sepals, data[:, 2:])
    yield exported("sklearn_random_forest_regressor_2_targets", skl(both, sepals), sepals)


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
    for name, model, width in (("3", multi, 4), ("2", binary, 4), ("regressor", regression, 3)):
        exporter = convert_xgboost(model, initial_types=[("X", FloatTensorType([None, width]))], target_opset=15)
        yield exported(f"xgboost_{name}", exporter, data[:, :width].astype(np.float32))


def lightgbm_models(data, species):
    """LightGBM's classifiers and regressor; one with a feature of categories, whose tests are for equality."""
    settings = {"n_estimators": 2, "max_depth": 3, "n_jobs": 1, "random_state": 1, "deterministic": True, "verbose": -1}
    gaps = with_gaps(data.astype(np.float32))
    two = species != "setosa"
    numbers = np.unique(species, return_inverse=True)[1]
    multi = lightgbm.LGBMClassifier(**settings).fit(gaps, numbers)
    binary = lightgbm.LGBMClassifier(**settings).fit(gaps[two], numbers[two] - 1)
    regression = lightgbm.LGBMRegressor(**settings).fit(gaps[:, :3], data[:, 3])
    for name, model, width in (("3", multi, 4), ("2", binary, 4), ("regressor", regression, 3)):
        yield exported(f"lightgbm_{name}", lgbm(model, width), data[:, :width].astype(np.float32))
    whole = data.astype(np.float32)
    whole[:, 3] = numbers
    categories = lightgbm.LGBMRegressor(**settings, min_data_per_group=5, cat_smooth=1)
    categories.fit(whole, data[:, 3], categorical_feature=[3])
    yield exported("lightgbm_categories", lgbm(categories, 4), whole)


def lgbm(model, width):
    """Exports a fitted LightGBM model. Its classifiers keep their ZipMap: without it the exporter adds a Mul."""
    return convert_lightgbm(model, initial_types=[("X", FloatTensorType([None, width]))], target_opset=15)


def with_gaps(data):
    """Returns a copy in which every seventh cell is NaN."""
    copy = data.copy()
    copy.reshape(-1)[::7] = np.nan
    return copy
