"""From rows to a fitted model: what lies between the estimator and the network."""

import copy
import functools
import importlib.metadata
import numbers

import joblib
import numpy as np
import torch

from .._closed_form.selection import Judges, build_path
from .._diffusion.process import Diffusion
from .._diffusion.schedules import cumulative_alphas
from .._inference.device import training_threads
from .._inference.explanation import leave_one_out, path_contributions
from .._inference.reverse_process import SamplingSettings
from .._inference.scoring import (
    branch_scores,
    drawn_scores,
    guided_lists,
    guided_scores,
    path_scores,
    staged_scores,
    swept_scores,
)
from .._inference.state import model_state, restored
from .._network.build import build_denoiser
from .._parameters import (
    check_batch_size,
    check_condition_dropout,
    check_dropout,
    check_hidden_dims,
    check_loss_items,
)
from .._utils.hashing import row_keys
from .._utils.rows import unit_free
from .._utils.training_history import TrainingHistory
from .._version import __version__
from ..preprocessing import history_ages, history_weights
from .batches import TrainingRows
from .early_stopping import Monitor, fixed_path_weight, split_validation, spread_ratio
from .loop import train
from .user_weights import merge_rows

_N_SPREAD_ROWS = 1_000
_VERSIONED = ("torch", "numpy", "scipy", "scikit-learn")


def new_diffusion(parameters):
    """The forward process that the parameters (a namespace) ask for."""
    alphas = cumulative_alphas(
        parameters.noise_schedule,
        parameters.n_timesteps,
        parameters.beta_start,
        parameters.beta_end,
    )
    return Diffusion(alphas, parameters.prediction_type)


class FittedModel:
    """What training leaves behind. How it is sampled may change from call to call.

    Parameters
    ----------
    denoiser : Denoiser
    diffusion : Diffusion
    seed : int
        Of the random numbers of a row.
    values, half_life, loss
        As in `CFGDiffusionRecommender`.
    """

    complete = True  # training was not cut short

    def __init__(self, denoiser, diffusion, *, seed, values, half_life, loss):
        self.denoiser, self.diffusion, self.seed = denoiser, diffusion, seed
        self.values, self.half_life, self.loss = values, half_life, loss
        self.history = TrainingHistory()
        self.best_validation_score, self.path_weight, self.best_scale = None, 0.0, 1.0

    def attributes(self):
        """The attributes of an estimator that was fitted to this model."""
        return {
            "_model": self,
            "history_": TrainingHistory(self.history),
            "n_iter_": len(self.history),
            "best_validation_score_": self.best_validation_score,
            "item_path_weight_": self.path_weight,
            "best_guidance_scale_": self.best_scale,
        }

    def to(self, device):
        """The same model, its weights on `device`."""
        if self.denoiser.null.device != device:
            self.denoiser.to(device)
        return self

    def _inputs(self, X, settings):
        keys = None
        if settings.temperature:
            keys = row_keys(unit_free(X, self.values), self.seed)
        return self.denoiser, self.diffusion, self._histories(X), keys

    def _histories(self, X):
        """What the denoiser reads: ages, or weights."""
        if self.values == "time" and self.half_life is not None:
            return history_ages(X)
        return history_weights(X, self.values, None)

    def score(self, X, guidance_scale, settings, items=None):
        """Scores float32 (n_rows, n_items) of canonical rows at one scale per row.

        With `items` (ascending) of these alone.
        """
        return guided_scores(*self._inputs(X, settings), guidance_scale, settings, items)

    def rank(self, X, k, guidance_scale, settings, **masks):
        """Lists (ids, scores) of the k best items by `score`."""
        inputs = self._inputs(X, settings)
        return guided_lists(*inputs, guidance_scale, settings, k, **masks)

    def stages(self, X, guidance_scale, settings):
        """`score` after each sampling step."""
        return staged_scores(*self._inputs(X, settings), guidance_scale, settings)

    def sweep(self, X, scales, settings):
        """`score` at each of several scales for all rows."""
        return swept_scores(*self._inputs(X, settings), scales, settings)

    def branches(self, X, guidance_scale, settings, items=None):
        """The conditional and the unconditional scores behind `score`."""
        return branch_scores(*self._inputs(X, settings), guidance_scale, settings, items)

    def draws(self, X, guidance_scale, settings, n_samples):
        """`score` of one draw after the other."""
        return drawn_scores(*self._inputs(X, settings), guidance_scale, settings, n_samples)

    def path_contributions(self, X, scale, items):
        """(contributions, base): the closed form's part of the scores of one row."""
        return path_contributions(self.denoiser, self._histories(X), scale, items)

    def leave_one_out(self, X, scale, settings, items, blocks):
        """`score` of one row without each of its items, (X.nnz, len(items))."""
        inputs = self._inputs(X, settings)
        return leave_one_out(*inputs, scale, settings, items, blocks)

    @property
    def _plain(self):
        """Sampling as training judges it: how a model is sampled has no say in it."""
        n_steps = 1 if self.loss == "multinomial" else min(10, self.diffusion.n_timesteps)
        return SamplingSettings(n_steps, None, eta=0.0, temperature=0.0, n_samples=1)

    def score_plainly(self, X):
        """Conditional scores as training judges them."""
        return self.score(X, np.ones(X.shape[0]), self._plain)

    def sweep_plainly(self, X, scales):
        """`score_plainly` at each of several guidance scales."""
        return self.sweep(X, scales, self._plain)

    def score_path(self, X):
        """Scores of the closed form alone."""
        return path_scores(self.denoiser, self._histories(X))

    def __getstate__(self):
        """Numbers and NumPy arrays alone: what is pickled loads on a machine without a GPU."""
        return model_state(self)

    def __setstate__(self, state):
        record, tensors = state
        vars(self).update(restored(record, dict(tensors)))

    @classmethod
    def of_state(cls, record, tensors):
        """The model that `model_state` took apart, checked; its arrays are taken out."""
        model = cls.__new__(cls)
        vars(model).update(restored(record, tensors))
        return model


