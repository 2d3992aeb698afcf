"""The spaces that the diffusion runs in: items and latent coordinates."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from denoiser_problems import LATENT, N_ITEMS, T, normalized, random_csr, to_rows
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._network.build import build_denoiser, latent_space
from skdiffrec._network.spaces import ItemSpace
from skdiffrec._utils.singular_vectors import right_singular_vectors


def test_item_space_is_the_row_itself():
    X = random_csr(6, weighted=True)
    space = ItemSpace(N_ITEMS)
    x_0 = space.encode(to_rows(X))
    assert x_0.dtype == torch.float32
    assert_array_equal(x_0, X.toarray())
    assert_array_equal(space.decode(x_0), X.toarray())


def some_latent_space(X):
    V = np.linalg.svd(X.toarray(), full_matrices=False)[2][:LATENT].T
    return latent_space(X, V, np.ones(X.shape[0])), V


def test_latent_space_decodes_to_the_projection_of_the_row():
    X = random_csr(40)
    space, V = some_latent_space(X)
    new = random_csr(9, seed=5, weighted=True)
    found = space.decode(space.encode(to_rows(new)))
    assert_allclose(found, normalized(new) @ V @ V.T, atol=1e-5)
    # rows that lie in the span come back as they are
    again = sp.csr_array(found.numpy())
    assert_allclose(space.decode(space.encode(to_rows(again))), normalized(again), atol=1e-4)


@pytest.mark.parametrize("n", [30, 200])
def test_latent_coordinates_have_mean_0_and_variance_1_over_the_training_rows(n):
    X = random_csr(n)
    x_0 = some_latent_space(X)[0].encode(to_rows(X)).double()
    assert x_0.shape == (n, LATENT)
    assert_allclose(x_0.mean(0), np.zeros(LATENT), atol=1e-5)
    assert_allclose(x_0.var(0, unbiased=False), np.ones(LATENT), rtol=1e-4)


def test_latent_coordinates_ignore_the_length_of_a_history():
    X = random_csr(20)
    space, _ = some_latent_space(X)
    assert_allclose(space.encode(to_rows(X * 3)), space.encode(to_rows(X)), atol=1e-5)


def test_latent_space_of_rows_that_agree_is_finite():
    X = sp.csr_array(np.tile([1.0, 1, 0, 0], (3, 1)).astype(np.float32))
    space = latent_space(X, np.eye(4)[:, :2], np.ones(3))
    assert_allclose(space.encode(to_rows(X)), np.zeros((3, 2)), atol=1e-3)


def test_a_row_of_weight_2_is_two_rows():
    """Up to rounding and the signs of singular vectors."""
    X = random_csr(30)
    weight = np.arange(30) % 3 + 1
    options = dict(
        ranking_head=True, latent_dim=LATENT, hidden_dims=(8,), n_timesteps=T, dropout=0.0, seed=0
    )

    def encoded(X, weight):
        return build_denoiser(X, weight, **options).space.encode(rows).abs()

    rows = to_rows(random_csr(9, seed=5))
    weighted = encoded(X, weight.astype(float))
    repeated = encoded(X[np.repeat(np.arange(30), weight)], np.ones(weight.sum()))
    assert_allclose(weighted, repeated, atol=1e-2)
    assert (encoded(X, np.ones(30)) - weighted).abs().max() > 0.02


def test_right_singular_vectors_are_the_leading_ones():
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(40, 3)) @ rng.normal(size=(3, N_ITEMS))
    dense += 1e-3 * rng.normal(size=dense.shape)
    V = right_singular_vectors(sp.csr_array(dense), 3, 0)
    _, expected, Vt = np.linalg.svd(dense)
    assert_allclose(np.linalg.norm(dense @ V, axis=0), expected[:3], rtol=1e-5)
    assert_allclose(V @ V.T, Vt[:3].T @ Vt[:3], atol=1e-4)
    assert_array_equal(right_singular_vectors(sp.csr_array(dense), 3, 0), V)
