"""`fit` of the diffusion recommender: its docstring, checks, one call to training."""

import functools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Self

import joblib

from ._fitted.explained import ExplainedDiffusion
from ._inference.device import resolve_device
from ._inference.model import FittedModel
from ._inference.state import model_state
from ._parameters import (
    FREE_PARAMETERS,
    check_closed_form,
    check_horizon,
    resolve_noise_schedule,
)
from ._training.cache import remembered
from ._training.checkpoint import open_checkpoint
from ._training.fit import fit_model, training_key
from ._training.user_weights import check_sample_weight
from ._utils.callbacks import CallbackSupportMixin, EpochCallbacks
from ._utils.hashing import draw_seed
from ._utils.item_features import check_item_features
from ._utils.opinions import learned_opinions
from ._utils.typing import ArrayLike, MatrixLike
from ._utils.user_features import check_user_features
from ._utils.validation import check_scale_parameter


class TrainableDiffusion(CallbackSupportMixin, ExplainedDiffusion):
    """A diffusion recommender that can be trained; a subclass has its parameters."""

    checkpoint: Any
    checkpoint_every: float
    max_epochs: int
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
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories; non-negative, a stored non-zero is an interaction.
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
        and `y`. A callback may end training; such a model is not kept in `memory`.
        """
        known = {"sample_weight": sample_weight, "user_features": user_features}
        self._fit_or_restore(X, y=y, **known)
        if self._model.training.ended_by == "interrupt" and self._is_clone:
            raise KeyboardInterrupt
        return self

    _is_clone = False

    def __sklearn_clone__(self):
        # searches and cross-validation fit clones: Ctrl-C has to end them too
        clone = super().__sklearn_clone__()
        clone._is_clone = True
        return clone

    def _fit(self, X, y=None, sample_weight=None, user_features=None):
        sample_weight = check_sample_weight(sample_weight, X.shape[0])
        parameters = {k: v for k, v in vars(self).items() if not (k[0] == "_" or k[-1] == "_")}
        parameters = SimpleNamespace(**parameters)  # get_params leaves out what a subclass fixes
        alpha_bar = resolve_noise_schedule(self.noise_schedule, self.n_timesteps)
        self._settings(len(alpha_bar) - 1)
        check_closed_form(self.closed_form, self.ranking_head)
        check_horizon(self)
        user_features = check_user_features(self, user_features, X.shape[0], reset=True)
        opinions = learned_opinions(self.values, X, self.liked_from, sample_weight)
        rows = self._told_apart(X, user_features, opinions)
        items = check_item_features(self.item_features, X.shape[1])
        check_scale_parameter(self.guidance_scale, rows.conditions + items.conditions)
        device = resolve_device(self.device, fitting=True)
        seed = draw_seed(self.random_state)
        given_seed = None if self.random_state is None else seed
        of_training = {k: v for k, v in vars(parameters).items() if k not in FREE_PARAMETERS}
        key = functools.cache(
            lambda: training_key(rows, sample_weight, of_training, given_seed, device)
        )
        callbacks = EpochCallbacks(self, self.max_epochs, X, y)

        def train():
            checkpoint = open_checkpoint(self.checkpoint, self.checkpoint_every, key, seed)
            given = rows, opinions, sample_weight, parameters, checkpoint.seed, device
            model = fit_model(*given, callbacks, checkpoint)
            if model.training.ended_by != "interrupt":
                checkpoint.remove()
            return model

        model = remembered(
            self.memory,
            lambda: joblib.hash(key()),
            train,
            pack=model_state,
            unpack=FittedModel.of_state,
            keep=lambda model: model.training.ended_by == "training",
        )
        self._fit_user_features = user_features
        self._adopt(replace(model, item_features=items.features, item_feature_names=items.names))
        callbacks.end()
