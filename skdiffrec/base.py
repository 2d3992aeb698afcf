"""What every recommender here shares: `recommend`, `decision_function` and `score`."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ._utils.callbacks import CALLBACK_STATE
from ._utils.rows import hide_items
from ._utils.saving import SaveMixin
from ._utils.topk import masked_topk
from ._utils.typing import ArrayLike, FloatArray, IntArray, MatrixLike, Values
from ._utils.validation import (
    VALUES,
    check_any_holdout,
    check_holdout,
    check_holdout_names,
    check_interactions,
    check_item_ids,
    check_k,
    check_user_ids,
    drop_labels,
    fit_context,
    warn_without_order,
)
from .metrics import ndcg_at_k

__all__ = ["BaseRecommender"]

_BLOCK_ELEMENTS = 2**22  # scores held at once while ranking: 16 MB, and their sort keys 32 MB
_SCORE_K = 10
_SCORE_HIDDEN, _SCORE_SEED = 0.2, 0


def hide_for_score(X, values):
    """(history, holdout) of canonical rows: what `score` hides where there is no `y`."""
    return hide_items(X, values, _SCORE_HIDDEN, _SCORE_SEED)


class BaseRecommender(SaveMixin, BaseEstimator):
    """Base of all recommenders: a subclass says how to fit and how to score a block of rows.

    It defines ``_fit(X)``, which learns from canonical CSR training rows, and
    ``_score_rows(X, **per_row) -> ndarray of float32 (n_rows, n_items)``, where X is a canonical
    CSR block and `per_row` holds arrays with one entry per row. A row's scores must depend on that
    row alone. One that names its fitted arrays in ``_saved_arrays`` can be saved.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffrec.base import BaseRecommender
    >>> class TogetherRecommender(BaseRecommender):
    ...     def _fit(self, X):
    ...         self.together_ = (X.T @ X).toarray()
    ...     def _score_rows(self, X):
    ...         return np.asarray(X @ self.together_, np.float32)
    >>> model = TogetherRecommender().fit([[1, 1, 0], [0, 1, 1], [1, 1, 0]])
    >>> model.recommend(0, k=1)[0]
    array([2])
    """

    values: Values = "binary"
    n_features_in_: int
    # a subclass may have parameters checked, as scikit-learn does
    _parameter_constraints: dict[str, Any] = {}
    _max_block_rows = np.iinfo(np.int64).max

    def fit(self, X: MatrixLike, y: object = None) -> Self:
        """Fit to the rows of X.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories; non-negative, a stored non-zero is an interaction.
        y : object, default=None
            Ignored, always.

        Returns
        -------
        self : object
            If fitting fails, the estimator is left as it was.

        Raises
        ------
        ValueError
            If `X` has missing, infinite or negative values, no row, no column or no interaction,
            or a parameter is out of its range.
        """
        return self._fit_or_restore(X)

    @fit_context(prefer_skip_nested_validation=True)
    def _fit_or_restore(self, X, **options):
        before = self.__dict__.copy()
        try:
            self._fit(self._start_fit(X), **options)
        except BaseException:
            # scikit-learn ends its callbacks by what it keeps here
            kept = {name: vars(self)[name] for name in CALLBACK_STATE if name in vars(self)}
            self.__dict__ = before | kept
            raise
        return self

    def _start_fit(self, X):
        """Checked training rows, which `recommend` uses for known users."""
        X = self._check_rows(X, reset=True)
        if X.nnz == 0:
            raise ValueError(
                f"X of shape {X.shape} holds no interaction: nothing to fit. A stored non-zero "
                "value is an interaction."
            )
        if self.values == "time":
            warn_without_order(X.data, 'values="time"', 'Give times, or values="binary".')
        self._fit_X = X
        return X

    def _check_rows(self, X, reset=False):
        if self.values not in VALUES:
            raise ValueError(f"values must be one of {VALUES}, got {self.values!r}.")
        return check_interactions(self, X, values=self.values, reset=reset)

    def recommend(
        self,
        user_ids: ArrayLike | None = None,
        k: int = 10,
        *,
        X: MatrixLike | None = None,
        filter_seen: bool = True,
        filter_items: ArrayLike | None = None,
        items: ArrayLike | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Recommend the k best items to users, best first.

        Parameters
        ----------
        user_ids : int or array-like of int, shape (n,), default=None
            Rows of the matrix given to `fit`; repeats are allowed and the order is kept. With `X`
            they are labels only. None means every row of `X`, or of the training matrix.
        k : int, default=10
            Length of the lists.
        X : {array-like, sparse matrix, sparse array} of shape (n, n_items), default=None
            Histories, one row per entry of `user_ids`, for new users or newer histories. A row may
            be empty. None means the rows seen in `fit`.
        filter_seen : bool, default=True
            Never recommend an item of the user's history.
        filter_items : array-like of int, default=None
            Items never to recommend.
        items : array-like of int, default=None
            Recommend only these.

        Returns
        -------
        ids : ndarray of int64, shape (n, k), or (k,) for one int
            Items, best first, ties by lower id. A list that cannot be filled ends in -1.
        scores : ndarray of float32, same shape
            Their scores; -inf beside -1.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError, IndexError
            For user or item ids that are not integers or out of range, a wrong number of rows or
            columns, negative or missing values in `X`, ``k < 1``.
        """
        return self._recommend(user_ids, k, X, filter_seen, filter_items, items)

    def _recommend(self, user_ids, k, X, filter_seen, filter_items, items, per_row=None):
        """`recommend`, with `per_row(n) -> dict` giving further arrays with one entry per user."""
        check_is_fitted(self)
        k = check_k(k)
        rows, user_ids, scalar = self._requested_rows(user_ids, X)
        columns = self._allowed_items(filter_items, items)
        n = rows.shape[0] if user_ids is None else len(user_ids)
        ids, scores = self._rank(
            rows,
            user_ids,
            k,
            filter_seen=filter_seen,
            columns=columns,
            per_row={} if per_row is None else per_row(n),
        )
        return (ids[0], scores[0]) if scalar else (ids, scores)

    def _rank(self, rows, chosen, k, *, filter_seen=True, columns=None, per_row=None):
        """Lists of the chosen canonical rows (None: of all in order), block by block."""
        n = rows.shape[0] if chosen is None else len(chosen)
        ids, scores = np.empty((n, k), np.int64), np.empty((n, k), np.float32)

        def rank(block):
            histories = rows[block] if chosen is None else rows[chosen[block]]
            options = {name: array[block] for name, array in (per_row or {}).items()}
            ids[block], scores[block] = self._rank_rows(
                histories, k, filter_seen=filter_seen, columns=columns, **options
            )

        self._each(rank, self._ranked_blocks(n))
        return ids, scores

    def _each(self, run, blocks):
        """``run(block)`` for each of independent blocks of users."""
        for block in blocks:
            run(block)

    def _rank_rows(self, X, k, *, filter_seen, columns, **per_row):
        """Lists of a block of canonical rows."""
        return masked_topk(self._score_rows(X, **per_row), k, X if filter_seen else None, columns)

    def _requested_rows(self, user_ids, X):
        """(rows, which of them or None for all in order, was one user asked for)."""
        if X is None:
            if self._fit_X is None:
                raise ValueError(
                    "This model was saved with include_data=False and does not know the users of "
                    "fit. Give their histories: recommend(X=rows)."
                )
            if user_ids is None:
                return self._fit_X, None, False
            ids, scalar = check_user_ids(user_ids, self._fit_X.shape[0], known=True)
            return self._fit_X, ids, scalar
        rows = self._check_rows(X)
        if user_ids is None:
            return rows, None, False
        ids, scalar = check_user_ids(user_ids, np.iinfo(np.int64).max, known=False)
        if len(ids) != rows.shape[0]:
            raise ValueError(
                f"user_ids has {len(ids)} entries, but X has {rows.shape[0]} rows. Give one row "
                "of X per entry of user_ids, or leave one of the two out."
            )
        return rows, None, scalar

    def _allowed_items(self, filter_items, items):
        """Ascending ids of the items that may be recommended; None for all."""
        if filter_items is None and items is None:
            return None
        if items is None:
            allowed = np.arange(self.n_features_in_)
        else:
            allowed = check_item_ids("items", items, self.n_features_in_)
        if filter_items is not None:
            banned = check_item_ids("filter_items", filter_items, self.n_features_in_)
            allowed = np.setdiff1d(allowed, banned, assume_unique=True)
        return allowed

    def _blocks(self, n, n_columns=None):
        """Slices of users, so that memory does not grow with their number.

        `n_columns` of a block's scores are there at once; None is all.
        """
        size = max(1, _BLOCK_ELEMENTS // (n_columns or self.n_features_in_))
        size = min(size, self._max_block_rows)
        return [slice(start, min(start + size, n)) for start in range(0, n, size)]

    _ranked_blocks = _blocks

    def decision_function(self, X: MatrixLike) -> FloatArray:
        """Scores of all items for the histories in `X`.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.

        Returns
        -------
        scores : ndarray of float32, shape (n_users, n_items)
            Higher is better; comparable within a row. Seen items are scored too.
        """
        check_is_fitted(self)
        rows = self._check_rows(X)
        scores = np.empty(rows.shape, np.float32)

        def score(block):
            scores[block] = self._score_rows(rows[block])

        self._each(score, self._blocks(rows.shape[0]))
        return scores

    def score(self, X: MatrixLike, y: MatrixLike | None = None) -> float:
        """Mean nDCG@10 of lists made from `X`, judged by hidden items.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories. With ``y=None`` a fifth of every row is hidden (the latest items where the
            values are times, else drawn by a hash of the row) and the rest is the history.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            Holdout items of the same users; must not overlap `X`. A 1-D `y` (labels that a tool
            passes along) is ignored, with a warning.

        Returns
        -------
        ndcg : float
            Mean over the users with a holdout item; seen items are never recommended.

        Raises
        ------
        ValueError
            If `X` and `y` overlap, differ in shape or (data frames) in the names of their columns,
            or no user has a holdout item.
        """
        check_is_fitted(self)
        X = self._check_rows(X)
        y = drop_labels(y, X.shape, stacklevel=2)
        if y is None:
            history, holdout = hide_for_score(X, self.values)
        else:
            check_holdout_names(self, y)
            history, holdout = X, check_holdout(X, y)
        check_any_holdout(holdout)
        ids, _ = self._rank(history, None, _SCORE_K)
        return float(ndcg_at_k(ids, holdout, k=_SCORE_K))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        return tags
