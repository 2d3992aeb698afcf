"""What a search answers as its best estimator does."""

from collections.abc import Mapping
from typing import Any

from scipy.sparse import csr_array
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._utils.typing import ArrayLike, FloatArray, IntArray, MatrixLike, Method, NDArray
from ._pipelines import inside_pipeline


def _refitted(self):
    """Whether `fit` sets a best estimator, which methods delegate to."""
    return bool(self.refit)


def _if_refitted(method: Method) -> Method:
    """`available_if` with the type of the method preserved."""
    return available_if(_refitted)(method)


class AsBestEstimator:
    """Methods and attributes of a search that are those of its `best_estimator_`."""

    refit: bool | str
    best_estimator_: Any
    _left_out: csr_array | None = None  # of the rows of `fit`, by steps of a pipeline

    def _inside(self, options, user_ids):
        """(recommender, options of its `recommend`) for those of this search."""
        return inside_pipeline(self.best_estimator_, options, user_ids, self._left_out)

    @_if_refitted
    def recommend(
        self, user_ids: ArrayLike | None = None, k: int = 10, **options: Any
    ) -> tuple[IntArray, FloatArray]:
        """Recommend with the best estimator, at the best scale.

        Items of a history are not listed, as in `score`, also where a step of a pipeline leaves
        them out; with ``cv="prefit"`` that holds of lists for `X`.

        Parameters
        ----------
        user_ids : int or array-like of int, shape (n,), default=None
            Rows of the matrix given to `fit`; None means all.
        k : int, default=10
            Length of the lists.
        **options
            Further arguments of the estimator's `recommend`.

        Returns
        -------
        ids : ndarray of int64, shape (n, k)
            Recommended items, best first, as the estimator's `recommend` returns them.
        scores : ndarray of float32, shape (n, k)
            Their scores.

        Raises
        ------
        NotFittedError
            Before `fit`. With ``refit=False`` the method does not exist.
        """
        check_is_fitted(self, "best_estimator_")
        recommender, options = self._inside(options, user_ids)
        return recommender.recommend(user_ids, k, **options)

    @_if_refitted
    def recommend_scales(
        self,
        scales: ArrayLike | Mapping[str, ArrayLike],
        user_ids: ArrayLike | None = None,
        k: int = 10,
        **options: Any,
    ) -> tuple[IntArray, FloatArray]:
        """Recommend with the best estimator at several scales.

        Parameters
        ----------
        scales : array-like of float, shape (n_scales,), or dict
            Guidance scales; a dict as in the estimator's `recommend_scales`.
        user_ids : int or array-like of int, shape (n,), default=None
            Rows of the matrix given to `fit`; None means all.
        k : int, default=10
            Length of the lists.
        **options
            Further arguments of the estimator's `recommend_scales`.

        Returns
        -------
        ids : ndarray of int64, shape (n_scales, n, k)
            Recommended items, best first.
        scores : ndarray of float32, shape (n_scales, n, k)
            Their scores.

        Raises
        ------
        NotFittedError
            Before `fit`. With ``refit=False`` the method does not exist.
        """
        check_is_fitted(self, "best_estimator_")
        recommender, options = self._inside(options, user_ids)
        return recommender.recommend_scales(scales, user_ids, k, **options)

    @_if_refitted
    def decision_function(self, X: MatrixLike, **options: Any) -> FloatArray:
        """Scores of all items from the best estimator, at the best scale.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.
        **options
            Further arguments of the estimator's `decision_function`.

        Returns
        -------
        scores : ndarray of float32, shape (n_users, n_items)
            Higher is better; comparable within a row.

        Raises
        ------
        NotFittedError
            Before `fit`. With ``refit=False`` the method does not exist.
        """
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.decision_function(X, **options)

    @property
    def n_features_in_(self) -> int:
        """Number of items."""
        return self.best_estimator_.n_features_in_

    @property
    def feature_names_in_(self) -> NDArray:
        """Names of the items, ndarray of str, if `fit` was given a data frame."""
        return self.best_estimator_.feature_names_in_
