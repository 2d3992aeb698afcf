"""The forward process and its inverses, and the reverse step against the exact posterior."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skdiffrec import cosine_schedule, linear_schedule, linear_variance_schedule
from skdiffrec._diffusion.process import PREDICTION_TYPES, Diffusion

T = 60
# Never so much noise that x_t has lost x_0 to float32 (ᾱ_T = 0.08).
MODERATE = linear_schedule(T, 0.001, 0.08)
SCHEDULES = {
    "linear": MODERATE,
    "cosine": cosine_schedule(T),
    "linear_variance": linear_variance_schedule(T, 0.01, 0.95),
}
all_types = pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
all_schedules = pytest.mark.parametrize("alpha_bar", SCHEDULES.values(), ids=SCHEDULES)
properties = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**31 - 1)
etas = st.floats(0, 1)


@st.composite
def two_times(draw):
    """t > t' ≥ 0."""
    t = draw(st.integers(1, T))
    return t, draw(st.integers(0, t - 1))


def draw_rows(seed, n=7, d=5):
    """x_0 and noise (n, d), t (n,) in 1 … T."""
    rng = np.random.default_rng(seed)
    x_0, noise = rng.normal(size=(2, n, d)).astype(np.float32) * [[[2.0]], [[1.0]]]
    return (
        torch.from_numpy(x_0).float(),
        torch.from_numpy(noise).float(),
        torch.from_numpy(rng.integers(1, T + 1, n)),
    )


def levels(alpha_bar, t):
    """α and σ as float64 columns."""
    bar = np.asarray(alpha_bar)[t.numpy()][:, None]
    return np.sqrt(bar), np.sqrt(1 - bar)


@all_schedules
def test_scales_are_the_square_roots_of_the_schedule(alpha_bar):
    t = torch.arange(T + 1)
    alpha, sigma = Diffusion(alpha_bar, "x0").scales(t)
    assert alpha.shape == sigma.shape == (T + 1, 1)
    assert alpha.dtype == sigma.dtype == torch.float32
    expected_alpha, expected_sigma = levels(alpha_bar, t)
    assert_allclose(alpha, expected_alpha, rtol=1e-6)
    assert_allclose(sigma, expected_sigma, rtol=1e-6)
    assert (alpha[0], sigma[0]) == (1, 0)


def test_n_timesteps_does_not_count_the_clean_row():
    assert Diffusion(MODERATE, "x0").n_timesteps == T


@all_schedules
@properties
@given(seed=seeds)
def test_add_noise_is_ddpm_equation_4(alpha_bar, seed):
    x_0, noise, t = draw_rows(seed)
    alpha, sigma = levels(alpha_bar, t)
    x_t = Diffusion(alpha_bar, "x0").add_noise(x_0, noise, t)
    assert_allclose(x_t, alpha * x_0.numpy() + sigma * noise.numpy(), atol=2e-6)


@properties
@given(seeds)
def test_targets_are_what_their_names_mean(seed):
    x_0, noise, t = draw_rows(seed)
    alpha, sigma = levels(MODERATE, t)
    expected = {
        "x0": x_0.numpy(),
        "epsilon": noise.numpy(),
        "v": alpha * noise.numpy() - sigma * x_0.numpy(),  # Salimans & Ho, arXiv 2202.00512
    }
    for name, value in expected.items():
        assert_allclose(Diffusion(MODERATE, name).target(x_0, noise, t), value, atol=2e-6)


@all_types
@properties
@given(seed=seeds)
def test_the_right_raw_output_gives_x_0_back(prediction_type, seed):
    x_0, noise, t = draw_rows(seed)
    diffusion = Diffusion(MODERATE, prediction_type)
    x_t = diffusion.add_noise(x_0, noise, t)
    assert_allclose(diffusion.to_x0(x_t, diffusion.target(x_0, noise, t), t), x_0, atol=2e-5)


@pytest.mark.parametrize("prediction_type", ["x0", "v"])
@properties
@given(seed=seeds)
def test_x0_and_v_give_x_0_back_even_from_pure_noise(prediction_type, seed):
    x_0, noise, _ = draw_rows(seed)
    t = torch.full((len(x_0),), T)
    diffusion = Diffusion(SCHEDULES["cosine"], prediction_type)
    x_t = diffusion.add_noise(x_0, noise, t)
    assert_allclose(diffusion.to_x0(x_t, diffusion.target(x_0, noise, t), t), x_0, atol=2e-6)


