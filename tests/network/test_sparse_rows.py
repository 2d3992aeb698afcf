"""Sparse rows on a device against SciPy."""

import numpy as np
import scipy.sparse as sp
import torch
from denoiser_problems import N_ITEMS, normalized, properties, random_csr, seeds, tensor, to_bags
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal


@properties
@given(seeds, st.integers(0, 6), st.booleans())
def test_bags_multiply_as_scipy_does(seed, n, weighted):
    X = random_csr(n, seed, weighted=weighted)
    matrix = tensor(seed, N_ITEMS, 3)
    assert_allclose(to_bags(X).multiply(matrix), X @ matrix.numpy(), atol=1e-5)


@properties
@given(seeds, st.floats(0.1, 9))
def test_normalized_bags_have_the_given_length(seed, length):
    X = random_csr(5, seed, weighted=True)
    bags = to_bags(X).normalized(length)
    found = bags.multiply(torch.eye(N_ITEMS))
    assert_allclose(found, length * normalized(X), rtol=1e-5, atol=1e-6)
    assert_array_equal(bags.items, X.indices)


def test_bags_know_the_rows_of_their_entries():
    X = random_csr(5)
    assert_array_equal(to_bags(X).rows, sp.coo_array(X).row)


def test_bags_without_entries():
    bags = to_bags(sp.csr_array((3, N_ITEMS), dtype=np.float32))
    assert_array_equal(bags.normalized(5.0).multiply(tensor(0, N_ITEMS, 2)), np.zeros((3, 2)))
