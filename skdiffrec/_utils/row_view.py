"""Rows that are made block by block when they are asked for, instead of kept as a second copy."""

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from .rows import row_lengths, small_ints, updated_csr

BLOCK_ENTRIES = 2**22  # of the rows that are trained on before others
PASS_ENTRIES = 2**20  # of the rows that are held at once where all are counted
PIECE_ENTRIES = 2**18  # of the rows that are made at once


class RowView:
    """Canonical rows of a source, picked and partly replaced.

    Like a csr_array it has `shape`, `nnz`, `indptr` and ``[rows]``, a slice or an array, which is a
    csr_array. It takes 4 bytes a row, and 4 more where rows are picked.

    Parameters
    ----------
    source : object
        Its ``[rows]`` is a canonical csr_array.
    n_items : int
    lengths : ndarray of int, shape (n_rows,)
        Entries of every row.
    picked : ndarray of int, shape (n_rows,), default=None
        Which rows of the source they are; None is all in order.
    places, replaced : ndarray of int64, shape (n,), and csr_array of shape (n, n_items)
        Rows of this view, ascending, that are others than in the source.
    """

    def __init__(self, source, n_items, lengths, picked=None, places=(), replaced=None):
        self.source, self.picked = source, None if picked is None else small_ints(picked)
        self.places, self.replaced = np.asarray(places, np.int64), replaced
        self.lengths = small_ints(lengths)
        self.shape, self.nnz = (len(lengths), n_items), int(lengths.sum(dtype=np.int64))

    @property
    def indptr(self):
        """Where every row begins and ends, int64 (n_rows + 1,), made when it is asked for."""
        return _offsets(self.lengths)

    def __getitem__(self, rows: Any) -> sp.csr_array:
        offsets = _offsets(self.lengths[rows])
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.shape[0])
            rows = range(start, stop) if step == 1 else np.arange(start, stop, step)
        parts = _slices(offsets, PIECE_ENTRIES)
        if len(parts) < 2:
            return self._made(rows)
        # what making takes besides, copies of entries, is then that of a piece
        data: Any = None
        indices: Any = None
        for part in parts:
            piece, entries = self._made(rows[part]), slice(offsets[part.start], offsets[part.stop])
            if data is None:
                data = np.empty(offsets[-1], piece.data.dtype)
                indices = np.empty(offsets[-1], piece.indices.dtype)
            data[entries], indices[entries] = piece.data, piece.indices
        return sp.csr_array((data, indices, offsets), shape=(len(rows), self.shape[1]))

    def _made(self, rows):
        """Rows by a range or an array."""
        asked = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
        found = self.source[asked if self.picked is None else self.picked[asked]]
        if isinstance(rows, range):
            rows = np.arange(rows.start, rows.stop)
        here, replaced = self._replaced_of(rows)
        return updated_csr(found, replaced, here) if len(here) else found

    def _replaced_of(self, rows):
        """(places among these rows of those that are replaced, what stands there)."""
        at = np.searchsorted(self.places, rows)
        here = np.flatnonzero(np.append(self.places, -1)[at] == rows)
        return here, None if self.replaced is None else self.replaced[at[here]]

    def pick(self, rows):
        """The view of some of its rows, an array."""
        picked = rows if self.picked is None else self.picked[rows]
        replaced = self._replaced_of(rows)
        return RowView(self.source, self.shape[1], self.lengths[rows], picked, *replaced)

    def replace(self, places, rows):
        """The view with other rows in some places, ascending."""
        lengths = self.lengths.copy()
        lengths[places] = np.diff(rows.indptr)
        return RowView(self.source, self.shape[1], lengths, self.picked, places, rows)


def picked_rows(X, rows):
    """Some rows of a csr_array or RowView, which are a view where they are many."""
    if isinstance(X, RowView):
        return X.pick(rows)
    if X.nnz <= BLOCK_ENTRIES:
        return X[rows]
    return RowView(X, X.shape[1], row_lengths(X)[rows], rows)


def replaced_rows(X, places, rows):
    """A csr_array or RowView with other rows in some places, ascending."""
    return X.replace(places, rows) if isinstance(X, RowView) else updated_csr(X, rows, places)


def blocks_of(X, n_entries=None):
    """Slices of consecutive rows of about so many entries together; a long row is whole.

    None is BLOCK_ENTRIES.
    """
    return _slices(X.indptr, n_entries or BLOCK_ENTRIES)


def _slices(offsets, n_entries):
    """Slices of consecutive rows, which begin at `offsets`, as `blocks_of` gives."""
    n = int(offsets[-1])
    ends = np.searchsorted(offsets, np.append(np.arange(0, n, n_entries), n))
    ends = np.unique([0, *ends, len(offsets) - 1])
    return [slice(first, last) for first, last in pairwise(ends.tolist())]


def _offsets(lengths):
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def row_parts(X):
    """Yield (slice of rows, csr_array of these rows) for all rows of a csr_array or RowView.

    Of a csr_array of one block all at once.
    """
    if sp.issparse(X) and X.nnz <= BLOCK_ENTRIES:
        yield slice(0, X.shape[0]), X
        return
    for part in blocks_of(X, PASS_ENTRIES):
        yield part, X[part]


def sum_over_rows(X, summed):
    """The sum of ``summed(rows, part)`` over all parts of the rows."""
    return sum(summed(rows, block) for block, rows in row_parts(X))
