"""Convert lists of items and matrices to tables, in the types of the table of `fit`."""

from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import scipy.sparse as sp

from .._utils.canonical import refuse_contradictions
from ._column_types import describe_column, typed_column
from ._ids import factorize
from ._lookup import own_users
from ._tables import as_column
from ._values import time_kind


class Ids(NamedTuple):
    """A column ``ids[places]``, in which ids may repeat.

    Attributes
    ----------
    ids : ndarray of shape (n_ids,)
    places : ndarray of int, shape (n,)
    role : "user" or "item"
    same_kind : bool
        Whether the ids are of the kind that `fit` saw, so that its column's type may hold them.
    """

    ids: Any
    places: Any
    role: str
    same_kind: bool = True


def table_form(columns, library):
    """What a table was: its library, or None, and the types of the columns user and item."""
    types = {role: describe_column(columns[role]) for role in ("user", "item")}
    times = time_kind(columns["timestamp"]) if "timestamp" in columns else None
    return {"library": library, "times": times} | types


def column_names(encoder):
    """Names of the columns user, item and value (in this order) in the tables of an encoder."""
    values = encoder.values_
    value = {"time": encoder.timestamp, "binary": None}.get(values, encoder.weight)
    names = {"user": encoder.user, "item": encoder.item, "value": value}
    return {
        role: name if isinstance(name, str) else (values if role == "value" else role)
        for role, name in names.items()
    }


def table_columns(encoder, X, scores, users):
    """Columns of the table of lists or of a matrix, by name; see `inverse_transform`."""
    names = column_names(encoder)
    owners = encoder._users if users is None else own_users(encoder, users)
    refuse_contradictions("X", X)
    if sp.issparse(X):
        columns = interaction_columns(X, owners, encoder)
        columns = dict(zip(names.values(), columns, strict=True))
        if encoder.values_ == "binary":
            columns.pop(names["value"])
        return columns
    if users is None and np.ndim(X) == 1:
        raise ValueError("users is None, but X is one list: pass its user, users=id.")
    user, rank, item, score = list_columns(X, scores, owners, encoder)
    columns = {names["user"]: user, "rank": rank, names["item"]: item}
    return columns if score is None else columns | {"score": score}


def names_of(items, ids):
    """The id in `items` of each of the column numbers `ids`, None for −1, in the shape of `ids`."""
    ids = np.asarray(ids)
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers, got {ids.dtype}. Give what recommend returns.")
    ids = ids.astype(np.int64)
    _check_columns(ids, items)
    known = items[ids[ids >= 0]]
    # as Python objects, but dates stay NumPy's: datetime would lose nanoseconds
    known = iter(known if known.dtype.kind in "mM" else known.tolist())
    names = (next(known) if listed else None for listed in (ids >= 0).ravel())
    names = np.fromiter(names, object, ids.size).reshape(ids.shape)
    return names if names.ndim else names.item()


def _check_columns(ids, items):
    if ids.size and (ids.max() >= len(items) or ids.min() < -1):
        raise IndexError(
            f"Lists hold items {ids.min()} to {ids.max()}, but the encoder has columns 0 to "
            f"{len(items) - 1}. Was the model fitted on its matrix?"
        )


def list_columns(ids, scores, users, encoder):
    """Columns user, rank, item and score (or None) of lists, without the padding.

    Parameters
    ----------
    ids : ndarray of int, shape (n, k), or (k,) for one user
        Column numbers, padded with −1.
    scores : ndarray of the same shape, or None
    users : array-like of ids, shape (n,), or one id
    encoder : InteractionEncoder
    """
    ids = np.asarray(ids)
    if ids.ndim == 1:
        ids, users = ids[None], [users]
        scores = None if scores is None else np.asarray(scores)[None]
    if ids.dtype.kind not in "iu" or ids.ndim != 2:
        raise ValueError(
            f"Lists must be integers of shape (n, k) or (k,), got {ids.dtype} of shape "
            f"{ids.shape}. Give what recommend returns."
        )
    _check_columns(ids, encoder._items)
    users = _user_ids(users, len(ids))
    if scores is not None and np.shape(scores) != ids.shape:
        raise ValueError(f"scores has shape {np.shape(scores)}, but the lists have {ids.shape}.")
    listed = ids >= 0
    row, rank = np.nonzero(listed)
    score = None if scores is None else np.asarray(scores)[listed]
    user, item = _named(encoder, users, row, ids[listed])
    return user, rank + 1, item, score


def _named(encoder, users, row, column):
    """Columns of users and items."""
    same = users.dtype.kind == encoder._users.dtype.kind
    return Ids(users, row, "user", same), Ids(encoder._items, column, "item")


def interaction_columns(X, users, encoder):
    """Columns user, item and value of a sparse matrix."""
    if X.shape[1] != encoder.n_items_:
        raise ValueError(
            f"X has {X.shape[1]} columns, but the encoder has {encoder.n_items_} items."
        )
    coo = X.tocoo()
    return *_named(encoder, _user_ids(users, X.shape[0]), coo.row, coo.col), coo.data


def _user_ids(users, n):
    """The ids of n users as an array, checked."""
    if not isinstance(users, np.ndarray) or users.dtype == object:
        codes, ids = factorize(as_column(users), "users")
        users = ids[codes]
    if len(users) != n:
        raise ValueError(
            f"There are {n} lists, but {len(users)} users. Give users=, one id per list, in the "
            "order of the lists."
        )
    return users


def make_table(columns, form):
    """A table from columns, each an ndarray or `Ids`, in the form of the table of `fit`."""
    made = {
        name: _column(column, form) if isinstance(column, Ids) else column
        for name, column in columns.items()
    }
    if form["library"] is None:
        return made
    # not by narwhals, which has fewer types
    if form["library"] == "pandas":
        import pandas

        return pandas.DataFrame(made)
    if form["library"] == "polars":
        import polars

        return polars.DataFrame(made)
    if form["library"] == "pyarrow":
        import pyarrow

        return pyarrow.table(made)
    return nw.from_dict(made, backend=form["library"]).to_native()


def _column(column, form):
    """`Ids` as a column of their type or, if they have none, as an ndarray."""
    ids, places = column.ids, column.places
    if ids.dtype.kind in "biufmM":
        ids, places = ids[places], None
    else:  # converted once each, and only those that are listed
        listed = np.zeros(len(ids), bool)
        listed[places] = True
        ids, places = ids[listed], (np.cumsum(listed) - 1)[places]
    description = form[column.role]
    if description is not None and column.same_kind and form["library"] is not None:
        if places is not None and "_view" in description.get("name", ""):
            ids, places = ids[places], None  # Arrow takes nothing from a view
        values = typed_column(ids, description)
        if values is not None:
            return _taken(values, places, form["library"])
    ids = ids.astype(object) if ids.dtype.kind == "T" else ids
    return ids if places is None else ids[places]


def _taken(values, places, library):
    """``values[places]`` as a column of its library; None for all places."""
    if places is None:
        return values
    if library == "pandas":
        return values.array.take(places)
    return values.gather(places) if library == "polars" else values.take(places)
