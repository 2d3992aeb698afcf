"""A fitted model as plain numbers and arrays, and back: what files and pickles hold of it.

A network is rebuilt from its dimensions, without memory of its own, and gets the arrays only where
names, types and shapes are those of that network. No name of a class comes from a file.
"""

from dataclasses import asdict, fields

import numpy as np
import torch

from .._closed_form.solver import ClosedFormSettings
from .._diffusion.process import PREDICTION_TYPES, Diffusion
from .._network.build import assembled
from .._network.closed_form import ClosedForm
from .._network.spaces import ItemSpace, LatentSpace
from .._utils.canonical import RATING, VALUES
from .._utils.opinions import Opinions
from .._utils.results import TrainingHistory
from .._utils.tensor_file import (
    PersistenceError,
    check_compressed,
    check_record,
    csr_tensors,
    is_integer,
    is_number,
    is_one_of,
    take,
    take_csr,
)

_PLAIN = ("seed", "values", "half_life", "closed_form_scale", "score_spread")
_TRAINING = ("history", "best_validation_score", "closed_form_weight", "best_scale", "ended_by")
_YOUNGER = {
    "user_features": None,
    "opinions": None,
    "score_spread": 0.0,
    "item_features": None,
    "item_feature_names": None,
    "closed_form_settings": None,
    "closed_form_factors": 0,
    "n_updates": None,
}
_NETWORK, _CLOSED_FORM, _OPTIMIZER = "network.", "closed_form.", "optimizer."


def model_state(model):
    """(record, tensors) of a FittedModel: a JSON-able dict and a dict of ndarrays."""
    denoiser, form = model.denoiser, model.closed_form
    features = denoiser.user_features
    record = {name: getattr(model, name) for name in _PLAIN}
    record |= {name: getattr(model.training, name) for name in _TRAINING}
    record |= {
        "prediction_type": model.diffusion.prediction_type,
        "n_items": denoiser.n_items,
        "hidden_dims": list(denoiser.hidden_dims),
        "dropout": denoiser.dropout.p,
        "ranking_head": denoiser.head.ranks,
        "item_dim": denoiser.item_dim,
        "latent_dim": denoiser.space.dim if isinstance(denoiser.space, LatentSpace) else None,
        "user_features": None if features is None else [len(features.factor), features.rank],
        "opinions": None if model.opinions is None else asdict(model.opinions),
        "item_features": None if model.item_features is None else model.item_features.shape[1],
        "item_feature_names": model.item_feature_names and list(model.item_feature_names),
        "closed_form": None if form is None else "sparse" if form.sparse else "dense",
        "closed_form_entries": form.weights.numel() if form is not None else 0,
        "closed_form_factors": 0 if form is None else form.n_factors,
        "closed_form_half_life": None if form is None else form.half_life,
        "closed_form_floor": 0.0 if form is None else form.floor,
        "closed_form_settings": None if form is None else _settings(form.settings),
        "n_updates": None if model.optimizer is None else model.optimizer.n_updates,
    }
    tensors = _arrays(_NETWORK, denoiser) | ({} if form is None else _arrays(_CLOSED_FORM, form))
    tensors["alpha_bar"] = model.diffusion.alpha_bar.numpy()
    if model.item_features is not None:
        tensors |= csr_tensors("item_features", model.item_features)
    if model.optimizer is not None:
        tensors |= {_OPTIMIZER + name: array for name, array in model.optimizer.arrays.items()}
    return _plain(record), tensors


def _arrays(prefix, module):
    return {prefix + name: value.cpu().numpy() for name, value in module.state_dict().items()}


