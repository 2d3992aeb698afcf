"""Noise schedules and the spacing of sampling steps."""

import numpy as np
from numpy.typing import NDArray

_MAX_BETA = 0.999  # Nichol & Dhariwal 2021: keeps the last steps from becoming singular
_MIN_ALPHA_BAR = 1e-30  # below it, noise cannot be taken off in float32


def linear_schedule(
    n_timesteps: int, beta_start: float = 1e-4, beta_end: float = 0.02
) -> NDArray[np.float64]:
    """Linear noise schedule: betas in equal steps (Ho et al. 2020, arXiv 2006.11239).

    It is the schedule of arXiv 2409.10494.

    Parameters
    ----------
    n_timesteps : int
        T.
    beta_start, beta_end : float, default=1e-4 and 0.02
        First and last beta, the share of noise that a step adds; both in (0, 1).

    Returns
    -------
    alpha_bar : ndarray of float64, shape (n_timesteps + 1,)
        Cumulative alphas ᾱ_0 = 1 … ᾱ_T, for ``CFGDiffusionRecommender(noise_schedule=...)``.

    Raises
    ------
    ValueError
        If an end is outside (0, 1), ``beta_start > beta_end``, or the schedule leaves nothing of
        the signal.

    Examples
    --------
    >>> from skdiffrec import linear_schedule
    >>> linear_schedule(3, 0.1, 0.3).round(3)
    array([1.   , 0.9  , 0.72 , 0.504])
    """
    _check_ends(n_timesteps, beta_start=beta_start, beta_end=beta_end)
    return _cumulative(np.linspace(beta_start, beta_end, n_timesteps))


def cosine_schedule(n_timesteps: int) -> NDArray[np.float64]:
    """Squared-cosine noise schedule (Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 17).

    Parameters
    ----------
    n_timesteps : int
        T.

    Returns
    -------
    alpha_bar : ndarray of float64, shape (n_timesteps + 1,)
        Cumulative alphas ᾱ_0 = 1 … ᾱ_T, for ``CFGDiffusionRecommender(noise_schedule=...)``.

    Raises
    ------
    ValueError
        If `n_timesteps` is below 1.

    Examples
    --------
    >>> from skdiffrec import cosine_schedule
    >>> cosine_schedule(4).round(3)
    array([1.   , 0.847, 0.494, 0.144, 0.   ])
    """
    _check_ends(n_timesteps)
    t = np.arange(n_timesteps + 1) / n_timesteps
    alpha_bar = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    return _cumulative(1 - alpha_bar[1:] / alpha_bar[:-1])


def linear_variance_schedule(
    n_timesteps: int, variance_start: float = 1e-4, variance_end: float = 0.02
) -> NDArray[np.float64]:
    """Noise schedule whose variance 1 − ᾱ_t grows in equal steps (arXiv 2304.04971, eq. 4).

    It is DiffRec's schedule.

    Parameters
    ----------
    n_timesteps : int
        T.
    variance_start, variance_end : float, default=1e-4 and 0.02
        Noise variance at the first and the last timestep; both in (0, 1).

    Returns
    -------
    alpha_bar : ndarray of float64, shape (n_timesteps + 1,)
        Cumulative alphas ᾱ_0 = 1 … ᾱ_T, for ``CFGDiffusionRecommender(noise_schedule=...)``.

    Raises
    ------
    ValueError
        If an end is outside (0, 1) or ``variance_start > variance_end``.

    Examples
    --------
    >>> from skdiffrec import linear_variance_schedule
    >>> linear_variance_schedule(3, 0.1, 0.3).round(3)
    array([1. , 0.9, 0.8, 0.7])
    """
    _check_ends(n_timesteps, variance_start=variance_start, variance_end=variance_end)
    alpha_bar = np.append(1.0, 1 - np.linspace(variance_start, variance_end, n_timesteps))
    return _cumulative(1 - alpha_bar[1:] / alpha_bar[:-1])


SCHEDULES = {
    "linear": linear_schedule,
    "cosine": cosine_schedule,
    "linear_variance": linear_variance_schedule,
}


def _cumulative(betas):
    """ᾱ_0 … ᾱ_T of betas, with ᾱ_0 = 1 for the clean row."""
    alpha_bar = np.concatenate([[1.0], np.cumprod(1 - np.minimum(betas, _MAX_BETA))])
    if alpha_bar[-1] < _MIN_ALPHA_BAR:
        raise ValueError(
            f"The noise schedule leaves {alpha_bar[-1]:g} of the signal after {len(betas)} "
            f"timesteps; valid is {_MIN_ALPHA_BAR:g} or more. Lower its end or n_timesteps."
        )
    return alpha_bar


def _check_ends(n_timesteps, **ends):
    if n_timesteps < 1:
        raise ValueError(f"n_timesteps must be at least 1, got {n_timesteps}.")
    for name, value in ends.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie strictly between 0 and 1, got {value}.")
    if ends and list(ends.values()) != sorted(ends.values()):
        first, last = ends
        raise ValueError(
            f"{first} must be at most {last}, got {first}={ends[first]} and {last}={ends[last]}. "
            "Noise grows along the schedule: swap the two."
        )


def check_alpha_bar(alpha_bar):
    """A copy of a schedule that a user gives, as float64: ᾱ falls from 1, and stays above 0."""
    try:
        array = np.array(alpha_bar, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    falls = array.ndim == 1 and len(array) > 1 and (np.diff(array) <= 0).all()
    # where the first step added no noise, there would be none to take off
    if not (falls and array[0] == 1 > array[1] and array[-1] >= _MIN_ALPHA_BAR):
        raise ValueError(
            f"noise_schedule must be one of {sorted(SCHEDULES)} or cumulative alphas that start "
            f"at 1, fall from there, never rise and end at {_MIN_ALPHA_BAR:g} or more, got "
            f"{alpha_bar!r:.200}. skdiffrec.cosine_schedule, linear_schedule and "
            "linear_variance_schedule make some."
        )
    return array


def sampling_timesteps(start, n_steps):
    """Timesteps at which the denoiser is called: `n_steps` of them, from `start` down, then 0.

    Returns
    -------
    timesteps : ndarray of int64, shape (n_steps + 1,)
        Strictly decreasing, first `start`, last 0 (the clean row).
    """
    return np.round(np.linspace(start, 0, n_steps + 1)).astype(np.int64)
