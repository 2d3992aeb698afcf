"""Checks of guidance scales: one dial for all conditions, or one for each."""

import numbers
from collections.abc import Mapping

import numpy as np

_MAX_SCALE = 1e3  # far beyond any use; keeps float32 scores finite


def check_condition_scales(guidance_scale, n_users, conditions):
    """Guidance scales of all users, float64 (n_users, n_conditions).

    Parameters
    ----------
    guidance_scale : float, array-like or dict
        A dict has scales by condition, where the others are 1; else all conditions have the one.
    n_users : int
    conditions : sequence of str
        Of the model, in the order of the chain in which guidance is composed.
    """
    if not isinstance(guidance_scale, Mapping):
        scale = check_guidance_scale(guidance_scale, n_users)
        return np.repeat(scale[:, None], len(conditions), axis=1)
    unknown = [name for name in guidance_scale if name not in conditions]
    if unknown:
        raise ValueError(
            f"guidance_scale has a scale for {unknown[0]!r}, but the conditions of this model are "
            f"{', '.join(map(repr, conditions))}. A model has the conditions that it was fitted "
            "with: user_features is one if they are given to fit."
        )
    scales = [
        check_guidance_scale(guidance_scale.get(name, 1.0), n_users, f"guidance_scale[{name!r}]")
        for name in conditions
    ]
    return np.stack(scales, axis=1)


def check_guidance_scale(scale, n_users, name="guidance_scale"):
    """Finite scales, float64 (n_users,), from one number or one per user."""
    try:
        array = np.asarray(scale, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or one number per user, got {scale!r}.") from None
    if array.ndim > 1 or (array.ndim == 1 and len(array) != n_users):
        raise ValueError(
            f"{name} has shape {array.shape}, but {n_users} users were asked for. "
            "Give one number, or a 1-D array with one number per user."
        )
    bad = array[~(np.abs(array) <= _MAX_SCALE)]
    if bad.size:
        raise ValueError(
            f"{name} must lie between {-_MAX_SCALE:g} and {_MAX_SCALE:g}, got "
            f"{bad.ravel()[0]}. 0 is unconditional, 1 plain conditional."
        )
    return np.broadcast_to(array, (n_users,))


def check_scales(scales):
    """Several guidance scales, float64 (n_scales,), at least one."""
    if np.ndim(scales) != 1 or not np.size(scales):
        raise ValueError(
            f"scales must be a 1-D sequence of at least one guidance scale, got {scales!r}. Give "
            "for example [0.5, 1.0, 1.5]."
        )
    return check_guidance_scale(scales, len(scales))


def check_scale_grid(scales, conditions):
    """(scales of each list, float64 (n_lists, n_conditions); shape of the grid) of a sweep.

    `scales` are several scales of all conditions together, or a dict of several for each of some
    conditions, of which all combinations are meant, with the first condition of the dict slowest.
    """
    if not isinstance(scales, Mapping):
        scales = check_scales(scales)
        return np.repeat(scales[:, None], len(conditions), axis=1), scales.shape
    if not scales:
        raise ValueError("scales is an empty dict; give for example {'history': [0.5, 1.0, 1.5]}.")
    check_condition_scales(dict.fromkeys(scales, 1.0), 1, conditions)
    axes = [check_scales(several) for several in scales.values()]
    grid = np.meshgrid(*axes, indexing="ij")
    found = np.ones((grid[0].size, len(conditions)))
    for name, values in zip(scales, grid, strict=True):
        found[:, list(conditions).index(name)] = values.ravel()
    return found, grid[0].shape


def check_scale_parameter(scale):
    """A `guidance_scale` that an estimator has: "auto", a number, or a dict of numbers."""
    entries = list(scale.values()) if isinstance(scale, Mapping) else [scale]
    for entry in entries:
        if entry != "auto" or isinstance(scale, Mapping):
            if not isinstance(entry, numbers.Real):
                raise TypeError(f"guidance_scale must hold numbers, got {scale!r}.")
            check_guidance_scale(entry, 1)
