"""The spaces that the diffusion runs in: items and latent coordinates."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from denoiser_problems import LATENT, N_ITEMS, T, normalized, path_of, random_csr, to_bags
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form.solver import truncated_svd
from skdiffrec._network.build import build_denoiser, latent_space
from skdiffrec._network.spaces import ItemSpace


def test_item_space_is_the_row_itself():
    X = random_csr(6, weighted=True)
    space = ItemSpace(N_ITEMS)
    x_0 = space.encode(to_bags(X))
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
    found = space.decode(space.encode(to_bags(new)))
    assert_allclose(found, normalized(new) @ V @ V.T, atol=1e-5)
    # rows that lie in the span come back as they are
    again = sp.csr_array(found.numpy())
    assert_allclose(space.decode(space.encode(to_bags(again))), normalized(again), atol=1e-4)


@pytest.mark.parametrize("n", [30, 200])
def test_latent_coordinates_have_mean_0_and_variance_1_over_the_training_rows(n):
    X = random_csr(n)
    x_0 = some_latent_space(X)[0].encode(to_bags(X)).double()
    assert x_0.shape == (n, LATENT)
    assert_allclose(x_0.mean(0), np.zeros(LATENT), atol=1e-5)
    assert_allclose(x_0.var(0, unbiased=False), np.ones(LATENT), rtol=1e-4)


def test_latent_coordinates_ignore_the_length_of_a_history():
    X = random_csr(20)
    space, _ = some_latent_space(X)
    assert_allclose(space.encode(to_bags(X * 3)), space.encode(to_bags(X)), atol=1e-5)


def test_latent_space_of_rows_that_agree_is_finite():
    X = sp.csr_array(np.tile([1.0, 1, 0, 0], (3, 1)).astype(np.float32))
    space = latent_space(X, np.eye(4)[:, :2], np.ones(3))
    assert_allclose(space.encode(to_bags(X)), np.zeros((3, 2)), atol=1e-3)


@pytest.mark.parametrize("item_path", ["ease", "neighborhood"])
def test_a_row_of_weight_2_is_two_rows(item_path):
    """In the space and in the closed form, up to rounding and the signs of singular vectors."""
    X = random_csr(30)
    weight = np.arange(30) % 3 + 1
    options = dict(
        loss="multinomial",
        latent_dim=LATENT,
        hidden_dims=(8,),
        time_dim=6,
        n_timesteps=T,
        dropout=0.0,
        seed=0,
    )

    def build(X, weight):
        return build_denoiser(X, weight, path=path_of(X, weight, item_path), **options)

    weighted = build(X, weight.astype(float))
    repeated = build(X[np.repeat(np.arange(30), weight)], np.ones(weight.sum()))
    bags = to_bags(random_csr(9, seed=5))
    assert_allclose(weighted.item_path(bags), repeated.item_path(bags), atol=1e-3)
    assert_allclose(weighted.item_path.unknown, repeated.item_path.unknown, atol=1e-4)
    assert_allclose(weighted.space.encode(bags).abs(), repeated.space.encode(bags).abs(), atol=1e-2)
    unweighted = build(X, np.ones(30))
    assert (unweighted.item_path(bags) - weighted.item_path(bags)).abs().max() > 0.01


def test_truncated_svd_finds_the_leading_vectors():
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(40, 3)) @ rng.normal(size=(3, N_ITEMS))
    dense += 1e-3 * rng.normal(size=dense.shape)
    singular_values, V = truncated_svd(sp.csr_array(dense), 3, 0)
    _, expected, Vt = np.linalg.svd(dense)
    assert_allclose(singular_values, expected[:3], rtol=1e-5)
    assert_allclose(V @ V.T, Vt[:3].T @ Vt[:3], atol=1e-4)
    assert_array_equal(truncated_svd(sp.csr_array(dense), 3, 0)[1], V)
