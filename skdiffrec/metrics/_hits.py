"""Hits: one lookup of the listed items in the holdout, which all accuracy metrics use."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from ._blocks import in_blocks
from ._checks import check_ids, check_rows, interactions
from ._formulas import lengths


class Hits(NamedTuple):
    """The hits of all users, ordered by user and then by rank.

    rows, ranks : int64 (n_hits,)
        User and rank of each hit, both from 0.
    nth : int64 (n_hits,)
        Number of the hit within its user's list, from 1.
    sizes : int64 (n_users,)
        T, the number of each user's held-out items.
    listed : int64 (n_users,)
        Length of each user's list without the padding, at most k.
    k : int
        Number of ranks evaluated.
    """

    rows: np.ndarray
    ranks: np.ndarray
    nth: np.ndarray
    sizes: np.ndarray
    listed: np.ndarray
    k: int

    @property
    def n_users(self):
        return len(self.sizes)

    def counts(self):
        """Number of hits of each user, int64 (n_users,)."""
        return np.bincount(self.rows, minlength=self.n_users)

    def sums(self, weights):
        """Sum of `weights` (n_hits,) over the hits of each user, float64 (n_users,)."""
        # bincount adds one by one from the top of the list, as the ideal gains are summed; so the
        # nDCG of a perfect list is exactly 1.
        return np.bincount(self.rows, weights=weights, minlength=self.n_users)

    def top(self, k):
        """The hits in the first k ranks."""
        if k == self.k:
            return self
        keep = self.ranks < k
        rows, ranks, nth = self.rows[keep], self.ranks[keep], self.nth[keep]
        return Hits(rows, ranks, nth, self.sizes, np.minimum(self.listed, k), k)


def look_up(ids, holdout, k):
    """Check the arguments of an accuracy metric, and find the hits in the first k ranks."""
    holdout = interactions("holdout", holdout)
    ids = check_ids(ids, k, holdout.shape[1])
    check_rows(ids, holdout, "holdout")
    return find_hits(ids[:, :k], holdout)


def find_hits(top, holdout):
    """Hits of checked lists (n_users, k) in a canonical holdout."""
    rows, ranks = find_listed(top, holdout)
    counts = np.bincount(rows, minlength=len(top))
    nth = np.arange(1, len(rows) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
    sizes = np.diff(holdout.indptr).astype(np.int64)
    return Hits(rows, ranks, nth, sizes, lengths(top), top.shape[1])


def find_listed(top, pattern):
    """(users, ranks) of the listed items that are stored in the user's row of `pattern`."""
    n_users, k = top.shape
    found = in_blocks(lambda users: _is_stored(top[users], pattern[users]), n_users, k)
    return np.divmod(np.flatnonzero(found), k)


def _is_stored(top, pattern):
    """Whether each listed item is stored in the user's row of `pattern`, bool (n_users * k,).

    Computed as an elementwise product of two sparse matrices, in time linear in the number of
    listed items and of stored entries.
    """
    n_users, k = top.shape
    listed = top >= 0
    places = np.flatnonzero(listed)
    items, stored, n_items = top[listed], pattern.indices, pattern.shape[1]
    if n_items > len(items) + len(stored):  # the product allocates one cell per column
        names, renamed = np.unique(np.concatenate([items, stored]), return_inverse=True)
        items, stored, n_items = renamed[: len(items)], renamed[len(items) :], len(names)
    ends = np.concatenate([[0], np.cumsum(lengths(top))])
    # Places from 1: the product drops entries of value 0.
    lists = sp.csr_array((places + 1, items, ends), shape=(n_users, n_items))
    stored_items = sp.csr_array((pattern.data, stored, pattern.indptr), shape=(n_users, n_items))
    found = np.zeros(n_users * k, dtype=bool)
    found[lists.multiply(stored_items).data - 1] = True
    return found
