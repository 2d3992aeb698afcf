"""Strong simple models with the same API, to hold a diffusion recommender against; no torch."""

import copy
import numbers

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits

from ._closed_form.solver import ease_matrix
from ._utils.rows import ROW_MULTIPLE, entry_rows, pad_rows, rank_in_rows, select_entries
from ._utils.similarity import SimilarItemsMixin, cosine_similarity, stored_similarity
from ._utils.tensor_file import check_record, is_number
from ._utils.typing import FloatArray, RandomState, Values
from ._utils.validation import VALUES, Interval, StrOptions
from .base import BaseRecommender
from .preprocessing import history_weights

__all__ = [
    "ALSRecommender",
    "EASERecommender",
    "ItemKNNRecommender",
    "PopularityRecommender",
]

_ITEM_BLOCK = 1024  # items whose similarities are held at once

_HISTORY_CONSTRAINTS = {
    "values": [StrOptions(set(VALUES))],
    "half_life": [Interval(numbers.Real, 0, None, closed="neither"), None],
}


def _training_weights(X, values):
    """Weights of the training rows: recency helps the history that a list is made from only."""
    return history_weights(X, values, None)


class PopularityRecommender(BaseRecommender):
    """Recommend what most users took: the same scores for everybody.

    Parameters
    ----------
    values : {"binary", "weight", "time"}, default="binary"
        What the values of X say. Items are counted; weights add up to the popularity instead.

    Attributes
    ----------
    popularity_ : ndarray of float32, shape (n_items,)
        Users, or summed weights, per item.
    n_features_in_ : int
        Number of items.

    Examples
    --------
    >>> from skdiffrec.baselines import PopularityRecommender
    >>> model = PopularityRecommender().fit([[1, 1, 0], [0, 1, 0], [0, 1, 1]])
    >>> model.recommend(0, k=1, filter_seen=False)[0]
    array([1])
    """

    _parameter_constraints = {"values": _HISTORY_CONSTRAINTS["values"]}
    _saved_arrays = {"popularity_": ("n_features_in_",)}

    popularity_: FloatArray

    def __init__(self, *, values: Values = "binary") -> None:
        self.values = values

    def _fit(self, X):
        self.popularity_ = np.asarray(_training_weights(X, self.values).sum(axis=0), np.float32)

    def _score_rows(self, X):
        return np.tile(self.popularity_, (X.shape[0], 1))


