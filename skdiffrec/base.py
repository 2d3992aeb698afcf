"""What every recommender here shares: `recommend`, `decision_function` and `score`."""

import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from ._utils.checked_blocks import check_blocks
from ._utils.cuts import OrderedRows, comes_in_sets, hide_share
from ._utils.fitted_state import replaced_at_once
from ._utils.flags import check_device_name, check_flag
from ._utils.holdouts import (
    check_any_holdout,
    check_holdout,
    check_holdout_names,
    drop_labels,
    is_labels,
)
from ._utils.memory import refuse_too_large
from ._utils.recency import item_popularity
from ._utils.row_blocks import RowBlocks
from ._utils.row_view import RowView
from ._utils.rows import hide_last
from ._utils.saving import load_model, restore_state, save_model, saved_state
from ._utils.topk import EVERY_ITEM, empty_lists, masked_topk, row_blocks
from ._utils.typing import ArrayLike, FloatArray, IntArray, MatrixLike, Values
from ._utils.validation import (
    VALUES,
    check_interactions,
    check_k,
    check_parameters,
    fit_context,
    fitted_now,
    item_filter,
    requested_rows,
    warn_without_order,
)
from .metrics import ndcg_at_k

__all__ = ["BaseRecommender"]

_SCORE_K = 10
_SCORE_HELD_OUT, _SCORE_SEED = 0.2, 0


def hide_for_score(X, values, horizon=None):
    """(history, holdout) of canonical rows: what `score` holds out where there is no `y`."""
    if horizon is None:
        sets = comes_in_sets(X, values)
        return hide_share(X, values, _SCORE_HELD_OUT, _SCORE_SEED, sets)
    ordered, horizon = OrderedRows(X, _SCORE_SEED), min(horizon, X.shape[1])
    n_hidden = np.where(ordered.length > horizon, horizon, 0)
    return hide_last(X, ordered.whole_moments(n_hidden), ordered.order)


