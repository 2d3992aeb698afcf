"""Small random rows and times for the closed forms."""

import numpy as np
import scipy.sparse as sp
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skdiffrec._closed_form.gram import DenseGram, SparseGram

N_ITEMS = 20
properties = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**31 - 2)


def random_csr(n, seed=0, n_items=N_ITEMS, weighted=False):
    """Rows of some 6 items; with 4 rows and more, the third is empty."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((n, n_items)) < 0.3).astype(np.float32)
    if n > 3:
        dense[2] = 0
    if weighted:
        dense *= rng.uniform(0.1, 1, dense.shape).astype(np.float32)
    return sp.csr_array(dense)


def popular_csr(n, n_items, seed=0, weighted=True, density=0.3):
    """Popular items first, so that some of them are met by all others and some by few."""
    rng = np.random.default_rng(seed)
    share = np.minimum(4 * density / np.sqrt(1 + np.arange(n_items)), 0.8)
    dense = (rng.random((n, n_items)) < share).astype(np.float32)
    if weighted:  # no two cosines are the same
        dense *= rng.uniform(0.2, 1, dense.shape).astype(np.float32)
    return sp.csr_array(dense)


def random_times(n, n_items, seed=0):
    X = popular_csr(n, n_items, seed, weighted=False)
    X.data = np.random.default_rng(seed).permutation(X.nnz) + 1.0
    return X


def both_grams(X, targets=None):
    return [SparseGram(X, targets), DenseGram.of_rows(X, targets)]


def dense(matrix):
    return matrix.toarray() if sp.issparse(matrix) else matrix


def ones_of(X):
    """X with float32 ones in place of its values."""
    return sp.csr_array(X.astype(bool).astype(np.float32))


def assert_same(found, expected):
    found, expected = dense(found), dense(expected)
    assert_allclose(found, expected, atol=1e-4 * max(1e-6, np.abs(expected).max()))
