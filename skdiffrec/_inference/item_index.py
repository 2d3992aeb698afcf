"""An index of the items' vectors: inverted lists, of which a search looks into the best few.

Items are clustered by direction (spherical k-means, Dhillon and Modha 2001). A search multiplies
its queries with the lists' means, and then with the items of the best lists (Sivic and Zisserman
2003), 79 of 2,000 where there are a million items. All queries that look into a list go through one
product with its vectors: for hundreds at a time that is several times as fast as one by one.
"""

from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional as F

from .._utils.topk import best_columns
from .device import run_blocks

_LEAST_LISTS = 16  # that a search looks into
_FIRST = 4  # lists, whose products are the floor for those of the others
_PASSES = 6  # of k-means
_SAMPLE = 40  # items of a list, on average, that k-means sees
_LARGEST = 4  # times the average, after which a list is cut
_BLOCK = 8000  # items whose lists are found at once


class ItemIndex:
    """Inverted lists of the rows of a table, a float tensor (n_items, d)."""

    def __init__(self, table):
        n_items = len(table)
        n_lists = min(n_items, round(2 * n_items**0.5))
        lists = _cut(_clustered(table, n_lists), _LARGEST * -(-n_items // n_lists))
        self.items = np.argsort(lists, kind="stable")
        self.places = np.argsort(self.items)  # of the items, in the order of the lists
        self.sizes = np.bincount(lists)
        self.starts = np.append(0, self.sizes.cumsum())
        self.vectors = table[torch.from_numpy(self.items)]
        self.means = torch.stack([part.mean(0) for part in self.vectors.split(self.sizes.tolist())])
        self.n_searched = min(len(self.sizes), max(_LEAST_LISTS, round(2.5 * n_items**0.25)))

    def nearest(self, queries, n, blocked=None):
        """The items with the largest products, of those that were looked at.

        Parameters
        ----------
        queries : float tensor (n_rows, d)
        n : int
        blocked : csr_array of shape (at most n_rows, n_items), default=None
            Its stored entries are not found.

        Returns
        -------
        items : ndarray of int64, shape (n_rows, n)
            Best first, -1 where there are no more.
        products : ndarray of float32, shape (n_rows, n)
            -inf beside -1.
        """
        chosen = (queries @ self.means.T).topk(self.n_searched, dim=1).indices.numpy()
        first, rest = chosen[:, :_FIRST], chosen[:, _FIRST:]
        places, best = self._largest(queries, first, n, blocked)
        rows, nth = np.nonzero(best > -np.inf)
        more = self._above(queries, rest, best[:, -1], blocked)
        parts = (rows, places[rows, nth], best[rows, nth]), more
        rows, places, found = map(np.concatenate, zip(*parts, strict=True))
        found_items = self.items[places]
        order = np.lexsort((found_items, -found, rows))
        rows = rows[order]
        nth = np.arange(len(rows)) - np.searchsorted(rows, rows)
        order, cells = order[nth < n], (rows[nth < n], nth[nth < n])
        items, products = np.full(best.shape, -1), np.full_like(best, -np.inf)
        items[cells], products[cells] = found_items[order], found[order]
        return items, products

    def _products(self, queries, chosen):
        """(rows, which of their lists it is, number, products) of each of the chosen lists."""
        order = np.argsort(chosen, axis=None, kind="stable")
        lists, first = np.unique(chosen.ravel()[order], return_index=True)
        for number, some in zip(lists, pairwise(np.append(first, len(order))), strict=True):
            rows, nth = np.divmod(order[slice(*some)], chosen.shape[1])
            vectors = self.vectors[self.starts[number] : self.starts[number + 1]]
            yield rows, nth, number, (queries[rows] @ vectors.T).numpy()

    def _largest(self, queries, chosen, n, blocked):
        """(places, products) of the n largest products in few lists, -inf where there are less."""
        sizes = self.sizes[chosen]
        ends = sizes.cumsum(1)
        shifts = self.starts[chosen] - ends + sizes  # from columns to places
        out = np.full((len(queries), max(n, ends[:, -1].max())), -np.inf, np.float32)
        for rows, nth, _, products in self._products(queries, chosen):
            for row, end, values in zip(rows, ends[rows, nth], products, strict=True):
                out[row, end - len(values) : end] = values
        if blocked is not None:
            rows, places = self._entries(blocked)
            own = np.full((len(queries), len(self.sizes)), -1)
            np.put_along_axis(own, chosen, np.arange(chosen.shape[1])[None], 1)
            own = own[rows, np.searchsorted(self.starts, places, side="right") - 1]
            there = own >= 0
            rows, places, own = rows[there], places[there], own[there]
            out[rows, places - shifts[rows, own]] = -np.inf
        columns = best_columns(out, n)
        own = (ends[:, None] <= columns[:, :, None]).sum(2).clip(max=chosen.shape[1] - 1)
        places = columns + np.take_along_axis(shifts, own, 1)
        return places, np.take_along_axis(out, columns, 1)

    def _above(self, queries, chosen, floor, blocked):
        """(rows, places, products) of what is above a row's floor."""
        parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
        for rows, _, number, products in self._products(queries, chosen):
            cells = np.flatnonzero(products > floor[rows, None])
            own, places = np.divmod(cells, products.shape[1])
            parts.append((rows[own], self.starts[number] + places, products.ravel()[cells]))
        rows, places, products = map(np.concatenate, zip(*parts, strict=True))
        if blocked is not None:
            of_blocked, n_items = self._entries(blocked), len(self.items)
            left = ~np.isin(rows * n_items + places, of_blocked[0] * n_items + of_blocked[1])
            rows, places, products = rows[left], places[left], products[left]
        return rows, places, products

    def _entries(self, blocked):
        """(rows, places) of the stored entries of a CSR."""
        rows = np.repeat(np.arange(blocked.shape[0]), np.diff(blocked.indptr))
        return rows, self.places[blocked.indices]


def _clustered(table, n_lists):
    """A list for every item, int64 (n_items,)."""
    n_sample = min(len(table), _SAMPLE * n_lists)
    sample = np.random.default_rng(0).permutation(len(table))[:n_sample]
    rows = table[torch.from_numpy(sample)]
    centers = F.normalize(rows[:n_lists])
    for _ in range(_PASSES):
        lists = torch.from_numpy(_most_alike(rows, centers))
        sums = torch.zeros_like(centers).index_add_(0, lists, rows)
        empty = torch.bincount(lists, minlength=n_lists)[:, None] == 0
        centers = torch.where(empty, centers, F.normalize(sums))
    return _most_alike(table, centers)


def _most_alike(rows, centers):
    """The center with the largest product of every row; threads have whole blocks of rows."""
    lists = np.empty(len(rows), np.int64)

    def find(block):
        lists[block] = (rows[block] @ centers.T).argmax(1).numpy()

    run_blocks(find, [slice(first, first + _BLOCK) for first in range(0, len(rows), _BLOCK)])
    return lists


def _cut(lists, most):
    """Lists of at most so many items, numbered without gaps."""
    order = np.argsort(lists, kind="stable")
    ordered = lists[order]
    nth = np.arange(len(lists)) - np.searchsorted(ordered, ordered)
    cut = np.empty_like(lists)
    cut[order] = np.unique(ordered * len(lists) + nth // most, return_inverse=True)[1]
    return cut
