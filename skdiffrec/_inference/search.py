"""Lists from an index of the output layer: few items are scored, and these exactly.

A score is a product of a user's numbers with an item's, and what a sparse closed form adds to the
few thousand items that are alike to those of the history. The best products are found by an index;
of the items to which the closed form adds, those are scored that could be in the list. If the index
has found the best products, no other item can be in a list whose last score is above the least of
them; lists of which that does not hold are made from all items.
"""

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from .._network.sparse_rows import UserRows
from .._utils.host_state import in_own_state
from .ranking import guided_lists
from .reverse_process import reverse_processes

_SPARE = 32  # products beyond the k best, as the closed form may take away
_AT_ONCE = 8000  # items whose rows of the table are gathered at once


@in_own_state()
def searched_lists(model, known, keys, scale, settings, k, *, filter_seen, items, index):
    """`guided_lists` from an `ItemIndex`; else parameters and what is returned are the same."""
    known = UserRows.of(known)
    n_rows = known.shape[0]
    ids, top = np.empty((n_rows, k), np.int64), np.empty((n_rows, k), np.float32)
    made = np.zeros(n_rows, bool)
    for rows, process in reverse_processes(model, known, keys, scale, settings):
        masks = items.of(rows).masks(known.seen[rows] if filter_seen else None)
        lists = _BlockLists(process, k, **masks)
        found = lists.search(index)
        for place, row in enumerate(rows):
            best = lists.best(place, *(part[place] for part in found))
            if best is not None:
                ids[row], top[row] = best
                made[row] = True
    if not made.all():
        rest = np.flatnonzero(~made)
        some = known[rest], None if keys is None else keys[rest], scale[rest]
        options = {"filter_seen": filter_seen, "items": items.of(rest)}
        ids[rest], top[rest] = guided_lists(model, *some, settings, k, **options)
    return ids, top


class _BlockLists:
    """What the lists of a block of rows are made from.

    Parameters
    ----------
    process : ReverseProcess
    k : int
    seen, columns, allowed
        As in `masked_topk`.
    """

    def __init__(self, process, k, seen, columns, allowed):
        scores, known = process.tables.scores, (process.known, process.scale)
        self.k, self.n_rows, self.seen, self.allowed = k, process.n_rows, seen, allowed
        read = scores.closed_form_history(*known)
        estimate = process.last_estimate()[1]
        self.queries = scores.features(estimate, *known, process.unknown, read)
        self.table = scores.table.numpy()
        n_items = len(self.table)
        self.open = np.full(n_items, columns is None)
        if columns is not None:
            self.open[columns] = True
        self.form: Any = None
        self.added = np.zeros(n_items, np.float32)  # by the closed form to the items of one row
        if read is not None:
            items, weights, offsets = (part.numpy() for part in read)
            D, shape = scores.closed_form.csr, (len(offsets) - 1, n_items)
            # of mixed types D would be copied
            parts = weights, items.astype(D.indices.dtype), offsets.astype(D.indptr.dtype)
            self.form = csr_array(parts, shape=shape) @ D

    def search(self, index):
        """(items, products) of the best products that an index finds, (n_rows, n), best first."""
        n = min(self.k + _SPARE, len(self.table))
        return index.nearest(self.queries, n, self.seen)

    def best(self, row, items, products):
        """(ids, scores) of a row's list, best first; None where other items could be in it."""
        items = items[items >= 0]
        if not len(items):
            return None
        largest, least = products[0], products[len(items) - 1]
        left, (own, added) = self._open(row), _entries(self.form, row)
        self.added[own] = added
        ids = items[left[items]]
        scores = self._scores(row, ids)
        for some in self._others(row, left, ids, own):
            some = some[self.added[some] + largest >= self._floor(scores)]
            ids = np.concatenate([ids, some])
            scores = np.concatenate([scores, self._scores(row, some)])
        self.added[own] = 0
        if len(ids) < self.k or self._floor(scores) < least:
            return None
        order = np.lexsort((ids, -scores))[: self.k]
        return ids[order], scores[order]

    def _open(self, row):
        """Which items may be in a list, bool (n_items,), but for those that a row has seen."""
        if self.allowed is None:
            return self.open
        left, allowed = np.zeros_like(self.open), _entries(self.allowed, row)[0]
        left[allowed] = self.open[allowed]
        return left

    def _others(self, row, left, ids, own):
        """Items to which the closed form adds, beside `ids`: first those to which it adds most.

        They raise the floor that the rest would have to reach.
        """
        closed = np.concatenate([_entries(self.seen, row)[0], ids])
        before = left[closed]
        left[closed] = False
        others = own[left[own]]
        left[closed] = before
        others = others[np.argsort(-self.added[others])]
        return others[: 2 * self.k], others[2 * self.k :]

    def _scores(self, row, ids):
        """Scores (n,) of items; each is the same whatever the others are."""
        scores, query = self.added[ids], self.queries[row].numpy()
        for first in range(0, len(ids), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            scores[some] += np.einsum("ij,j->i", self.table[ids[some]], query)
        return scores

    def _floor(self, scores):
        """The last score of the best list of these; -inf where they are too few."""
        if len(scores) < self.k:
            return -np.inf
        return np.partition(scores, len(scores) - self.k)[len(scores) - self.k]


def _entries(X, row):
    """(columns, values) of a row of a CSR; None has none."""
    if X is None:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    entries = slice(X.indptr[row], X.indptr[row + 1])
    return X.indices[entries], X.data[entries]
