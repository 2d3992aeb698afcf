"""The closed form on a device multiplies by a matrix, dense or sparse."""

import numpy as np
import pytest
import scipy.sparse as sp
from denoiser_problems import CLOSED_FORMS, N_ITEMS, closed_form_of, random_csr, to_rows
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form.ease import ease_matrix
from skdiffrec._closed_form.gram import SparseGram
from skdiffrec._closed_form.neighborhood import N_NEIGHBORS, neighborhood_matrices
from skdiffrec._network.closed_form import ClosedForm

closed_forms = pytest.mark.parametrize("name", CLOSED_FORMS)


@pytest.mark.parametrize("sparse", [True, False])
def test_a_closed_form_multiplies_by_a_matrix(sparse):
    X, D = random_csr(6, weighted=True), random_csr(N_ITEMS, seed=3, weighted=True)
    mean = np.random.default_rng(0).random(N_ITEMS)
    form = ClosedForm(D if sparse else D.toarray(), mean)
    assert form.sparse == sparse
    assert_allclose(form(to_rows(X)), (X @ D).toarray(), atol=1e-5)
    assert_allclose(form.unknown, mean @ D.toarray(), atol=1e-5)
    assert form(to_rows(X[:0])).shape == (0, N_ITEMS)


@pytest.mark.parametrize("sparse", [True, False])
def test_parts_of_the_matrix(sparse):
    D = random_csr(N_ITEMS, seed=3, weighted=True)
    form = ClosedForm(D if sparse else D.toarray(), np.zeros(N_ITEMS))
    rows, columns = np.array([7, 2, 7]), np.array([3, 3, 19, 0])
    assert_array_equal(form.entries(rows), D.toarray()[rows])
    assert_array_equal(form.entries(rows, columns), D.toarray()[rows][:, columns])
    for start, stop in ((0, 20), (3, 11), (19, 20)):
        part = form.columns(start, stop)
        assert sp.issparse(part) == sparse
        assert_array_equal(part.toarray() if sparse else part, D.toarray()[:, start:stop])


@closed_forms
def test_of_rows(name):
    X = random_csr(30, seed=99)
    form = closed_form_of(X, np.ones(30), name)
    if name == "ease":
        B = ease_matrix(X, 3.0)
    else:
        B = neighborhood_matrices(SparseGram(X), [3.0], N_NEIGHBORS)[0].toarray()
    assert form.sparse == (name == "neighborhood")
    assert_allclose(form(to_rows(X)), X @ B, atol=1e-4)
    assert_allclose(form.unknown, X.toarray().mean(0) @ B, atol=1e-4)


@closed_forms
def test_a_row_of_weight_2_is_two_rows(name):
    """Up to rounding."""
    X = random_csr(30)
    weight = np.arange(30) % 3 + 1
    weighted = closed_form_of(X, weight.astype(float), name)
    repeated = closed_form_of(X[np.repeat(np.arange(30), weight)], np.ones(weight.sum()), name)
    rows = to_rows(random_csr(9, seed=5))
    assert_allclose(weighted(rows), repeated(rows), atol=1e-3)
    assert_allclose(weighted.unknown, repeated.unknown, atol=1e-4)
    unweighted = closed_form_of(X, np.ones(30), name)
    assert (unweighted(rows) - weighted(rows)).abs().max() > 0.01