def _plain(value):
    """Numbers as Python's own, also inside of lists and dicts."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value


def restored(record, tensors):
    """The parts of the FittedModel that `model_state` took apart.

    Parameters
    ----------
    record : dict
    tensors : dict of ndarray
        Those that belong to the model are taken out.

    Raises
    ------
    PersistenceError
        If the two do not describe one model.
    """
    # which older files do not have
    record = _YOUNGER | record
    check_record(record, _schema(tensors), "the fitted state")
    alpha_bar = take(tensors, "alpha_bar", "float64", (None,))
    falling = len(alpha_bar) > 1 and alpha_bar[0] == 1 > alpha_bar[1] and alpha_bar[-1] > 0
    if not falling or (np.diff(alpha_bar) > 0).any():
        raise PersistenceError("'alpha_bar' is no noise schedule: it must fall from 1, above 0.")
    if record["half_life"] is not None and record["values"] != "time":
        raise PersistenceError("Its values are not times, but it has a half-life.")
    if (record["values"] == RATING) != (record["opinions"] is not None):
        raise PersistenceError("Ratings need to be told apart, and nothing else is.")
    if record["half_life"] is None and record["item_dim"] is not None:
        raise PersistenceError("It reads histories in order, but it has no half-life.")
    diffusion = Diffusion(alpha_bar.copy(), record["prediction_type"])
    if record["closed_form"] is not None and not record["ranking_head"]:
        raise PersistenceError("A closed form needs a ranking head, which this model has not.")
    with torch.device("meta"):  # tensors have types and shapes alone
        denoiser, form = _blank_denoiser(record, diffusion.n_timesteps), _blank_form(record)
    _fill(denoiser, tensors, _NETWORK)
    if form is not None:
        weights = _fill(form, tensors, _CLOSED_FORM)
        if form.sparse:
            indices, indptr = weights["items"].numpy(), weights["offsets"].numpy()
            check_compressed(indices, indptr, record["n_items"], "closed_form")
    training = {name: record[name] for name in _TRAINING}
    training["history"] = TrainingHistory(record["history"])
    parts = {name: record[name] for name in _PLAIN}
    parts["closed_form_scale"] = float(record["closed_form_scale"])
    return (
        parts
        | _item_features(record, tensors)
        | {
            "denoiser": denoiser.eval(),
            "diffusion": diffusion,
            "closed_form": form,
            "opinions": None if record["opinions"] is None else Opinions(**record["opinions"]),
            "training": training.values(),
            "optimizer": _optimizer(record, tensors, denoiser),
        }
    )


def _optimizer(record, tensors, denoiser):
    """(n_updates, arrays) of an OptimizerState, or None."""
    if record["n_updates"] is None:
        return None
    parameters, arrays = list(denoiser.parameters()), {}
    kinds = ["first", "second"] + ["weights"] * (f"{_OPTIMIZER}weights.0" in tensors)
    shapes = {f"{kind}.{i}": p.shape for kind in kinds for i, p in enumerate(parameters)}
    shapes["steps"] = (len(parameters),)
    for name, shape in shapes.items():
        arrays[name] = take(tensors, _OPTIMIZER + name, "float32", tuple(shape))
    return record["n_updates"], arrays


def _item_features(record, tensors):
    n_features, names = record["item_features"], record["item_feature_names"]
    if n_features is None:
        return {}
    if names is not None and len(names) != n_features:
        raise PersistenceError("Its item features have more names or fewer than columns.")
    shape = record["n_items"], n_features
    features = take_csr(tensors, "item_features", "float32", shape)
    if not np.isfinite(features.data).all():
        raise PersistenceError("'item_features' has values that are not finite.")
    return {"item_features": features, "item_feature_names": names and tuple(names)}


def _fill(module, tensors, prefix):
    """Give a module without memory its tensors; returns them by name."""
    weights = {
        name: take(tensors, prefix + name, str(blank.dtype)[6:], blank.shape)
        for name, blank in module.state_dict().items()
    }
    # copies: memory that is torch's own is aligned as at training, and never read-only
    weights = {name: torch.tensor(array) for name, array in weights.items()}
    module.load_state_dict(weights, assign=True)
    return weights


def _blank_denoiser(record, n_timesteps):
    n_items, latent_dim, hidden_dims = (
        record[name] for name in ("n_items", "latent_dim", "hidden_dims")
    )
    space: ItemSpace | LatentSpace = ItemSpace(n_items)
    if latent_dim is not None:
        sizes = (n_items, latent_dim), (latent_dim,), (latent_dim,)
        space = LatentSpace(*map(torch.empty, sizes))
    return assembled(
        n_items,
        space,
        hidden_dims,
        ranking_head=record["ranking_head"],
        item_dim=record["item_dim"],
        half_life=record["half_life"],
        n_timesteps=n_timesteps,
        dropout=record["dropout"],
        user_features=record["user_features"],
        disliked=record["opinions"] is not None,
    )


def _blank_form(record):
    kind = record["closed_form"]
    if kind is None:
        return None
    entries = record["closed_form_entries"] if kind == "sparse" else None
    settings = record["closed_form_settings"]
    reads = record["closed_form_half_life"], record["closed_form_floor"]
    reads = *reads, settings and ClosedFormSettings(**settings)
    return ClosedForm.blank(record["n_items"], entries, record["closed_form_factors"], *reads)


def _settings(settings):
    return None if settings is None else settings._asdict()


def _schema(tensors):
    """Tests of a record's entries; no length can be above the bytes that are there."""
    n_bytes = sum(array.nbytes for array in tensors.values())
    length = is_integer(1, n_bytes)

    def is_widths(value):
        few = isinstance(value, list) and 0 < len(value) <= len(tensors)
        return few and all(map(length, value))

    def is_half_life(value):
        return value is None or (is_number(value) and value > 0)

    def is_feature_shape(value):
        pair = isinstance(value, list) and len(value) == 2
        return pair and length(value[0]) and is_integer(0, n_bytes)(value[1])

    return {
        "seed": is_integer(0, 2**63 - 1),
        "values": is_one_of(*VALUES, RATING),
        "half_life": is_half_life,
        "closed_form_scale": is_number,
        "history": _is_history,
        "best_validation_score": lambda value: value is None or is_number(value),
        "closed_form_weight": is_number,
        "best_scale": is_number,
        "ended_by": is_one_of("training", "callback", "interrupt"),
        "prediction_type": is_one_of(*PREDICTION_TYPES),
        "n_items": length,
        "hidden_dims": is_widths,
        "dropout": lambda value: is_number(value) and 0 <= value < 1,
        "ranking_head": _is_bool,
        "item_dim": lambda value: value is None or length(value),
        "latent_dim": lambda value: value is None or length(value),
        "user_features": lambda value: value is None or is_feature_shape(value),
        "opinions": _is_opinions,
        "score_spread": is_number,
        "item_features": lambda value: value is None or is_integer(1, 2**31 - 1)(value),
        "item_feature_names": _is_names,
        "closed_form": is_one_of("dense", "sparse", None),
        "closed_form_entries": is_integer(0, n_bytes),
        "closed_form_factors": is_integer(0, n_bytes),
        "closed_form_half_life": is_half_life,
        "closed_form_floor": lambda value: is_number(value) and 0 <= value <= 1,
        "closed_form_settings": _is_settings,
        "n_updates": lambda value: value is None or is_integer(0, 2**62)(value),
    }


def _is_opinions(value):
    """Is this what `asdict` gives of `Opinions`, or None?"""
    names = sorted(field.name for field in fields(Opinions))
    if not isinstance(value, dict) or sorted(value) != names:
        return value is None
    numbers = [entry for name, entry in value.items() if name != "own_means"]
    return all(map(is_number, numbers)) and _is_bool(value["own_means"])


def _is_settings(value):
    """Is this what `_asdict` gives of `ClosedFormSettings`, or None?"""
    names = set(ClosedFormSettings._fields)
    if (
        not isinstance(value, dict)
        or not names - {"n_factors", "factor_share"} <= set(value) <= names
    ):
        return value is None
    optional = "reg", "target_half_life"
    return value["kind"] in ("ease", "neighborhood") and all(
        is_number(entry) or (entry is None and name in optional)
        for name, entry in value.items()
        if name != "kind"
    )


def _is_names(value):
    """Is this a list of names, or None?"""
    return value is None or (
        isinstance(value, list) and all(isinstance(name, str) for name in value)
    )


def _is_bool(value):
    return isinstance(value, bool)


def _is_history(value):
    """Is this a list of records of numbers?"""
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and all(number is None or is_number(number) for number in entry.values())
        for entry in value
    )