def training_key(X, sample_weight, parameters, seed, device):
    """A hash of all that training depends on; of equal keys one training will do."""
    parameters = {name: _plain(value) for name, value in parameters.items()}
    versions = {name: importlib.metadata.version(name) for name in _VERSIONED}
    rows = (X.shape, X.indptr, X.indices, X.data)
    return joblib.hash((rows, sample_weight, parameters, seed, str(device), __version__, versions))


def _plain(value):
    """Numbers and sequences of numbers in one form, so that equal parameters have equal hashes."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(map(_plain, value))
    return value


def fit_model(X, sample_weight, parameters, seed, device, blocks, callbacks):
    """Train a model on canonical rows.

    Parameters
    ----------
    X : csr_array of shape (n_users, n_items)
    sample_weight : ndarray of float64, shape (n_users,)
    parameters : namespace
        The parameters of `CFGDiffusionRecommender`, checked.
    seed : int
    device : torch.device
    blocks : callable
        ``blocks(n_rows) -> list of slice`` in which to score rows.
    callbacks : EpochCallbacks

    Returns
    -------
    model : FittedModel
    """
    p = parameters
    X, weight = merge_rows(X, p.values, sample_weight)
    fraction = p.validation_fraction if p.early_stopping else 0.0
    X, history, hidden, chosen = split_validation(X, p.values, fraction, seed)
    generator = torch.Generator(device).manual_seed(seed)
    judges = None if history is None else Judges(history, hidden, weight[chosen])
    denoiser = _new_denoiser(X, weight, judges, p, seed).to(device)
    counts = X.astype(bool).T @ weight
    denoiser.initialize(generator, counts, weight.sum())
    model = FittedModel(
        denoiser, new_diffusion(p), seed=seed, values=p.values, half_life=p.half_life, loss=p.loss
    )
    monitor = None
    if judges is not None:
        monitor = _new_monitor(model, judges, p, blocks)
    rows = _training_rows(X, weight, p, generator)
    sample = X[: min(_N_SPREAD_ROWS, blocks(X.shape[0])[0].stop)]
    finish = functools.partial(_finish, monitor=monitor, counts=counts, sample=sample, p=p)
    shown = None if monitor is None else (history, hidden)
    with training_threads():
        model.complete = train(
            denoiser,
            model.diffusion,
            rows,
            monitor,
            model.history,
            learning_rate=p.learning_rate,
            weight_decay=p.weight_decay,
            ema_decay=p.ema_decay,
            max_epochs=p.max_epochs,
            batch_size=check_batch_size(p.batch_size, int(rows.visits.sum())),
            n_loss_items=check_loss_items(p.n_loss_items, X.shape[1]),
            verbose=p.verbose,
            before_epoch=callbacks.begin_epoch,
            after_epoch=lambda ema: callbacks.end_epoch(shown, lambda: _so_far(model, ema, finish)),
            keep_interrupted=callbacks.keep_interrupted,
        )
    finish(model)
    return model


def _finish(model, *, monitor, counts, sample, p):
    """What follows training: the unconditional branch, the path's weight, the best scale."""
    denoiser, n_timesteps = model.denoiser, model.diffusion.n_timesteps
    last = torch.full((1,), n_timesteps, device=denoiser.null.device)
    denoiser.calibrate(counts, n_timesteps, model.diffusion.input_scale(last))
    _weigh_path(model, monitor, sample, p)
    if monitor is not None and p.loss == "multinomial":
        model.best_scale = monitor.best_scale(model.sweep_plainly)


