"""Rows of times in their order, cut in two at some of their moments."""

import numpy as np
import scipy.sparse as sp

from .row_view import row_parts
from .rows import (
    entry_rows,
    hide_items,
    hide_last,
    last_tied_rank,
    rank_in_rows,
    row_lengths,
    share_of_rows,
    unit_free_keys,
)

_SET_SIZE = 4  # orders hold more items at once than a second of clicks does


def moment_size(X):
    """Items of one moment, the mean, where items come in sets such as orders; else 1.

    They do where a moment holds four items and more, and a quarter of the rows several moments.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
        Canonical, of times.
    """
    n_moments, n_filled = _moments_of_rows(X), np.count_nonzero(row_lengths(X))
    several = (n_moments > 1).sum()
    in_sets = X.nnz >= _SET_SIZE * n_moments.sum() and 4 * several >= n_filled > 0
    return X.nnz / n_moments.sum() if in_sets else 1.0


def comes_in_sets(X, values):
    """Whether items of canonical rows come in sets, see `moment_size`."""
    return values == "time" and moment_size(X) > 1


def divisible_rows(X, sets):
    """Rows of two items and more, or of two sets and more."""
    if not sets:
        return np.flatnonzero(row_lengths(X) > 1)
    return np.flatnonzero(_moments_of_rows(X) > 1)


def _moments_of_rows(X):
    counts = [np.zeros(0, np.int64)]
    for _, rows in row_parts(X):
        ordered = OrderedRows(rows, 0)
        counts.append(np.bincount(ordered.row[ordered.begins], minlength=rows.shape[0]))
    return np.concatenate(counts)


def hide_share(X, values, fraction, seed, sets):
    """`hide_items`, but whole moments where items come in sets; a row of one set keeps it."""
    if not sets:
        return hide_items(X, values, fraction, seed)
    ordered = OrderedRows(X, seed)
    n_hidden = ordered.whole_moments(share_of_rows(X, fraction))
    return hide_last(X, n_hidden, ordered.order)


class OrderedRows:
    """The rows of a canonical CSR of times in their order, laid end to end.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
    seed : int
        Decides the order of items of the same time.

    Attributes
    ----------
    items, row, place : ndarrays of int64, shape (nnz,)
        In order: the item, its row, and its place there from 0.
    first, stands : ndarrays of int64, shape (nnz,)
        In order: the first and the last place of the same time.
    begins : ndarray of bool, shape (nnz,)
        In order: whether a moment begins here.
    order, last_tied : ndarrays of int64, shape (nnz,)
        As X is stored: the place of an entry, and the last one of the same time.
    """

    def __init__(self, X, seed):
        self.X, self.length = X, np.diff(X.indptr).astype(np.int64)
        self.start, self.row = X.indptr[:-1].astype(np.int64), entry_rows(X)
        self.order = rank_in_rows(X, X.data, unit_free_keys(X, "time", seed))
        self.last_tied = last_tied_rank(X, self.order)
        at = self.start[self.row] + self.order
        self.items, self.stands = np.empty(X.nnz, np.int64), np.empty(X.nnz, np.int64)
        self.items[at], self.stands[at] = X.indices, self.last_tied
        self.place = np.arange(X.nnz) - self.start[self.row]
        self.begins = self.place == 0
        self.begins[1:] |= self.stands[:-1] == self.place[:-1]
        self.first = np.maximum.accumulate(np.where(self.begins, np.arange(X.nnz), 0))
        self.first -= self.start[self.row]

    def n_ahead(self, at, horizon):
        """How many items are the next `horizon` from here on, with all of the last one's time."""
        row = self.row[at]
        n_ahead = np.minimum(self.length[row] - self.place[at], min(horizon, self.X.shape[1]))
        last = self.place[at] + n_ahead - 1
        return self.stands[self.start[row] + last] + 1 - self.place[at]

    def latest_moments(self, share, most, horizon):
        """Where the last moments begin that have `horizon` items ahead, in order.

        The last one of every row, and `most` in all where more lie in the last `share` of it. Of a
        row without such a moment the second one; never the first.
        """
        length, horizon = self.length[self.row], min(horizon, self.X.shape[1])
        second = self.begins & (self.place > 0)
        second[1:] &= self.first[:-1] == 0
        asked = self.begins & (self.place > 0) & ((self.place <= length - horizon) | second)
        ending = np.cumsum(asked[::-1])[::-1]  # such moments from here to the end of all rows
        nth_last = ending - np.append(ending, 0)[self.X.indptr[1:]][self.row]
        n_late = share_of_rows(self.X, share)[self.row] + horizon - 1
        late = self.place >= length - n_late
        return np.flatnonzero(asked & ((late & (nth_last <= most)) | (nth_last == 1)))

    def whole_moments(self, n_hidden, min_history=1):
        """How many of the last items of every row to hide (n_rows,), so that no moment is parted.

        A cut inside of a moment goes to its beginning, or to its end where fewer than `min_history`
        items would stay.
        """
        n_kept = self.length - n_hidden
        parted = np.flatnonzero(n_hidden > 0)
        inside = self.start[parted] + n_kept[parted]
        before, after = self.first[inside], self.stands[inside] + 1
        n_kept[parted] = np.where(before >= min_history, before, after)
        return self.length - n_kept

    def cut_places(self):
        """Where a cut at every place goes, in order, so that no moment is parted.

        To the beginning of its moment, or of the first to its end; a row of one is cut inside it.
        """
        after = self.stands + 1
        whole = after == self.length[self.row]
        return np.where(self.first > 0, self.first, np.where(whole, self.place, after))

    def cut(self, rows, n_before):
        """(cut, entry, before): every entry of the rows of these cuts, and on which side it is."""
        cut = np.repeat(np.arange(len(rows)), self.length[rows])
        first = np.cumsum(self.length[rows]) - self.length[rows]
        entry = np.arange(len(cut)) + (self.start[rows] - first)[cut]
        return cut, entry, self.order[entry] < n_before[cut]

    def next_items(self, at, horizon):
        """Histories before some places and the next items there: (history, holdout)."""
        n_before, n_ahead = self.place[at], self.n_ahead(at, horizon)
        cut, entry, before = self.cut(self.row[at], n_before)
        after = ~before & (self.order[entry] < (n_before + n_ahead)[cut])
        return tuple(
            self.part(cut[mask], entry[mask], self.X.data[entry[mask]], len(at))
            for mask in (before, after)
        )

    def part(self, cut, entry, data, n_cuts):
        """The CSR (n_cuts, n_items) of some entries with other data."""
        indptr = np.concatenate([[0], np.cumsum(np.bincount(cut, minlength=n_cuts))])
        return sp.csr_array((data, self.X.indices[entry], indptr), (n_cuts, self.X.shape[1]))
