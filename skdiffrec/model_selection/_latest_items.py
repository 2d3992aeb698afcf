"""The latest items of every row, by their values or by the order in which they are stored."""

import numpy as np
import scipy.sparse as sp

from .._utils.cuts import OrderedRows
from .._utils.rows import hide_last, unit_free_keys
from .._utils.validation import canonical_csr, warn_without_order
from .._utils.warning import warn_caller
from ._holdout_base import check_matrix

_TIE_SEED = 0  # as in `score`, so that both hold out the same items


def check_ties(holdout):
    """An order has no ties to keep together."""
    if getattr(holdout, "ties", "split") == "together" and holdout.by != "value":
        raise ValueError(
            f'ties="together" needs times, but by={holdout.by!r} has only an order, in which no '
            'two items are equal. Use by="value", or ties="split".'
        )


def hide_latest(holdout, X, count):
    """What a holdout of the latest items hides, ``count(X)`` (n_rows,) of every row."""
    check_ties(holdout)
    X, *keys = _in_sequence(X, holdout.by)
    n_hidden = count(X)
    if holdout.ties == "together":
        n_hidden = OrderedRows(X, _TIE_SEED).whole_moments(n_hidden, holdout.min_history)
    return hide_last(X, n_hidden, *keys)


def _in_sequence(X, by):
    """(canonical X, sort keys of its entries, which grow with time; the first key decides)."""
    if by == "order":
        return _as_stored(X)
    X = canonical_csr(check_matrix(X), "time", earliest=True)
    warn_without_order(X.data, 'by="value"', "Give times, or hold out random items.")
    return X, X.data, unit_free_keys(X, "time", _TIE_SEED)


def _as_stored(X):
    """(canonical X, position of each of its entries in the storage of X; the first if repeated)."""
    if not sp.issparse(X) or X.format != "csr":
        kind = f"{X.format} format" if sp.issparse(X) else type(X).__name__
        raise ValueError(
            f'by="order" needs a CSR matrix, got {kind}: only CSR keeps the order in which the '
            "items of a row were stored. Give a CSR matrix built in order of time, or times as "
            'values and by="value".'
        )
    X = check_matrix(X)
    places = places_stored(X)
    X = canonical_csr(X, "weight")
    if (np.diff(X.indptr) > 1).any() and (np.diff(places) > 0).all():
        warn_caller(
            'Every row of X is stored in ascending order of item id, so by="order" holds out the '
            "items with the highest ids. Was X sorted? Give a matrix in order of time, or times as "
            'values and by="value".',
        )
    return X, places


def places_stored(X):
    """Position of each entry of the canonical CSR in the storage of X; the first if repeated."""
    places = np.where(X.data != 0, np.arange(1, len(X.data) + 1), 0)
    places = sp.csr_array((places, X.indices, X.indptr), shape=X.shape)
    return canonical_csr(places, "time", earliest=True).data
