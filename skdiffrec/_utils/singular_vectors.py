"""Leading singular vectors of sparse rows."""

import numpy as np
from sklearn.utils.extmath import randomized_svd

from .threads import blas_limit

SVD_ENTRIES = 5_000_000  # interactions from which singular vectors are taken, at the most


def right_singular_vectors(X, rank, random_state):
    """The leading right singular vectors (n_items, rank) of a sparse matrix, largest first."""
    # factorisations of so few columns gain nothing by threads, and wait long for busy cores
    with blas_limit(1):
        Vt = randomized_svd(X, rank, n_iter=4, random_state=random_state)[2]
    return np.ascontiguousarray(Vt.T)
