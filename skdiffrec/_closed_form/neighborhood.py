"""Gram matrices, and ridge regression of every item on its nearest items from rows of them.

All work goes by blocks of stated size, so that memory does not grow with users or items beyond X
and the weights themselves (and the Gram matrix, where it is made whole); block sizes change no
result.
"""

from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from .._utils.threads import blas_threads, side_by_side

# In numbers held at once: 1 GB of local Gram matrices; rows that the cache can hold.
_BLOCK_NUMBERS, _ROW_NUMBERS, _SEARCH_ENTRIES = 250_000_000, 1_000_000, 2_000_000
_GRAM_BLOCKS = 8  # with fewer more is computed twice, with more in shorter runs
_PAIRS = 256  # rows of local Gram matrices that are copied at once: few enough for the cache


class SparseGram:
    """XᵀX and XᵀY, of which some rows are computed whenever they are needed, in float32.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_items)
    targets : csr_array of shape (n_rows, n_items), default=None
        Y; None is X.
    """

    def __init__(self, X, targets=None):
        self.X, self.n_items = X.astype(np.float32, copy=False), X.shape[1]
        self._by_item = self._by_target = self.X.T.tocsr()
        if targets is not None:
            self._by_target = targets.astype(np.float32, copy=False).T.tocsr()
        squares = self._by_item.data.astype(np.float64) ** 2
        item = np.repeat(np.arange(self.n_items), np.diff(self._by_item.indptr))
        self.diagonal = np.bincount(item, squares, minlength=self.n_items)

    def row_blocks(self, items):
        """Yield (slice of `items`, their rows of XᵀX laid end to end), in consecutive blocks.

        The rows, ndarray of float32, are read-only and valid until the next block is asked for.
        """
        step = max(1, _ROW_NUMBERS // self.n_items)
        rows = np.zeros(step * self.n_items, np.float32)
        for part in _parts(self._sizes(self._by_item, items), _SEARCH_ENTRIES):
            product = self._by_item[items[part]] @ self.X
            n = product.shape[0]
            cells = np.repeat(np.arange(n) % step * self.n_items, np.diff(product.indptr))
            cells += product.indices
            for first in range(0, n, step):
                last = min(first + step, n)
                filled = slice(product.indptr[first], product.indptr[last])
                rows[cells[filled]] = product.data[filled]
                yield slice(part.start + first, part.start + last), rows
                rows[cells[filled]] = 0  # not all of it: most of a long row is zero

    def cross(self, items):
        """The columns `items` of XᵀY as rows, csr_array (n, n_items)."""
        return self._by_target[items] @ self.X

    def cross_sizes(self, items):
        """How many entries each of these rows of `cross` has at most."""
        return self._sizes(self._by_target, items)

    def _sizes(self, by_item, items):
        lengths = np.diff(self.X.indptr)
        reached = np.concatenate([[0], np.cumsum(lengths[by_item.indices])])
        return np.minimum(np.diff(reached[by_item.indptr])[items], self.n_items)


class DenseGram:
    """XᵀX and XᵀY at hand, with the methods of `SparseGram`.

    Parameters
    ----------
    gram, cross : ndarray of float32, shape (n_items, n_items)
        XᵀX and XᵀY, which may be the same.
    """

    def __init__(self, gram, cross):
        self.gram, self.whole_cross, self.n_items = gram, cross, len(gram)
        self.diagonal = np.diag(gram).astype(np.float64)

    @classmethod
    def of_rows(cls, X, targets=None):
        """Of a csr_array (n_rows, n_items), and what is to be predicted from it (None: itself)."""
        X = X.astype(np.float32, copy=False)
        gram = gram_matrix(X)
        if targets is None:
            return cls(gram, gram)
        return cls(gram, gram_matrix(X, targets.astype(np.float32, copy=False)))

    def mixed(self, other, share):
        """``(1 - share)·self + share·other``, after giving `other` the mean diagonal of self."""
        size = other.diagonal.sum()
        factor = np.float32(share * self.diagonal.sum() / size if size else 0.0)
        own = np.float32(1 - share)
        return DenseGram(
            own * self.gram + factor * other.gram,
            own * self.whole_cross + factor * other.whole_cross,
        )

    def row_blocks(self, items):
        step = max(1, _ROW_NUMBERS // self.n_items)
        buffer = np.empty((step, self.n_items), np.float32)
        for first in range(0, len(items), step):
            block = slice(first, min(first + step, len(items)))
            rows = buffer[: block.stop - first]
            yield block, self.gram.take(items[block], axis=0, out=rows, mode="clip").ravel()

    def cross(self, items):
        return sp.csr_array(np.ascontiguousarray(self.whole_cross[:, items].T))

    def cross_sizes(self, items):
        return np.full(len(items), self.n_items)


def gram_matrix(X, targets=None):
    """XᵀY as an ndarray (n_items, n_items), of csr_arrays (n_rows, n_items); Y is X or `targets`.

    XᵀX is computed on and below the diagonal alone.
    """
    n_items, by_item = X.shape[1], X.T.tocsr()  # a CSR times a CSR is dense by rows
    gram = np.empty((n_items, n_items), X.dtype)

    def fill(part):
        if targets is not None:
            (by_item[part] @ targets).toarray(out=gram[part])
            return
        block = (_rows_from(by_item, part.start) @ X[:, part]).toarray()
        gram[part.start :, part] = block
        gram[part, part.start :] = block.T

    parts = _parts(np.diff(by_item.indptr), max(X.nnz // _GRAM_BLOCKS, 1))
    side_by_side(fill, parts, blas_threads())
    return gram


def _rows_from(X, first):
    """The rows from `first` on, in the memory of X."""
    start = X.indptr[first]
    rows = X.data[start:], X.indices[start:], X.indptr[first:] - start
    return sp.csr_array(rows, shape=(X.shape[0] - first, X.shape[1]))


def neighborhood_matrices(gram, regs, n_neighbors, columns=None):
    """Weights for several λ from one pass over the data.

    Parameters
    ----------
    gram : SparseGram or DenseGram
    regs : sequence of float
        λ, added to the diagonal of XᵀX.
    n_neighbors : int
    columns : ndarray of int, default=None
        The items whose columns are solved; None is all.

    Returns
    -------
    matrices : list of csr_array of float32, shape (n_items, n_columns)
        One for each λ.
    """
    columns = np.arange(gram.n_items) if columns is None else columns
    n_batches = max(1, -(-len(columns) * n_neighbors**2 // _BLOCK_NUMBERS))
    buffer = np.empty((-(-len(columns) // n_batches) * n_neighbors, n_neighbors), np.float32)
    parts = []
    for items in np.array_split(columns, n_batches):
        neighbors, common, counts = nearest_items(gram, items, n_neighbors)
        local = _local_grams(gram, neighbors, counts, buffer)
        weights = _solved(local, common, counts, regs)
        filled = np.arange(n_neighbors) < counts[:, None]
        parts.append((counts, neighbors[filled], weights[:, filled]))
    counts, neighbors = (np.concatenate(part) for part in list(zip(*parts, strict=True))[:2])
    indptr = np.concatenate([[0], np.cumsum(counts)])
    shape = gram.n_items, len(columns)
    return [
        sp.csc_array(
            (np.concatenate([w[i] for _, _, w in parts]), neighbors, indptr), shape
        ).tocsr()
        for i in range(len(regs))
    ]


def nearest_items(gram, items, n_neighbors):
    """The items most similar to each of `items` by cosine, of those met with it at all.

    Returns
    -------
    neighbors : ndarray of int32, shape (n, n_neighbors)
        In ascending order, then zeros that mean nothing. Of equal cosines lower ids come first.
    common : ndarray of float32, shape (n, n_neighbors)
        Their entries of XᵀY.
    counts : ndarray of int64, shape (n,)
        How many there are.
    """
    norms = np.sqrt(gram.diagonal).astype(np.float32)
    found = [
        _nearest_in(gram.cross(items[part]), items[part], norms, n_neighbors)
        for part in _parts(gram.cross_sizes(items), _SEARCH_ENTRIES)
    ]
    if not found:
        empty = np.zeros((0, n_neighbors))
        return empty.astype(np.int32), empty.astype(np.float32), np.zeros(0, np.int64)
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))


def _parts(sizes, most):
    """Slices of consecutive places with `sizes` of about `most` together, one place at least."""
    total = np.cumsum(sizes)
    limits = np.arange(most, total[-1] if len(total) else 0, most)
    ends = np.unique([0, *np.searchsorted(total, limits), len(sizes)])
    return [slice(first, last) for first, last in pairwise(ends.tolist())]


def _nearest_in(cross, items, norms, n_neighbors):
    """`nearest_items` for rows of XᵀY."""
    own = cross.indices == np.repeat(items, np.diff(cross.indptr))
    cosine = cross.data / norms[cross.indices]
    cosine[own] = -np.inf
    # One integer that sorts by (cosine descending, item ascending)
    bits = (cosine + np.float32(0)).view(np.int32)
    key = (~np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)).astype(np.int64)
    key <<= 32
    key |= cross.indices
    n_own = np.diff(np.concatenate([[0], np.cumsum(own)])[cross.indptr])
    counts = np.minimum(np.diff(cross.indptr) - n_own, n_neighbors).astype(np.int64)
    entry = np.zeros((len(items), n_neighbors), np.int64)
    bounds = cross.indptr.tolist()
    for row, (count, start, stop) in enumerate(
        zip(counts.tolist(), bounds[:-1], bounds[1:], strict=True)
    ):
        if count < stop - start:
            entry[row, :count] = start + np.argpartition(key[start:stop], count)[:count]
        else:
            entry[row, :count] = np.arange(start, stop)
    filled = np.arange(n_neighbors) < counts[:, None]
    neighbors = np.full(entry.shape, len(norms), np.int32)
    neighbors[filled] = cross.indices[entry[filled]]
    order = np.argsort(neighbors, axis=1)
    entry, neighbors = (np.take_along_axis(part, order, axis=1) for part in (entry, neighbors))
    common = np.zeros(entry.shape, np.float32)
    common[filled] = cross.data[entry[filled]]
    neighbors[~filled] = 0
    return neighbors, common, counts


def _local_grams(gram, neighbors, counts, buffer):
    """XᵀX among the neighbours of each item: (n, n_neighbors, n_neighbors) of float32.

    A row of XᵀX is computed once, and copied to all neighbourhoods that its item is in. Memory new
    to the process can cost more than what is written to it, hence the `buffer`.
    """
    n, k = neighbors.shape
    local = buffer[: n * k]  # beyond `counts` never read
    places = np.flatnonzero(np.arange(k) < counts[:, None])
    places = places[np.argsort(neighbors.ravel()[places], kind="stable")]
    members, starts = np.unique(neighbors.ravel()[places], return_index=True)
    starts = np.append(starts, len(places))
    for block, rows in gram.row_blocks(members):
        first, last = block.start, block.stop
        offset = np.repeat(np.arange(last - first), np.diff(starts[first : last + 1]))
        offset *= gram.n_items
        for start in range(0, len(offset), _PAIRS):
            part = places[starts[first] + start : starts[last]][:_PAIRS]
            cells = offset[start : start + _PAIRS, None] + neighbors[part // k]
            local[part] = rows.take(cells, mode="clip")
    return local.reshape(n, k, k)


def _solved(local, common, counts, regs):
    """(local + λI)⁻¹·common for every λ: (n_regs, n, n_neighbors) of float32."""
    weights = np.zeros((len(regs), *common.shape), np.float32)
    for item, n in enumerate(counts.tolist()):
        for i, reg in enumerate(regs if n else ()):
            matrix = local[item, :n, :n].copy()
            matrix.ravel()[:: n + 1] += np.float32(reg)
            # transposed it is in LAPACK's order, and the same, being symmetric
            solution, info = lapack.sposv(matrix.T, common[item, :n], overwrite_a=1)[1:]
            if info != 0:
                raise ValueError(
                    f"XᵀX + reg·I of a neighbourhood cannot be inverted with reg={reg}; "
                    "use a larger value."
                )
            weights[i, item, :n] = solution
    return weights
