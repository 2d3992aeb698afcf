"""Checks of matrices that say which items each user may be recommended, or may not."""

import numpy as np
import scipy.sparse as sp

from .canonical import canonical_csr, refuse_contradictions
from .missing import MISSING, reject_masked


def user_item_matrix(name, value, shape):
    """Each user's items as canonical CSR of ones; None if `value` is none or holds ids.

    Parameters
    ----------
    name : str
        Of the parameter, for errors.
    value : object
        A sparse matrix or a boolean array with two dimensions is a matrix; others hold ids.
    shape : (int, int)
        Which the matrix must have: users that are asked for, and items.
    """
    if value is None:
        return None
    reject_masked(name, value)
    if not sp.issparse(value):
        value = np.asarray(value)
        if value.ndim < 2:
            return None
    n_users, n_items = shape
    form = (
        f"a scipy.sparse matrix of shape ({n_users}, {n_items}), one row for each of the {n_users} "
        "users asked for, in their order, whose non-zeros are that user's items"
    )
    if not sp.issparse(value) and value.dtype != bool:
        raise ValueError(
            f"{name} is a dense array of shape {value.shape} and dtype {value.dtype}. Give a 1-D "
            f"array of ids for everybody, or {form}."
        )
    if value.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} must hold numbers or booleans, got dtype {value.dtype}; give {form}."
        )
    if value.shape != shape:
        raise ValueError(
            f"{name} has shape {value.shape}, but must be {form}. Take the rows of these users, "
            f"as {name}[user_ids] of a csr_array does."
        )
    refuse_contradictions(name, value)
    matrix = sp.coo_array(value)
    bad = matrix.data[~(np.isfinite(matrix.data) & (matrix.data >= 0))]
    if bad.size:
        raise ValueError(
            f"{name} holds {bad[0]}, but must be finite and >= 0; give {form}."
            + (f" {MISSING}" if np.isnan(bad[0]) else "")
        )
    return canonical_csr(matrix, "binary")
