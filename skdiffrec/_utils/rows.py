"""Vectorised work on the rows of a canonical CSR: ranks inside rows, hiding items, padding."""

from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from .canonical import RATING
from .hashing import entry_keys

# Matrix products of few rows take other code paths and round differently; with rows in multiples
# of this a user's scores do not depend on who else is in the block.
ROW_MULTIPLE = 16

_SORT_ENTRIES, _HASH_ENTRIES = 2**13, 2**17
_DENSE = 0.015  # share of the cells that are filled


def is_dense(X):
    """Whether rows of X hold enough for a deep network to learn more than a shallow one."""
    return X.nnz >= _DENSE * X.shape[0] * X.shape[1]


def row_lengths(X):
    """Entries of every row of a csr_array or `RowView`, ndarray of int (n_rows,)."""
    return X.lengths if hasattr(X, "lengths") else np.diff(X.indptr)


def small_ints(numbers):
    """The same integers >= 0, as int32 where that holds them."""
    return numbers.astype(np.int32 if numbers.max(initial=0) < 2**31 else np.int64, copy=False)


def entry_rows(X):
    """The row of every stored entry, int64 (nnz,)."""
    return np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))


def _row_blocks(X, n_entries):
    """(first, last + 1) of consecutive rows with about `n_entries` together; a long row is whole.

    Sorting and hashing few enough entries to stay in the processor's cache is 3 times faster.
    """
    starts = np.arange(0, X.nnz, n_entries)
    return pairwise(np.unique(np.searchsorted(X.indptr, np.append(starts, X.nnz))).tolist())


def rank_in_rows(X, *keys):
    """Rank (0 = smallest) of every stored entry inside its row, by `keys`, the first deciding."""
    ranks = np.empty(X.nnz, np.int64)
    for first, last in _row_blocks(X, _SORT_ENTRIES):
        start, stop = int(X.indptr[first]), int(X.indptr[last])
        length = np.diff(X.indptr[first : last + 1])
        # a short integer type is sorted by radix
        row = np.repeat(np.arange(last - first, dtype=np.min_scalar_type(last - first)), length)
        order = np.lexsort((*(key[start:stop] for key in keys[::-1]), row))
        row_starts = np.repeat(X.indptr[first:last].astype(np.int64), length)
        ranks[start:stop][order] = np.arange(start, stop) - row_starts
    return ranks


def sampled_rows(X, max_entries, seed):
    """Rows drawn at random that hold `max_entries` together (one row at least), in order.

    All of them where X holds no more. Sums over so many rows differ little from those over all,
    and λ is relative to them.
    """
    if X.nnz <= max_entries:
        return np.arange(X.shape[0])
    drawn = np.random.default_rng(seed).permutation(X.shape[0])
    entries = np.cumsum(row_lengths(X)[drawn])
    return np.sort(drawn[: max(1, np.searchsorted(entries, max_entries, side="right"))])


def last_tied_rank(X, ranks):
    """For every entry the highest rank among the entries of its row with the same value."""
    start = X.indptr[:-1].astype(np.int64)[entry_rows(X)]
    place = start + ranks
    ordered = np.empty(X.nnz, X.data.dtype)
    ordered[place] = X.data
    row = entry_rows(X)
    ends = np.ones(X.nnz, bool)  # is this the last of its group?
    ends[:-1] = (ordered[1:] != ordered[:-1]) | (row[1:] != row[:-1])
    last = np.where(ends, np.arange(X.nnz), X.nnz)
    last = np.minimum.accumulate(last[::-1])[::-1]
    return last[place] - start


def unit_free(X, values):
    """`X` with data that the unit of its values does not change, float64.

    Ones for "binary", the share of the row's largest value for "weight", the rank in the row for
    "time" (of equal times, the highest). Ratings stay: what they say depends on how high they are.
    """
    if values == "time":
        data = last_tied_rank(X, rank_in_rows(X, X.data))
    elif values == "weight" and X.nnz:
        filled = np.flatnonzero(np.diff(X.indptr))
        largest = np.maximum.reduceat(X.data, X.indptr[filled])
        data = rounded_share(X.data / np.repeat(largest, np.diff(X.indptr)[filled]))
    elif values == RATING:
        data = X.data
    else:
        data = np.ones(X.nnz)
    return sp.csr_array((data.astype(np.float64), X.indices, X.indptr), shape=X.shape)


