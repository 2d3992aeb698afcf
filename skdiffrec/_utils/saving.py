"""Any estimator as one file of arrays and a JSON record, and back, without pickle."""

import importlib
import numbers
import sys
from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from . import tensor_file
from .tensor_file import (
    PersistenceError,
    check_record,
    csr_tensors,
    is_integer,
    is_number,
    take,
    take_csr,
)
from .validation import check_parameters

# of the machine rather than of the model, or an array that the fitted model has
_NOT_SAVED = ("device", "memory", "checkpoint", "item_features")
_POPULARITY, _FEATURES, _WEIGHT = "item_popularity", "user_features", "sample_weight"
_NAMES = "feature_names", "user_feature_names"  # of columns, where fit was given a data frame
_OF_OLDER_FORMATS: dict[str, object] = {
    "has_sample_weight": False,
    "n_user_features": None,
    "has_user_features": False,
    "has_user_feature_names": False,
}
_LIBRARY_CLASSES: dict[str, type] = {}
_WITH_TORCH = "CFGDiffusionRecommender"  # which alone is not in `baselines`


def add_library_classes(*classes):
    """Take note of recommenders of this library, which files may name."""
    _LIBRARY_CLASSES.update({cls.__name__: cls for cls in classes})


def library_class(name):
    """The recommender of this library with a name from a file; no other module is imported."""
    if name not in _LIBRARY_CLASSES:  # a process that has only loaded so far
        module = "_recommender" if name == _WITH_TORCH else "baselines"
        importlib.import_module(f"..{module}", __package__)
    if name not in _LIBRARY_CLASSES:
        raise PersistenceError(
            f"It holds a {name!r:.100}, which is no class of this library. A class of your own "
            "loads what it saved: MyRecommender.load(path)."
        )
    return _LIBRARY_CLASSES[name]


def check_class(cls, record):
    """A record must be one of a class."""
    if record.get("class") != cls.__name__:
        raise PersistenceError(
            f"It holds a {record.get('class')!r:.100}, no {cls.__name__}. Load it by the `load` of "
            "that class, or by skdiffrec.persistence.load."
        )


def save_model(model, path, include_data, **included):
    """Write a fitted model to a file."""
    record, tensors = packed_model(model, include_data, **included)
    # what `load` would refuse is not written
    with_parameters(type(model), record["parameters"])
    tensor_file.write(path, record, tensors)


def load_model(cls, path, device):
    """The model of a class that a file holds; nothing in the file is executed."""
    record, tensors = tensor_file.read(path)
    return model_of_file(cls, path, record, tensors, device)


def model_of_file(cls, path, record, tensors, device):
    """The model in what was read from a file; errors name the file."""
    with tensor_file.named(path):
        return unpacked_model(cls, record, tensors, device)


def packed_model(model, include_data, **included):
    """(record, tensors): JSON and arrays that hold all of a model.

    What else is `included` is up to `_get_state` of the model.
    """
    state, tensors = model._get_state(**included)
    for name in _NAMES:
        if hasattr(model, f"{name}_in_"):
            names = getattr(model, f"{name}_in_").astype(str)
            tensors[name] = names.view(np.uint32).reshape(len(names), -1)
    if model._keeps_popularity:
        tensors[_POPULARITY] = model._item_popularity
    data, features = _fit_data(model) if include_data else (None, None)
    if data is not None:
        tensors |= csr_tensors("data", data)
    if features is not None:
        tensors |= csr_tensors(_FEATURES, features)
    weight = getattr(model, "_fit_sample_weight", None) if include_data else None
    if weight is not None:
        tensors[_WEIGHT] = weight
    record = {
        "class": type(model).__name__,
        "parameters": json_parameters(model),
        "n_items": model.n_features_in_,
        "n_users": None if data is None else data.shape[0],
        "n_user_features": getattr(model, "n_user_features_in_", None),
        "has_user_features": features is not None,
        "has_sample_weight": weight is not None,
        "has_feature_names": hasattr(model, "feature_names_in_"),
        "has_user_feature_names": hasattr(model, "user_feature_names_in_"),
        "state": state,
    }
    return record, tensors


def _fit_data(model):
    """(rows, features of users or None) that `fit` was given."""
    return model._fit_X, getattr(model, "_fit_user_features", None)


def unpacked_model(cls, record, tensors, device):
    """The model that `packed_model` took apart; `tensors` is emptied."""
    n_bytes = sum(array.nbytes for array in tensors.values())
    record = _OF_OLDER_FORMATS | {k: v for k, v in record.items() if not k.endswith("_version")}
    check_class(cls, record)
    check_record(record, _schema(n_bytes), "the model")
    model = with_parameters(cls, record["parameters"])
    n_items = model.n_features_in_ = record["n_items"]
    n_user_features = record["n_user_features"]
    if n_user_features is not None:
        model.n_user_features_in_ = n_user_features
    for name, n in zip(_NAMES, (n_items, n_user_features), strict=True):
        if record[f"has_{name}"]:
            names = _strings(take(tensors, name, "uint32", (n, None)))
            setattr(model, f"{name}_in_", names)
    if cls._keeps_popularity:
        model._item_popularity = take(tensors, _POPULARITY, "float32", (n_items,))
    model._fit_X = None
    if record["n_users"] is not None:
        shape = record["n_users"], n_items
        model._fit_X = take_csr(tensors, "data", "float32 float64", shape)
        if not (model._fit_X.data > 0).all():
            raise PersistenceError("The rows of fit have values that are not above 0.")
        if record["has_user_features"]:
            shape = record["n_users"], n_user_features
            model._fit_user_features = take_csr(tensors, _FEATURES, "float32", shape)
        if record["has_sample_weight"]:
            weight = take(tensors, _WEIGHT, "float64", (record["n_users"],))
            model._fit_sample_weight = weight
    model._set_state(record["state"], tensors, device)
    if tensors:
        raise PersistenceError(f"It has tensors of no use: {sorted(tensors)!r:.500}.")
    return model


