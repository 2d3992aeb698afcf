"""What recent interactions weigh."""

import numbers

import numpy as np
import scipy.sparse as sp

from .canonical import canonical_csr
from .matrices import check_matrix
from .row_view import sum_over_rows
from .rows import unit_free
from .typing import MatrixLike

RECENCY_FLOOR = 0.1


def recency_weights(
    times: MatrixLike, half_life: float = 5.0, floor: float = RECENCY_FLOOR
) -> sp.csr_array:
    """Weigh every interaction by how recent it is among its user's own.

    ``max(floor, 0.5 ** (age / half_life))``, where an item's age is the number of items that the
    same user took later. Only the order inside a row counts, so any unit of time will do.

    Parameters
    ----------
    times : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        When each interaction happened, any unit, > 0; nothing stored means no interaction.
        Of duplicate entries the latest counts.
    half_life : float, default=5.0
        Age, in items, at which the weight has halved.
    floor : float, default=0.1
        No weight falls below it; in [0, 1].

    Returns
    -------
    weights : csr_array of float32, shape (n_users, n_items)
        The latest item of every user weighs 1; items of the same time weigh the same.

    Raises
    ------
    ValueError
        If `half_life` is not positive, `floor` is outside [0, 1], a time is negative, infinite or
        NaN, or `times` holds dates or text or is not a matrix.
    TypeError
        If `half_life` or `floor` is no number.

    Examples
    --------
    >>> from skdiffrec.preprocessing import recency_weights
    >>> recency_weights([[10.0, 30.0, 20.0, 0.0]], half_life=1).toarray()
    array([[0.25, 1.  , 0.5 , 0.  ]], dtype=float32)
    """
    if not _number("half_life", half_life) > 0:
        raise ValueError(f"half_life must be > 0 (in items), got {half_life}.")
    if not 0 <= _number("floor", floor) <= 1:
        raise ValueError(f"floor must lie in [0, 1], got {floor}.")
    times = canonical_csr(check_matrix(times, "times", times=True), "time")
    return recency_of_canonical(times, half_life, floor)


def _number(name, value):
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r:.200}.")
    return value


def recency_of_canonical(times, half_life, floor):
    """`recency_weights` of a canonical CSR of times, unchecked."""
    ranks = unit_free(times, "time").data
    length = np.repeat(np.diff(times.indptr), np.diff(times.indptr))
    weights = recency_of_ages(length - 1 - ranks, half_life, floor)
    return sp.csr_array((weights, times.indices, times.indptr), shape=times.shape)


def recency_of_ages(age, half_life, floor=RECENCY_FLOOR):
    """Recency weights, float32, of ages in items; ones if `half_life` is None."""
    if half_life is None:
        return np.ones(len(age), np.float32)
    return np.maximum(floor, 0.5 ** (age / half_life)).astype(np.float32)


def history_weights(X, values, half_life, floor=RECENCY_FLOOR):
    """What a model reads of canonical histories: a CSR of weights in (0, 1], float32.

    Ones for "binary"; the share of the row's largest value for "weight", so that the unit does
    not matter; recency, not below `floor`, for "time" (ones if `half_life` is None).
    """
    if values == "time" and half_life is not None:
        return recency_of_canonical(X, half_life, floor)
    if values in ("binary", "time"):
        return sp.csr_array((np.ones(X.nnz, np.float32), X.indices, X.indptr), shape=X.shape)
    weights = unit_free(X, values)
    weights.data = weights.data.astype(np.float32)
    return weights


def item_popularity(X, values, row_weight=None):
    """Users of every item, float32 (n_items,); for "weight" the sum of their shares.

    `row_weight` (n_rows,) is how many users a row stands for; None is one each. Summed in float64,
    so that equal sums tie in whatever order they are summed.
    """
    values = "binary" if values == "time" else values
    weight = np.ones(X.shape[0]) if row_weight is None else row_weight
    counted = sum_over_rows(X, lambda rows, block: unit_free(rows, values).T @ weight[block])
    return counted.astype(np.float32)


def item_counts(X, row_weight):
    """Users of every item, float64 (n_items,), each row standing for `row_weight` of them."""
    return sum_over_rows(X, lambda rows, block: rows.astype(bool).T @ row_weight[block])
