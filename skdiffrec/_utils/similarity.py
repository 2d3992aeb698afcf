"""Items like given ones: blocked over items, no torch."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from .topk import masked_topk
from .validation import check_item_list, check_k

_BLOCK_ELEMENTS = 2**22  # similarities held at once: 32 MB in float64


class SimilarItemsMixin:
    """`similar_items` of a recommender.

    A subclass defines ``_item_similarity() -> callable``, which takes ids (n,) and gives float32
    (n, n_items), -inf where two items have nothing in common.
    """

    def similar_items(
        self,
        item_ids: ArrayLike,
        k: int = 10,
        *,
        filter_items: ArrayLike | None = None,
        items: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the items most similar to given ones.

        Parameters
        ----------
        item_ids : int or array-like of int, shape (n,)
            Repeats are allowed and the order is kept.
        k : int, default=10
            Length of the lists.
        filter_items : array-like of int, default=None
            Items never to list.
        items : array-like of int, default=None
            List only these.

        Returns
        -------
        ids : ndarray of int64, shape (n, k), or (k,) for one int
            Similar items, most similar first, ties by lower id; an item is not in its own list. A
            list that cannot be filled ends in -1.
        scores : ndarray of float32, same shape
            Their similarities; -inf beside -1.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError, IndexError
            For item ids that are not integers or out of range, ``k < 1``.

        Examples
        --------
        >>> from skdiffrec.baselines import ItemKNNRecommender
        >>> model = ItemKNNRecommender().fit([[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1]])
        >>> model.similar_items(0, k=2)
        (array([1, 3]), array([1. , 0.5], dtype=float32))
        """
        check_is_fitted(self)
        return self._similar_items(item_ids, k, filter_items, items, self._item_similarity)

    def _similar_items(self, item_ids, k, filter_items, items, new_similarity):
        """`similar_items` by ``new_similarity()``, which is as `_item_similarity`."""
        k, n_items = check_k(k), self.n_features_in_
        item_ids, scalar = check_item_list("item_ids", item_ids, n_items)
        columns = self._allowed_items(filter_items, items)
        ids = np.empty((len(item_ids), k), np.int64)
        scores = np.empty(ids.shape, np.float32)
        similarity = new_similarity()
        step = max(1, _BLOCK_ELEMENTS // n_items)
        for start in range(0, len(item_ids), step):
            block = slice(start, start + step)
            own = _one_hot(item_ids[block], n_items)
            ids[block], scores[block] = masked_topk(similarity(item_ids[block]), k, own, columns)
        return (ids[0], scores[0]) if scalar else (ids, scores)


def cosine_similarity(vectors):
    """`_item_similarity` of items by the angle between their vectors (n_items, d)."""
    unit = np.array(vectors, dtype=np.float64)  # in float32 rounding depends on the block
    lengths = np.linalg.norm(unit, axis=1, keepdims=True)
    unit /= np.where(lengths > 0, lengths, 1)
    return lambda ids: (unit[ids] @ unit.T).astype(np.float32)


def stored_similarity(matrix):
    """`_item_similarity` of a sparse matrix, which has no entry where there is nothing to say."""

    def similarity(ids):
        rows = matrix[ids]
        dense = np.full(rows.shape, -np.inf, np.float32)
        dense[np.repeat(np.arange(len(ids)), np.diff(rows.indptr)), rows.indices] = rows.data
        return dense

    return similarity


def _one_hot(ids, n_items):
    parts = np.ones(len(ids), np.float32), ids, np.arange(len(ids) + 1)
    return sp.csr_array(parts, shape=(len(ids), n_items))
