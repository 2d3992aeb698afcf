"""What recommenders share that say which items are alike."""

from collections.abc import Callable

from .._utils.similarity import most_similar
from .._utils.typing import ArrayLike, FloatArray, IntArray
from .._utils.validation import allowed_items, check_item_list, check_k, fitted_now
from ..base import BaseRecommender


class SimilarItemsRecommender(BaseRecommender):
    """Base of recommenders that say which items are alike.

    A subclass defines ``_item_similarity() -> callable``, which takes ids (n,) and gives float32
    (n, n_items), -inf where two items have nothing in common.
    """

    def _item_similarity(self) -> Callable[[IntArray], FloatArray]:
        raise NotImplementedError

    def similar_items(
        self,
        item_ids: ArrayLike,
        k: int = 10,
        *,
        filter_items: ArrayLike | None = None,
        items: ArrayLike | None = None,
    ) -> tuple[IntArray, FloatArray]:
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
        self = fitted_now(self)
        k, n_items = check_k(k), self.n_features_in_
        item_ids, scalar = check_item_list("item_ids", item_ids, n_items)
        columns = allowed_items(filter_items, items, n_items)
        ids, scores = most_similar(self._item_similarity(), item_ids, k, n_items, columns)
        return (ids[0], scores[0]) if scalar else (ids, scores)
