"""`fit` of the diffusion recommender: its docstring, checks, one call to training."""

import functools
import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Self

import joblib
import numpy as np

from ._fitted.explained import ExplainedDiffusion
from ._inference.device import resolve_device
from ._inference.model import FittedModel
from ._inference.state import model_state
from ._network.build import bytes_to_train
from ._parameters import (
    FREE_PARAMETERS,
    check_closed_form,
    check_early_stopping,
    check_horizon,
    resolve_hidden_dims,
    resolve_noise_schedule,
)
from ._training.cache import remembered
from ._training.checkpoint import NoCheckpoint, open_checkpoint, remove_checkpoint
from ._training.fit import fit_model, training_key
from ._training.ranks import is_first, training_ranks
from ._training.update import check_updatable, updated_model
from ._training.user_weights import check_sample_weight, check_something_left
from ._utils.callbacks import CallbackSupportMixin, EpochCallbacks
from ._utils.fitted_state import replaced_at_once
from ._utils.flags import check_flag
from ._utils.hashing import draw_seed
from ._utils.item_features import check_item_features
from ._utils.opinions import learned_opinions
from ._utils.saving import save_model
from ._utils.typing import ArrayLike, MatrixLike
from ._utils.updated_rows import (
    check_updated_users,
    updated_array,
    updated_csr,
    updated_features,
)
from ._utils.user_features import check_user_features
from ._utils.validation import check_scale_parameter, fit_context, fitted_now


