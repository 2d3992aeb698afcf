"""The forward pass against NumPy, and what is linear in it."""

import math

import numpy as np
import pytest
import torch
from denoiser_problems import (
    LATENT,
    N_ITEMS,
    make_denoiser,
    make_model,
    normalized,
    properties,
    random_csr,
    seeds,
    slow_forward,
    tensor,
    to_rows,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form.ease import ease_matrix
from skdiffrec._inference.ranking import HeadScores
from skdiffrec._network.conditions import Known
from skdiffrec._network.denoiser import Dropout, sinusoidal
from skdiffrec._network.heads import RankingHead


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 7, 16])
def test_sinusoidal_embedding(dim):
    share = torch.tensor([0, 0.01, 0.07, 1])
    embedding = sinusoidal(share, dim)
    assert embedding.shape == (4, dim)
    half = math.ceil(dim / 2)  # of an odd number one more is a cosine
    for row, turned in enumerate((4 * math.pi * share).tolist()):
        angles = [turned / 10_000 ** (place / half) for place in range(half)]
        expected = [*map(math.cos, angles), *map(math.sin, angles)]
        assert_allclose(embedding[row], expected[:dim], atol=1e-5)


@pytest.mark.parametrize("widths", [(8,), (8, 8), (8, 5), (8, 8, 5, 5)])
@pytest.mark.parametrize("latent_dim", [None, LATENT])
@torch.no_grad()
def test_forward_against_numpy(widths, latent_dim):
    denoiser = make_denoiser(latent_dim, widths=widths)
    x_t, u = tensor(0, 5, denoiser.space.dim), tensor(1, 5, widths[0])
    t = torch.tensor([1, 5, 12, 3, 9])
    alpha = torch.linspace(0.1, 0.9, 5)[:, None]
    expected = slow_forward(denoiser, x_t, t, alpha, u)
    for found, value in zip(denoiser(x_t, t, alpha, u), expected, strict=True):
        assert_allclose(found, value, atol=1e-5)


@torch.no_grad()
def test_the_state_is_read_linearly():
    # what W maps to nothing changes nothing, however large it is
    denoiser = make_denoiser(None)
    kernel = np.linalg.svd(denoiser.read_state.weight.numpy())[2][8:]  # (12, 20)
    x_t, u, t, alpha = tensor(0, 5, N_ITEMS), tensor(1, 5, 8), torch.ones(5), torch.ones(5, 1)
    unseen = tensor(2, 5, 12) @ torch.from_numpy(kernel) * 3
    for found, value in zip(
        denoiser(x_t + unseen, t, alpha, u), denoiser(x_t, t, alpha, u), strict=True
    ):
        assert_allclose(found, value, atol=1e-4)
    # and √ᾱ = 0 reads as no state at all
    nothing = denoiser(torch.zeros_like(x_t), t, alpha, u)
    for found, value in zip(denoiser(x_t, t, 0 * alpha, u), nothing, strict=True):
        assert_array_equal(found, value)


def scored(model, h, rows, scale):
    """Scores of all items."""
    out = torch.empty(len(h), N_ITEMS)
    form = model.closed_form, model.closed_form_scale
    scores = HeadScores(model.denoiser.head, *form)
    scores.tiles((None, h), Known(rows), scale).write(0, N_ITEMS, out)
    return out


@properties
@given(seeds, st.floats(-2, 3))
@torch.no_grad()
def test_scores_and_raw_estimates_are_affine_in_the_last_hidden_layer(seed, share):
    model = make_model(seed=seed)
    rows = to_rows(random_csr(5, seed))
    a, b = tensor([seed, 0], 5, 8), tensor([seed, 1], 5, 8)
    mixed = share * a + (1 - share) * b
    for write in (
        model.denoiser.write_state,
        lambda h: scored(model, h, rows, 1.5 + 0 * h[:, :1]),
    ):
        assert_allclose(write(mixed), share * write(a) + (1 - share) * write(b), atol=1e-4)


@torch.no_grad()
def test_scores_are_the_head_and_the_weighted_closed_form():
    model = make_model(closed_form_scale=0.7)
    X, h = random_csr(5), tensor(0, 5, 8)
    weight = torch.tensor([[0.0], [1.0], [2.0], [-1.0], [0.5]])
    head = model.denoiser.head
    expected = h.numpy() @ head.write.weight.numpy().T + head.write.bias.numpy()
    of_fit = random_csr(30, seed=99)
    B = ease_matrix(of_fit, 3.0)
    s, offset = weight.numpy(), head.null_offset.numpy()
    form = s * (X @ B) + (1 - s) * (of_fit.toarray().mean(0) @ B)
    expected = expected + (1 - s) * offset
    assert_allclose(scored(model, h, to_rows(X), weight), expected + 0.7 * form, atol=1e-4)
    model = make_model(closed_form_scale=0.0)
    assert_allclose(scored(model, h, to_rows(X), weight), expected, atol=1e-4)


@properties
@given(seeds)
@torch.no_grad()
def test_the_condition_is_the_normalized_history_times_a_matrix(seed):
    denoiser = make_denoiser(seed=seed)
    X = random_csr(5, seed, weighted=True)
    u = denoiser.condition(to_rows(X))
    assert_allclose(u, 5 * normalized(X) @ denoiser.read_history.tables[0].numpy(), atol=1e-4)
    assert_allclose(denoiser.condition(to_rows(X * 8)), u, atol=1e-4)


@torch.no_grad()
def test_an_empty_history_is_not_the_null_token():
    denoiser = make_denoiser()
    rows = to_rows(random_csr(5))  # the third row is empty
    u = denoiser.condition(rows)
    assert_array_equal(u[2], np.zeros(8))
    known = torch.tensor([True, False, True, False, True])
    masked = denoiser.condition(rows, known)
    assert_array_equal(masked[known], u[known])
    for row in (1, 3):
        assert_array_equal(masked[row], denoiser.null)
    assert denoiser.null.abs().min() > 0
    assert_array_equal(denoiser.unconditional(3), denoiser.null.expand(3, 8))


def test_dropout_draws_from_its_generator():
    dropout, x = Dropout(0.4), torch.ones(100, 100)
    state = torch.get_rng_state()
    first = dropout(x, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, dropout(x, torch.Generator().manual_seed(0)))
    assert not torch.equal(first, dropout(x, torch.Generator().manual_seed(1)))
    assert_allclose(first.unique(), [0, 1 / 0.6], rtol=1e-6)
    assert abs((first > 0).float().mean() - 0.6) < 4 * math.sqrt(0.24 / 10_000)
    assert dropout.eval()(x, None) is x
    assert Dropout(0.0)(x, None) is x


@properties
@given(st.lists(st.floats(0, 2e6, width=32), min_size=1, max_size=60))
def test_the_popularity_that_is_kept_orders_items_as_it_is(popularity):
    """Numbers that differ by their last digit too, whose logarithms round to one number."""
    near = np.nextafter(np.float32(popularity), np.float32(np.inf))
    popularity = np.concatenate([np.float32(popularity), near])
    head = RankingHead(4, len(popularity))
    head.keep_popularity(popularity)
    kept = head.popularity.numpy()
    assert_array_equal(
        np.unique(kept, return_inverse=True)[1], np.unique(popularity, return_inverse=True)[1]
    )
    share = popularity.astype(float) + 0.5 * popularity[popularity > 0].min(initial=1)
    assert_allclose(kept, np.log(share / share.sum()), rtol=1e-4, atol=1e-4)
