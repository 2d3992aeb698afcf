"""Popularity: the same scores for everybody."""

import numpy as np

from .._utils.recency import item_popularity
from .._utils.typing import BaselineValues, FloatArray
from ..base import BaseRecommender
from ._constraints import HISTORY_CONSTRAINTS


class PopularityRecommender(BaseRecommender):
    """Recommend what most users took: the same scores for everybody.

    Parameters
    ----------
    values : {"binary", "weight", "time"}, default="binary"
        What the values of X mean. Users of an item are counted. With weights, each user counts by
        the share that the item's weight has of the largest weight in that user's row, so that
        nobody counts more than once.

    Attributes
    ----------
    popularity_ : ndarray of float32, shape (n_items,)
        Users per item; with weights the sum of their shares.
    n_features_in_ : int
        Number of items.

    Examples
    --------
    >>> from skdiffrec.baselines import PopularityRecommender
    >>> model = PopularityRecommender().fit([[1, 1, 0], [0, 1, 0], [0, 1, 1]])
    >>> model.recommend(0, k=1, filter_seen=False)[0]
    array([1])
    >>> PopularityRecommender(values="weight").fit([[1, 4, 0], [100, 25, 0]]).popularity_
    array([1.25, 1.25, 0.  ], dtype=float32)
    """

    _parameter_constraints = {"values": HISTORY_CONSTRAINTS["values"]}
    _saved_arrays = {"popularity_": ("n_features_in_",)}

    popularity_: FloatArray

    def __init__(self, *, values: BaselineValues = "binary") -> None:
        self.values = values

    def _fit(self, X):
        self.popularity_ = item_popularity(X, self.values)

    def _score_rows(self, X):
        return np.tile(self.popularity_, (X.shape[0], 1))
