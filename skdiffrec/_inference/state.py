"""A fitted model as plain numbers and arrays, and back: what files and pickles hold of it.

A network is rebuilt from its dimensions, without memory of its own, and gets the arrays only where
names, types and shapes are those of that network. No name of a class comes from a file.
"""

import numpy as np
import torch

from .._diffusion.process import PREDICTION_TYPES, Diffusion
from .._network.denoiser import Denoiser
from .._network.spaces import ItemPath, ItemSpace, LatentSpace
from .._utils.tensor_file import (
    PersistenceError,
    check_compressed,
    check_record,
    is_integer,
    is_number,
    is_one_of,
    take,
)
from .._utils.training_history import TrainingHistory
from .._utils.validation import VALUES

_PLAIN = ("seed", "values", "half_life", "loss", "history", "best_validation_score")
_PLAIN += ("path_weight", "best_scale")
_WEIGHTS = "network."


def model_state(model):
    """(record, tensors) of a FittedModel: a JSON-able dict and a dict of ndarrays."""
    denoiser, path = model.denoiser, model.denoiser.item_path
    record = {name: getattr(model, name) for name in _PLAIN} | {
        "prediction_type": model.diffusion.prediction_type,
        "n_items": denoiser.n_items,
        "hidden_dims": list(denoiser.hidden_dims),
        "time_dim": denoiser.time_dim,
        "dropout": denoiser.dropout.p,
        "latent_dim": denoiser.space.dim if isinstance(denoiser.space, LatentSpace) else None,
        "path_scale": denoiser.path_scale,
        "path_kind": None if path is None else "sparse" if path.sparse else "dense",
        "path_entries": path.weights.numel() if path is not None else 0,
    }
    tensors = {_WEIGHTS + k: v.cpu().numpy() for k, v in denoiser.state_dict().items()}
    tensors["alpha_bar"] = model.diffusion.alpha_bar.numpy()
    return _plain(record), tensors


def _plain(value):
    """Numbers as Python's own, also inside of lists and dicts."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value


def restored(record, tensors):
    """The attributes of the FittedModel that `model_state` took apart.

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
    check_record(record, _schema(tensors), "the fitted state")
    alpha_bar = take(tensors, "alpha_bar", "float64", (None,))
    falling = len(alpha_bar) > 1 and alpha_bar[0] == 1 and alpha_bar[-1] > 0
    if not falling or (np.diff(alpha_bar) > 0).any():
        raise PersistenceError("'alpha_bar' is no noise schedule: it must fall from 1, above 0.")
    diffusion = Diffusion(alpha_bar.copy(), record["prediction_type"])
    denoiser = _blank_denoiser(record, diffusion.n_timesteps)
    weights = {
        name: take(tensors, _WEIGHTS + name, str(blank.dtype)[6:], blank.shape)
        for name, blank in denoiser.state_dict().items()
    }
    if record["path_kind"] == "sparse":
        indices, indptr = weights["item_path.items"], weights["item_path.offsets"]
        check_compressed(indices, indptr, record["n_items"], "item_path")
    # copies: memory that is torch's own is aligned as at training, and never read-only
    weights = {name: torch.tensor(array) for name, array in weights.items()}
    denoiser.load_state_dict(weights, assign=True)
    denoiser.path_scale = float(record["path_scale"])
    parts = {"denoiser": denoiser.eval(), "diffusion": diffusion}
    return (
        parts
        | {name: record[name] for name in _PLAIN}
        | {"history": TrainingHistory(record["history"])}
    )


def _blank_denoiser(record, n_timesteps):
    """The network without memory: its tensors have types and shapes alone."""
    n_items, latent_dim, kind = record["n_items"], record["latent_dim"], record["path_kind"]
    ranks = record["loss"] == "multinomial"
    if kind is not None and not ranks:
        raise PersistenceError("A closed form needs a ranking head, which this model has not.")
    with torch.device("meta"):
        space = ItemSpace(n_items)
        if latent_dim is not None:
            sizes = (n_items, latent_dim), (latent_dim,), (latent_dim,)
            space = LatentSpace(*map(torch.empty, sizes))
        path = None
        if kind is not None:
            path = ItemPath.blank(n_items, record["path_entries"] if kind == "sparse" else None)
        return Denoiser(
            n_items,
            space,
            record["hidden_dims"],
            time_dim=record["time_dim"],
            n_timesteps=n_timesteps,
            dropout=record["dropout"],
            ranking_head=ranks,
            half_life=record["half_life"] if record["values"] == "time" else None,
            item_path=path,
        )


def _schema(tensors):
    """Tests of a record's entries; no length can be above the bytes that are there."""
    n_bytes = sum(array.nbytes for array in tensors.values())
    length = is_integer(1, n_bytes)

    def is_widths(value):
        few = isinstance(value, list) and 0 < len(value) <= len(tensors)
        return few and all(map(length, value))

    return {
        "seed": is_integer(0, 2**63 - 1),
        "values": is_one_of(*VALUES),
        "half_life": lambda value: value is None or (is_number(value) and value > 0),
        "loss": is_one_of("multinomial", "squared"),
        "history": _is_history,
        "best_validation_score": lambda value: value is None or is_number(value),
        "path_weight": is_number,
        "best_scale": is_number,
        "prediction_type": is_one_of(*PREDICTION_TYPES),
        "n_items": length,
        "hidden_dims": is_widths,
        "time_dim": length,
        "dropout": lambda value: is_number(value) and 0 <= value < 1,
        "latent_dim": lambda value: value is None or length(value),
        "path_scale": is_number,
        "path_kind": is_one_of("dense", "sparse", None),
        "path_entries": is_integer(0, n_bytes),
    }


def _is_history(value):
    """Is this a list of records of numbers?"""
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and all(number is None or is_number(number) for number in entry.values())
        for entry in value
    )
