"""Weights of users. Rows that say the same are merged, so that a weight of 2 equals two copies."""

import numpy as np

from .._utils.hashing import hash64, row_keys
from .._utils.missing import reject_masked
from .._utils.row_view import blocks_of, row_parts
from .._utils.rows import small_ints, unit_free

_KEY_SEED = 0
_MAX_VISITS = 4
_MOST_WEIGHT = 1e12  # beyond it numbers of float32 overflow


def check_something_left(X, sample_weight, advice):
    """Raise an error if no user with a weight above 0 has an interaction (with ratings, a like)."""
    weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    if not weight[np.diff(X.indptr) > 0].any():
        raise ValueError(
            f"No interaction of any user with a weight above 0 is left: nothing to learn. {advice}"
        )


def check_sample_weight(sample_weight, n_users):
    """Finite weights >= 0, float64 (n_users,), at least one of them positive.

    None means ones, which take no memory and cannot be written to.
    """
    if sample_weight is None:
        return np.broadcast_to(1.0, n_users)
    reject_masked("sample_weight", sample_weight, "Fill them: filled(0) leaves users out.")
    try:
        weight = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"sample_weight must hold one number per user, got {sample_weight!r}."
        ) from None
    if weight.ndim == 0:
        weight = np.full(n_users, weight)
    if weight.shape != (n_users,):
        raise ValueError(
            f"sample_weight has shape {weight.shape}, but X has {n_users} users. Give a 1-D array "
            "with one weight per row of X."
        )
    bad = weight[~((weight >= 0) & (weight < np.inf))]
    if bad.size:
        raise ValueError(f"sample_weight must be finite and >= 0, got {bad[0]}.")
    extreme = weight[(weight > 0) & ((weight < 1 / _MOST_WEIGHT) | (weight > _MOST_WEIGHT))]
    if extreme.size:
        raise ValueError(
            f"sample_weight must be 0 or between {1 / _MOST_WEIGHT:g} and {_MOST_WEIGHT:g}, got "
            f"{extreme[0]}. It is relative: divide all weights by their mean."
        )
    if not weight.any():
        raise ValueError(
            "sample_weight is zero for all users: nothing to fit. Give at least one user a "
            "positive weight."
        )
    return weight


def merge_rows(rows, values, weight):
    """The `different_rows` themselves: `UserRows`, and the weight of each, float64 (n_rows,)."""
    numbers, weight = different_rows(rows, values, weight)
    return rows.pick(numbers), weight


def different_rows(rows, values, weight):
    """The numbers of different rows and the summed weights of their users, in an order of its own.

    Neither copies of a row nor the order of the users then make a difference to training, and a
    row of weight 0 is as if it were not there.

    Parameters
    ----------
    rows : UserRows
        Canonical.
    values : {"binary", "weight", "time"}
        Histories are the same if they are in what `unit_free` leaves of them.
    weight : ndarray of float64, shape (n_users,)

    Returns
    -------
    numbers : ndarray of int, shape (n_rows,)
        Of the first of those that say the same.
    weight : ndarray of float64, shape (n_rows,)
    """
    first, weight = _merged(_keys(rows, values), weight)
    # rows of a block stay together, so that to read some is to read a part of the whole
    starts = [block.start for block in blocks_of(rows.history)]
    block = np.searchsorted(starts, first, "right").astype(np.min_scalar_type(len(starts)))
    order = np.argsort(block, kind="stable")
    return first[order], weight[order]


def _keys(rows, values):
    """One uint64 a row, the same where rows say the same."""
    keys = np.empty(rows.shape[0], np.uint64)
    for some, part in row_parts(rows.history):
        keys[some] = row_keys(unit_free(part, values), _KEY_SEED)
    for entries in (rows.user_features, rows.disliked):
        if entries is not None:
            keys = hash64(keys) ^ row_keys(entries, _KEY_SEED)
    return keys


def _merged(keys, weight):
    """(the first row, the summed weight) of every key that has a weight, keys ascending."""
    order = small_ints(np.argsort(keys, kind="stable"))
    order = order[weight[order] > 0]
    keys = keys[order]
    begins = np.append(True, keys[1:] != keys[:-1])
    del keys
    group = np.cumsum(begins)
    group -= 1
    # added one by one, in the order of the rows: a sum of floats depends on it
    return order[begins], np.bincount(group, weight[order])


def visits_per_epoch(weight):
    """How often each row is trained on in an epoch, int64 (n_rows,), at least once.

    Once for each user that it stands for, as if rows had not been merged; but in all about
    _MAX_VISITS times the number of rows at most, so that the unit of the weights costs no time.
    """
    limit = _MAX_VISITS * len(weight) / weight.sum()
    visits = weight * min(1.0, limit)
    return np.ceil(visits, out=visits).astype(np.int64)
