"""Masked top-k with a defined order: best first, ties by lower item id."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .memory import refuse_too_large

_MANY = 10**8  # numbers, below which memory is not asked about
GROUP = 16  # columns that are looked at by their largest score first
_BLOCK_ELEMENTS = 2**22  # scores held at once: 16 MB, and their sort keys 32 MB


def row_blocks(n, n_columns, most=None):
    """Slices of n rows with `n_columns` scores each, so that memory does not grow with n.

    None has more than `most` rows.
    """
    size = max(1, _BLOCK_ELEMENTS // n_columns)
    size = size if most is None else min(size, most)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


class ItemFilter(NamedTuple):
    """Which items may be in the lists of n users.

    Attributes
    ----------
    columns : ndarray of int64, ascending, or None
        The only ones for everybody.
    blocked, allowed : csr_array of shape (n, n_items) or None
        Each user's own: never these, only these.
    """

    columns: Any = None
    blocked: Any = None
    allowed: Any = None

    def of(self, users):
        """The filter of some of the users: a slice or an index array."""
        if self.blocked is None and self.allowed is None:
            return self
        parts = (None if part is None else part[users] for part in (self.blocked, self.allowed))
        return ItemFilter(self.columns, *parts)

    def masks(self, seen):
        """Arguments of `masked_topk` for all of the users, with their histories (or None)."""
        if seen is None:
            seen = self.blocked
        elif self.blocked is not None:
            seen = _pattern(seen) + _pattern(self.blocked)
        return {"seen": seen, "columns": self.columns, "allowed": self.allowed}


EVERY_ITEM = ItemFilter()


def _pattern(X):
    return sp.csr_array((np.ones(X.nnz, np.float32), X.indices, X.indptr), shape=X.shape)


def empty_lists(n, k):
    """(ids, scores) of n lists of k items, to be filled: int64 and float32 (n, k)."""
    if n * k > _MANY:
        what, advice = f"{n:,} lists of k={k:,} items", "Lower k, or ask for fewer users at a time."
        refuse_too_large(12 * n * k, what, advice)
    return np.empty((n, k), np.int64), np.empty((n, k), np.float32)


def masked_topk(scores, k, seen=None, columns=None, allowed=None):
    """The k best items of every row.

    Parameters
    ----------
    scores : ndarray of float32, shape (n_rows, n_items)
        May be changed in place.
    k : int
    seen : csr_array of shape (n_rows, n_items), default=None
        Stored entries are never returned.
    columns : ndarray of int64, ascending, default=None
        The only items that may be returned; None means all.
    allowed : csr_array of shape (n_rows, n_items), default=None
        Its stored entries are the only items of a row that may be returned; None means all.

    Returns
    -------
    ids : ndarray of int64, shape (n_rows, k)
        -1 where no item is left.
    top : ndarray of float32, shape (n_rows, k)
        -inf where no item is left.
    """
    n_rows = len(scores)
    if seen is not None:
        scores[np.repeat(np.arange(n_rows), np.diff(seen.indptr)), seen.indices] = -np.inf
    if allowed is not None:
        entries = np.repeat(np.arange(n_rows), np.diff(allowed.indptr)), allowed.indices
        kept = scores[entries]
        scores[:] = -np.inf
        scores[entries] = kept
    if columns is not None:
        scores = scores[:, columns]
    n_listed = min(k, scores.shape[1])
    ids = np.full((n_rows, k), -1, np.int64)
    top = np.full((n_rows, k), -np.inf, np.float32)
    if n_listed:
        place = best_columns(scores, n_listed)
        top[:, :n_listed] = np.take_along_axis(scores, place, axis=1)
        ids[:, :n_listed] = place if columns is None else columns[place]
        ids[np.isneginf(top)] = -1
    return ids, top


def best_columns(scores, k):
    """Columns of the k largest scores of every row, best first, ties by lower column.

    Parameters
    ----------
    scores : ndarray of float32, shape (n_rows, width)
    k : int
        At most `width`.

    Returns
    -------
    columns : ndarray of int64, shape (n_rows, k)
    """
    n_rows, width = scores.shape
    n_groups = width // GROUP
    if n_groups < 4 * k:
        return _best_by_key(scores, np.broadcast_to(np.arange(width), scores.shape), k)
    # The k best are in the k groups whose own largest scores are the largest: one pass over all
    # for these, and a choice among a few.
    largest = _largest_of_groups(scores)
    least = np.partition(largest, n_groups - k, axis=1)[:, n_groups - k]
    enough = largest >= least[:, None]
    n_enough = enough.sum(axis=1)
    if (n_enough == k).all():  # twice as fast as argpartition
        groups = (np.flatnonzero(enough) % n_groups).reshape(n_rows, k)
    else:
        groups = np.argpartition(largest, n_groups - k, axis=1)[:, n_groups - k :]
    columns = (groups[:, :, None] + _first_of_groups(n_groups)).reshape(n_rows, -1)
    rest = np.arange(n_groups * GROUP, width)
    columns = np.concatenate([columns, np.broadcast_to(rest, (n_rows, len(rest)))], axis=1)
    best = _best_by_key(np.take_along_axis(scores, columns, axis=1), columns, k)
    # where groups tie for the last place, any of them may hold the lower column
    tied = (n_enough > k) & (least > -np.inf)
    if tied.any():
        everything = np.broadcast_to(np.arange(width), (int(tied.sum()), width))
        best[tied] = _best_by_key(scores[tied], everything, k)
    return best


def columns_above(scores, floor, most):
    """Columns of the scores above a floor, a row's by ascending column.

    Later tiles of a catalogue have few of these, which one pass over groups finds.

    Parameters
    ----------
    scores : ndarray of float32, shape (n_rows, width)
    floor : ndarray of float32, shape (n_rows, 1)
    most : int
        On average over the rows; where there are more, None is returned.

    Returns
    -------
    rows, columns : ndarrays of int64, shape (n,), or None
    """
    n_rows, width = scores.shape
    n_groups = width // GROUP
    rows, groups = np.nonzero(_largest_of_groups(scores) > floor)
    if len(rows) > n_rows * most:
        return None
    rest = np.arange(n_groups * GROUP, width)
    columns = (groups[:, None] + _first_of_groups(n_groups)).ravel()
    columns = np.concatenate([columns, np.tile(rest, n_rows)])
    rows = np.concatenate([rows.repeat(GROUP), np.arange(n_rows).repeat(len(rest))])
    above = scores[rows, columns] > floor[rows, 0]
    cells = np.sort(rows[above] * width + columns[above])
    return cells // width, cells % width


def _largest_of_groups(scores):
    """The largest score of every group, (n_rows, n_groups); group j has columns j + i·n_groups."""
    n_groups = scores.shape[1] // GROUP
    largest = scores[:, :n_groups].copy()
    for first in _first_of_groups(n_groups)[1:]:
        np.maximum(largest, scores[:, first : first + n_groups], out=largest)
    return largest


def _first_of_groups(n_groups):
    return np.arange(0, n_groups * GROUP, max(n_groups, 1))


def _best_by_key(scores, columns, k):
    """The k best of candidate scores by their columns, both (n_rows, n_candidates).

    Score and column are packed into one integer that sorts as (score descending, column
    ascending), so that partitioning, which knows no ties, settles them too.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # + 0 turns -0. into 0.
    ordered = bits ^ (bits >> 31 & np.int32(0x7FFFFFFF))  # negative ones turned round
    key = (~ordered).astype(np.int64)
    key <<= 32
    key |= columns
    if k < key.shape[1]:
        key = np.partition(key, k - 1, axis=1)[:, :k]
    key.sort(axis=1)
    return key & 0xFFFFFFFF
