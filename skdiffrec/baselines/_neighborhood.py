"""Ridge regression of every item on the items most often met with it."""

import numbers
from typing import Literal

import numpy as np
import scipy.sparse as sp

from .._closed_form.gram import DenseGram, SparseGram
from .._closed_form.neighborhood import neighborhood_matrices
from .._closed_form.solver import EASE_MAX_ITEMS
from .._utils.typing import BaselineValues
from .._utils.validation import Interval, StrOptions
from ._constraints import HISTORY_CONSTRAINTS
from ._item_item import ItemItemRecommender

_AUTO_RIDGE = 3.0  # as a multiple of the mean diagonal of XᵀX


class NeighborhoodRecommender(ItemItemRecommender):
    """Ridge regression of every item on the items that are most often met with it.

    The neighbourhood form of SLIM (Ning and Karypis 2011), with a ridge alone: EASE for catalogues
    that are too large for it. Time grows with n_items · n_neighbors³, memory with
    n_items · n_neighbors.

    Parameters
    ----------
    n_neighbors : int, default=100
        Items that an item is predicted from: those most similar to it by cosine.
    reg : float or "auto", default="auto"
        Ridge λ added to the diagonal of XᵀX; "auto" is 3 times the mean of that diagonal.
    length_exponent : float, default=0.5
        A user of n items counts as ``n ** -length_exponent`` users; 0 counts all users alike.
    values : {"binary", "weight", "time"}, default="binary"
        What the values of X mean. With times, the history that a list is made from is weighted by
        recency.
    half_life : float or None, default=5.0
        Age, in items, at which an item of a history has half the weight (``values="time"``); None
        gives all the same weight.

    Attributes
    ----------
    item_weights_ : csr_array of float32, shape (n_items, n_items)
        Scores are ``history @ item_weights_``. Zero diagonal.
    n_features_in_ : int
        Number of items.

    References
    ----------
    .. [1] Ning and Karypis, "SLIM: Sparse Linear Methods for Top-N Recommender Systems", 2011.

    Examples
    --------
    >>> from skdiffrec.baselines import NeighborhoodRecommender
    >>> from skdiffrec.datasets import make_interactions
    >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
    >>> NeighborhoodRecommender(n_neighbors=50).fit(data.train).score(data.train, data.test) > 0.15
    True
    """

    _parameter_constraints = {
        "n_neighbors": [Interval(numbers.Integral, 1, None, closed="left")],
        "reg": [Interval(numbers.Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "length_exponent": [Interval(numbers.Real, 0, 2, closed="both")],
        **HISTORY_CONSTRAINTS,
    }
    _saved_arrays = {"item_weights_": "csr"}
    _weights_name = "item_weights_"

    item_weights_: sp.csr_array

    def __init__(
        self,
        *,
        n_neighbors: int = 100,
        reg: float | Literal["auto"] = "auto",
        length_exponent: float = 0.5,
        values: BaselineValues = "binary",
        half_life: float | None = 5.0,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.reg = reg
        self.length_exponent = length_exponent
        self.values = values
        self.half_life = half_life

    def _learn(self, X, row_weight=None):
        length = np.maximum(np.diff(X.indptr), 1.0)
        weight = 1.0 if row_weight is None else row_weight
        return super()._learn(X, weight * length**-self.length_exponent)

    def _solve(self, rows):
        # looking entries up is faster than computing them by blocks, while all of them fit
        dense = rows.shape[1] <= EASE_MAX_ITEMS
        gram = (DenseGram.of_rows if dense else SparseGram)(rows)
        reg = self.reg
        if isinstance(reg, str):
            reg = _AUTO_RIDGE * gram.diagonal.mean()
        return neighborhood_matrices(gram, [reg], self.n_neighbors)[0]
