"""The canonical form of a matrix: duplicates of every dtype are merged by what values mean."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from skdiffrec._utils.canonical import canonical_csr, with_float_data
from skdiffrec.baselines import PopularityRecommender


@pytest.mark.parametrize("layout", [sp.coo_array, sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32, np.float64])
def test_several_times_of_an_item_are_not_added_up(layout, dtype):
    """SciPy's `astype`, which scikit-learn calls, does that."""
    data, rows, columns = np.array([1, 9, 2], dtype), [0, 0, 0], [0, 0, 1]
    X = sp.coo_array((data, (rows, columns)), shape=(1, 2))
    if layout is sp.csr_array:
        X = sp.csr_array((data, columns, [0, 3]), shape=(1, 2))
    elif layout is sp.csc_array:
        X = sp.csc_array((data, rows, [0, 2, 3]), shape=(1, 2))
    model = PopularityRecommender(values="time").fit(X)
    assert_array_equal(model._fit_X.toarray(), [[9, 2]])
    assert X.nnz == 3 and X.dtype == dtype
    assert_array_equal(canonical_csr(X, "time", earliest=True).toarray(), [[1, 2]])
    assert_array_equal(canonical_csr(X, "weight").toarray(), [[10, 2]])


def test_floats_and_dense_matrices_stay():
    for X in (np.eye(2), sp.csr_array(np.eye(2)), sp.lil_array(np.eye(2)), "text", None):
        assert with_float_data(X) is X
    narrow = sp.csr_array(np.eye(2, dtype=np.float32))
    assert with_float_data(narrow, (np.float32, np.float64)) is narrow
    assert with_float_data(narrow).dtype == np.float64 and narrow.dtype == np.float32
