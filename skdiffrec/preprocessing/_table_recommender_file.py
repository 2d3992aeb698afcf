"""A `TableRecommender` as a record and tensors of one file, and back."""

from typing import Any

from .._utils import saving, tensor_file
from .._utils.tensor_file import PersistenceError
from ._encoder import InteractionEncoder
from ._encoder_file import packed_encoder, unpacked_encoder
from ._histories import fitted_recommender
from ._identity import check_model_items, check_model_rows

_PARTS = ("recommender", "encoder")


def packed_table_recommender(model, include_data):
    """(record, tensors) of a fitted one."""
    if model.user_transformer is not None or model.user_transformer_ is not None:
        raise PersistenceError(
            "user_transformer has no place in a file of this library, which holds no pickle. Use "
            "joblib.dump, or make numbers of user_features before fit."
        )
    recommender = fitted_recommender(model.recommender_)
    try:  # what could not be loaded must not take the place of what could
        check_model_items(model.encoder_, recommender)
        check_model_rows(model.encoder_, recommender)
    except ValueError as error:
        raise PersistenceError(str(error)) from None
    if not hasattr(recommender, "_get_state"):
        raise PersistenceError(
            f"{type(recommender).__name__} cannot be saved in a file of this library. Derive "
            "it from skdiffrec.base.BaseRecommender, or use joblib."
        )
    parts = saving.packed_model(recommender, include_data), packed_encoder(model.encoder_)
    saving.with_parameters(type(recommender), parts[0][0]["parameters"])
    record: dict[str, Any] = {"class": type(model).__name__}
    tensors: dict[str, Any] = {}
    for part, (own, arrays) in zip(_PARTS, parts, strict=True):
        record[part] = own
        tensors |= {f"{part}.{name}": array for name, array in arrays.items()}
    return record, tensors


def table_recommender_of_file(cls, path, record, tensors, device, recommender_class=None):
    """The `TableRecommender` in what was read from a file; errors name the file."""
    with tensor_file.named(path):
        record = {k: v for k, v in record.items() if not k.endswith("_version")}
        saving.check_class(cls, record)
        schema = dict.fromkeys(_PARTS, lambda value: isinstance(value, dict))
        tensor_file.check_record(record, schema | {"class": bool}, "encoder and recommender")
        arrays: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
        for name, array in tensors.items():
            part, _, own = name.partition(".")
            if part not in arrays:
                raise PersistenceError(f"It has a tensor of no use: {name!r:.100}.")
            arrays[part][own] = array
        name = str(record["recommender"].get("class"))
        known = recommender_class or saving.library_class(name)
        recommender = saving.unpacked_model(
            known, record["recommender"], arrays["recommender"], device
        )
        encoder = unpacked_encoder(InteractionEncoder, record["encoder"], arrays["encoder"])
        try:
            return cls.from_fitted(recommender, encoder)
        except ValueError as error:
            raise PersistenceError(str(error)) from None