def with_parameters(cls, parameters):
    """An estimator of a class with parameters from JSON, checked."""
    known = set(cls._get_param_names()) - set(_NOT_SAVED)
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise PersistenceError(f"{cls.__name__} has no parameters {unknown!r:.500}.")
    nested = getattr(cls, "_nested_classes", {})
    # a parameter that is younger than the file has its default
    model = cls(**{k: _of_json(k, v, nested.get(k, ())) for k, v in parameters.items()})
    constraints = getattr(cls, "_parameter_constraints", {})
    try:
        check_parameters(model, sorted(known & set(constraints)))
    except ValueError as error:
        raise PersistenceError(str(error)[:500]) from None
    return model


def saved_state(model, saved_arrays):
    """(state, tensors) of a model whose fitted state is arrays, {attribute: shape}."""
    if saved_arrays is None:
        raise PersistenceError(
            f"{type(model).__name__} does not say what to save: define `_saved_arrays`, or "
            "`_get_state` and `_set_state`."
        )
    tensors: dict[str, np.ndarray] = {}
    for name in saved_arrays:
        value = getattr(model, name)
        tensors |= csr_tensors(name, value) if sp.issparse(value) else {name: value}
    return {}, tensors


def restore_state(model, saved_arrays, state, tensors):
    """Give a model the arrays that `saved_state` took, checked, out of `tensors`."""
    check_record(state, {}, "the fitted state")
    n_items = model.n_features_in_
    for name, shape in saved_arrays.items():
        if shape == "csr":
            value = take_csr(tensors, name, "float32", (n_items, n_items))
        else:
            shape = [length and getattr(model, length) for length in shape]
            value = take(tensors, name, "float32", shape)
        setattr(model, name, value)


def _schema(n_bytes):
    """Tests of a record's entries; no length can be above the number of bytes that are there."""

    def may_be(test):
        return lambda value: value is None or test(value)

    def is_bool(value):
        return isinstance(value, bool)

    return {
        "class": lambda value: isinstance(value, str),
        "parameters": lambda value: isinstance(value, dict),
        "n_items": is_integer(1, n_bytes),
        "n_users": may_be(is_integer(1, n_bytes)),
        "n_user_features": may_be(is_integer(1, n_bytes)),
        "has_user_features": is_bool,
        "has_sample_weight": is_bool,
        "has_feature_names": is_bool,
        "has_user_feature_names": is_bool,
        "state": lambda value: isinstance(value, dict),
    }


def _strings(codes):
    """Strings (n,) from arrays of character codes (n, width)."""
    if not codes.size or codes.max() > sys.maxunicode:
        raise PersistenceError("The names of the columns have characters that do not exist.")
    return codes.view(f"U{codes.shape[1]}")[:, 0].astype(object)


def json_parameters(model):
    """Parameters of an estimator as JSON has them."""
    nested = getattr(type(model), "_nested_classes", {})
    return {
        name: _to_json(name, value, nested.get(name, ()))
        for name, value in model.get_params(deep=False).items()
        if name not in _NOT_SAVED
    }


def _to_json(name, value, nested=()):
    if type(value) in nested:
        return {"class": type(value).__name__, "parameters": json_parameters(value)}
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) == 1:
        return [_to_json(name, entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _to_json(name, entry) for key, entry in value.items()}
    if isinstance(value, numbers.Integral):
        return int(value)
    if is_number(value):
        return float(value)
    if name == "random_state":
        return None  # a generator that moves on: what was drawn from it is in the fitted state
    raise PersistenceError(
        f"The parameter {name}={value!r:.100} cannot be saved. Valid are None, a bool, a finite "
        "number, a str, a flat sequence of these and a recommender of skdiffrec.baselines; change "
        "it by set_params first."
    )


def _of_json(name, value, nested=()):
    if isinstance(value, dict) and set(value) == {"class", "parameters"}:
        # looked up among these, never imported by name
        cls = {cls.__name__: cls for cls in nested}.get(str(value["class"]))
        if cls is not None and isinstance(value["parameters"], dict):
            return with_parameters(cls, value["parameters"])
    if isinstance(value, list) and not any(isinstance(entry, list) for entry in value):
        return tuple(_of_json(name, entry) for entry in value)
    if value is None or isinstance(value, (bool, str)) or is_number(value):
        return value
    if isinstance(value, dict) and all(map(is_number, value.values())):
        return value  # of guidance, by condition
    raise PersistenceError(f"The parameter {name} cannot be {value!r:.100}.")
