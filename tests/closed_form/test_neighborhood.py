"""Neighbourhoods against a slow definition, several λ, blocks of columns."""

import numpy as np
import pytest
import scipy.sparse as sp
from closed_form_problems import (
    N_ITEMS,
    assert_same,
    both_grams,
    dense,
    popular_csr,
    properties,
    random_csr,
    seeds,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form import gram as gram_module
from skdiffrec._closed_form import neighborhood
from skdiffrec._closed_form.ease import ease_matrix
from skdiffrec._closed_form.gram import SparseGram
from skdiffrec._closed_form.neighborhood import (
    N_NEIGHBORS,
    nearest_items,
    neighborhood_matrices,
)
from skdiffrec._closed_form.solver import ClosedFormSettings, ClosedFormSolver


@pytest.mark.parametrize("reg", [0.5, 20.0])
def test_a_neighborhood_of_all_items_is_ease(reg):
    X = random_csr(300, weighted=True)  # so many that every pair of items is met
    for gram in both_grams(X):
        B = neighborhood_matrices(gram, [reg], N_NEIGHBORS)[0]
        assert sp.issparse(B) and B.dtype == np.float32
        assert_allclose(B.toarray(), ease_matrix(X, reg), atol=1e-4)


@pytest.mark.parametrize("looked_up", [True, False])
def test_a_neighborhood_is_ridge_regression_on_the_nearest_items(looked_up):
    """With the whole Gram matrix, and with columns multiplied, as above 5,000 items."""
    X, reg = random_csr(50), 2.0
    B = neighborhood_matrices(both_grams(X)[looked_up], [reg], 4)[0].toarray()
    rows = X.toarray().astype(np.float64)
    unit = rows / np.linalg.norm(rows, axis=0)
    for item in range(N_ITEMS):
        cosine = unit.T @ unit[:, item]
        cosine[item] = -1
        nearest = np.argsort(-cosine)[:4]
        assert set(np.flatnonzero(B[:, item])) == set(nearest)
        design = rows[:, nearest]
        weights = np.linalg.solve(design.T @ design + reg * np.eye(4), design.T @ rows[:, item])
        assert_allclose(B[nearest, item], weights, atol=1e-4)


def test_an_item_that_nobody_took_has_no_neighborhood():
    X = random_csr(50).toarray()
    X[:, 3] = 0
    for gram in both_grams(sp.csr_array(X)):
        B = neighborhood_matrices(gram, [2.0], N_NEIGHBORS)[0].toarray()
        assert not B[3].any() and not B[:, 3].any() and np.isfinite(B).all()


@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
def test_long_rows_can_count_for_less(kind):
    """A user of n items counts as 1/√n users; λ is a multiple of the mean diagonal of XᵀX."""
    X, row_weight = random_csr(300), np.arange(300) % 3 + 1.0
    length = np.maximum(np.diff(X.indptr), 1)
    factor = np.sqrt(row_weight / np.sqrt(length))
    scaled = sp.csr_array(X.toarray() * factor[:, None])
    reg = 4 * (scaled.toarray() ** 2).sum() / N_ITEMS
    B = ClosedFormSolver(X, row_weight).solve_once(ClosedFormSettings(kind, 4.0, 0.5))
    assert_allclose(dense(B), ease_matrix(scaled, reg), atol=1e-4)
    fixed = ClosedFormSolver(X, row_weight).solve_once(ClosedFormSettings(kind, 9.9, 0.5, reg))
    assert_allclose(dense(fixed), dense(B), atol=1e-4)


def slow_neighborhood(X, reg, n_neighbors, targets=None):
    """The definition, item by item and in float64; ties by lower id."""
    X = X.toarray().astype(np.float64)
    Y = X if targets is None else targets.toarray().astype(np.float64)
    B = np.zeros((X.shape[1], Y.shape[1]))
    norms = np.linalg.norm(X, axis=0)
    for item in range(Y.shape[1]):
        met = np.flatnonzero(X.T @ Y[:, item])
        met = met[met != item]
        cosine = X[:, met].T @ Y[:, item] / norms[met]
        near = met[np.argsort(-cosine, kind="stable")[:n_neighbors]]
        gram = X[:, near].T @ X[:, near] + reg * np.eye(len(near))
        B[near, item] = np.linalg.solve(gram, X[:, near].T @ Y[:, item])
    return B


@properties
@given(seeds, st.integers(60, 90), st.integers(2, 30), st.integers(1, 12), st.floats(0.3, 30))
def test_every_column_is_a_ridge_on_its_nearest_items(seed, n, n_items, n_neighbors, reg):
    X = popular_csr(n, n_items, seed)
    expected = slow_neighborhood(X, reg, n_neighbors)
    for gram in both_grams(X):
        B = neighborhood_matrices(gram, [reg], n_neighbors)[0]
        assert B.format == "csr" and B.dtype == np.float32 and B.has_sorted_indices
        assert_same(B, expected)


@properties
@given(seeds, st.integers(1, 12))
def test_targets_are_predicted_from_the_rows(seed, n_neighbors):
    X, Y = popular_csr(60, 25, seed), popular_csr(60, 25, seed + 1)
    expected = slow_neighborhood(X, 2.0, n_neighbors, Y)
    for gram in both_grams(X, Y):
        assert_same(neighborhood_matrices(gram, [2.0], n_neighbors)[0], expected)


def test_of_equal_cosines_lower_ids_come_first():
    X = sp.csr_array(np.ones((3, 9), np.float32))
    for gram in both_grams(X):
        neighbors, common, counts = nearest_items(gram, np.array([0, 2, 8]), 4)
        assert_array_equal(neighbors, [[1, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 3]])
        assert_array_equal(common, np.full((3, 4), 3.0))
        assert_array_equal(counts, [4, 4, 4])


def test_several_ridges_at_once_are_each_alone():
    X = popular_csr(60, 40)
    for gram in both_grams(X):
        together = neighborhood_matrices(gram, [1.0, 3.0, 10.0], 7)
        for reg, B in zip([1.0, 3.0, 10.0], together, strict=True):
            alone = neighborhood_matrices(gram, [reg], 7)[0]
            assert_array_equal(B.toarray(), alone.toarray())


@pytest.mark.parametrize("n_items", [30, 200])
def test_some_columns_alone(n_items):
    X, columns = popular_csr(80, n_items), np.array([0, 3, 4, 29])
    for gram in both_grams(X):
        whole = neighborhood_matrices(gram, [2.0], 7)[0].toarray()
        part = neighborhood_matrices(gram, [2.0], 7, columns)[0]
        assert_array_equal(part.toarray(), whole[:, columns])
        assert neighborhood_matrices(gram, [2.0], 7, columns[:0])[0].shape == (n_items, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modules", "name", "size"),
    [
        ([neighborhood], "_BLOCK_NUMBERS", 1),
        ([neighborhood], "_BLOCK_NUMBERS", 500),
        ([gram_module], "_ROW_NUMBERS", 1),
        ([gram_module], "_ROW_NUMBERS", 300),
        ([gram_module, neighborhood], "SEARCH_ENTRIES", 1),
        ([gram_module, neighborhood], "SEARCH_ENTRIES", 50),
        ([neighborhood], "_PAIRS", 3),
    ],
)
def test_block_sizes_change_nothing(modules, name, size, monkeypatch):
    X, Y = popular_csr(90, 61), popular_csr(90, 61, 1)
    grams = both_grams(X) + both_grams(X, Y)
    expected = [neighborhood_matrices(gram, [2.0, 5.0], 7) for gram in grams]
    for module in modules:
        monkeypatch.setattr(module, name, size)
    for gram, before in zip(grams, expected, strict=True):
        for found, B in zip(neighborhood_matrices(gram, [2.0, 5.0], 7), before, strict=True):
            assert_array_equal(found.toarray(), B.toarray())


def test_work_is_done_in_blocks_of_the_stated_size(monkeypatch):
    """No more rows of XᵀX at once, nor local Gram matrices, than the limits allow."""
    X, rows, local = popular_csr(300, 100), [], []
    true_blocks, true_local = SparseGram.row_blocks, neighborhood._local_grams

    def watched_blocks(self, items):
        for block, found in true_blocks(self, items):
            rows.append((block.stop - block.start, found.size))
            yield block, found

    def watched_local(gram, neighbors, counts, buffer):
        local.append(buffer.size)
        return true_local(gram, neighbors, counts, buffer)

    monkeypatch.setattr(SparseGram, "row_blocks", watched_blocks)
    monkeypatch.setattr(neighborhood, "_local_grams", watched_local)
    monkeypatch.setattr(gram_module, "_ROW_NUMBERS", 700)
    monkeypatch.setattr(neighborhood, "_BLOCK_NUMBERS", 1_000)
    neighborhood_matrices(SparseGram(X), [2.0], 5)
    assert max(rows) == (7, 700) and max(local) <= 1_000


def test_what_nobody_took():
    for X in (sp.csr_array((4, 6), dtype=np.float32), sp.csr_array(np.eye(4, 6, dtype=np.float32))):
        for gram in both_grams(X):
            B = neighborhood_matrices(gram, [2.0], 3)[0]
            assert B.shape == (6, 6) and B.nnz == 0


def test_a_singular_neighborhood_says_what_to_do():
    X = sp.csr_array(np.ones((3, 3), np.float32))
    for gram in both_grams(X):
        with pytest.raises(ValueError, match="reg=0; use a larger value"):
            neighborhood_matrices(gram, [0], N_NEIGHBORS)


def test_more_neighbors_than_there_are_items_take_no_memory():
    X = popular_csr(60, 25)
    for gram in both_grams(X):
        expected = neighborhood_matrices(gram, [2.0], 24)[0]
        found = neighborhood_matrices(gram, [2.0], 10**9)[0]
        assert_array_equal(found.toarray(), expected.toarray())