class BaseRecommender(BaseEstimator):
    """Base of all recommenders: a subclass says how to fit and how to score a block of rows.

    It defines ``_fit(X)``, which learns from canonical CSR training rows, and
    ``_score_rows(X) -> ndarray of float32 (n_rows, n_items)``, where X is a canonical CSR block. A
    row's scores must depend on that row alone; those of a row without interactions are replaced by
    the items' popularity in `fit` (users; with ``values="weight"`` each counts by the item's share
    of the row's largest weight). One that names its fitted arrays in ``_saved_arrays`` can be
    saved.

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
    _values_read: tuple[str, ...] = VALUES
    n_features_in_: int
    # a subclass may have parameters checked, as scikit-learn does
    _parameter_constraints: dict[str, Any] = {}
    # {attribute: shape} of fitted float32 arrays; a shape has names of attributes (None: any
    # length), or is "csr" for a csr_array (n_items, n_items)
    _saved_arrays: Mapping[str, Any] | None = None
    _fit_X: Any
    # scores of rows without interactions; False in a class whose `_score_rows` knows what they get
    _keeps_popularity = True
    _item_popularity: FloatArray | None = None
    _fits_blocks = False  # of rows, `RowBlocks`
    _read_late: tuple[str, ...] = ("values", "half_life")  # at prediction, after `set_params` too

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
        with replaced_at_once(self) as new:
            new._fit(new._start_fit(X), **options)
        return self

    def _asked_horizon(self):
        """How many of the latest items `score` holds out; None is a fifth of a row."""
        return None

    def _bytes_to_fit(self, n_items):
        """Memory that a model of so many items takes at least."""
        return 16 * n_items

    def _fit(self, X):
        raise NotImplementedError

    def _score_rows(self, X):
        raise NotImplementedError

    def _told_apart_by(self, history, holdout):
        """(what lists should find, what they should not, or None) of held-out canonical rows."""
        return holdout, None

    def _users(self, X):
        """Canonical rows with what else is known of the users, as `_rank` takes them."""
        return X

    def _scores(self, X):
        """Scores of a block of canonical rows: popularity where there is no history."""
        late = (name for name in self._read_late if name in self._parameter_constraints)
        check_parameters(self, late)
        scores = self._score_rows(X)
        empty = np.diff(X.indptr) == 0
        if self._item_popularity is not None and empty.any():
            scores = np.require(scores, requirements="W")
            scores[empty] = self._item_popularity
        return scores

    def _start_fit(self, X):
        """Checked training rows, which `recommend` uses for known users."""
        X = self._check_rows(X, reset=True)
        if X.nnz == 0:
            raise ValueError(
                f"X of shape {X.shape} holds no interaction: nothing to fit. A stored non-zero "
                "value is an interaction."
            )
        refuse_too_large(
            self._bytes_to_fit(X.shape[1]),
            f"{type(self).__name__} of {X.shape[1]:,} items",
            "Number the items without gaps, leave out rare ones, or take a smaller model.",
        )
        in_memory = not isinstance(X, RowView)
        if self.values == "time" and in_memory:
            instead = 'Give times, or values="binary".'
            warn_without_order(X.data, 'values="time"', instead)
        self._fit_X = X if in_memory else None
        if self._keeps_popularity:
            self._item_popularity = item_popularity(X, self.values)
        return X

    def _check_rows(self, X, reset=False, earliest=False):
        if self.values not in self._values_read:
            raise ValueError(f"values must be one of {self._values_read}, got {self.values!r}.")
        if isinstance(X, RowBlocks):
            return check_blocks(self, X, values=self.values, reset=reset)
        return check_interactions(self, X, values=self.values, reset=reset, earliest=earliest)

    def recommend(
        self,
        user_ids: ArrayLike | None = None,
        k: int = 10,
        *,
        X: MatrixLike | None = None,
        filter_seen: bool = True,
        filter_items: MatrixLike | None = None,
        items: MatrixLike | None = None,
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
            be empty: that user gets what is popular. None means the rows seen in `fit`.
        filter_seen : bool, default=True
            Never recommend an item of the user's history.
        filter_items : array-like of int or sparse matrix of shape (n, n_items), default=None
            Items never to recommend: ids for everybody, or a matrix with one row a user (in the
            order of the lists), whose stored non-zeros are that user's blocked items.
        items : array-like of int or sparse matrix of shape (n, n_items), default=None
            Recommend only these: ids for everybody, or a matrix of each user's own.

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
            columns, negative or missing values in a matrix, ``k < 1``.
        """
        self = fitted_now(self)
        k = check_k(k)
        rows, chosen, scalar = requested_rows(self, user_ids, X)
        n = rows.shape[0] if chosen is None else len(chosen)
        allowed = item_filter(filter_items, items, self.n_features_in_, n)
        masks = {"filter_seen": check_flag("filter_seen", filter_seen), "items": allowed}
        ids, scores = self._rank(rows, chosen, k, **masks)
        return (ids[0], scores[0]) if scalar else (ids, scores)

    def _rank(self, rows, chosen, k, *, filter_seen=True, items=EVERY_ITEM):
        """Lists of the chosen canonical rows (None: of all in order), block by block."""
        n = rows.shape[0] if chosen is None else len(chosen)
        ids, scores = empty_lists(n, k)
        for block in row_blocks(n, self.n_features_in_):
            histories = rows[block] if chosen is None else rows[chosen[block]]
            masks = items.of(block).masks(histories if filter_seen else None)
            ids[block], scores[block] = masked_topk(self._scores(histories), k, **masks)
        return ids, scores

    def decision_function(self, X: MatrixLike) -> FloatArray:
        """Scores of all items for the histories in `X`.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.

        Returns
        -------
        scores : ndarray of float32, shape (n_users, n_items)
            Higher is better; comparable within a row. Seen items are scored too. A row without
            interactions has the items' popularity.
        """
        self = fitted_now(self)
        rows = self._check_rows(X)
        scores = np.empty(rows.shape, np.float32)
        for block in row_blocks(*rows.shape):
            scores[block] = self._scores(rows[block])
        return scores

    def score(self, X: MatrixLike, y: MatrixLike | None = None) -> float:
        """Mean nDCG@10 of lists made from `X`, evaluated on held-out items.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories. With ``y=None`` a fifth of every row is held out (the latest items where the
            values are times, else drawn by a hash of the row) and the rest is the history; of a
            model with a `horizon` as many of the latest items, with all of the same time. Of
            several times of an entry the earliest counts there, as in the splitters.
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
        return self._score(X, y)

    def _score(self, X, y, **known):
        """`score`, given what else is known of the users."""
        self = fitted_now(self)
        alone = y is None or is_labels(y)
        X = self._check_rows(X, earliest=alone)  # as in splitters: a repeat is no new item
        y = drop_labels(y, X.shape)
        if y is None:
            history, holdout = hide_for_score(X, self.values, self._asked_horizon())
        else:
            check_holdout_names(self, y)
            history, holdout = X, check_holdout(X, y, self.values)
        holdout, _ = self._told_apart_by(history, holdout)
        check_any_holdout(holdout)
        ids, _ = self._rank(self._users(history, **known), None, _SCORE_K)
        return float(ndcg_at_k(ids, holdout, k=_SCORE_K))

    def save(self, path: str | os.PathLike[str], *, include_data: bool = True) -> None:
        """Save the fitted model as one safetensors file.

        The file appears at once, when it is complete; if saving fails, what was there before
        stays.

        Parameters
        ----------
        path : str or os.PathLike
        include_data : bool, default=True
            Whether to save the rows given to `fit` too. Without them the file holds no user's
            history and is smaller, but `recommend` needs `X` after loading.

        Raises
        ------
        NotFittedError
            Before `fit`.
        PersistenceError
            If a parameter is invalid or has no JSON form, or a weight is not finite.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import os, tempfile
        >>> from skdiffrec.baselines import EASERecommender
        >>> model = EASERecommender(reg=1.0).fit([[1, 1, 0], [0, 1, 0], [0, 1, 1]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.safetensors")
        ...     model.save(path)
        ...     loaded = EASERecommender.load(path)
        >>> bool((loaded.recommend(0, k=1)[0] == model.recommend(0, k=1)[0]).all())
        True
        """
        self = fitted_now(self)
        save_model(self, path, check_flag("include_data", include_data))

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: Any = "auto") -> Self:
        """Load a model that `save` wrote.

        Nothing in the file is executed. It is checked before it is used: a file that is truncated,
        altered, of another class or of a newer format is refused. The check finds accidents, not
        forgers: it does not say who wrote the file.

        Parameters
        ----------
        path : str or os.PathLike
        device : str or torch.device, default="auto"
            Where to compute, for a model that uses torch; "auto" takes a GPU if there is one,
            wherever the model was trained.

        Returns
        -------
        model : estimator
            Fitted; its scores are those of the model that was saved, bit by bit on the same device.
            Parameters are as they were, but for `device`, `memory` and `checkpoint` (None), a
            `random_state` that was no int (None), lists, which come back as tuples, and
            `item_features`, which come back as a csr_array.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        PersistenceError
            A ValueError that says why a file is refused.
        ValueError
            If `device` is none that this machine has.
        """
        return load_model(cls, path, device)

    def _get_state(self):
        """(state, tensors) of what `fit` learned: a JSON-able dict and a dict of ndarrays."""
        return saved_state(self, self._saved_arrays)

    def _set_state(self, state, tensors, device):
        """Take what `_get_state` gave, checked, out of `tensors`."""
        check_device_name(device)
        restore_state(self, self._saved_arrays, state, tensors)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        return tags
