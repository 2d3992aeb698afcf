"""What the tests of the datasets share."""

import numpy as np
from scipy.sparse import csr_array

SPLITS = ("train", "valid", "test")


def entries(data):
    """Return {(user, item): (split, value)}; fails if a pair stands in two splits."""
    found = {}
    for name in SPLITS:
        coo = data[name].tocoo()
        for user, item, value in zip(*coo.coords, coo.data, strict=True):
            assert (user, item) not in found
            found[int(user), int(item)] = (name, float(value))
    return found


def assert_canonical(data, dtype):
    for name in SPLITS:
        matrix = data[name]
        assert isinstance(matrix, csr_array)
        assert matrix.shape == (data.n_users, data.n_items)
        assert matrix.dtype == dtype
        assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        # Strictly increasing within a row: sorted and without duplicates.
        assert (np.diff(matrix.indices)[np.diff(rows) == 0] > 0).all()
