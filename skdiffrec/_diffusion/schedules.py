"""Noise schedules and the spacing of sampling steps."""

import numpy as np

_MAX_BETA = 0.999  # Nichol & Dhariwal 2021: keeps the last steps from becoming singular
_MIN_ALPHA_BAR = 1e-30  # below it, noise cannot be taken off in float32


def _linear(n_timesteps, beta_start, beta_end):
    """Betas from `beta_start` to `beta_end` in equal steps (Ho et al. 2020, arXiv 2006.11239)."""
    return np.linspace(beta_start, beta_end, n_timesteps)


def _cosine(n_timesteps, beta_start, beta_end):
    """Squared-cosine ᾱ (Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 17); needs no ends."""
    t = np.arange(n_timesteps + 1) / n_timesteps
    alpha_bar = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    return 1 - alpha_bar[1:] / alpha_bar[:-1]


def _linear_variance(n_timesteps, beta_start, beta_end):
    """1 − ᾱ_t itself in equal steps between the ends (DiffRec, arXiv 2304.04971, eq. 4)."""
    alpha_bar = np.concatenate([[1.0], 1 - np.linspace(beta_start, beta_end, n_timesteps)])
    return 1 - alpha_bar[1:] / alpha_bar[:-1]


SCHEDULES = {"linear": _linear, "cosine": _cosine, "linear_variance": _linear_variance}


def cumulative_alphas(name, n_timesteps, beta_start, beta_end):
    """ᾱ_0 … ᾱ_T of a schedule, with ᾱ_0 = 1 for the clean row.

    Parameters
    ----------
    name : {"linear", "cosine", "linear_variance"}
    n_timesteps : int
        T.
    beta_start, beta_end : float
        First and last beta; for "linear_variance" the first and last noise variance 1 − ᾱ;
        not used by "cosine".

    Returns
    -------
    alpha_bar : ndarray of float64, shape (n_timesteps + 1,)
        Never increasing, in (0, 1].

    Raises
    ------
    ValueError
        For an end outside (0, 1), ``beta_start > beta_end``, or a schedule that leaves nothing of
        the signal.
    """
    for parameter, value in (("beta_start", beta_start), ("beta_end", beta_end)):
        if not 0 < value < 1:
            raise ValueError(f"{parameter} must lie strictly between 0 and 1, got {value}.")
    if beta_start > beta_end:
        raise ValueError(
            f"beta_start must be at most beta_end, got beta_start={beta_start} and "
            f"beta_end={beta_end}. Noise grows along the schedule: swap the two."
        )
    betas = np.minimum(SCHEDULES[name](n_timesteps, beta_start, beta_end), _MAX_BETA)
    alpha_bar = np.concatenate([[1.0], np.cumprod(1 - betas)])
    if alpha_bar[-1] < _MIN_ALPHA_BAR:
        raise ValueError(
            f"beta_end={beta_end} over n_timesteps={n_timesteps} leaves {alpha_bar[-1]:g} of the "
            f"signal; valid is {_MIN_ALPHA_BAR:g} or more. Lower one of the two."
        )
    return alpha_bar


def sampling_timesteps(start, n_steps):
    """Timesteps at which the denoiser is called: `n_steps` of them, from `start` down, then 0.

    Returns
    -------
    timesteps : ndarray of int64, shape (n_steps + 1,)
        Strictly decreasing, first `start`, last 0 (the clean row).
    """
    return np.round(np.linspace(start, 0, n_steps + 1)).astype(np.int64)
