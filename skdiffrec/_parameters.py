"""What the parameters of CFGDiffusionRecommender may be, and what "auto" stands for."""

import inspect
import numbers
import os

import joblib
import torch

from ._diffusion.process import PREDICTION_TYPES
from ._diffusion.schedules import SCHEDULES, check_alpha_bar
from ._inference.settings import SamplingSettings
from ._utils.canonical import RATING, VALUES
from ._utils.rows import is_dense
from ._utils.training_parameters import check_hidden_dims, check_target_share
from ._utils.validation import Interval, StrOptions, check_values
from ._utils.warning import warn_caller
from .baselines import ItemItemRecommender

# Shares of a row that are the target: the latest items for times, else any.
_TARGET_SHARE = {"binary": (0.3, 0.7), "weight": (0.3, 0.7), "time": (0.05, 0.5)}
_TARGET_SHARE[RATING] = _TARGET_SHARE["weight"]
_EVERY_CUT = (0.0, 1.0)  # with a horizon

# Of arXiv 2409.10494; what it leaves open is DDPM's (schedule) or DiffRec's (one hidden layer).
PAPER = dict(
    noise_schedule="linear",
    n_timesteps=1000,
    prediction_type="epsilon",
    ranking_head=False,
    latent_dim=None,
    closed_form=None,
    target_share=0.0,
    cond_drop_prob=0.2,
    hidden_dims=(1000,),
    n_sampling_steps=50,
    eta=1.0,
    temperature=1.0,
)

# The least of it that has to change: the network predicts x_0, as DiffRec's does, for noise in item
# space has more dimensions than the layer; the condition no longer shows the target; and lists come
# from the mean of what would be drawn.
REPAIRED = PAPER | dict(
    prediction_type="x0",
    target_share="auto",
    n_sampling_steps=1,
    temperature=0.0,
)

SAMPLING_PARAMETERS = (
    "n_sampling_steps",
    "start_timestep",
    "eta",
    "temperature",
    "n_draws",
)
# What training does not depend on: how a model is sampled, and where it is kept.
FREE_PARAMETERS = frozenset(
    (
        *SAMPLING_PARAMETERS,
        "guidance_scale",
        "item_features",  # of which nothing is learned
        "checkpoint",
        "checkpoint_every",
        "device",  # where it is trained is in the key of its own
        "memory",
        "random_state",  # and so is the seed
        "verbose",
    )
)

# Of hidden layers; 600 is no better on any set, and more than twice as slow. The output layer has
# two columns more, padded to a multiple of 16: 256 for this width, 272 for one of 256.
_WIDTH = 240
_ITEM_DIM = 64  # of the items' vectors, where histories are read in order


def _at_least(low, closed="left", kind=numbers.Real):
    return Interval(kind, low, None, closed=closed)


