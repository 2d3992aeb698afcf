"""Masked top-k with a defined order: best first, ties by lower item id."""

import numpy as np


def masked_topk(scores, k, seen=None, columns=None):
    """The k best items of every row.

    Parameters
    ----------
    scores : ndarray of float32, shape (n_rows, n_items)
        May be changed in place.
    k : int
    seen : csr_array of shape (n_rows, n_items), default=None
        Stored entries are never returned.
    columns : ndarray of int64, ascending, default=None
        The only items that may be returned; None means all.

    Returns
    -------
    ids : ndarray of int64, shape (n_rows, k)
        -1 where no item is left.
    top : ndarray of float32, shape (n_rows, k)
        -inf where no item is left.
    """
    n_rows = len(scores)
    if seen is not None:
        scores[np.repeat(np.arange(n_rows), np.diff(seen.indptr)), seen.indices] = -np.inf
    if columns is not None:
        scores = scores[:, columns]
    n_listed = min(k, scores.shape[1])
    ids = np.full((n_rows, k), -1, np.int64)
    top = np.full((n_rows, k), -np.inf, np.float32)
    if n_listed:
        place = _best(scores, n_listed)
        top[:, :n_listed] = np.take_along_axis(scores, place, axis=1)
        ids[:, :n_listed] = place if columns is None else columns[place]
        ids[np.isneginf(top)] = -1
    return ids, top


def _best(scores, k):
    """Columns of the k largest scores, best first.

    Score and column are packed into one integer that sorts as (score descending, column
    ascending), so that partitioning, which knows no ties, settles them too.
    """
    bits = (scores + np.float32(0)).view(np.int32)  # + 0 turns -0. into 0.
    ordered = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    key = (~ordered).astype(np.int64)
    key <<= 32
    key |= np.arange(scores.shape[1], dtype=np.int64)
    if k < key.shape[1]:
        key = np.partition(key, k - 1, axis=1)[:, :k]
    key.sort(axis=1)
    return key & 0xFFFFFFFF
