"""Sparse rows on a device against SciPy."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from denoiser_problems import N_ITEMS, normalized, properties, random_csr, seeds, tensor, to_rows
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._network import sparse_rows
from skdiffrec._network.sparse_rows import AgedRows, HistoryReader, SparseRows
from skdiffrec._utils.validation import VALUES


@properties
@given(seeds, st.integers(0, 6), st.booleans())
def test_rows_multiply_as_scipy_does(seed, n, weighted):
    X = random_csr(n, seed, weighted=weighted)
    matrix = tensor(seed, N_ITEMS, 3)
    assert_allclose(to_rows(X).multiply(matrix), X @ matrix.numpy(), atol=1e-5)


@properties
@given(seeds, st.floats(0.1, 9))
def test_normalized_rows_have_the_given_length(seed, length):
    X = random_csr(5, seed, weighted=True)
    rows = to_rows(X).normalized(length)
    found = rows.multiply(torch.eye(N_ITEMS))
    assert_allclose(found, length * normalized(X), rtol=1e-5, atol=1e-6)
    assert_array_equal(rows.items, X.indices)


def test_entries_know_their_rows():
    X = random_csr(5)
    assert_array_equal(to_rows(X).rows, sp.coo_array(X).row)


def test_rows_without_entries():
    rows = to_rows(sp.csr_array((3, N_ITEMS), dtype=np.float32))
    assert_array_equal(rows.normalized(5.0).multiply(tensor(0, N_ITEMS, 2)), np.zeros((3, 2)))


@properties
@given(seeds, st.integers(1, 40), st.booleans())
def test_products_of_all_kinds_of_matrix_are_alike(seed, most, contiguous):
    """A tensor, a csr_array, which CPUs read by blocks, and sparse rows, as on GPUs."""
    rng = np.random.default_rng(seed)
    options = dict(random_state=rng, dtype=np.float32, format="csr")
    X = sp.random_array((6, 30), density=0.3, **options)
    D = sp.random_array((30, 25), density=0.2, **options)
    expected, kinds = X.toarray() @ D.toarray(), (torch.from_numpy(D.toarray()), D, to_rows(D))
    for matrix in kinds:
        whole = torch.full((6, 25 if contiguous else 40), 7.0)
        out = whole[:, :25]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sparse_rows, "_PRODUCT_ENTRIES", most)
            assert to_rows(X).product(matrix, out) is out
        assert_allclose(out, expected, atol=1e-5)
        assert (whole[:, 25:] == 7).all()


@pytest.mark.parametrize("n_rows", [0, 3])
def test_products_without_entries(n_rows):
    X, D = sp.csr_array((n_rows, N_ITEMS), dtype=np.float32), random_csr(N_ITEMS)
    for matrix in (torch.from_numpy(D.toarray()), D, to_rows(D)):
        found = to_rows(X).product(matrix, torch.full((n_rows, N_ITEMS), 7.0))
        assert_array_equal(found, np.zeros((n_rows, N_ITEMS)))


@pytest.mark.parametrize("contiguous", [True, False])
def test_products_of_few_entries_at_once_have_the_same_bits(contiguous, monkeypatch):
    X, D = random_csr(40, weighted=True), random_csr(N_ITEMS, seed=3, weighted=True)
    found = []
    for most in (1, 30, 2**20):
        monkeypatch.setattr(sparse_rows, "_PRODUCT_ENTRIES", most)
        out = torch.empty(40, 2 * N_ITEMS)[:, :: 1 if contiguous else 2][:, :N_ITEMS]
        found.append(to_rows(X).product(D, out))
    for other in found[1:]:
        assert_array_equal(other, found[0])


# Rows of ages


def aged():
    """Ages in three rows of some 6 items, the second without any."""
    return sp.csr_array(np.array([[0, 3, 0, 1, 2, 0], [0] * 6, [1, 0, 2, 0, 0, 0]], np.float32))


@pytest.mark.parametrize("half_life", [0.5, 2.0, 50.0])
def test_ages_become_recency_weights(half_life):
    rows = AgedRows.from_csr(aged(), "cpu")
    found = rows.weighted(half_life)
    assert isinstance(found, SparseRows)
    assert_array_equal(found.items, rows.items)
    assert_array_equal(found.offsets, rows.offsets)
    expected = np.maximum(0.5 ** ((aged().data - 1) / half_life), 0.1)
    assert_allclose(found.weights, expected, rtol=1e-6)


def test_without_a_half_life_all_ages_weigh_alike():
    assert_array_equal(AgedRows.from_csr(aged(), "cpu").weighted(None).weights, np.ones(5))


def test_weights_have_no_age():
    rows = to_rows(random_csr(5, weighted=True))
    assert rows.weighted(2.0) is rows and rows.weighted(None) is rows


@pytest.mark.parametrize("values", VALUES)
def test_a_reader_gives_rows_as_its_values_mean(values):
    """Times and weights in any unit; rows are filled up to 16."""
    given = aged()
    given.data = given.data * 1000
    reader = HistoryReader(values, 2.0)
    history = reader.read(given)
    expected = {
        "binary": np.ones(5),
        "weight": np.round(np.array([3, 1, 2, 1, 2]) / [3, 3, 3, 2, 2], 6),
        "time": [1, 3, 2, 2, 1],  # ages: the latest is 1
    }[values]
    assert history.dtype == np.float32
    assert_allclose(history.data, expected, rtol=1e-6)
    rows = reader.rows(history, "cpu")
    assert isinstance(rows, AgedRows if values == "time" else SparseRows)
    assert len(rows.offsets) == 17 and rows.offsets[3:].eq(5).all()
    assert_array_equal(rows.items, given.indices)


def test_times_without_a_half_life_are_binary():
    reader = HistoryReader("time", None)
    history = reader.read(aged())
    assert_array_equal(history.data, np.ones(5))
    assert isinstance(reader.rows(history, "cpu"), SparseRows)