def rounded_share(share):
    """Shares of a row's largest value, an ndarray or a tensor, without the last digits.

    These may change with the unit of the values.
    """
    return ((share * 1e6).round() / 1e6).clip(1e-6)


def unit_free_keys(X, values, seed):
    """`entry_keys` of `unit_free` data, uint64 (nnz,): a draw per entry that its row decides."""
    keys = np.empty(X.nnz, np.uint64)
    for first, last in _row_blocks(X, _HASH_ENTRIES):
        block = unit_free(X[first:last], values)
        keys[X.indptr[first] : X.indptr[last]] = entry_keys(block, seed)
    return keys


def select_entries(X, mask):
    """The CSR that keeps the stored entries where `mask` (nnz,) is true."""
    n_before = np.concatenate([[0], np.cumsum(mask)])
    # of the same type: SciPy gives all indices the wider one
    indptr = n_before[X.indptr].astype(X.indptr.dtype)
    return sp.csr_array((X.data[mask], X.indices[mask], indptr), shape=X.shape)


def share_of_rows(X, fraction, min_history=1):
    """For every row how many entries to hide, int64 (n_rows,).

    At least one, but `min_history` stay; a row of no more than that hides none.
    """
    length = np.diff(X.indptr)
    share = np.maximum(np.round(fraction * length), 1).astype(np.int64)
    return np.minimum(share, length - min_history).clip(0)


def hide_last(X, n_hidden, *keys):
    """Split every row into a history and its `n_hidden` entries greatest by `keys`.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
        Canonical.
    n_hidden : ndarray of shape (n_rows,)
        None above its row's length.
    *keys : ndarrays of shape (nnz,)
        The first decides.

    Returns
    -------
    history, hidden : csr_array of shape (n_rows, n_items)
        Disjoint; together `X`.
    """
    length = np.diff(X.indptr)
    hidden = rank_in_rows(X, *keys) >= np.repeat(length - n_hidden, length)
    return select_entries(X, ~hidden), select_entries(X, hidden)


def hide_items(X, values, fraction, seed):
    """Split every row into a history and a hidden part.

    At least one item is hidden, and at least one stays; a row of one item keeps it. Times say
    which items are the latest; else a hash of the row's own items draws them, so that what is
    hidden of a user does not depend on the other users.

    Returns
    -------
    history, hidden : csr_array of shape (n_rows, n_items)
        Disjoint; together `X`.
    """
    draw = unit_free_keys(X, values, seed)
    keys = (X.data, draw) if values == "time" else (draw,)
    return hide_last(X, share_of_rows(X, fraction), *keys)


def pad_rows(X, multiple):
    """`X` with empty rows appended until the number of rows is a multiple of `multiple`."""
    missing = -X.shape[0] % multiple
    if not missing:
        return X
    indptr = np.concatenate([X.indptr, np.full(missing, X.indptr[-1], X.indptr.dtype)])
    return sp.csr_array((X.data, X.indices, indptr), shape=(X.shape[0] + missing, X.shape[1]))


def updated_csr(before, rows, ids):
    """The rows `before` with `rows` in the places `ids`, which may lie behind them."""
    n_known = before.shape[0]
    place = np.arange(max(n_known, ids.max(initial=-1) + 1))
    place[ids] = n_known + np.arange(len(ids))
    stacked = sp.csr_array(sp.vstack([before, rows], format="csr"))
    return stacked if np.array_equal(place, np.arange(stacked.shape[0])) else stacked[place]


def scale_columns(X, factor):
    """X·diag(factor) of a CSR, float32."""
    data = X.data * factor[X.indices].astype(np.float32)
    return sp.csr_array((data, X.indices, X.indptr), shape=X.shape)


def scale_rows(X, factor):
    """diag(factor)·X of a CSR, float32."""
    data = X.data * factor[entry_rows(X)].astype(np.float32)
    return sp.csr_array((data, X.indices, X.indptr), shape=X.shape)