def _so_far(model, ema, finish):
    """The model as if training ended now, apart from the one that goes on."""
    now, path = FittedModel.__new__(FittedModel), model.denoiser.item_path
    vars(now).update(vars(model), history=TrainingHistory(model.history))
    with ema.applied():
        now.denoiser = copy.deepcopy(model.denoiser, {id(path): path})  # the path is never trained
    finish(now)
    return now


def _new_denoiser(X, weight, judges, p, seed):
    path = None
    if p.item_path is not None and p.loss == "multinomial":
        path = build_path(
            X,
            weight,
            p.item_path,
            p.item_path_reg,
            values=p.values,
            half_life=p.half_life,
            seed=seed,
            judges=judges,
        )
    return build_denoiser(
        history_weights(X, "binary", None),
        weight,
        loss=p.loss,
        latent_dim=p.latent_dim,
        path=path,
        hidden_dims=check_hidden_dims(p.hidden_dims, X),
        time_dim=p.time_dim,
        n_timesteps=p.n_timesteps,
        dropout=check_dropout(p.dropout, X),
        half_life=p.half_life if p.values == "time" else None,
        seed=seed,
    )


def _training_rows(X, weight, p, generator):
    return TrainingRows(
        X,
        p.values,
        dropped=check_condition_dropout(p.condition_dropout, p.values),
        drop_condition=p.cond_drop_prob,
        half_life=p.half_life,
        row_weight=weight,
        generator=generator,
    )


def _new_monitor(model, judges, p, blocks):
    return Monitor(
        judges.history,
        judges.hidden,
        model.score_plainly,
        None if model.denoiser.item_path is None else model.score_path,
        blocks=blocks(len(judges.weight)),
        path_weight=p.item_path_weight,
        patience=p.n_iter_no_change,
        row_weight=judges.weight,
    )


def _weigh_path(model, monitor, sample, p):
    """Let the closed form join the trained network."""
    weight, scale = 0.0, 0.0
    if monitor is not None:
        model.best_validation_score = monitor.best
        weight, scale = monitor.best_path_weight, monitor.best_path_scale
    elif model.denoiser.item_path is not None:
        weight = fixed_path_weight(p.item_path_weight)
        scale = weight * spread_ratio(model.score_plainly(sample), model.score_path(sample))
    model.path_weight, model.denoiser.path_scale = weight, scale
