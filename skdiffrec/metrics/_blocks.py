"""Process users in blocks, so that temporary arrays stay in the processor's cache."""

import numpy as np

_BLOCK_VALUES = 2**18  # 2 MB of float64: fits a processor's cache


def in_blocks(function, n_users, values_per_user):
    """Concatenated results of `function(users)` for slices of users.

    `values_per_user` is the number of temporary values that `function` needs per user.
    """
    step = max(1, _BLOCK_VALUES // max(1, values_per_user))
    starts = range(0, n_users, step) if n_users else [0]  # no users give an empty result
    return np.concatenate([function(slice(start, start + step)) for start in starts])
