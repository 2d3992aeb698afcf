"""EASE: a linear item-item model in closed form."""

import numbers
from typing import Literal

import numpy as np

from .._closed_form.ease import ease_matrix
from .._utils.typing import BaselineValues, FloatArray
from .._utils.validation import Interval, StrOptions
from ._constraints import HISTORY_CONSTRAINTS
from ._item_item import ItemItemRecommender

_AUTO_RIDGE = 10.0  # as a multiple of the mean diagonal of XᵀX


class EASERecommender(ItemItemRecommender):
    """EASE: a linear item-item model in closed form (Steck 2019, arXiv 1905.03375).

    Among the strongest models of its kind on most data; time grows with the third power of the
    number of items, memory with the second.

    Parameters
    ----------
    reg : float or "auto", default=300.0
        Ridge λ added to the diagonal of XᵀX. Larger suits more users; "auto" is 10 times the mean
        of that diagonal.
    values : {"binary", "weight", "time"}, default="binary"
        What the values of X mean. With times, the history that a list is made from is weighted by
        recency.
    half_life : float or None, default=5.0
        Age, in items, at which an item of a history has half the weight (``values="time"``); None
        gives all the same weight.

    Attributes
    ----------
    item_weights_ : ndarray of float32, shape (n_items, n_items)
        B; scores are ``history @ B``. Zero diagonal.
    n_features_in_ : int
        Number of items.

    Examples
    --------
    >>> from skdiffrec.baselines import EASERecommender
    >>> from skdiffrec.datasets import make_interactions
    >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
    >>> EASERecommender(reg=50.0).fit(data.train).score(data.train, data.test) > 0.15
    True
    """

    _parameter_constraints = {
        "reg": [Interval(numbers.Real, 0, None, closed="neither"), StrOptions({"auto"})],
        **HISTORY_CONSTRAINTS,
    }
    _saved_arrays = {"item_weights_": ("n_features_in_", "n_features_in_")}
    _weights_name = "item_weights_"

    item_weights_: FloatArray

    def __init__(
        self,
        *,
        reg: float | Literal["auto"] = 300.0,
        values: BaselineValues = "binary",
        half_life: float | None = 5.0,
    ) -> None:
        self.reg = reg
        self.values = values
        self.half_life = half_life

    def _bytes_to_fit(self, n_items):
        return 12 * n_items**2  # in float64, and the result

    def _solve(self, rows):
        reg = self.reg
        if isinstance(reg, str):
            squares = np.sum(rows.data.astype(np.float64) ** 2)
            reg = _AUTO_RIDGE * squares / rows.shape[1]
        return ease_matrix(rows, reg)
