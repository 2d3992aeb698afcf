"""Paired bootstrap over users: is the difference between two models more than chance?"""

from typing import NamedTuple

import numpy as np

from .._utils.typing import ArrayLike, RandomState
from .._utils.warning import warn_caller
from ._checks import as_numbers, check_k

_FEW_USERS = 10
_CHUNK = 2**21  # random numbers drawn at a time


class Comparison(NamedTuple):
    """Result of :func:`compare`; ``print`` shows it in one line.

    Attributes
    ----------
    mean_a, mean_b : float
        Means over the compared users.
    difference : float
        mean_b - mean_a.
    low, high : float
        Bounds of the confidence interval of the difference.
    p_value : float
        Two-sided p-value of the hypothesis that there is no difference; never 0.
    n_users : int
        Number of users compared.
    confidence_level : float
        Confidence level of the interval.

    Examples
    --------
    >>> from skdiffrec.metrics import compare
    >>> result = compare([0.0, 0.5] * 5, [0.5, 0.5] * 5, random_state=0)
    >>> result.mean_a, result.mean_b, result.n_users
    (0.25, 0.5, 10)
    """

    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p_value: float
    n_users: int
    confidence_level: float

    def __str__(self) -> str:
        return (
            f"{self.mean_a:.4f} -> {self.mean_b:.4f}: {self.difference:+.4f}"
            f" ({self.confidence_level:.0%} interval {self.low:+.4f} to {self.high:+.4f},"
            f" p = {self.p_value:.2g}, {self.n_users} users)"
        )


def compare(
    metric_a: ArrayLike,
    metric_b: ArrayLike,
    *,
    n_resamples: int = 10_000,
    confidence_level: float = 0.95,
    random_state: RandomState | np.random.Generator = None,
) -> Comparison:
    """Compare two models on the same users with a paired bootstrap [1]_.

    Users are resampled with replacement. The spread of the mean difference shows how much it could
    vary with other users from the same population. The test does not cover other splits, seeds or
    settings, which may change a metric more than the users do. If you make many comparisons, some
    p-values are small by chance.

    Parameters
    ----------
    metric_a, metric_b : array-like of float, shape (n_users,)
        One value per user, for the same users in the same order, from a metric called with
        ``per_user=True``. A user who is NaN in both (no held-out items) is left out.
    n_resamples : int, default=10_000
        Number of bootstrap samples. The p-value is at least 2 / (n_resamples + 1).
    confidence_level : float, default=0.95
        Confidence level of the interval, between 0 and 1.
    random_state : int, Generator, RandomState or None, default=None
        Seed of the bootstrap samples.

    Returns
    -------
    Comparison
        With the percentile interval and the corresponding p-value: twice the share of bootstrap
        differences on the opposite side of 0, counting the data themselves as one sample.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid: arrays of different shapes, NaN in only one of the two, infinite
        values, fewer than 2 users to compare.

    Warns
    -----
    UserWarning
        With fewer than 10 users, for whom a bootstrap underestimates the uncertainty.

    References
    ----------
    .. [1] B. Efron, R. J. Tibshirani. An Introduction to the Bootstrap. Chapman & Hall, 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffrec.metrics import compare
    >>> a = np.array([0.0, 0.5, 1.0, 0.5, 0.0, 0.5, np.nan] * 2)
    >>> b = np.array([0.5, 0.5, 1.0, 1.0, 0.5, 0.5, np.nan] * 2)
    >>> result = compare(a, b, random_state=0)
    >>> result.difference, result.n_users
    (0.25, 12)
    >>> print(result)
    0.4167 -> 0.6667: +0.2500 (95% interval +0.1250 to +0.3750, p = 0.0006, 12 users)
    """
    n_resamples = check_k(n_resamples, "n_resamples", "the number of bootstrap samples")
    if not 0 < confidence_level < 1:
        raise ValueError(
            f"confidence_level must lie between 0 and 1, got {confidence_level!r}; pass 0.95, for"
            " example."
        )
    a, b = _check_pairs(metric_a, metric_b)
    difference = b - a
    # Resample a difference >= 0, so that (a, b) and (b, a) give exactly mirrored results.
    rounding = _rounding(a, b)
    sign = -1.0 if difference.mean() < -rounding else 1.0
    means = sign * _resampled_means(sign * difference, n_resamples, _generator(random_state))
    means[np.abs(means) <= rounding] = 0.0
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    beyond = min((means <= 0).sum(), (means >= 0).sum())
    p_value = min(1.0, 2 * (beyond + 1) / (n_resamples + 1))
    return Comparison(
        mean_a=float(a.mean()),
        mean_b=float(b.mean()),
        difference=float(difference.mean()),
        low=float(low),
        high=float(high),
        p_value=float(p_value),
        n_users=len(a),
        confidence_level=float(confidence_level),
    )


def _rounding(a, b):
    """How far from 0 a mean of differences that add up to 0 may be by rounding."""
    return len(a) * np.finfo(np.float64).eps * float((np.abs(a) + np.abs(b)).mean())


def _resampled_means(values, n_resamples, rng):
    """Means of samples of the size of `values` (n,), drawn with replacement, (n_resamples,)."""
    n = len(values)
    distinct, counts = np.unique(values, return_counts=True)
    few = 16 * len(distinct) < n  # then it is faster to draw the count of each distinct value
    step = max(1, _CHUNK // (len(distinct) if few else n))
    means = []
    for start in range(0, n_resamples, step):
        size = min(step, n_resamples - start)
        if few:
            means.append(rng.multinomial(n, counts / n, size=size) @ distinct / n)
        else:
            means.append(values[rng.integers(n, size=(size, n), dtype=np.int32)].mean(axis=1))
    return np.concatenate(means)


def _check_pairs(metric_a, metric_b):
    """Both metrics as float64, without the users who are NaN in both."""
    a, b = (
        _check_values(name, values)
        for name, values in (("metric_a", metric_a), ("metric_b", metric_b))
    )
    if a.shape != b.shape:
        raise ValueError(
            f"metric_a and metric_b must hold the same users, got {len(a)} and {len(b)} values;"
            " pass values of the same users, from per_user=True."
        )
    unlike = np.isnan(a) != np.isnan(b)
    if unlike.any():
        raise ValueError(
            "metric_a and metric_b must be NaN for the same users, got NaN in one of them only at"
            f" user {unlike.argmax()}; evaluate both models on the same holdout."
        )
    known = ~np.isnan(a)
    if known.sum() < 2:
        raise ValueError(
            f"metric_a and metric_b must hold numbers for at least 2 users, got {known.sum()} among"
            f" {len(a)}; check the holdout."
        )
    if known.sum() < _FEW_USERS:
        warn_caller(
            f"{known.sum()} users are too few for a bootstrap: the interval is too narrow and the"
            " p-value too small.",
        )
    return a[known], b[known]


def _check_values(name, values):
    hint = "pass one number per user, from per_user=True"
    array = as_numbers(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, got shape {array.shape}; {hint}.")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}; {hint}.")
    array = array.astype(np.float64)
    if np.isinf(array).any():
        at = int(np.isinf(array).argmax())
        raise ValueError(
            f"{name} must hold finite numbers or NaN, got {array[at]} at {at}; {hint}."
        )
    return array


def _generator(random_state):
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, size=4, dtype=np.uint32))
    return np.random.default_rng(random_state)