@all_types
@properties
@given(seed=seeds)
def test_to_x0_is_affine_in_the_raw_output(prediction_type, seed):
    # guidance may act on raw outputs or on estimates: both give the same
    x_t, cond, t = draw_rows(seed)
    uncond = cond.flip(0)
    diffusion = Diffusion(MODERATE, prediction_type)
    guided = diffusion.to_x0(x_t, uncond + 2.5 * (cond - uncond), t)
    a, b = diffusion.to_x0(x_t, cond, t), diffusion.to_x0(x_t, uncond, t)
    assert_allclose(guided, b + 2.5 * (a - b), atol=1e-4)


@all_schedules
def test_ancestral_step_to_the_neighbour_is_ddpm_equation_7(alpha_bar):
    diffusion = Diffusion(alpha_bar, "x0")
    for t in range(1, T + 1):
        bar, bar_next = alpha_bar[t], alpha_bar[t - 1]
        beta = 1 - bar / bar_next
        p, q, r = diffusion.step(t, t - 1, 1.0)
        assert_allclose(p, math.sqrt(bar_next) * beta / (1 - bar), rtol=1e-6, atol=1e-12)
        assert_allclose(q, math.sqrt(1 - beta) * (1 - bar_next) / (1 - bar), rtol=1e-6, atol=1e-12)
        assert_allclose(r**2, (1 - bar_next) / (1 - bar) * beta, rtol=1e-9, atol=1e-15)


@all_schedules
@properties
@given(times=two_times())
def test_ancestral_step_of_any_length_is_bayes(alpha_bar, times):
    """q(x_t' | x_t, x_0) as the product of two Gaussians in x_t'."""
    t, t_next = times
    p, q, r = Diffusion(alpha_bar, "x0").step(t, t_next, 1.0)
    if t_next == 0:
        assert (p, q, r) == (1, 0, 0)
        return
    bar, bar_next = alpha_bar[t], alpha_bar[t_next]
    shrink = math.sqrt(bar / bar_next)  # x_t = shrink·x_t' + noise of variance 1 − shrink²
    prior_precision, data_precision = 1 / (1 - bar_next), shrink**2 / (1 - shrink**2)
    variance = 1 / (prior_precision + data_precision)
    assert_allclose(r**2, variance, rtol=1e-8)
    assert_allclose(p, variance * prior_precision * math.sqrt(bar_next), rtol=1e-6, atol=1e-12)
    assert_allclose(q, variance * shrink / (1 - shrink**2), rtol=1e-6, atol=1e-12)


@all_schedules
@properties
@given(times=two_times(), x_0=st.floats(-3, 3), noise=st.floats(-3, 3))
def test_deterministic_step_keeps_the_noise_and_lowers_its_level(alpha_bar, times, x_0, noise):
    t, t_next = times
    p, q, r = Diffusion(alpha_bar, "x0").step(t, t_next, 0.0)
    assert r == 0
    here = math.sqrt(alpha_bar[t]) * x_0 + math.sqrt(1 - alpha_bar[t]) * noise
    there = math.sqrt(alpha_bar[t_next]) * x_0 + math.sqrt(1 - alpha_bar[t_next]) * noise
    assert_allclose(p * x_0 + q * here, there, atol=1e-9)


@all_schedules
@properties
@given(times=two_times(), eta=etas)
def test_a_step_of_any_eta_keeps_the_marginals(alpha_bar, times, eta):
    t, t_next = times
    p, q, r = Diffusion(alpha_bar, "x0").step(t, t_next, eta)
    assert_allclose(p + q * math.sqrt(alpha_bar[t]), math.sqrt(alpha_bar[t_next]), rtol=1e-9)
    assert_allclose(q**2 * (1 - alpha_bar[t]) + r**2, 1 - alpha_bar[t_next], atol=1e-12)


@properties
@given(two_times(), etas)
def test_eta_scales_the_fresh_noise(times, eta):
    diffusion = Diffusion(MODERATE, "x0")
    assert_allclose(diffusion.step(*times, eta).r, eta * diffusion.step(*times, 1.0).r, rtol=1e-12)


@all_schedules
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_the_step_to_the_clean_row_is_the_estimate_itself(alpha_bar, eta):
    for t in (1, T // 2, T):
        assert Diffusion(alpha_bar, "x0").step(t, 0, eta) == (1, 0, 0)
