"""An index of the items' vectors: inverted lists, of which a search looks into the best few.

Items are clustered by direction (spherical k-means, Dhillon and Modha 2001). A search multiplies
its queries with the lists' means, and then with the items of the best lists (Sivic and Zisserman
2003), 63 of 2,000 where there are a million items. All queries that look into a list go through one
product with its vectors: for hundreds at a time that is several times as fast as one by one.
"""

import numpy as np
import torch
from torch.nn import functional as F

from .._utils.topk import best_columns
from .device import run_blocks

_LEAST_LISTS = 16  # that a search looks into
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
        self.n_searched = min(len(self.sizes), max(_LEAST_LISTS, round(2 * n_items**0.25)))

    @property
    def width(self):
        """Products that a query is left with, on average."""
        return -(-len(self.items) * self.n_searched // len(self.sizes))

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
        sizes = self.sizes[chosen]
        ends = sizes.cumsum(1)
        shifts = self.starts[chosen] - ends + sizes  # from a row's products to places
        products = np.empty((len(queries), max(n, ends[:, -1].max())), np.float32)
        self._multiply(queries, chosen, ends - sizes, products)
        for row, end in zip(products, ends[:, -1], strict=True):
            row[end:] = -np.inf
        if blocked is not None:
            self._block(blocked, chosen, shifts, products)
        columns = best_columns(products, n)
        products = np.take_along_axis(products, columns, 1)
        items = np.full(columns.shape, -1)
        rows, nth = np.nonzero(products > -np.inf)
        found = columns[rows, nth]
        found += shifts[rows, (ends[rows] <= found[:, None]).sum(1)]
        items[rows, nth] = self.items[found]
        return items, products

    def _multiply(self, queries, chosen, offsets, out):
        """Write a row's products with each of its chosen lists to `out`, from an offset on."""
        order = np.argsort(chosen, axis=None, kind="stable")
        lists, first = np.unique(chosen.ravel()[order], return_index=True)
        rows, offsets = order // chosen.shape[1], offsets.ravel()[order]
        for number, start, stop in zip(lists, first, np.append(first[1:], len(order)), strict=True):
            own = rows[start:stop]
            vectors = self.vectors[self.starts[number] : self.starts[number + 1]]
            products = (queries[own] @ vectors.T).numpy()
            size = len(vectors)
            for row, offset, found in zip(own, offsets[start:stop], products, strict=True):
                out[row, offset : offset + size] = found

    def _block(self, blocked, chosen, shifts, products):
        """-inf in place of the products of stored entries."""
        rows = np.repeat(np.arange(blocked.shape[0]), np.diff(blocked.indptr))
        places = self.places[blocked.indices]
        lists = np.searchsorted(self.starts, places, side="right") - 1
        nth = np.full((len(chosen), len(self.sizes)), -1)
        np.put_along_axis(nth, chosen, np.arange(chosen.shape[1])[None], 1)
        nth = nth[rows, lists]
        some = nth >= 0
        rows, places, nth = rows[some], places[some], nth[some]
        products[rows, places - shifts[rows, nth]] = -np.inf


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
