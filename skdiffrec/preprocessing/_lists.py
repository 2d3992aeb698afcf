"""Lists of items back to tables."""

import narwhals as nw
import numpy as np

from ._ids import factorize
from ._tables import as_column


def list_columns(ids, scores, users, items):
    """Columns user, rank, item and score (or None) of lists, without their −1 ends.

    Parameters
    ----------
    ids : ndarray of int, shape (n, k), or (k,) for one user
    scores : ndarray of the same shape, or None
    users : array-like of ids, shape (n,), or one id
    items : ndarray of shape (n_items,)
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
    if ids.size and (ids.max() >= len(items) or ids.min() < -1):
        raise IndexError(
            f"Lists hold items {ids.min()} to {ids.max()}, but the encoder has columns 0 to "
            f"{len(items) - 1}. Was the model fitted on its matrix?"
        )
    users = _labels(users, len(ids))
    if scores is not None and np.shape(scores) != ids.shape:
        raise ValueError(f"scores has shape {np.shape(scores)}, but the lists have {ids.shape}.")
    kept = ids >= 0
    row, place = np.nonzero(kept)
    score = None if scores is None else np.asarray(scores)[kept]
    return users[row], place + 1, items[ids[kept]], score


def interaction_columns(X, users, items):
    """Columns user, item and value of a sparse matrix."""
    if X.shape[1] != len(items):
        raise ValueError(f"X has {X.shape[1]} columns, but the encoder has {len(items)} items.")
    coo = X.tocoo()
    return _labels(users, X.shape[0])[coo.row], items[coo.col], coo.data


def _labels(users, n):
    """The ids of n users, as an array."""
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
    """A table of NumPy columns in the library `backend`; a dict of them where it is None."""
    columns = {
        name: values.astype(object) if values.dtype.kind == "T" else values
        for name, values in columns.items()
    }
    if backend is None:
        return columns
    return nw.from_dict(columns, backend=backend).to_native()
