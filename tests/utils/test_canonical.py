"""The canonical form of a matrix: duplicates of every dtype are merged by what values mean."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from skdiffrec._utils import validation
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


FORMS = {
    "ndarray": lambda X: X,
    "list": lambda X: X.tolist(),
    "objects": lambda X: X.astype(object),
    "longdouble": lambda X: X.astype(np.longdouble),
    "csr": sp.csr_array,
    "lil, longdouble": lambda X: sp.lil_array(X.astype(np.longdouble)),
    "pandas": pd.DataFrame,
    "pandas, nullable": lambda X: pd.DataFrame(X).astype("Float64"),
    "pandas, objects": lambda X: pd.DataFrame(X).astype(object),
    "pandas, sparse": lambda X: pd.DataFrame(X).astype(pd.SparseDtype(float, 0)),
    "polars": pl.DataFrame,
    "pyarrow": lambda X: pa.table({"a": X[:, 0], "b": X[:, 1]}),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("value", [1e-50, 1e40])
def test_numbers_that_float32_does_not_hold_are_interactions_in_every_form(form, value):
    X = form(np.array([[value, 1.0], [1.0, 0.0]]))
    assert PopularityRecommender().fit(X).popularity_.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("form", "dtype"),
    [
        (np.asarray, np.float32),
        (sp.csr_array, np.float32),
        (pd.DataFrame, np.int8),
        (pd.DataFrame, bool),
        (pl.DataFrame, np.int32),
        (pl.DataFrame, np.float32),
    ],
)
def test_what_float32_holds_takes_no_float64(form, dtype, monkeypatch):
    seen, check = [], validation.validate_data
    monkeypatch.setattr(
        validation, "validate_data", lambda *args, **k: seen.append(check(*args, **k)) or seen[-1]
    )
    PopularityRecommender().fit(form(np.eye(3, dtype=dtype)))
    assert [found.dtype for found in seen] == [np.float32]
