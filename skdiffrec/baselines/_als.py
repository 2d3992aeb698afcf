"""Matrix factorisation by alternating least squares, from the package implicit."""

import copy
import numbers

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state

from .._utils.recency import history_weights
from .._utils.rows import ROW_MULTIPLE, pad_rows
from .._utils.similarity import cosine_similarity
from .._utils.tensor_file import check_record, is_number
from .._utils.threads import blas_limit, in_forked_process
from .._utils.typing import BaselineValues, FloatArray, RandomState
from .._utils.validation import Interval
from ._constraints import HISTORY_CONSTRAINTS
from ._similar_items import SimilarItemsRecommender


class ALSRecommender(SimilarItemsRecommender):
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
        What the values of X mean; weights are confidences. With times, the history that a list is
        made from is weighted by recency.
    half_life : float or None, default=5.0
        Age, in items, at which an item of a history has half the weight (``values="time"``); None
        gives all the same weight.
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
        **HISTORY_CONSTRAINTS,
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
        values: BaselineValues = "binary",
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
        with blas_limit(1):  # BLAS threads inside its own make it ten times slower
            self._als = self._new_als(seed)
            rows = sp.csr_matrix(history_weights(X, self.values, None))
            try:
                with np.errstate(all="ignore"):
                    self._als.fit(rows, show_progress=False)
            except Exception as error:  # implicit's own, which names no parameter
                if type(error).__name__ != "ModelFitError":
                    raise
                raise ValueError(
                    f"ALS found no finite factors ({error}), with regularization="
                    f"{self.regularization} and alpha={self.alpha}. Use values nearer to 1."
                ) from error
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
            num_threads=_openmp_threads(),
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
        factors = self._als.item_factors
        if factors is None or not factors.flags.writeable:  # loaded, perhaps as a memmap
            self._als.item_factors = np.require(self.item_factors_, requirements="W")
        with blas_limit(1):
            self._als.YtY  # noqa: B018 - kept for the next block of rows
            als = copy.copy(self._als)
            als.num_threads = _openmp_threads()  # of this process, which may not be that of `fit`
            users = als.recalculate_user(np.arange(histories.shape[0]), sp.csr_matrix(histories))
        # in float32 the rounding of a row depends on how many rows there are
        scores = users.astype(np.float64) @ als.item_factors.T.astype(np.float64)
        return scores[:n].astype(np.float32)

    def _item_similarity(self):
        return cosine_similarity(self.item_factors_)


def _openmp_threads():
    """What implicit takes as `num_threads`; 0 is OpenMP's own choice."""
    return 1 if in_forked_process() else 0
