"""Arguments of `recommend` that hold something for each user, cut with the users."""

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from .condition_names import SAID_OF_USERS
from .validation import safe_indexing


def _is_per_user(name, value):
    return name in SAID_OF_USERS or np.ndim(value) == 1


def check_options(options, n_users):
    """What is given for each user must be as many as the users."""
    if "user_ids" in options:  # whose lists would stand beside the names of `users`
        raise TypeError("user_ids numbers rows. Name users by users=, as in the table of fit.")
    for name, value in options.items():
        if isinstance(value, Mapping):
            named = {f"{name}[{key!r}]": entry for key, entry in value.items()}
            check_options(named, n_users)
        elif isinstance(value, str) and name in SAID_OF_USERS:
            raise TypeError(f"{name} must be a dict or hold one row for each user, got {value!r}.")
        elif value is not None and _is_per_user(name, value):
            n = value.shape[0] if hasattr(value, "shape") else len(value)
            if n != n_users:
                of_each = "one row" if name in SAID_OF_USERS else "one number, or one"
                raise ValueError(
                    f"{name} has {n} values for {n_users} users. Give {of_each} for each user."
                )


def options_of(options, users):
    """The options of some users, a slice or an array of their numbers."""
    return {name: _of(name, value, users) for name, value in options.items()}


def _of(name, value, users):
    if isinstance(value, Mapping):  # numbers by condition, one of which may have the same name
        return {k: safe_indexing(v, users) if np.ndim(v) == 1 else v for k, v in value.items()}
    if value is None or not _is_per_user(name, value):
        return value
    if sp.issparse(value):
        return value.tocsr()[users]
    return safe_indexing(value, users)