class TrainableDiffusion(CallbackSupportMixin, ExplainedDiffusion):
    """A diffusion recommender that can be trained; a subclass has its parameters."""

    checkpoint: Any
    checkpoint_every: float
    half_life: float | None
    hidden_dims: Any
    latent_dim: int | None
    max_epochs: int
    _fit_sample_weight: Any = None
    _fits_blocks = True
    memory: Any
    n_timesteps: int
    noise_schedule: Any
    random_state: Any
    closed_form: Any
    ranking_head: bool
    liked_from: Any

    def fit(
        self,
        X: MatrixLike,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        *,
        user_features: MatrixLike | None = None,
    ) -> Self:
        """Fit to the rows of X.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array, RowBlocks} of shape (n_users, n_items)
            Histories; non-negative, a stored non-zero is an interaction. Of
            :class:`~skdiffrec.datasets.RowBlocks`, which may be larger than memory, a block is read
            at a time, and `recommend` needs `X` afterwards.
        y : object, default=None
            Ignored, always.
        sample_weight : float or array-like of float, shape (n_users,), default=None
            Weight of each user: 2 has the effect of a second copy of the row, 0 that of leaving it
            out. None gives all users the same weight.
        user_features : {array-like, sparse matrix, data frame} of shape \
(n_users, n_user_features), default=None
            What is known of users beside their histories, as finite numbers; a row of zeros is a
            user of whom nothing is. With them the model has a second condition, "user_features",
            and makes personal lists for users without a history.

        Returns
        -------
        self : object
            If fitting fails, the estimator is left as it was. Ctrl-C after the first epoch ends
            training, with a warning, and the best weights so far are kept. In a clone, which is
            what searches and cross-validation fit, `KeyboardInterrupt` is raised again after that,
            so that it ends these too.

        Raises
        ------
        ValueError
            If `X` has missing, infinite or negative values or no interaction, `sample_weight` is
            negative or has another length, `user_features` have another number of rows or are not
            finite, or a parameter is out of its range.

        Notes
        -----
        Callbacks of scikit-learn (1.9 and later, ``set_callbacks``) are called at every epoch. They
        score on the histories and held-out items of early stopping, for example with
        ``ScoringMonitor(scoring={"ndcg": RankingScorer("ndcg")})``; without early stopping on `X`
        and `y`. They get the `user_features` of these users as metadata, so that a scorer is called
        with ``user_features=`` (with metadata routing, if it asks for them by
        ``set_score_request``). A callback may end training; such a model is not kept in `memory`.
        """
        known = {"sample_weight": sample_weight, "user_features": user_features}
        self._fit_or_restore(X, y=y, **known)
        if self._model.training.ended_by == "interrupt" and self._is_clone:
            raise KeyboardInterrupt
        return self

    def partial_fit(
        self,
        X: MatrixLike,
        y: object = None,
        *,
        user_ids: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        user_features: MatrixLike | None = None,
    ) -> Self:
        """Go on from the present weights: one pass over newer rows of known users, or new ones.

        The network is trained for one pass over the rows given at half of `learning_rate`, with the
        optimizer's state and the running average as they were. What is counted or solved in closed
        form (popularity, the closed form by the settings that `fit` chose, what features say by
        themselves) is that of all rows. Before `fit` this is `fit`.

        Parameters
        ----------
        X : {array-like, sparse matrix, sparse array} of shape (n, n_items)
            Whole histories, one row a user, not only what is new in them. A row may be empty.
        y : object, default=None
            Ignored, always.
        user_ids : int or array-like of int, shape (n,), default=None
            Whose rows they are: a known user's row is replaced; ids from the number of known users
            on are new users, numbered without a gap. None appends all rows as new users.
        sample_weight : float or array-like of float, shape (n,), default=None
            Weight of each of these users, as in `fit`; None is one each.
        user_features : {array-like, sparse matrix, data frame} of shape (n, n_user_features), \
default=None
            What is known of these users, in the columns of `fit`. None leaves known users' as they
            are, and says nothing of new ones.

        Returns
        -------
        self : object
            If it fails, the estimator is left as it was.

        Raises
        ------
        ValueError, TypeError, IndexError
            If `X` has other columns than in `fit`, an id is there twice, negative, or leaves a gap;
            if the model was saved with ``include_data=False``, or `values` or `horizon` are others
            than in `fit`; and as in `fit`.

        Notes
        -----
        A catalogue grows by `add_items`. Of early stopping, `memory`, `checkpoint` and callbacks
        nothing is used. A model that was saved without ``include_training=True`` begins with a new
        state of the optimizer. "Running it daily" in the user guide compares it with `recommend`
        of newer rows and with a new fit.

        Examples
        --------
        >>> from skdiffrec import CFGDiffusionRecommender
        >>> from skdiffrec.datasets import make_interactions
        >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
        >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
        >>> model = model.fit(data.train[:200])
        >>> model = model.partial_fit(data.train[200:])  # users 200 to 299
        >>> newer = data.train[:2] + data.test[:2]
        >>> model.partial_fit(newer, user_ids=[0, 1]).recommend(299, k=5)[0].shape
        (5,)
        """
        known = {"sample_weight": sample_weight, "user_features": user_features}
        if hasattr(self, "_model"):
            return self._update_or_restore(X, user_ids=user_ids, **known)
        if user_ids is not None:
            raise ValueError(
                f"user_ids={user_ids!r:.200}, but nobody is known before fit. Leave user_ids out: "
                "the rows are numbered from 0."
            )
        return self.fit(X, y, **known)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        include_data: bool = True,
        include_training: bool = False,
    ) -> None:
        """Save the fitted model as one safetensors file.

        The file appears at once, when it is complete; if saving fails, what was there before
        stays.

        Parameters
        ----------
        path : str or os.PathLike
        include_data : bool, default=True
            Whether to save the rows given to `fit` too. Without them the file holds no user's
            history and is smaller, but `recommend` needs `X` after loading, and `partial_fit` is
            not possible.
        include_training : bool, default=False
            Whether to save the optimizer's state too, with which `partial_fit` goes on after
            loading as it would without: two numbers for every weight of the network.

        Raises
        ------
        NotFittedError
            Before `fit`.
        PersistenceError
            If a parameter is invalid or has no JSON form, or a weight is not finite.
        OSError
            If the file cannot be written.
        """
        flags = {"include_data": include_data, "include_training": include_training}
        flags = {name: check_flag(name, value) for name, value in flags.items()}
        if is_first():  # of several processes that trained it, one writes
            save_model(fitted_now(self), path, **flags)

    _is_clone = False

    def __sklearn_clone__(self):
        # searches and cross-validation fit clones: Ctrl-C has to end them too
        clone = super().__sklearn_clone__()
        clone._is_clone = True
        return clone

    def _checked_parameters(self):
        """All parameters as a namespace, those checked that depend on one another."""
        alpha_bar = resolve_noise_schedule(self.noise_schedule, self.n_timesteps)
        self._settings(len(alpha_bar) - 1)
        check_closed_form(self)
        check_horizon(self)
        check_early_stopping(self)
        # get_params leaves out what a subclass fixes
        names = (name for name in vars(self) if not (name[0] == "_" or name[-1] == "_"))
        return SimpleNamespace(**{name: getattr(self, name) for name in names})

    @fit_context(prefer_skip_nested_validation=True)
    def _update_or_restore(self, X, **options):
        with replaced_at_once(self) as new:
            new._update(X, **options)
        return self

    def _update(self, X, user_ids=None, sample_weight=None, user_features=None):
        before, features = self._fit_X, self._fit_user_features
        parameters = self._checked_parameters()
        check_updatable(self._model, before, parameters)
        X = self._check_rows(X)
        if self._model.opinions is not None:
            self._model.opinions.warn_of_others(X)
        ids = check_updated_users(user_ids, X.shape[0], before.shape[0])
        given_features = check_user_features(self, user_features, X.shape[0])
        weight = check_sample_weight(sample_weight, X.shape[0])
        weights = self._fit_sample_weight
        if weights is not None or sample_weight is not None:
            weights = np.ones(before.shape[0]) if weights is None else weights
            weights = updated_array(weights, weight, ids)
        X = updated_csr(before, X, ids)
        if features is not None:
            features = updated_features(features, given_features, ids, X.shape[0])
        rows = self._told_apart(X, features, self._model.opinions)
        check_something_left(rows.history, weights, "Fit again.")
        model = self._model.to(resolve_device(self.device, fitting=True))
        all_weights = np.ones(X.shape[0]) if weights is None else weights
        self._adopt(updated_model(model, rows, ids, all_weights, parameters))
        self._fit_X, self._fit_user_features, self._fit_sample_weight = X, features, weights

    def _bytes_to_fit(self, n_items):
        widths = resolve_hidden_dims(self.hidden_dims)
        aged = self.values == "time" and self.half_life is not None and self.horizon is None
        n_bytes = bytes_to_train(n_items, widths, self.latent_dim, aged=aged)
        form = self.closed_form
        return n_bytes + (
            0 if form is None or isinstance(form, str) else form._bytes_to_fit(n_items)
        )

    def _fit(self, X, y=None, sample_weight=None, user_features=None):
        given_weight = sample_weight is not None
        sample_weight = check_sample_weight(sample_weight, X.shape[0])
        check_something_left(X, sample_weight, "Give weights to users with interactions.")
        parameters = self._checked_parameters()
        user_features = check_user_features(self, user_features, X.shape[0], reset=True)
        opinions = learned_opinions(self.values, X, self.liked_from, sample_weight)
        rows = self._told_apart(X, user_features, opinions)
        items = check_item_features(self.item_features, X.shape[1])
        check_scale_parameter(self.guidance_scale, rows.conditions + items.conditions)
        device = resolve_device(self.device, fitting=True)
        ranks = training_ranks(device)
        device = ranks.device(device)
        seed = draw_seed(self.random_state)
        given_seed = None if self.random_state is None else seed
        of_training = {k: v for k, v in vars(parameters).items() if k not in FREE_PARAMETERS}
        key = functools.cache(
            lambda: training_key(rows, opinions, sample_weight, of_training, given_seed, device)
        )
        if ranks.size > 1:
            ranks.agree(key())
        callbacks = EpochCallbacks(self, self.max_epochs, X, y, user_features)

        def train():
            checkpoint = NoCheckpoint()

            def seed_of_first():
                nonlocal checkpoint
                checkpoint = open_checkpoint(self.checkpoint, self.checkpoint_every, key, seed)
                return checkpoint.seed

            begun = ranks.from_first(seed_of_first)
            given = rows, opinions, sample_weight, parameters, begun, device
            return fit_model(*given, callbacks, checkpoint, ranks)

        model = remembered(
            self.memory if ranks.size == 1 else None,
            lambda: joblib.hash(key()),
            train,
            pack=model_state,
            unpack=FittedModel.of_state,
            keep=lambda model: model.training.ended_by == "training",
        )
        if self.checkpoint is not None and ranks.first and model.training.ended_by != "interrupt":
            remove_checkpoint(self.checkpoint, key())
        self._fit_user_features = user_features
        self._fit_sample_weight = sample_weight if given_weight else None
        self._adopt(replace(model, item_features=items.features, item_feature_names=items.names))
        callbacks.end()
