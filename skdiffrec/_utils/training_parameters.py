"""What trainings of networks have in common, with torch or before it is there."""

import math

import numpy as np

_WARM_UP = 0.1


def one_cycle(share):
    """Factor of the learning rate after a share of all steps.

    It rises to 1 over the first tenth, then falls as half a cosine to 0.
    """
    if share < _WARM_UP:
        return share / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP)))


def check_hidden_dims(hidden_dims):
    """Layer widths as a tuple of positive ints."""
    try:
        widths = np.asarray(hidden_dims)
    except ValueError:  # ragged
        widths = np.zeros(0)
    if widths.ndim != 1 or not len(widths) or widths.dtype.kind not in "iu" or widths.min() < 1:
        raise ValueError(
            f"hidden_dims must be a sequence of positive ints, one per layer, got {hidden_dims!r}."
        )
    return tuple(int(width) for width in widths)


def check_target_share(target_share):
    """The range of the target share as two floats, 0 ≤ low ≤ high < 1."""
    try:
        ends = np.asarray(target_share, dtype=float)
    except (TypeError, ValueError):
        ends = np.full(1, np.nan)
    low, high = (float(ends), float(ends)) if ends.ndim == 0 else (*ends, np.nan, np.nan)[:2]
    if ends.ndim > 1 or ends.size > 2 or not 0 <= low <= high < 1:
        raise ValueError(
            f"target_share must be one share or a range (low, high) with 0 <= low <= high < "
            f"1, got {target_share!r}."
        )
    return low, high
