"""Gram matrices by blocks and on threads."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from closed_form_problems import both_grams, popular_csr, properties, seeds
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form import gram
from skdiffrec._closed_form.gram import gram_matrix, slices_of_size


def test_blocks_of_rows_are_the_rows_of_the_gram_matrix(monkeypatch):
    X = popular_csr(90, 61)
    monkeypatch.setattr(gram, "_ROW_NUMBERS", 200)
    monkeypatch.setattr(gram, "SEARCH_ENTRIES", 300)
    items = np.array([3, 4, 5, 20, 21, 22, 23, 40, 60])
    for form in both_grams(X):
        found, covered = [], []
        for block, rows in form.row_blocks(items):
            n = block.stop - block.start
            found.append(rows.reshape(-1, 61)[:n].copy())
            covered += range(block.start, block.stop)
        assert covered == list(range(len(items))) and len(found) > 2
        expected = (X.T @ X).toarray()[items]
        assert_allclose(np.concatenate(found), expected, rtol=1e-6)


@properties
@given(seeds, st.integers(1, 40), st.integers(1, 50), st.booleans(), st.integers(1, 9))
def test_a_gram_matrix_by_blocks_on_threads(seed, n, n_items, crossed, n_blocks):
    X = popular_csr(n, n_items, seed).astype(np.float64)
    targets = popular_csr(n, n_items, seed + 1).astype(np.float64) if crossed else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram, "_GRAM_BLOCKS", n_blocks)
        patch.setattr(gram, "blas_threads", lambda: 3)
        found = gram_matrix(X, targets)
    dense = X.toarray()
    assert_allclose(found, dense.T @ (targets.toarray() if crossed else dense), atol=1e-12)
    # every number is the same sum, whatever the blocks
    assert_array_equal(found, (X.T.tocsr() @ (targets if crossed else X)).toarray())


def test_a_gram_matrix_of_many_rows_takes_no_copy_of_them_for_each_thread(monkeypatch):
    monkeypatch.setattr(gram, "blas_threads", lambda: 8)
    X = sp.random_array((20_000, 60), density=0.5, format="csr", dtype=np.float32)
    size = X.data.nbytes + X.indices.nbytes
    tracemalloc.start()
    try:
        gram_matrix(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size < peak < 4 * size  # in order of items, and in parts


@properties
@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 20))
def test_slices_of_about_a_size(sizes, most):
    slices = slices_of_size(np.array(sizes, int), most)
    places = [i for part in slices for i in range(part.start, part.stop)]
    assert places == list(range(len(sizes)))
    for part in slices:
        assert part.stop > part.start and sum(sizes[part]) <= most + max(sizes)
