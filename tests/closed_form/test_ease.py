"""EASE against ridge regression of every item on the others."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from closed_form_problems import N_ITEMS, assert_same, popular_csr, random_csr
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form.ease import ease_matrix, ease_of_gram


@pytest.mark.parametrize("reg", [0.5, 20.0])
def test_ease_is_ridge_regression_on_the_other_items(reg):
    X = random_csr(50, weighted=True)
    B = ease_matrix(X, reg)
    assert B.dtype == np.float32
    assert_array_equal(np.diag(B), np.zeros(N_ITEMS))
    dense = X.toarray().astype(np.float64)
    for item in range(N_ITEMS):
        others = [i for i in range(N_ITEMS) if i != item]
        design = np.vstack([dense[:, others], math.sqrt(reg) * np.eye(N_ITEMS - 1)])
        goal = np.concatenate([dense[:, item], np.zeros(N_ITEMS - 1)])
        weights = np.linalg.lstsq(design, goal, rcond=None)[0]
        assert_allclose(B[others, item], weights, rtol=1e-4, atol=1e-6)


def test_ease_solves_its_normal_equations():
    X = random_csr(50)
    gram, reg = (X.T @ X).toarray().astype(np.float64), 3.0
    # ∂/∂B = 0 off the diagonal: XᵀX − (XᵀX + λI)·B is diagonal
    residual = gram - (gram + reg * np.eye(N_ITEMS)) @ ease_matrix(X, reg)
    off_diagonal = residual[~np.eye(N_ITEMS, dtype=bool)]
    assert_allclose(off_diagonal, np.zeros(len(off_diagonal)), atol=1e-4)


def test_ease_says_what_to_do_about_a_singular_matrix():
    X = sp.csr_array(np.array([[1.0, 0.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match="reg=0; use a larger value"):
        ease_matrix(X, 0)


@pytest.mark.parametrize("n_items", [3, 256, 257, 600])
def test_the_exact_form_of_catalogues_larger_than_a_block(n_items):
    X, Y = popular_csr(150, n_items), popular_csr(150, n_items, 1)
    gram = (X.T @ X).toarray().astype(np.float64)
    inverse = np.linalg.inv(gram + 3.0 * np.eye(n_items))
    expected = inverse / -np.diag(inverse)
    np.fill_diagonal(expected, 0)
    for B in (ease_matrix(X, 3.0), ease_of_gram(gram.astype(np.float32), 3.0)):
        assert B.flags.c_contiguous  # blocks of rows are multiplied by it
        assert_same(B, expected)
    cross = (X.T @ Y).toarray()
    solved = inverse @ cross
    expected = solved - inverse * (np.diag(solved) / np.diag(inverse))
    np.fill_diagonal(expected, 0)
    assert_same(ease_of_gram(gram, 3.0, cross), expected)
