"""Users in blocks: temporary arrays stay small, which is what makes large inputs fast."""

import numpy as np

_BLOCK_NUMBERS = 2**18  # 2 MB of float64: fits a processor's cache


def in_blocks(function, n_users, numbers_a_user):
    """Results of `function(users)` for slices of users, joined; a user needs so many numbers."""
    step = max(1, _BLOCK_NUMBERS // max(1, numbers_a_user))
    starts = range(0, n_users, step) if n_users else [0]  # no users give an empty result
    return np.concatenate([function(slice(start, start + step)) for start in starts])
