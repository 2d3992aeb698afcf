"""Items like given ones: blocked over items, no torch.

A similarity is a callable that takes ids (n,) and gives float32 (n, n_items), -inf where two items
have nothing in common.
"""

import numpy as np
import scipy.sparse as sp

from .topk import empty_lists, masked_topk, row_blocks


def most_similar(similarity, item_ids, k, n_items, columns=None):
    """The k items most similar to each of some others.

    Parameters
    ----------
    similarity : callable
        See the module's docstring.
    item_ids : ndarray of int64, shape (n,)
    k, n_items : int
    columns : ndarray of int64, ascending, default=None
        The only items that may be listed; None means all.

    Returns
    -------
    ids, scores : ndarrays of int64 and float32, shape (n, k)
        As from `masked_topk`; an item is not in its own list.
    """
    ids, scores = empty_lists(len(item_ids), k)
    for block in row_blocks(len(item_ids), n_items):
        own = _one_hot(item_ids[block], n_items)
        ids[block], scores[block] = masked_topk(similarity(item_ids[block]), k, own, columns)
    return ids, scores


def cosine_similarity(vectors):
    """Similarity of items by the angle between their vectors (n_items, d)."""
    unit = np.array(vectors, dtype=np.float64)  # in float32 rounding depends on the block
    lengths = np.linalg.norm(unit, axis=1, keepdims=True)
    unit /= np.where(lengths > 0, lengths, 1)
    return lambda ids: (unit[ids] @ unit.T).astype(np.float32)


def stored_similarity(matrix):
    """Similarity that a sparse matrix stores."""

    def similarity(ids):
        rows = matrix[ids]
        dense = np.full(rows.shape, -np.inf, np.float32)
        dense[np.repeat(np.arange(len(ids)), np.diff(rows.indptr)), rows.indices] = rows.data
        return dense

    return similarity


def _one_hot(ids, n_items):
    parts = np.ones(len(ids), np.float32), ids, np.arange(len(ids) + 1)
    return sp.csr_array(parts, shape=(len(ids), n_items))
