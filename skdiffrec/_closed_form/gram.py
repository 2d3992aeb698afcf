"""Gram matrices XᵀX and XᵀY of sparse rows, whole or row by row.

All work goes by blocks of stated size, so that memory does not grow with users or items beyond X
(and the Gram matrix, where it is made whole); block sizes change no result.
"""

from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from .._utils.threads import blas_threads, side_by_side

# In numbers held at once: rows that the cache can hold.
_ROW_NUMBERS = 1_000_000
SEARCH_ENTRIES = 2_000_000
_GRAM_BLOCKS = 8  # with fewer more is computed twice, with more in shorter runs


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
        for part in slices_of_size(self._sizes(self._by_item, items), SEARCH_ENTRIES):
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
    """XᵀX and XᵀY as whole matrices, with the methods of `SparseGram`.

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

    parts = slices_of_size(np.diff(by_item.indptr), max(X.nnz // _GRAM_BLOCKS, 1))
    side_by_side(fill, parts, blas_threads())
    return gram


def _rows_from(X, first):
    """The rows from `first` on, in the memory of X."""
    start = X.indptr[first]
    rows = X.data[start:], X.indices[start:], X.indptr[first:] - start
    return sp.csr_array(rows, shape=(X.shape[0] - first, X.shape[1]))


def slices_of_size(sizes, most):
    """Slices of consecutive places with `sizes` of about `most` together, one place at least."""
    total = np.cumsum(sizes)
    limits = np.arange(most, total[-1] if len(total) else 0, most)
    ends = np.unique([0, *np.searchsorted(total, limits), len(sizes)])
    return [slice(first, last) for first, last in pairwise(ends.tolist())]
