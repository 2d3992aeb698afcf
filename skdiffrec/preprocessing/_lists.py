"""Convert lists of items and matrices to tables."""

import narwhals as nw
import numpy as np
import scipy.sparse as sp

from ._ids import factorize
from ._tables import as_column


def column_names(encoder):
    """Names of the columns user, item and value (in this order) in the tables of an encoder."""
    values = encoder.values_
    value = {"time": encoder.timestamp, "weight": encoder.weight, "binary": None}[values]
    names = {"user": encoder.user, "item": encoder.item, "value": value}
    return {
        role: name if isinstance(name, str) else (values if role == "value" else role)
        for role, name in names.items()
    }


def table_columns(encoder, X, scores, users):
    """Columns of the table of lists or of a matrix, by name; see `inverse_transform`."""
    names = column_names(encoder)
    owners = encoder.users_ if users is None else users
    if sp.issparse(X):
        columns = interaction_columns(X, owners, encoder.items_)
        columns = dict(zip(names.values(), columns, strict=True))
        if encoder.values_ == "binary":
            columns.pop(names["value"])
        return columns
    if users is None and np.ndim(X) == 1:
        raise ValueError("users is None, but X is one list: pass its user, users=id.")
    user, rank, item, score = list_columns(X, scores, owners, encoder.items_)
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


def list_columns(ids, scores, users, items):
    """Columns user, rank, item and score (or None) of lists, without the padding.

    Parameters
    ----------
    ids : ndarray of int, shape (n, k), or (k,) for one user
        Column numbers, padded with −1.
    scores : ndarray of the same shape, or None
    users : array-like of ids, shape (n,), or one id
    items : ndarray of shape (n_items,)
        Ids of the columns.
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
    _check_columns(ids, items)
    users = _user_ids(users, len(ids))
    if scores is not None and np.shape(scores) != ids.shape:
        raise ValueError(f"scores has shape {np.shape(scores)}, but the lists have {ids.shape}.")
    listed = ids >= 0
    row, rank = np.nonzero(listed)
    score = None if scores is None else np.asarray(scores)[listed]
    return users[row], rank + 1, items[ids[listed]], score


def interaction_columns(X, users, items):
    """Columns user, item and value of a sparse matrix."""
    if X.shape[1] != len(items):
        raise ValueError(f"X has {X.shape[1]} columns, but the encoder has {len(items)} items.")
    coo = X.tocoo()
    return _user_ids(users, X.shape[0])[coo.row], items[coo.col], coo.data


def _user_ids(users, n):
    """The ids of n users as an array, checked."""
    if not isinstance(users, np.ndarray):
        codes, ids = factorize(as_column(users), "users")
        users = ids[codes]
    if len(users) != n:
        raise ValueError(
            f"There are {n} lists, but {len(users)} users. Give users=, one id per list, in the "
            "order of the lists."
        )
    return users


def make_table(columns, backend):
    """A table of the library `backend` from NumPy columns; a dict of them if `backend` is None."""
    columns = {
        name: values.astype(object) if values.dtype.kind == "T" else values
        for name, values in columns.items()
    }
    if backend is None:
        return columns
    return nw.from_dict(columns, backend=backend).to_native()