PARAMETER_CONSTRAINTS = {
    "guidance_scale": [numbers.Real, StrOptions({"auto"}), dict],
    "n_sampling_steps": [_at_least(1, kind=numbers.Integral)],
    "start_timestep": [_at_least(1, kind=numbers.Integral), None],
    "eta": [Interval(numbers.Real, 0, 1, closed="both")],
    "temperature": [Interval(numbers.Real, 0, 100, closed="both")],
    "n_draws": [_at_least(1, kind=numbers.Integral)],
    "values": [StrOptions({*VALUES, RATING})],
    "liked_from": [Interval(numbers.Real, None, None, closed="neither"), StrOptions({"auto"})],
    "half_life": [_at_least(1e-3), None],
    "item_features": ["array-like", "sparse matrix", None],
    "horizon": [_at_least(1, kind=numbers.Integral), None],
    "target_share": [
        Interval(numbers.Real, 0, 1, closed="left"),
        "array-like",
        StrOptions({"auto"}),
    ],
    "cond_drop_prob": [Interval(numbers.Real, 0, 1, closed="both")],
    "n_timesteps": [Interval(numbers.Integral, 1, 1_000_000, closed="both")],
    "noise_schedule": [StrOptions(set(SCHEDULES)), "array-like"],
    "prediction_type": [StrOptions(set(PREDICTION_TYPES))],
    "ranking_head": ["boolean"],
    "latent_dim": [_at_least(1, kind=numbers.Integral), None],
    "hidden_dims": ["array-like", StrOptions({"auto"})],
    "dropout": [Interval(numbers.Real, 0, 1, closed="left"), StrOptions({"auto"})],
    "closed_form": [StrOptions({"auto"}), ItemItemRecommender, None],
    "closed_form_weight": [Interval(numbers.Real, 0, 1e6, closed="both"), StrOptions({"auto"})],
    "max_epochs": [_at_least(1, kind=numbers.Integral)],
    "batch_size": [_at_least(1, kind=numbers.Integral), StrOptions({"auto"})],
    "n_loss_items": [_at_least(1, kind=numbers.Integral), StrOptions({"auto"}), None],
    "learning_rate": [_at_least(0, "neither"), StrOptions({"auto"})],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(numbers.Real, 0, 1, closed="neither")],
    "n_iter_no_change": [_at_least(1, kind=numbers.Integral)],
    "device": [str, torch.device],
    "checkpoint": [str, os.PathLike, None],
    "checkpoint_every": [_at_least(0)],
    "memory": [str, os.PathLike, joblib.Memory, None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def resolve_noise_schedule(noise_schedule, n_timesteps):
    """Cumulative alphas, by name or as they are given."""
    if isinstance(noise_schedule, str):
        return SCHEDULES[noise_schedule](n_timesteps)
    return check_alpha_bar(noise_schedule)


def resolve_batch_size(batch_size, rows, n_visits):
    """Users in a step of training on RowBatches, of an epoch of so many in all.

    An update on some rows takes as many as a fit of all of them.
    """
    return rows.rows_of_step_of(n_visits) if batch_size == "auto" else int(batch_size)


def resolve_dropout(dropout, X, values):
    """Dropout of hidden layers for rows like X."""
    if dropout == "auto":
        return 0.3 if is_dense(X) or values != "time" else 0.5
    return dropout


def resolve_loss_items(n_loss_items, n_items, horizon):
    """Items in the loss of a batch; None is all."""
    if n_loss_items == "auto":
        many, some = (8192, 2048) if horizon is None else (2048, 1024)
        return some if n_items > many else None
    return n_loss_items


def resolve_learning_rate(learning_rate, X, values, horizon, batch_size):
    """The highest of AdamW for rows like X in steps of so many."""
    if learning_rate != "auto":
        return learning_rate
    if horizon is not None:
        return 6e-3
    if is_dense(X) or values == "time":
        return 3e-3
    # of sparse sets a step says little: it grows with the rows that say it
    return 3e-3 * min(max(batch_size / 64, 1.0), 5 / 3)


def resolve_item_dim(horizon):
    """Length of the items' vectors; None where histories are read as bags."""
    return None if horizon is None else _ITEM_DIM


def resolve_half_life(half_life, values, set_size):
    """Age in items at which an item weighs half; None reads no age."""
    return None if values != "time" or half_life is None else half_life * set_size


def resolve_hidden_dims(hidden_dims, X=None):
    """Layer widths for rows like X (None: the most), as a tuple of positive ints."""
    if isinstance(hidden_dims, str):
        return (_WIDTH, _WIDTH) if X is None or is_dense(X) else (_WIDTH,)
    return check_hidden_dims(hidden_dims)


def resolve_target_share(target_share, values, horizon=None):
    """The range of the target share as two floats, 0 ≤ low ≤ high < 1."""
    if isinstance(target_share, str):
        return _TARGET_SHARE[values] if horizon is None else _EVERY_CUT
    return check_target_share(target_share)


def sampling_settings(values, n_timesteps, caller):
    """Sampling parameters, {name: value}, checked and fit for a noise schedule."""
    check_values(PARAMETER_CONSTRAINTS, values, caller)
    settings = SamplingSettings(**values)
    _check_sampling_steps(settings.n_sampling_steps, settings.start_timestep, n_timesteps)
    return settings


def _check_sampling_steps(n_sampling_steps, start_timestep, n_timesteps):
    """Sampling must fit into the noise schedule."""
    if start_timestep is not None and start_timestep > n_timesteps:
        raise ValueError(
            f"start_timestep must be at most n_timesteps, got start_timestep={start_timestep} and "
            f"n_timesteps={n_timesteps}."
        )
    first, name = (n_timesteps, "n_timesteps")
    if start_timestep is not None:
        first, name = (start_timestep, "start_timestep")
    if n_sampling_steps > first:
        raise ValueError(
            f"n_sampling_steps must be at most {name}, got n_sampling_steps={n_sampling_steps} "
            f"and {name}={first}. Each step needs a timestep of its own."
        )


def check_horizon(parameters):
    """A horizon needs an order, and a target that is apart from what is shown."""
    p, horizon = parameters, parameters.horizon
    if horizon is None:
        return
    if p.values != "time":
        raise ValueError(
            f"horizon={horizon!r} asks for the next items, but values={p.values!r} have no order. "
            'Give times and values="time", or use horizon=None.'
        )
    if p.half_life is None:
        raise ValueError(
            f"horizon={horizon!r} reads histories in order, but half_life=None reads no order. "
            "Give a half_life, such as the default 5.0, or use horizon=None."
        )
    if resolve_target_share(p.target_share, p.values)[1] == 0:
        raise ValueError(
            f"horizon={horizon!r} predicts later items from earlier ones, but target_share=0 shows "
            'the whole row. Use target_share="auto", or horizon=None.'
        )


def check_early_stopping(parameters):
    """Early stopping evaluates the conditional branch, which has to be trained."""
    p = parameters
    if p.early_stopping and p.cond_drop_prob == 1:
        raise ValueError(
            f"cond_drop_prob={p.cond_drop_prob!r} trains the unconditional branch alone, but "
            "early_stopping=True evaluates the conditional one. Use early_stopping=False, and "
            "lists with guidance_scale=0 and a start_timestep; or a smaller cond_drop_prob."
        )


def check_closed_form(parameters):
    """A recommender that is given as closed form, with valid parameters."""
    p, closed_form = parameters, parameters.closed_form
    if closed_form is None or isinstance(closed_form, str):
        return
    closed_form._validate_params()
    if not p.ranking_head:
        raise ValueError(
            f"closed_form={closed_form!r} joins the scores of a ranking head, but "
            "ranking_head=False. Use ranking_head=True, or closed_form=None."
        )
    if closed_form.values not in ("binary", "weight" if p.values == RATING else p.values):
        warn_caller(
            f'closed_form={closed_form!r} learns from values="{closed_form.values}", but '
            f'values="{p.values}" of the model says what X holds. Give the closed form the same, '
            'or "binary", which learns from who took what.'
        )
    others = closed_form.half_life not in (_default(closed_form, "half_life"), p.half_life)
    if p.values == "time" and others:
        warn_caller(
            f"half_life={closed_form.half_life!r} of closed_form={closed_form!r} is not used: "
            f"histories are read by the model's own half_life={p.half_life!r}. Set that one."
        )


def _default(estimator, name):
    """The default of a parameter, in the class of an estimator."""
    parameter = inspect.signature(type(estimator)).parameters.get(name)
    return getattr(type(estimator), name, None) if parameter is None else parameter.default
