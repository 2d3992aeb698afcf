"""One lookup of the listed items in the holdout, from which every accuracy metric follows."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from ._blocks import in_blocks
from ._checks import check_ids, check_rows, interactions
from ._closed_forms import lengths


class Hits(NamedTuple):
    """Where the hits are, ordered by user and then by rank.

    rows, ranks : int64 (n_hits,)
        User and place of a hit, both from 0.
    nth : int64 (n_hits,)
        Which hit of its user's list it is, from 1.
    sizes : int64 (n_users,)
        T, the number of items in a user's holdout.
    listed : int64 (n_users,)
        Length of a user's list, at most k, without the fill.
    k : int
        Number of places looked at.
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
        """Number of hits of every user, int64 (n_users,)."""
        return np.bincount(self.rows, minlength=self.n_users)

    def sums(self, weights):
        """Sum of `weights` (n_hits,) over the hits of every user, float64 (n_users,)."""
        # bincount adds one by one from the top of the list: so do the ideals, and a perfect list
        # is exactly 1.
        return np.bincount(self.rows, weights=weights, minlength=self.n_users)

    def top(self, k):
        """The hits in the first k places."""
        if k == self.k:
            return self
        keep = self.ranks < k
        parts = (part[keep] for part in (self.rows, self.ranks, self.nth))
        return Hits(*parts, self.sizes, np.minimum(self.listed, k), k)


def look_up(ids, holdout, k):
    """Check the arguments of an accuracy metric, and find the hits in the first k places."""
    holdout = interactions("holdout", holdout)
    ids = check_ids(ids, k, holdout.shape[1])
    check_rows(ids, holdout, "holdout")
    return find_hits(ids[:, :k], holdout)


def find_hits(top, holdout):
    """The hits of checked lists (n_users, k) in a canonical holdout."""
    rows, ranks = places_in(top, holdout)
    counts = np.bincount(rows, minlength=len(top))
    nth = np.arange(1, len(rows) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
    sizes = np.diff(holdout.indptr).astype(np.int64)
    return Hits(rows, ranks, nth, sizes, lengths(top), top.shape[1])


def places_in(top, pattern):
    """Users and ranks, in that order, of the listed items that a user's row of `pattern` holds."""
    n_users, k = top.shape
    held = in_blocks(lambda users: _held(top[users], pattern[users]), n_users, k)
    return np.divmod(np.flatnonzero(held), k)


def _held(top, pattern):
    """Is a place's item in the user's row of `pattern`? bool (n_users * k,).

    An elementwise product of two sparse matrices: linear in the lists and the stored entries.
    """
    n_users, k = top.shape
    listed = top >= 0
    places = np.flatnonzero(listed)
    items, stored, n_items = top[listed], pattern.indices, pattern.shape[1]
    if n_items > len(items) + len(stored):  # the product's workspace has a cell per column
        names, renamed = np.unique(np.concatenate([items, stored]), return_inverse=True)
        items, stored, n_items = renamed[: len(items)], renamed[len(items) :], len(names)
    ends = np.concatenate([[0], np.cumsum(lengths(top))])
    lists = sp.csr_array((places + 1, items, ends), shape=(n_users, n_items))  # 0 would vanish
    holds = sp.csr_array((pattern.data, stored, pattern.indptr), shape=(n_users, n_items))
    held = np.zeros(n_users * k, dtype=bool)
    held[lists.multiply(holds).data - 1] = True
    return held
