"""Cross-validation over users: the model is not fitted to the test users."""

from collections.abc import Iterator
from numbers import Integral

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold

from .._utils.typing import HasHide, IntArray, MatrixLike, RandomState
from .._utils.validation import Interval
from ._holdout_base import seed_of
from ._holdouts import SampleFraction


class UnseenUsers(BaseEstimator):
    """Cross-validation in which the test users are new to the model.

    Each user with held-out items is in the test set of exactly one fold. Users without held-out
    items cannot be evaluated and are in every training set.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    holdout : object with ``hide(X) -> (history, holdout)``, default=None
        Holdout that `parts` applies to the test users. None uses
        ``SampleFraction(0.2, random_state=0)``.
    shuffle : bool, default=True
        Whether to assign users to folds at random; otherwise folds are blocks of rows.
    random_state : int, RandomState instance, Generator instance or None, default=None
        Seed of the assignment. Pass an int for the same folds on every call. Used only with
        `shuffle`.

    Notes
    -----
    Rows of training users are complete: with a holdout by time, they contain interactions from
    after the split times of the test users.

    Examples
    --------
    >>> from skdiffrec.baselines import EASERecommender
    >>> from skdiffrec.datasets import make_interactions
    >>> from skdiffrec.metrics import ndcg_at_k
    >>> from skdiffrec.model_selection import UnseenUsers
    >>> X = make_interactions(200, 90, random_state=0).train
    >>> for train, history, holdout in UnseenUsers(2, random_state=0).parts(X):
    ...     ids, _ = EASERecommender().fit(train).recommend(X=history, k=10)
    ...     print(train.shape, history.shape, 0 < ndcg_at_k(ids, holdout) < 1)
    (100, 90) (100, 90) True
    (100, 90) (100, 90) True

    With scikit-learn's tools, the estimator's own ``score`` holds out a part of the test rows:

    >>> from sklearn.model_selection import cross_val_score
    >>> cross_val_score(EASERecommender(), X, cv=UnseenUsers(3, random_state=0)).shape
    (3,)
    """

    _parameter_constraints = {
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "holdout": [object],
        "shuffle": ["boolean"],
        "random_state": ["random_state", np.random.Generator],
    }

    def __init__(
        self,
        n_splits: int = 5,
        *,
        holdout: HasHide | None = None,
        shuffle: bool = True,
        random_state: RandomState | np.random.Generator = None,
    ) -> None:
        self.n_splits = n_splits
        self.holdout = holdout
        self.shuffle = shuffle
        self.random_state = random_state

    def split(
        self, X: MatrixLike, y: object = None, groups: object = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Rows of the training users and of the test users, for ``cv=``.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Finite, non-negative values; a stored non-zero is an interaction.
        y, groups : object, default=None
            Ignored.

        Yields
        ------
        train_rows, test_rows : ndarray of int64, shape (n_train,) and (n_test,)
            Ascending row indices; disjoint, together all rows.

        Raises
        ------
        ValueError
            If fewer users than `n_splits` have held-out items, or a parameter or `X` is invalid.
        """
        yield from self._folds(self._hide(X)[1])

    def parts(self, X: MatrixLike) -> Iterator[tuple[csr_array, csr_array, csr_array]]:
        """The matrices of each split.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Finite, non-negative values; a stored non-zero is an interaction.
            Duplicate entries are merged as `hide` of the holdout does.

        Yields
        ------
        train : csr_array of float64, shape (n_train, n_items)
            Complete rows of the training users.
        history : csr_array of float64, shape (n_test, n_items)
            Histories of the test users, from which to recommend.
        holdout : csr_array of float64, shape (n_test, n_items)
            Held-out items of the test users, on which to evaluate.

        Raises
        ------
        ValueError
            As in `split`.
        TypeError
            If the parameter `holdout` has no method `hide`.
        """
        history, holdout = self._hide(X)
        complete = history + holdout
        for train, test in self._folds(holdout):
            yield complete[train], history[test], holdout[test]

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Number of splits.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored.

        Returns
        -------
        n_splits : int
        """
        return self.n_splits

    def _hide(self, X):
        self._validate_params()
        holdout = SampleFraction(0.2, random_state=0) if self.holdout is None else self.holdout
        if not hasattr(holdout, "hide"):
            raise TypeError(
                f"holdout must have a method hide(X) -> (history, holdout), got {holdout!r}. Give "
                "one of skdiffrec.model_selection, such as SampleFraction(0.2)."
            )
        return tuple(map(csr_array, holdout.hide(X)))  # of any format, if it is not one of ours

    def _folds(self, holdout):
        users = np.flatnonzero(np.diff(holdout.indptr))  # those with held-out items
        if len(users) < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits}, but only {len(users)} of the {holdout.shape[0]} users "
                "have held-out items. Lower n_splits, or give users with more items."
            )
        folds = KFold(self.n_splits, shuffle=self.shuffle, random_state=seed_of(self.random_state))
        for _, test in folds.split(users):
            train = np.ones(holdout.shape[0], bool)
            train[users[test]] = False
            yield np.flatnonzero(train), users[test]
