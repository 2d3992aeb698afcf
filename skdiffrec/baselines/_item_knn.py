"""Item-item nearest neighbours by cosine."""

import numbers

import numpy as np
import scipy.sparse as sp

from .._utils.rows import entry_rows, rank_in_rows, select_entries
from .._utils.typing import BaselineValues
from .._utils.validation import Interval
from ._constraints import HISTORY_CONSTRAINTS
from ._item_item import ItemItemRecommender

_ITEM_BLOCK = 1024  # items whose similarities are held at once


class ItemKNNRecommender(ItemItemRecommender):
    """Item-item nearest neighbours: items like those of the history, by shrunk cosine [1]_.

    Two items are alike if the same users took both; every item of a history votes for its
    `n_neighbors` most similar items. Only similarities above zero are stored, so memory stays small
    for large catalogues.

    Parameters
    ----------
    n_neighbors : int, default=100
        Most similar items kept of every item, ties by lower id; an item is no neighbour of itself.
    shrinkage : float, default=0.0
        Added to the product of the norms that the cosine divides by; larger trusts items of few
        users less.
    values : {"binary", "weight", "time"}, default="binary"
        What the values of X mean. With times, the history that a list is made from is weighted by
        recency.
    half_life : float or None, default=5.0
        Age, in items, at which an item of a history has half the weight (``values="time"``); None
        gives all the same weight.

    Attributes
    ----------
    similarity_ : csr_array of float32, shape (n_items, n_items)
        Row i holds the neighbours of item i; scores are ``history @ similarity_``.
    n_features_in_ : int
        Number of items.

    References
    ----------
    .. [1] Deshpande and Karypis, "Item-Based Top-N Recommendation Algorithms", 2004.

    Examples
    --------
    >>> from skdiffrec.baselines import ItemKNNRecommender
    >>> model = ItemKNNRecommender().fit([[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1]])
    >>> model.recommend(X=[[1, 0, 0, 0]], k=2)[0]
    array([[1, 3]])
    """

    _parameter_constraints = {
        "n_neighbors": [Interval(numbers.Integral, 1, None, closed="left")],
        "shrinkage": [Interval(numbers.Real, 0, None, closed="left")],
        **HISTORY_CONSTRAINTS,
    }
    _saved_arrays = {"similarity_": "csr"}
    _weights_name = "similarity_"

    similarity_: sp.csr_array

    def __init__(
        self,
        *,
        n_neighbors: int = 100,
        shrinkage: float = 0.0,
        values: BaselineValues = "binary",
        half_life: float | None = 5.0,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage
        self.values = values
        self.half_life = half_life

    def _solve(self, rows):
        by_item = rows.astype(np.float64).T.tocsr()
        norms = np.sqrt(by_item.power(2).sum(axis=1))
        blocks = [
            _neighbors(by_item, norms, slice(start, start + _ITEM_BLOCK), self)
            for start in range(0, rows.shape[1], _ITEM_BLOCK)
        ]
        return sp.vstack(blocks, format="csr")


def _neighbors(by_item, norms, block, model):
    """The most similar items of a block of items: a CSR of float32, (n_in_block, n_items)."""
    similarity = (by_item[block] @ by_item.T).tocsr()
    similarity.sort_indices()
    row, column = entry_rows(similarity), similarity.indices
    similarity.data /= norms[block][row] * norms[column] + model.shrinkage
    similarity = select_entries(similarity, column != row + block.start)
    similarity.data = similarity.data.astype(np.float32)  # rounding must not settle ties
    ranks = rank_in_rows(similarity, -similarity.data, similarity.indices)
    return select_entries(similarity, ranks < model.n_neighbors)
