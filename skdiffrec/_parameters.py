"""What the parameters of CFGDiffusionRecommender may be, and the configurations with a name."""

import numbers
import os

import joblib
import numpy as np
import torch

from ._diffusion.process import PREDICTION_TYPES
from ._diffusion.schedules import SCHEDULES
from ._utils.validation import VALUES, Interval, StrOptions

# Shares of a row left out of the condition: the latest items for times, else any.
CONDITION_DROPOUT = {"binary": (0.3, 0.7), "weight": (0.3, 0.7), "time": (0.05, 0.5)}

# Of arXiv 2409.10494; what it leaves open is DDPM's (schedule) or DiffRec's (one hidden layer).
PAPER = dict(
    noise_schedule="linear",
    n_timesteps=1000,
    prediction_type="epsilon",
    loss="squared",
    latent_dim=None,
    item_path=None,
    condition_dropout=0.0,
    cond_drop_prob=0.2,
    hidden_dims=(1000,),
    n_sampling_steps=50,
    eta=1.0,
    temperature=1.0,
)


# What training does not depend on: how a model is sampled, and where it is kept.
FREE_PARAMETERS = frozenset(
    (
        "guidance_scale",
        "n_sampling_steps",
        "start_timestep",
        "eta",
        "temperature",
        "n_samples",
        "sampler",
        "device",  # where it is trained is in the key of its own
        "memory",
        "random_state",  # and so is the seed
        "verbose",
    )
)


_DENSE = 0.015  # share of the cells that are filled
# Of hidden layers; 600 is no better on any set, and more than twice as slow. The output layer has
# two columns more, padded to a multiple of 16: 256 for this width, 272 for one of 256.
_WIDTH = 240


def _at_least(low, closed="left", kind=numbers.Real):
    return Interval(kind, low, None, closed=closed)


PARAMETER_CONSTRAINTS = {
    "guidance_scale": [numbers.Real, StrOptions({"auto"})],
    "n_sampling_steps": [_at_least(1, kind=numbers.Integral)],
    "start_timestep": [_at_least(1, kind=numbers.Integral), None],
    "eta": [Interval(numbers.Real, 0, 1, closed="both")],
    "temperature": [Interval(numbers.Real, 0, 100, closed="both")],
    "n_samples": [_at_least(1, kind=numbers.Integral)],
    "sampler": [StrOptions({"hidden_space", "item_space"})],
    "values": [StrOptions(set(VALUES))],
    "half_life": [_at_least(0, "neither"), None],
    "cond_drop_prob": [Interval(numbers.Real, 0, 1, closed="both")],
    "condition_dropout": [
        Interval(numbers.Real, 0, 1, closed="left"),
        "array-like",
        StrOptions({"auto"}),
    ],
    "n_timesteps": [_at_least(1, kind=numbers.Integral)],
    "noise_schedule": [StrOptions(set(SCHEDULES))],
    "beta_start": [numbers.Real],
    "beta_end": [numbers.Real],
    "prediction_type": [StrOptions(set(PREDICTION_TYPES))],
    "loss": [StrOptions({"multinomial", "squared"})],
    "latent_dim": [_at_least(1, kind=numbers.Integral), None],
    "item_path": [StrOptions({"auto", "ease", "neighborhood"}), None],
    "item_path_reg": [_at_least(0, "neither"), StrOptions({"auto"})],
    "item_path_weight": [_at_least(0), StrOptions({"auto"})],
    "hidden_dims": ["array-like", StrOptions({"auto"})],
    "time_dim": [_at_least(1, kind=numbers.Integral)],
    "dropout": [Interval(numbers.Real, 0, 1, closed="left"), StrOptions({"auto"})],
    "max_epochs": [_at_least(1, kind=numbers.Integral)],
    "batch_size": [_at_least(1, kind=numbers.Integral), StrOptions({"auto"})],
    "n_loss_items": [_at_least(1, kind=numbers.Integral), StrOptions({"auto"}), None],
    "learning_rate": [_at_least(0, "neither")],
    "weight_decay": [_at_least(0)],
    "ema_decay": [Interval(numbers.Real, 0, 1, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(numbers.Real, 0, 1, closed="neither")],
    "n_iter_no_change": [_at_least(1, kind=numbers.Integral)],
    "device": [str, torch.device],
    "memory": [str, os.PathLike, joblib.Memory, None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


def check_batch_size(batch_size, n_users):
    """Rows in a training step."""
    if batch_size == "auto":
        return min(max(n_users // 48, 64), 1024)
    return int(batch_size)


def is_dense(X):
    """Whether rows of X hold enough for a deep network to learn more than a shallow one."""
    return X.nnz >= _DENSE * X.shape[0] * X.shape[1]


def check_dropout(dropout, X):
    """Dropout of hidden layers for rows like X."""
    if dropout == "auto":
        return 0.3 if is_dense(X) else 0.5
    return dropout


def check_loss_items(n_loss_items, n_items):
    """Items in the loss of a batch; None is all."""
    if n_loss_items == "auto":
        return 4096 if n_items > 8192 else None
    return n_loss_items


def check_hidden_dims(hidden_dims, X):
    """Layer widths for rows like X, as a tuple of positive ints."""
    if isinstance(hidden_dims, str):
        return (_WIDTH, _WIDTH) if is_dense(X) else (_WIDTH,)
    try:
        widths = np.asarray(hidden_dims)
    except ValueError:  # ragged
        widths = np.zeros(0)
    if widths.ndim != 1 or not len(widths) or widths.dtype.kind not in "iu" or widths.min() < 1:
        raise ValueError(
            f"hidden_dims must be a sequence of positive ints, one per layer, got {hidden_dims!r}."
        )
    return tuple(int(width) for width in widths)


def check_condition_dropout(dropped, values):
    """The range of the dropped share as two floats, 0 ≤ low ≤ high < 1."""
    if isinstance(dropped, str):
        return CONDITION_DROPOUT[values]
    try:
        ends = np.asarray(dropped, dtype=float)
    except (TypeError, ValueError):
        ends = np.full(1, np.nan)
    low, high = (float(ends), float(ends)) if ends.ndim == 0 else (*ends, np.nan, np.nan)[:2]
    if ends.ndim > 1 or ends.size > 2 or not 0 <= low <= high < 1:
        raise ValueError(
            f"condition_dropout must be one share or a range (low, high) with 0 <= low <= high < "
            f"1, got {dropped!r}."
        )
    return low, high


def check_sampling_steps(n_sampling_steps, start_timestep, n_timesteps):
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
