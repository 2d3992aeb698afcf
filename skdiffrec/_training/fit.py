"""From rows to a fitted model: what lies between the estimator and the network."""

import copy
import dataclasses
import functools
import importlib.metadata
import numbers
from dataclasses import replace

import joblib
import numpy as np
import scipy.sparse as sp
import torch

from .._closed_form.user_features import column_factors
from .._diffusion.process import Diffusion
from .._inference.model import FittedModel, TrainingSummary
from .._inference.state import model_state
from .._network.build import build_denoiser
from .._parameters import (
    resolve_batch_size,
    resolve_dropout,
    resolve_half_life,
    resolve_hidden_dims,
    resolve_item_dim,
    resolve_learning_rate,
    resolve_loss_items,
    resolve_noise_schedule,
)
from .._utils.cuts import moment_size
from .._utils.hashing import row_keys
from .._utils.host_state import in_own_state
from .._utils.recency import item_counts, item_popularity
from .._utils.results import TrainingHistory
from .._utils.row_view import row_parts
from .._utils.rows import scale_columns
from .._utils.topk import row_blocks
from .._utils.user_features import scaled_features
from .._version import __version__
from .early_stopping import (
    Monitor,
    fixed_weight,
    split_validation,
    spread_ratio,
    validation_rows,
)
from .loop import NO_CHECKPOINT, ONE_PROCESS, train
from .parts import (
    calibrate,
    closed_form_of,
    conditional_scores,
    lift_of,
    spread_sample,
    training_rows,
    with_spread,
)
from .threads import in_turn, training_threads
from .update import optimizer_state
from .user_weights import different_rows

_EVALUATED_ROWS = 128  # of held-out users at once
_FEW_HELD_OUT = 0.01  # of all interactions, for which the closed form is not solved again
_VERSIONED = ("torch", "numpy", "scipy", "scikit-learn")


def training_key(rows, opinions, sample_weight, parameters, seed, device):
    """All that training depends on, {what: hash or version}; of equal ones one training will do."""
    given = rows.history, rows.user_features, rows.disliked
    parts = [_content(X) for X in given if X is not None]
    if opinions is not None:  # the same rows can come from other ratings, which are read anew
        parts.append(dataclasses.astuple(opinions))
    weight = None  # where all are 1
    if (sample_weight != 1).any():
        weight = np.ascontiguousarray(sample_weight)  # of equal ones the hash depends on strides
    key = {"X": parts, "sample_weight": weight, "random_state": seed, "device": str(device)}
    key |= {name: _plain(value) for name, value in parameters.items()}
    key = {name: joblib.hash(value) for name, value in key.items()}
    versions = {f"version of {name}": importlib.metadata.version(name) for name in _VERSIONED}
    return key | versions | {"version of skdiffrec": __version__}


def _content(X):
    """What tells a csr_array, or a `RowView`, from others."""
    if sp.issparse(X):
        return X.shape, X.indptr, X.indices, X.data
    return X.shape, [row_keys(some, 0) for _, some in row_parts(X)]


