"""What item-item models share: scores are the history times a matrix of item-item weights."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from .._utils.recency import history_weights
from .._utils.rows import entry_rows
from .._utils.similarity import stored_similarity
from ._constraints import HISTORY_CONSTRAINTS
from ._similar_items import SimilarItemsRecommender


class ItemItemRecommender(SimilarItemsRecommender):
    """Base of recommenders whose scores are ``history @ D``, with D of shape (n_items, n_items).

    A subclass has the parameters `values` and `half_life`, defines ``_solve(rows)``, which gives D
    (an ndarray or csr_array of float32) for weighted rows, and names the attribute that D is kept
    in as `_weights_name`. One that does can be the ``closed_form`` of a
    `CFGDiffusionRecommender`.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffrec.baselines import ItemItemRecommender
    >>> class TogetherRecommender(ItemItemRecommender):
    ...     _weights_name = "together_"
    ...     def __init__(self, *, values="binary", half_life=5.0):
    ...         self.values = values
    ...         self.half_life = half_life
    ...     def _solve(self, rows):
    ...         return np.asarray((rows.T @ rows).toarray(), np.float32)
    >>> TogetherRecommender().fit([[1, 1, 0], [0, 1, 1], [1, 1, 0]]).recommend(0, k=1)[0]
    array([2])
    """

    half_life: float | None = 5.0
    _parameter_constraints = dict(HISTORY_CONSTRAINTS)
    _weights_name: str

    def _solve(self, rows: sp.csr_array) -> Any:
        raise NotImplementedError

    def _learn(self, X, row_weight=None):
        """D of canonical rows, which stand for `row_weight` users each (None: for one)."""
        rows = history_weights(X, self.values, None)  # recency is for histories at prediction
        if row_weight is not None:  # the Gram matrix then counts a row so many times
            data = rows.data * np.sqrt(row_weight)[entry_rows(rows)]
            rows = sp.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
        return _checked(self._solve(rows), X.shape[1], type(self).__name__)

    def _fit(self, X):
        setattr(self, self._weights_name, self._learn(X))

    def _score_rows(self, X):
        history = history_weights(X, self.values, self.half_life)
        scores = history @ getattr(self, self._weights_name)
        return scores.toarray() if sp.issparse(scores) else scores

    def _item_similarity(self):
        weights = getattr(self, self._weights_name)
        return stored_similarity(weights) if sp.issparse(weights) else weights.__getitem__


def _checked(D, n_items, name):
    """Item-item weights as an ndarray or a csr_array of float32."""
    D = sp.csr_array(D) if sp.issparse(D) else np.asarray(D)
    if D.shape != (n_items, n_items):
        raise ValueError(
            f"{name}._solve gave an array of shape {D.shape} for {n_items} items; it must be "
            f"({n_items}, {n_items})."
        )
    return D.astype(np.float32, copy=False)
