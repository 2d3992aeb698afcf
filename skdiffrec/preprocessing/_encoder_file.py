"""A fitted encoder as a JSON record and arrays, and back."""

from .._utils.canonical import RATING
from .._utils.saving import check_class, json_parameters, with_parameters
from .._utils.tensor_file import PersistenceError, check_record, is_one_of, take
from .._utils.validation import VALUES
from ._stored_ids import stored_ids, take_ids

_IDS = {
    "users": "_users",
    "items": "_items",
    "left_out_users": "_left_out_users",
    "left_out_items": "_left_out",
}
_OF_ROWS = {"row_hashes": "uint64", "row_masks": "uint64", "row_levels": "uint8"}
_LIBRARY, _TIMES = "library", "times"


def packed_encoder(encoder):
    """(record, tensors) that hold all of a fitted encoder."""
    record = {
        "class": type(encoder).__name__,
        "parameters": json_parameters(encoder),
        "values": encoder.values_,
        "ids": {},
        "form": {name: encoder._form[name] for name in (_LIBRARY, _TIMES)},
    }
    tensors = {name: getattr(encoder, f"_{name}") for name in _OF_ROWS}
    for name, attribute in _IDS.items():
        description, arrays = stored_ids(name, getattr(encoder, attribute))
        record["ids"][name] = description
        tensors |= arrays
    for role in ("user", "item"):
        kept, arrays = _packed_type(f"categories_of_{role}", encoder._form[role])
        record["form"][role] = kept
        tensors |= arrays
    return record, tensors


def unpacked_encoder(cls, record, tensors):
    """The encoder of a class that `packed_encoder` took apart; `tensors` is emptied."""
    record = {k: v for k, v in record.items() if not k.endswith("_version")}
    check_class(cls, record)
    check_record(record, _SCHEMA, "the encoder")
    encoder = with_parameters(cls, record["parameters"])
    check_record(record["ids"], dict.fromkeys(_IDS, _is_dict), "the ids")
    for name, attribute in _IDS.items():
        setattr(encoder, attribute, take_ids(name, record["ids"][name], tensors))
    encoder.n_users_, encoder.n_items_ = len(encoder._users), len(encoder._items)
    if not encoder.n_users_ or not encoder.n_items_:
        raise PersistenceError("The encoder has no users or no items.")
    encoder.values_ = record["values"]
    for name, dtype in _OF_ROWS.items():
        setattr(encoder, f"_{name}", take(tensors, name, dtype, (encoder.n_users_,)))
    form = record["form"]
    types = dict.fromkeys(("user", "item"), lambda value: value is None or _is_dict(value))
    libraries = dict.fromkeys((_LIBRARY, _TIMES), lambda v: v is None or isinstance(v, str))
    check_record(form, libraries | types, "the table")
    encoder._form = {name: form[name] for name in (_LIBRARY, _TIMES)} | {
        role: _unpacked_type(f"categories_of_{role}", form[role], tensors)
        for role in ("user", "item")
    }
    if tensors:
        raise PersistenceError(f"It has tensors of no use: {sorted(tensors)!r:.500}.")
    return encoder


def _packed_type(name, description):
    """(JSON-able description of a column's type, tensors)."""
    if description is None or "categories" not in description:
        return description, {}
    ids, tensors = stored_ids(name, description["categories"])
    return description | {"categories": ids}, tensors


def _unpacked_type(name, description, tensors):
    if description is None or "categories" not in description:
        return description
    return description | {
        "categories": take_ids(name, description["categories"], tensors, ascending=False)
    }


def _is_dict(value):
    return isinstance(value, dict)


_SCHEMA = {
    "class": lambda value: isinstance(value, str),
    "parameters": _is_dict,
    "values": is_one_of(*VALUES, RATING),
    "ids": _is_dict,
    "form": _is_dict,
}
