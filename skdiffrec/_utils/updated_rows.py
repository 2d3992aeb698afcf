"""Rows of known users that are replaced, and of new ones behind them."""

import numpy as np
import scipy.sparse as sp

from .rows import updated_csr
from .validation import check_user_ids


def check_updated_users(user_ids, n_rows, n_known):
    """Whose rows are given, int64 (n_rows,): known users, and new ones without a gap.

    Parameters
    ----------
    user_ids : array-like of int or None
        None is new users alone.
    n_rows, n_known : int
    """
    if user_ids is None:
        return np.arange(n_known, n_known + n_rows)
    ids, _ = check_user_ids(user_ids, n_known + n_rows, known=False)
    if len(ids) != n_rows:
        raise ValueError(
            f"user_ids has {len(ids)} entries, but X has {n_rows} rows. Give one id for each row."
        )
    unique, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"user_ids has {unique[counts > 1][0]} more than once. Give every user one row, their "
            "whole history."
        )
    new = unique[unique >= n_known]
    if len(new) and new[-1] != n_known + len(new) - 1:
        raise ValueError(
            f"user_ids has the new user {new[-1]}, but {n_known} users are known: new ones are "
            f"numbered from {n_known} on without a gap, {len(new)} of them up to "
            f"{n_known + len(new) - 1}."
        )
    return ids


def updated_features(before, features, ids, n_users):
    """Features of users (n_users, n_features) after an update that gave some, or None."""
    n_new = n_users - before.shape[0]
    before = sp.csr_array(
        (before.data, before.indices, np.pad(before.indptr, (0, n_new), mode="edge")),
        shape=(n_users, before.shape[1]),
    )
    return before if features is None else updated_csr(before, features, ids)


def updated_array(before, values, ids):
    """The same of an array (n_known,)."""
    after = np.concatenate([before, np.zeros(max(0, ids.max(initial=-1) + 1 - len(before)))])
    after[ids] = values
    return after
