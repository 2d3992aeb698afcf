"""The check of matrices of interactions that no estimator is fitted to."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array

from .canonical import refuse_contradictions, with_float_data
from .entry_types import refuse_no_numbers
from .missing import raise_clearer, reject_masked
from .suspect_values import warn_of_rounded_dates, warn_of_rounded_times


def check_matrix(X, name="X", times=False):
    """`X` as float64 CSR, CSC, COO or ndarray, checked for NaN, infinite and negative values.

    Parameters
    ----------
    X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
        It may have no rows or no columns.
    name : str, default="X"
        Of the parameter, for errors.
    times : bool, default=False
        Whether the values are times. If they may be, it is told by their size.
    """
    if sp.issparse(X) and X.ndim != 2:
        raise ValueError(f"{name} has shape {X.shape}; it must be a matrix of users and items.")
    reject_masked(name, X)
    refuse_no_numbers(name, X)
    refuse_contradictions(name, X)
    try:
        found = check_array(
            with_float_data(X),
            accept_sparse=("csr", "csc", "coo"),
            dtype=np.float64,
            ensure_min_samples=0,
            ensure_min_features=0,
            input_name=name,
        )
    except (TypeError, ValueError) as error:
        raise_clearer(name, error)
        raise
    entries = found.data if sp.issparse(found) else found
    if entries.size and entries.min() < 0:
        raise ValueError(
            f"{name} holds {entries.min()}. A value must be >= 0, and 0 where there is no "
            "interaction."
        )
    # float64 hides it from whoever reads what comes of it
    warn = warn_of_rounded_times if times else warn_of_rounded_dates
    warn(entries, X, name)
    return found
