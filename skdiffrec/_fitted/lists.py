"""Lists and scores of a fitted diffusion recommender: checks, then one call to its model."""

import numbers
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .._inference.device import resolve_device
from .._inference.model import FittedModel
from .._inference.state import model_state
from .._network.sparse_rows import UserRows
from .._parameters import SAMPLING_PARAMETERS, sampling_settings
from .._utils.flags import check_flag
from .._utils.item_features import check_wanted
from .._utils.tensor_file import PersistenceError
from .._utils.topk import empty_lists, masked_topk
from .._utils.typing import ArrayLike, FloatArray, IntArray, MatrixLike, Scale, Search, Wanted
from .._utils.user_features import check_user_features, warn_without_features
from .._utils.validation import (
    check_condition_scales,
    check_k,
    check_parameters,
    check_scale_grid,
    fitted_now,
    item_filter,
    requested_rows,
)
from ..base import BaseRecommender


class FittedDiffusion(BaseRecommender):
    """A recommender around a `FittedModel`; a subclass has its parameters and fits it."""

    _keeps_popularity = False  # the trained model does
    _model: FittedModel
    _fit_user_features: Any = None
    device: Any
    guidance_scale: Any
    horizon: Any
    item_features: Any
    n_sampling_steps: int
    start_timestep: int | None

    def _adopt(self, model):
        self.__dict__.pop("liked_from_", None)
        self.__dict__.update(model.attributes())

    def _get_state(self, include_training=False):
        model = self._model
        return model_state(model if include_training else replace(model, optimizer=None))

    def _set_state(self, state, tensors, device):
        self.device, device = device, resolve_device(device, fitting=True)
        model = FittedModel.of_state(state, tensors)
        if model.denoiser.n_items != self.n_features_in_:
            raise PersistenceError("The network has another number of items than the model.")
        if model.item_features is not None:
            self.item_features = model.item_features  # names of its columns are the model's alone
        self._adopt(model.to(device))

    def _asked_horizon(self):
        if self.values != "time" or self.horizon is None:
            return None
        check_parameters(self, ["horizon"])
        return self.horizon

    def _scales(self, n, scale=None):
        """A guidance scale for each of n users and condition; None is the estimator's."""
        if scale is None:
            scale = self.guidance_scale
            if not isinstance(scale, numbers.Real | Mapping):
                check_parameters(self, ["guidance_scale"])
        if isinstance(scale, str) and scale == "auto":
            scale = self._model.training.best_scale
        return check_condition_scales(scale, n, self._model.conditions)

    def _users(self, X, user_features=None, wanted=None):
        features = check_user_features(self, user_features, X.shape[0])
        opinions = self._model.opinions
        if opinions is not None:
            opinions.warn_of_others(X)
        return self._wanting(self._told_apart(X, features, opinions), wanted)

    def _wanting(self, rows, wanted):
        """`UserRows` with what these users want of items."""
        features = self._model.item_features
        n_features = None if features is None else features.shape[1]
        known = n_features, self._model.item_feature_names
        wanted = check_wanted(wanted, rows.shape[0], *known)
        return rows if wanted is None else replace(rows, wanted=wanted)

    def _told_apart_by(self, history, holdout):
        opinions = self._model.opinions
        return (holdout, None) if opinions is None else opinions.split(holdout, by=history)

    def _told_apart(self, X, features, opinions):
        """`UserRows` of canonical rows: of ratings, what is liked and what is disliked."""
        if opinions is None:
            return UserRows(X, features)
        liked, disliked = opinions.split(X)
        return UserRows(liked, features, disliked)

    def _requested(self, user_ids, X, user_features, wanted=None):
        """(UserRows, which of them or None for all in order, whether one user was asked for)."""
        rows, chosen, scalar = requested_rows(self, user_ids, X)
        if X is not None:
            return self._users(rows, user_features, wanted), chosen, scalar
        opinions, features = self._model.opinions, self._fit_user_features
        if user_features is None and opinions is None and wanted is None:
            return UserRows(rows, features), chosen, scalar
        if chosen is not None:
            rows, features = rows[chosen], None if features is None else features[chosen]
        if user_features is not None:
            return self._users(rows, user_features, wanted), None, scalar
        rows = self._told_apart(rows, features, opinions)
        return self._wanting(rows, wanted), None, scalar

    def _settings(self, n_timesteps, **changes):
        """How to sample: the estimator's parameters but for `changes`, checked."""
        values = {name: getattr(self, name) for name in SAMPLING_PARAMETERS} | changes
        return sampling_settings(values, n_timesteps, type(self).__name__)

    def _sampled(self):
        """The fitted model on its device, and how to sample it."""
        asked = self.device, *(getattr(self, name) for name in SAMPLING_PARAMETERS)
        model = self._model
        known, settings = model.resolved
        if known != asked:
            model = model.to(resolve_device(self.device))
            settings = self._settings(model.diffusion.n_timesteps)
            model.resolve(asked, settings)
            if model is not self._model:  # else an estimator does not change by being asked
                self._model = model
        return model, settings

    def _approximate(self, search, wanted):
        """Whether lists may be approximate."""
        if not isinstance(search, str) or search not in ("exact", "approximate"):
            raise ValueError(f'search must be "exact" or "approximate", got {search!r:.100}.')
        if search == "exact":
            return False
        if not self._model.denoiser.head.ranks:
            raise ValueError(
                'search="approximate" needs a ranking head, but the model was fitted without. Fit '
                'with ranking_head=True, or use search="exact".'
            )
        if wanted is not None:
            raise ValueError(
                'search="approximate" does not go with wanted, which adds something to the score '
                'of every item that has a wanted feature. Use search="exact".'
            )
        return True

    def recommend(
        self,
        user_ids: ArrayLike | None = None,
        k: int = 10,
        *,
        X: MatrixLike | None = None,
        user_features: MatrixLike | None = None,
        wanted: Wanted | None = None,
        filter_seen: bool = True,
        filter_items: MatrixLike | None = None,
        items: MatrixLike | None = None,
        guidance_scale: Scale | None = None,
        search: Search = "exact",
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
        user_features : {array-like, sparse matrix, data frame} of shape (n, n_user_features), \
default=None
            What is known of these users, in the columns of `fit`; a row of zeros is nothing. None
            means what was given to `fit` where `X` is None too, else nothing.
        wanted : dict, or matrix of shape (n, n_item_features), default=None
            Features that listed items should rather have than not: weights >= 0 by name or number
            of a column of `item_features`, ``{"genre=Comedy": 1}``, the same for all users, or a
            matrix with one row a user. Its guidance scale says how much.
        filter_seen : bool, default=True
            Never recommend an item of the user's history.
        filter_items : array-like of int or sparse matrix of shape (n, n_items), default=None
            Items never to recommend: ids for everybody, or a matrix with one row a user (in the
            order of the lists), whose stored non-zeros are that user's blocked items.
        items : array-like of int or sparse matrix of shape (n, n_items), default=None
            Recommend only these: ids for everybody, or a matrix of each user's own.
        guidance_scale : float, array-like of float, shape (n,), or dict, default=None
            One scale for all users or one for each; None takes the estimator's. A dict has such
            scales by condition, ``{"user_features": 2.0, "history": 1.0}``; the others are 1. Users
            of whom nothing is known get what is popular whatever the scale.
        search : {"exact", "approximate"}, default="exact"
            "approximate" finds items by an index of the output layer, which the first such call
            makes, and scores them exactly: many times as fast for catalogues of hundreds of
            thousands of items, with some 99 of 100 of the exact lists' items. Filters hold as ever.
            Lists are exact on a GPU, with a dense closed form (up to 5,000 items), and of users
            whose lists the index cannot fill. "exact" looks at all items.

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
            columns, negative or missing values in a matrix, ``k < 1``, a `search` that is not known
            or that this model or `wanted` rules out.

        Warns
        -----
        UserWarning
            If an index would find too few of the items, so that lists are exact.
        """
        self = fitted_now(self)
        k, approximate = check_k(k), self._approximate(search, wanted)
        rows, chosen, scalar = self._requested(user_ids, X, user_features, wanted)
        n = rows.shape[0] if chosen is None else len(chosen)
        allowed = item_filter(filter_items, items, self.n_features_in_, n)
        scale = self._scales(n, guidance_scale)
        model, settings = self._sampled()
        if not isinstance(filter_seen, bool):
            filter_seen = check_flag("filter_seen", filter_seen)
        masks: dict[str, Any] = {"filter_seen": filter_seen, "items": allowed}
        masks["approximate"] = approximate
        ids, scores = model.rank(rows, k, scale, settings, chosen=chosen, **masks)
        return (ids[0], scores[0]) if scalar else (ids, scores)

    def _rank(self, rows, chosen, k, **masks):
        model, settings = self._sampled()
        scale = self._scales(rows.shape[0] if chosen is None else len(chosen))
        return model.rank(rows, k, scale, settings, chosen=chosen, **masks)

    def decision_function(
        self,
        X: MatrixLike,
        *,
        user_features: MatrixLike | None = None,
        wanted: Wanted | None = None,
        guidance_scale: Scale | None = None,
    ) -> FloatArray:
        """Scores of all items for the histories in `X`.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.
        user_features, wanted, guidance_scale
            As in `recommend`.

        Returns
        -------
        scores : ndarray of float32, shape (n_users, n_items)
            Higher is better; comparable within a row. Seen items are scored too.
        """
        self = fitted_now(self)
        rows = self._users(self._check_rows(X), user_features, wanted)
        scale = self._scales(rows.shape[0], guidance_scale)
        model, settings = self._sampled()
        return model.score_all(rows, scale, settings)

    def staged_decision_function(
        self, X: MatrixLike, *, user_features: MatrixLike | None = None
    ) -> Iterator[FloatArray]:
        """Scores of all items after each sampling step.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.
        user_features
            As in `recommend`.

        Yields
        ------
        scores : ndarray of float32, shape (n_users, n_items)
            After the first step, the second, ...; the last is that of `decision_function`,
            up to rounding.
        """
        self = fitted_now(self)
        rows = self._users(self._check_rows(X), user_features)
        scale = self._scales(rows.shape[0])
        model, settings = self._sampled()
        stages = [model.stages(rows[b], scale[b], settings) for b in model.blocks(rows.shape[0])]
        for blocks in zip(*stages, strict=True):
            yield np.concatenate(blocks)

    def recommend_scales(
        self,
        scales: ArrayLike | Mapping[str, ArrayLike],
        user_ids: ArrayLike | None = None,
        k: int = 10,
        *,
        X: MatrixLike | None = None,
        user_features: MatrixLike | None = None,
        wanted: Wanted | None = None,
        filter_seen: bool = True,
        filter_items: MatrixLike | None = None,
        items: MatrixLike | None = None,
    ) -> tuple[IntArray, FloatArray]:
        """Lists at several guidance scales, from one sampling pass.

        Equal to `recommend` at each scale, up to rounding; with one sampling step the branches of
        the network are computed once for all scales.

        Parameters
        ----------
        scales : array-like of float, shape (n_scales,), or dict
            Guidance scales. A dict has several for some conditions, all combinations of which are
            made: ``{"user_features": [0, 1], "history": [0.5, 1, 2]}``.
        user_ids, k, X, user_features, wanted, filter_seen, filter_items, items
            As in `recommend`.

        Returns
        -------
        ids, scores : ndarrays of int64 and float32, shape (n_scales, n, k), or (n_scales, k)
            As from `recommend`, one set of lists for each scale; with a dict there is an axis for
            each of its conditions, in its order, in place of the first.

        Raises
        ------
        ValueError, TypeError, IndexError
            If there is no scale or one is out of range, and as `recommend`.

        Examples
        --------
        >>> from skdiffrec import CFGDiffusionRecommender
        >>> from skdiffrec.datasets import make_interactions
        >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
        >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
        >>> model.fit(data.train).recommend_scales([0.0, 1.0, 2.0], [5, 7], k=4)[0].shape
        (3, 2, 4)
        """
        self = fitted_now(self)
        scales, grid = check_scale_grid(scales, self._model.conditions)
        k, hide = check_k(k), check_flag("filter_seen", filter_seen)
        rows, chosen, scalar = self._requested(user_ids, X, user_features, wanted)
        n = rows.shape[0] if chosen is None else len(chosen)
        allowed = item_filter(filter_items, items, self.n_features_in_, n)
        model, settings = self._sampled()
        ids, scores = (a.reshape(-1, n, k) for a in empty_lists(len(scales) * n, k))
        for block in model.blocks(n):
            histories = rows[block] if chosen is None else rows[chosen[block]]
            masks = allowed.of(block).masks(histories.seen if hide else None)
            for i, found in enumerate(model.sweep(histories, scales, settings)):
                ids[i, block], scores[i, block] = masked_topk(found, k, **masks)
        ids, scores = (ids[:, 0], scores[:, 0]) if scalar else (ids, scores)
        return ids.reshape(*grid, *ids.shape[1:]), scores.reshape(*grid, *ids.shape[1:])

    def score(
        self,
        X: MatrixLike,
        y: MatrixLike | None = None,
        *,
        user_features: MatrixLike | None = None,
        wanted: Wanted | None = None,
    ) -> float:
        """Mean nDCG@10 of lists made from `X`, evaluated on held-out items.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories. With ``y=None`` a fifth of every row is held out (the latest items where the
            values are times, else drawn by a hash of the row) and the rest is the history; with a
            `horizon` as many of the latest items, with all of the same time. Of several times of an
            entry the earliest counts there, as in the splitters.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            Holdout items of the same users; must not overlap `X`. A 1-D `y` (labels that a tool
            passes along) is ignored, with a warning.
        user_features, wanted
            As in `recommend`.

        Returns
        -------
        ndcg : float
            Mean over the users with a holdout item; seen items are never recommended.

        Raises
        ------
        ValueError
            If `X` and `y` overlap, differ in shape or (data frames) in the names of their columns,
            or no user has a holdout item; if `user_features` or `wanted` have other rows or
            columns.
        """
        warn_without_features(self, {"user_features": user_features})
        return self._score(X, y, user_features=user_features, wanted=wanted)