class EASERecommender(SimilarItemsMixin, BaseRecommender):
    """EASE: a linear item-item model in closed form (Steck 2019, arXiv 1905.03375).

    Among the strongest models of its kind on most data; time grows with the third power of the
    number of items, memory with the second.

    Parameters
    ----------
    reg : float, default=300.0
        Ridge λ on the diagonal of XᵀX, in users. Larger suits more users.
    values : {"binary", "weight", "time"}, default="binary"
        What the values of X say. Times weigh the history that a list is made from by recency.
    half_life : float or None, default=5.0
        Age, in items, at which a history's item weighs half (``values="time"``); None weighs all
        alike.

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
        "reg": [Interval(numbers.Real, 0, None, closed="neither")],
        **_HISTORY_CONSTRAINTS,
    }
    _saved_arrays = {"item_weights_": ("n_features_in_", "n_features_in_")}

    item_weights_: FloatArray

    def __init__(
        self, *, reg: float = 300.0, values: Values = "binary", half_life: float | None = 5.0
    ) -> None:
        self.reg = reg
        self.values = values
        self.half_life = half_life

    def _fit(self, X):
        self.item_weights_ = ease_matrix(_training_weights(X, self.values), self.reg)

    def _score_rows(self, X):
        return history_weights(X, self.values, self.half_life) @ self.item_weights_

    def _item_similarity(self):
        return self.item_weights_.__getitem__


class ItemKNNRecommender(SimilarItemsMixin, BaseRecommender):
    """Item-item nearest neighbours: items like those of the history, by shrunk cosine [1]_.

    Two items are alike if the same users took both; every item of a history votes for its
    `n_neighbors` most similar items. Only similarities above zero are stored, so large catalogues
    are no trouble.

    Parameters
    ----------
    n_neighbors : int, default=100
        Most similar items kept of every item, ties by lower id; an item is no neighbour of itself.
    shrinkage : float, default=0.0
        Added to the product of the norms that the cosine divides by; larger trusts items of few
        users less.
    values : {"binary", "weight", "time"}, default="binary"
        What the values of X say. Times weigh the history that a list is made from by recency.
    half_life : float or None, default=5.0
        Age, in items, at which a history's item weighs half (``values="time"``); None weighs all
        alike.

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
        **_HISTORY_CONSTRAINTS,
    }
    _saved_arrays = {"similarity_": "csr"}

    similarity_: sp.csr_array

    def __init__(
        self,
        *,
        n_neighbors: int = 100,
        shrinkage: float = 0.0,
        values: Values = "binary",
        half_life: float | None = 5.0,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage
        self.values = values
        self.half_life = half_life

    def _fit(self, X):
        by_item = _training_weights(X, self.values).astype(np.float64).T.tocsr()
        norms = np.sqrt(by_item.power(2).sum(axis=1))
        blocks = [
            _neighbors(by_item, norms, slice(start, start + _ITEM_BLOCK), self)
            for start in range(0, X.shape[1], _ITEM_BLOCK)
        ]
        self.similarity_ = sp.vstack(blocks, format="csr")

    def _score_rows(self, X):
        history = history_weights(X, self.values, self.half_life)
        return (history @ self.similarity_).toarray()

    def _item_similarity(self):
        return stored_similarity(self.similarity_)


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


class ALSRecommender(SimilarItemsMixin, BaseRecommender):
    """Weighted matrix factorisation by alternating least squares, from the package `implicit`.

    Every history, known or new, is folded in: its user factors are solved for, so a new row needs
    no retraining. Install `implicit` with ``pip install skdiffrec[benchmark]``.

    Parameters
    ----------
    factors : int, default=64
        Rank of the factorisation.
    regularization : float, default=0.01
        Ridge on the factors.
    alpha : float, default=1.0
        Factor of the confidence of an interaction.
    iterations : int, default=15
        Rounds of alternation.
    values : {"binary", "weight", "time"}, default="binary"
        What the values of X say; weights are confidences. Times weigh the history that a list is
        made from by recency.
    half_life : float or None, default=5.0
        Age, in items, at which a history's item weighs half (``values="time"``); None weighs all
        alike.
    random_state : int, RandomState instance or None, default=None
        Of the first factors.

    Attributes
    ----------
    item_factors_ : ndarray of float32, shape (n_items, factors)
    n_features_in_ : int
        Number of items.

    References
    ----------
    .. [1] Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", 2008.

    Examples
    --------
    >>> from skdiffrec.baselines import ALSRecommender
    >>> from skdiffrec.datasets import make_interactions
    >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
    >>> model = ALSRecommender(factors=16, random_state=0).fit(data.train)
    >>> model.recommend([3, 1], k=4)[0].shape
    (2, 4)
    """

    _parameter_constraints = {
        "factors": [Interval(numbers.Integral, 1, None, closed="left")],
        "regularization": [Interval(numbers.Real, 0, None, closed="left")],
        "alpha": [Interval(numbers.Real, 0, None, closed="neither")],
        "iterations": [Interval(numbers.Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        **_HISTORY_CONSTRAINTS,
    }
    _saved_arrays = {"item_factors_": ("n_features_in_", None)}

    item_factors_: FloatArray

    def __init__(
        self,
        *,
        factors: int = 64,
        regularization: float = 0.01,
        alpha: float = 1.0,
        iterations: int = 15,
        values: Values = "binary",
        half_life: float | None = 5.0,
        random_state: RandomState = None,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        self.values = values
        self.half_life = half_life
        self.random_state = random_state

    def _fit(self, X):
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        with threadpool_limits(1, "blas"):  # BLAS threads inside its own make it ten times slower
            self._als = self._new_als(seed)
            self._als.fit(sp.csr_matrix(_training_weights(X, self.values)), show_progress=False)
        self._als.user_factors = None  # every history is folded in
        self.item_factors_ = self._als.item_factors

    def _new_als(self, seed):
        try:
            from implicit.cpu.als import AlternatingLeastSquares
        except ImportError as error:
            raise ImportError(
                "ALSRecommender needs the package implicit: pip install skdiffrec[benchmark]"
            ) from error
        return AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.regularization,
            alpha=self.alpha,
            iterations=self.iterations,
            random_state=int(seed),
        )

    def _get_state(self):
        folding = {name: getattr(self._als, name) for name in ("regularization", "alpha")}
        return folding, super()._get_state()[1]

    def _set_state(self, state, tensors, device):
        check_record(state, {"regularization": is_number, "alpha": is_number}, "the fitted state")
        super()._set_state({}, tensors, device)
        self._als = self._new_als(seed=0)  # nothing is left to draw
        vars(self._als).update(state, factors=self.item_factors_.shape[1])

    def _score_rows(self, X):
        n = X.shape[0]
        histories = pad_rows(history_weights(X, self.values, self.half_life), ROW_MULTIPLE)
        als = copy.copy(self._als)
        als.item_factors = np.require(self.item_factors_, requirements="W")  # may be a memmap
        with threadpool_limits(1, "blas"):
            users = als.recalculate_user(np.arange(histories.shape[0]), sp.csr_matrix(histories))
        # in float32 the rounding of a row depends on how many rows there are
        scores = users.astype(np.float64) @ als.item_factors.T.astype(np.float64)
        return scores[:n].astype(np.float32)

    def _item_similarity(self):
        return cosine_similarity(self.item_factors_)
