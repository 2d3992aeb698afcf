"""Base class of the holdouts: `hide`, and `split` for ``cv=``."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from .._utils.canonical import canonical_csr
from .._utils.holdouts import check_holdout
from .._utils.matrices import check_matrix
from .._utils.typing import IntArray, MatrixLike


class BaseHoldout(BaseEstimator):
    """Base class of the holdouts; a subclass defines ``_hide(X) -> (history, holdout)``."""

    def hide(self, X: MatrixLike) -> tuple[sp.csr_array, sp.csr_array]:
        """Split the interactions of X into a history and a holdout.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Finite, non-negative values; a stored non-zero is an interaction. Not modified.
            Duplicate entries are merged into one interaction. What holds out the latest by value
            reads times and keeps the earliest, for an item that a user has met before is not new.
            Others, which hold out random items or the last by order, cannot tell times or ratings
            from weights and add values up: merge such entries first, as `RankingScorer` does.

        Returns
        -------
        history, holdout : csr_array of float64, shape (n_users, n_items)
            Disjoint; together they are the interactions of `X` with their values. Both may have
            empty rows.

        Raises
        ------
        ValueError
            If `X` has negative, missing or infinite values, dates or text, or is not a matrix, or a
            parameter is out of range.
        """
        self._validate_params()
        return self._hide(X)

    def split(
        self, X: MatrixLike, y: MatrixLike | None = None, groups: object = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """One split with all rows in both parts, for ``cv=``: same users, held-out items.

        Row indices cannot hold out items, so call `hide` first and pass both matrices::

            history, holdout = h.hide(X)
            GridSearchCV(model, grid, cv=h).fit(history, holdout)

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            The history.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items)
            The holdout.
        groups : object, default=None
            Ignored.

        Yields
        ------
        train_rows, test_rows : ndarray of int64, shape (n_users,)
            All rows, in both arrays. There is one split.

        Raises
        ------
        ValueError
            If `y` is not a matrix, overlaps `X`, or differs from it in shape.
        """
        if y is None or (np.ndim(y) != 2 and not sp.issparse(y)):
            name = type(self).__name__
            got = "None" if y is None else f"of shape {np.shape(y)}"
            raise ValueError(
                f"y is {got}, but {name}.split needs the holdout as a matrix of X's shape: it "
                "yields row indices, which cannot hide items. Hold them out first: history, "
                "holdout = h.hide(X), then search.fit(history, holdout) with cv=h."
            )
        X = check_matrix(X)
        check_holdout(canonical_csr(X, "binary"), y)
        yield np.arange(X.shape[0]), np.arange(X.shape[0])

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Number of splits, which is 1.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored.

        Returns
        -------
        n_splits : int
            1.
        """
        return 1


def seed_of(random_state):
    """`random_state` in a form that scikit-learn accepts; a Generator is replaced by one draw."""
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**32))
    return random_state