def _plain(value):
    """Parameters in one form, so that equal ones have equal hashes."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(map(_plain, value))
    if hasattr(value, "get_params"):
        nested = {name: _plain(entry) for name, entry in value.get_params().items()}
        return type(value).__module__, type(value).__qualname__, nested
    return value


@in_own_state(gradients=True, device=True)
def fit_model(
    rows,
    opinions,
    sample_weight,
    parameters,
    seed,
    device,
    callbacks,
    checkpoint=NO_CHECKPOINT,
    ranks=ONE_PROCESS,
):
    """Train a model on canonical rows.

    Parameters
    ----------
    rows : UserRows
    opinions : Opinions or None
        By which liked and disliked items were told apart.
    sample_weight : ndarray of float64, shape (n_users,)
    parameters : namespace
        The parameters of `CFGDiffusionRecommender`, checked.
    seed : int
    device : torch.device
    callbacks : EpochCallbacks
    checkpoint : Checkpoint, default=NO_CHECKPOINT
    ranks : Ranks, default=ONE_PROCESS
        The processes that train together.

    Returns
    -------
    model : FittedModel
    """
    p = parameters
    training, rows, held_out, numbers = _prepared(
        rows, opinions, sample_weight, p, seed, device, ranks
    )
    if held_out is not None:
        features = training.features_as_given(held_out.user_features)
        callbacks.hold_out(*held_out[:2], features, numbers)
    n_visits = ranks.total(int(training.rows.visits.sum()))
    batch_size = resolve_batch_size(p.batch_size, training.rows, n_visits)
    of_steps = rows.history, p.values, p.horizon, batch_size
    learning_rate = resolve_learning_rate(p.learning_rate, *of_steps)
    with training_threads(device) as run:
        state = train(
            training.denoiser,
            training.diffusion,
            training.rows,
            training.monitor,
            training.history,
            learning_rate=learning_rate,
            max_epochs=p.max_epochs,
            batch_size=batch_size,
            n_loss_items=resolve_loss_items(p.n_loss_items, rows.shape[1], p.horizon),
            verbose=p.verbose and ranks.first,
            run=run,
            before_epoch=callbacks.begin_epoch if ranks.first else None,
            after_epoch=lambda ema: callbacks.end_epoch(lambda: training.model_so_far(ema)),
            checkpoint=checkpoint,
            ranks=ranks,
        )
        model = training.for_all(lambda: training.ended(state.ended_by, run))
    return replace(model, optimizer=optimizer_state(state.optimizer, state.ema))


def _prepared(rows, opinions, sample_weight, p, seed, device, ranks):
    """(`_Training`, its rows, `HeldOut` or None, numbers), arguments as those of `fit_model`.

    The numbers are those of the users with held-out items; None where values are no ratings.
    """
    # of all that is given, before rows are merged or parted
    set_size = moment_size(rows.history) if p.values == "time" else 1.0
    factor = None
    if rows.user_features is not None:
        factor = column_factors(rows.user_features, sample_weight)
        rows = replace(rows, user_features=scaled_features(rows.user_features, factor))
    numbers, weight = different_rows(rows, p.values, sample_weight)
    rows = rows.pick(numbers)
    of_features = None if factor is None else {"factor": factor, **lift_of(rows, weight, p, seed)}
    fraction = p.validation_fraction if p.early_stopping else 0.0
    popularity = item_popularity(rows.history, p.values, weight)
    sets = set_size > 1
    if opinions is not None:
        numbers = numbers[validation_rows(rows.history, fraction, seed, p.horizon, sets=sets)]
    whole = rows.history
    rows, held_out = split_validation(rows, weight, p.values, fraction, seed, p.horizon, sets=sets)
    of_rows = whole, popularity, held_out, set_size, of_features, opinions
    training = _Training(rows, weight, *of_rows, p, seed, device, ranks)
    return training, rows, held_out, None if opinions is None else numbers


class _Training:
    """What a training needs and what becomes of it.

    Parameters
    ----------
    rows : UserRows
        Merged training rows.
    weight : ndarray of float64, shape (n_rows,)
    whole : csr_array or RowView
        Histories before any items were held out.
    popularity : ndarray of float32, shape (n_items,)
        Of these.
    held_out : HeldOut or None
    set_size : float
        Items of one moment, the mean, where items come in sets; else 1.
    of_features : dict of ndarray or None
        Buffers of `UserFeatures`, among them the factor by which columns were multiplied.
    opinions, parameters, seed, device, ranks
        As in `fit_model`.
    """

    def __init__(
        self,
        rows,
        weight,
        whole,
        popularity,
        held_out,
        set_size,
        of_features,
        opinions,
        parameters,
        seed,
        device,
        ranks,
    ):
        self.ranks = ranks
        self.of_features, self.opinions = of_features, opinions
        self.p = p = parameters
        self.seed, self.history = seed, TrainingHistory()
        self.half_life = resolve_half_life(p.half_life, p.values, set_size)
        alpha_bar = resolve_noise_schedule(p.noise_schedule, p.n_timesteps)
        self.diffusion = Diffusion(alpha_bar, p.prediction_type)
        X = rows.history
        reads = {"half_life": self.half_life, "sets": set_size > 1}
        solve = functools.partial(closed_form_of, weight=weight, parameters=p, seed=seed, **reads)
        self.closed_form = None

        def solve_first():
            form = solve(X=X, held_out=held_out)
            self.closed_form = form and form.to(device)

        ranks.from_first(solve_first)
        self.solve_whole = None
        n_left, n, form = X.indptr[-1], whole.indptr[-1], self.closed_form
        if form is not None and n - n_left > _FEW_HELD_OUT * n:
            self.solve_whole = lambda: solve(X=whole, before=form)  # no cycle, as self would make
        generator = torch.Generator(device).manual_seed(seed)
        self.counts = item_counts(X, weight)
        self.denoiser = self._denoiser(X, weight).to(device)
        self.denoiser.initialize(generator, self.counts, weight.sum())
        self.denoiser.head.keep_popularity(popularity)
        if rows.disliked is not None:
            self.denoiser.disliked.count(self.counts, item_counts(rows.disliked, weight))
        ranks.equal(self.denoiser)
        if not ranks.first:
            generator.manual_seed(seed + ranks.rank)
        own_rows, own_weight = ranks.share(rows, weight)
        self.rows = training_rows(own_rows, own_weight, p, generator=generator, **reads)
        now = self._model(self.denoiser)
        self.sample = spread_sample(now, rows)
        self.monitor = None
        if held_out is not None and ranks.first:
            self.monitor = Monitor(
                held_out,
                # a new model of the same network, which may have learned since
                lambda: functools.partial(conditional_scores, replace(now)),
                None if self.closed_form is None else now.closed_form_scores,
                blocks=row_blocks(held_out.history.shape[0], X.shape[1], _EVALUATED_ROWS),
                closed_form_weight=p.closed_form_weight,
                patience=p.n_iter_no_change,
                horizon=p.horizon,
            )

    def _denoiser(self, X, weight):
        p, of_features = self.p, self.of_features
        return build_denoiser(
            X,
            weight,
            ranking_head=p.ranking_head,
            latent_dim=p.latent_dim,
            hidden_dims=resolve_hidden_dims(p.hidden_dims, X),
            n_timesteps=self.diffusion.n_timesteps,
            dropout=resolve_dropout(p.dropout, X, p.values),
            half_life=self.half_life,
            item_dim=resolve_item_dim(p.horizon),
            user_features=of_features and of_features["project"].shape,
            disliked=self.opinions is not None,
            seed=self.seed,
        )

    def _model(self, denoiser, **parts):
        """A model of the weights as they are now."""
        p = self.p
        parts = {"closed_form": self.closed_form, "opinions": self.opinions} | parts
        return FittedModel(denoiser, self.diffusion, p.values, self.half_life, self.seed, **parts)

    def for_all(self, made):
        """``made()`` of the first process, for all of them."""
        if self.ranks.size == 1:
            return made()
        own = None

        def state_of_made():
            nonlocal own
            own = made()
            return model_state(own)

        state = self.ranks.from_first(state_of_made)
        return own or FittedModel.of_state(*state).to(self.denoiser.device)

    def model_so_far(self, ema):
        """The model as if training ended now, apart from the one that goes on."""
        with ema.applied():
            denoiser = copy.deepcopy(self.denoiser)
        return self.finished(denoiser)

    def ended(self, ended_by, run):
        """The model in the end: its closed form learns from the held-out items, too."""
        model = self.finished(self.denoiser, ended_by, run)
        if self.solve_whole is None:
            return model
        return replace(model, closed_form=self.solve_whole().to(self.denoiser.device))

    def finished(self, denoiser, ended_by="callback", run=in_turn):
        """The model of trained weights: calibrated, with its closed form and the best scale."""
        calibrate(denoiser, self.diffusion, self.counts)
        weight, factor = self._closed_form_weight(denoiser)
        monitor, best_scale = self.monitor, 1.0
        if monitor is not None and denoiser.head.ranks:
            model = self._model(denoiser, closed_form_scale=factor)
            settings = model.evaluation_settings()
            sweep = lambda X, scales: model.sweep(X, scales, settings)  # noqa: E731
            best_scale = monitor.best_scale(sweep, run)
        summary = TrainingSummary(
            TrainingHistory(self.history),
            None if monitor is None else monitor.best,
            weight,
            best_scale,
            ended_by,
        )
        rows = self.sample
        if self.of_features is not None:  # until now rows came multiplied by the factor
            denoiser.user_features.keep(**self.of_features)
            rows = replace(rows, user_features=self.features_as_given(rows.user_features))
        model = self._model(denoiser, closed_form_scale=factor, training=summary)
        return with_spread(model, rows, self.p.learning_rate)

    def features_as_given(self, features):
        """Features of training rows, which are multiplied by their columns' factors, without."""
        if features is None:
            return None
        factor = self.of_features["factor"]
        return scale_columns(features, 1.0 / np.where(factor > 0, factor, np.inf))

    def _closed_form_weight(self, denoiser):
        """(weight, factor of the scores) with which the closed form joins the trained network."""
        if self.monitor is not None:
            return self.monitor.best_weight, self.monitor.best_factor
        if self.closed_form is None:
            return 0.0, 0.0
        weight = fixed_weight(self.p.closed_form_weight, self.p.horizon)
        model = self._model(denoiser)
        network, form = (
            conditional_scores(model, self.sample),
            model.closed_form_scores(self.sample),
        )
        return weight, weight * spread_ratio(network, form)
