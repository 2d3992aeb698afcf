"""The closed-form part of the network multiplies by a matrix."""

import numpy as np
import pytest
from denoiser_problems import N_ITEMS, random_csr, to_bags
from numpy.testing import assert_allclose

from skdiffrec._network.spaces import ItemPath


@pytest.mark.parametrize("sparse", [True, False])
def test_item_path_multiplies_by_a_matrix(sparse):
    X, D = random_csr(6, weighted=True), random_csr(N_ITEMS, seed=3, weighted=True)
    mean = np.random.default_rng(0).random(N_ITEMS)
    path = ItemPath(D if sparse else D.toarray(), mean)
    assert path.sparse == sparse
    assert_allclose(path(to_bags(X)), (X @ D).toarray(), atol=1e-5)
    assert_allclose(path.unknown, mean @ D.toarray(), atol=1e-5)
    assert path(to_bags(X[:0])).shape == (0, N_ITEMS)
