"""Validation of `RowBlocks` for `fit`: each block as any matrix is checked."""

import numpy as np

from .canonical import RATING, refuse_contradictions
from .row_view import PASS_ENTRIES, RowView, blocks_of
from .validation import canonical_csr, check_interactions, warn_without_order


def check_blocks(estimator, X, *, values, reset):
    """A `RowView` of canonical rows, all of which were read and checked.

    Parameters
    ----------
    estimator : estimator
        Whose ``n_features_in_`` is set.
    X : RowBlocks
    values : {"binary", "weight", "time", "rating"}
    reset : bool
        True in ``fit``, the only method that takes them.
    """
    if not (reset and estimator._fits_blocks):
        of = "fit of CFGDiffusionRecommender"
        raise TypeError(
            f"X is RowBlocks, which only {of} takes. Give one block after the other, "
            "[model.recommend(X=block) for block in X], or X[:] if all rows fit into memory."
        )
    if values == RATING:
        raise ValueError(
            'RowBlocks hold no ratings: values="rating" needs a matrix, X[:] if it fits into '
            'memory. Or keep what is liked, and take values="weight" or "binary".'
        )
    rows = _Canonical(X, values)
    lengths, low, high, start = [], np.inf, -np.inf, 0
    for block in _small_blocks(X):
        stop = start + block.shape[0]
        try:
            block = check_interactions(estimator, block, values=values, reset=start == 0)
        except (TypeError, ValueError) as error:
            raise type(error)(f"Rows {start} to {stop - 1}: {error}") from None
        start = stop
        lengths.append(np.diff(block.indptr))
        if block.nnz:
            low, high = min(low, block.data.min()), max(high, block.data.max())
    if values == "time":
        times = np.array([low, high]) if low <= high else np.zeros(0)
        warn_without_order(times, 'values="time"', 'Give times, or values="binary".')
    return RowView(rows, X.shape[1], np.concatenate(lengths))


def _small_blocks(X):
    for block in X:
        refuse_contradictions("X", block)  # before its rows are sliced
        for part in blocks_of(block, PASS_ENTRIES):
            yield block[part]


class _Canonical:
    """Rows of RowBlocks in their canonical form."""

    def __init__(self, blocks, values):
        self.blocks, self.values = blocks, values

    def __getitem__(self, rows):
        return canonical_csr(self.blocks[rows], self.values)
