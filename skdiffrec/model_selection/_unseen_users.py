"""Cross-validation over users: the test users are unknown to the model."""

from collections.abc import Iterator
from numbers import Integral

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold

from .._typing import HasHide, IntArray, MatrixLike, RandomState
from .._validation import Interval
from ._holdout_base import seed_of
from ._holdouts import SampleFraction


class UnseenUsers(BaseEstimator):
    """Cross-validation in which the test users are new to the model.

    Every user of whom the holdout hides something is in exactly one test part. The others cannot
    be judged, and are always in the training part.

    Parameters
    ----------
    n_splits : int, default=5
        Number of parts, at least 2.
    holdout : object with ``hide(X) -> (history, holdout)``, default=None
        What `parts` hides of the test users. None means
        ``SampleFraction(0.2, random_state=0)``.
    shuffle : bool, default=True
        Deal the users out at random; else the parts are blocks of rows.
    random_state : int, RandomState instance, Generator instance or None, default=None
        An int deals the users out in the same way each time. Only with `shuffle`.

    Notes
    -----
    Rows of training users are whole: with a holdout in time, they hold things from after the cuts
    of the test users.

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

    With scikit-learn's tools the estimator's own ``score`` hides a part of the test rows:

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
            Finite and non-negative; a stored non-zero is an interaction.
        y, groups : object, default=None
            Ignored.

        Yields
        ------
        train_rows, test_rows : ndarray of int64
            Ascending row indices; disjoint, together all rows.

        Raises
        ------
        ValueError
            If fewer users than `n_splits` have a holdout, or a parameter or `X` is not valid.
        """
        yield from self._folds(self._hide(X)[1])

    def parts(self, X: MatrixLike) -> Iterator[tuple[csr_array, csr_array, csr_array]]:
        """The matrices of each split.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Finite and non-negative; a stored non-zero is an interaction.

        Yields
        ------
        train : csr_array of float64, shape (n_train, n_items)
            Whole rows of the training users.
        history, holdout : csr_array of float64, shape (n_test, n_items)
            Rows of the test users, of each what a model is shown and what is hidden.

        Raises
        ------
        ValueError
            As in `split`.
        """
        history, holdout = self._hide(X)
        whole = history + holdout
        for train, test in self._folds(holdout):
            yield whole[train], history[test], holdout[test]

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Number of splits. All parameters are ignored.

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
                "one of this module's, such as SampleFraction(0.2)."
            )
        return holdout.hide(X)

    def _folds(self, holdout):
        judged = np.flatnonzero(np.diff(holdout.indptr))
        if len(judged) < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits}, but only {len(judged)} of the {holdout.shape[0]} users "
                "have a holdout. Lower n_splits, or give users with enough items to hide some."
            )
        folds = KFold(self.n_splits, shuffle=self.shuffle, random_state=seed_of(self.random_state))
        for _, test in folds.split(judged):
            train = np.ones(holdout.shape[0], bool)
            train[judged[test]] = False
            yield np.flatnonzero(train), judged[test]
