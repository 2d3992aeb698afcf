"""The sampler: oracles, a problem with a known answer, and linear images."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec import cosine_schedule, linear_schedule
from skdiffrec._diffusion.guidance import guide
from skdiffrec._diffusion.process import Diffusion
from skdiffrec._diffusion.samplers import sample
from skdiffrec._diffusion.schedules import sampling_timesteps

T = 40
ALPHA_BAR = linear_schedule(T, 0.001, 0.15)
DIFFUSION = Diffusion(ALPHA_BAR, "x0")
properties = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**31 - 1)


def normal(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def alpha_sigma(t):
    return math.sqrt(ALPHA_BAR[t]), math.sqrt(1 - ALPHA_BAR[t])


class Recorder:
    """A denoiser whose estimate is always `x_0`, and notes what it was shown."""

    def __init__(self, x_0):
        self.x_0, self.states, self.times = x_0, [], []

    def __call__(self, x_t, t):
        assert t.dtype == torch.int64 and t.shape == (len(x_t),)
        assert (t == t[0]).all()
        self.states.append(x_t.clone())
        self.times.append(int(t[0]))
        return self.x_0, torch.full((len(x_t), 1), float(len(self.times)))


@pytest.mark.parametrize("n_steps", [1, 2, 7, T])
def test_one_call_for_every_timestep_but_the_last(n_steps):
    timesteps = sampling_timesteps(T, n_steps)
    denoise = Recorder(normal(0, 3, 2))
    estimates = list(sample(denoise, normal(1, 3, 2), timesteps, DIFFUSION))
    assert denoise.times == timesteps[:-1].tolist()
    assert [float(second[0]) for _, second in estimates] == list(range(1, n_steps + 1))


@properties
@given(st.integers(1, T), seeds)
def test_deterministic_steps_stay_on_the_line_from_noise_to_x_0(n_steps, seed):
    x_0, noise = normal([seed, 0], 3, 4), normal([seed, 1], 3, 4)
    timesteps = sampling_timesteps(T, n_steps)
    alpha, sigma = alpha_sigma(T)
    denoise = Recorder(x_0)
    *_, last = sample(denoise, alpha * x_0 + sigma * noise, timesteps, DIFFUSION)
    assert_array_equal(last[0], x_0)
    for t, state in zip(timesteps[:-1], denoise.states, strict=True):
        alpha, sigma = alpha_sigma(t)
        assert_allclose(state, alpha * x_0 + sigma * noise, atol=1e-9)


@properties
@given(st.integers(1, T), seeds)
def test_deterministic_steps_of_a_noise_oracle_end_in_x_0(n_steps, seed):
    x_0, noise = normal([seed, 0], 3, 4), normal([seed, 1], 3, 4)
    alpha, sigma = alpha_sigma(T)

    def knows_the_noise(x_t, t):
        alpha, sigma = alpha_sigma(int(t[0]))
        return ((x_t - sigma * noise) / alpha,)

    start = alpha * x_0 + sigma * noise
    *_, last = sample(knows_the_noise, start, sampling_timesteps(T, n_steps), DIFFUSION)
    assert_allclose(last[0], x_0, atol=1e-9)


@pytest.mark.parametrize("eta", [0.4, 1.0])
def test_random_steps_of_an_oracle_have_the_marginals_of_the_forward_process(eta):
    n = 20_000
    generator = torch.Generator().manual_seed(0)

    def draw(step=None):
        return torch.randn(n, 1, generator=generator, dtype=torch.float64)

    timesteps = sampling_timesteps(T, 5)
    alpha, sigma = alpha_sigma(T)
    denoise = Recorder(torch.full((n, 1), 1.5, dtype=torch.float64))
    start = alpha * 1.5 + sigma * draw()
    list(sample(denoise, start, timesteps, DIFFUSION, eta=eta, noise=draw))
    for t, state in zip(timesteps[:-1], denoise.states, strict=True):
        alpha, sigma = alpha_sigma(t)
        assert abs(state.mean() - alpha * 1.5) < 4 * sigma / math.sqrt(n)
        assert abs(state.var() / sigma**2 - 1) < 4 * math.sqrt(2 / n)


def test_noise_is_asked_for_once_a_step_but_not_before_the_result():
    asked = []

    def noise(step):
        asked.append(step)
        return torch.zeros(3, 2)

    x = normal(1, 3, 2)
    timesteps = sampling_timesteps(T, 4)
    quiet = Recorder(normal(0, 3, 2))
    list(sample(quiet, x, timesteps, DIFFUSION, eta=1.0, noise=noise))
    assert asked == [0, 1, 2]
    # no noise is the mean of every step: the same as noise that is 0
    mean = Recorder(quiet.x_0)
    list(sample(mean, x, timesteps, DIFFUSION, eta=1.0))
    for a, b in zip(quiet.states, mean.states, strict=True):
        assert_array_equal(a, b)
    # deterministic steps need none, and go elsewhere
    asked.clear()
    ddim = Recorder(quiet.x_0)
    list(sample(ddim, x, timesteps, DIFFUSION, eta=0.0, noise=noise))
    assert asked == []
    assert not np.allclose(ddim.states[-1], mean.states[-1])


def test_a_gaussian_is_sampled_with_its_mean_and_variance():
    """x_0 ~ N(m, s²): the posterior mean is known, and so is what finitely many steps must give."""
    n, n_timesteps = 20_000, 200
    m = torch.tensor([1.0, -2.0], dtype=torch.float64)
    s = torch.tensor([0.5, 2.0], dtype=torch.float64)
    alpha_bar = cosine_schedule(n_timesteps)
    diffusion = Diffusion(alpha_bar, "x0")

    def gain(t):
        return s**2 * math.sqrt(alpha_bar[t]) / (s**2 * alpha_bar[t] + 1 - alpha_bar[t])

    def posterior_mean(x_t, t):
        t = int(t[0])
        return (m + gain(t) * (x_t - math.sqrt(alpha_bar[t]) * m),)

    generator = torch.Generator().manual_seed(0)

    def draw(step=None):
        return torch.randn(n, 2, generator=generator, dtype=torch.float64)

    timesteps = sampling_timesteps(n_timesteps, n_timesteps)
    *_, (x_0,) = sample(posterior_mean, draw(), timesteps, diffusion, eta=1.0, noise=draw)

    # a slow second way: mean and variance of the same linear steps, from DDPM's equation 7
    mean, variance = torch.zeros(2).double(), torch.ones(2).double()
    for t in range(n_timesteps, 1, -1):
        bar, before = alpha_bar[t], alpha_bar[t - 1]
        beta = 1 - bar / before
        to_x0 = math.sqrt(before) * beta / (1 - bar)
        slope = to_x0 * gain(t) + math.sqrt(1 - beta) * (1 - before) / (1 - bar)
        mean = to_x0 * m * (1 - gain(t) * math.sqrt(bar)) + slope * mean
        variance = slope**2 * variance + (1 - before) / (1 - bar) * beta
    mean = m + gain(1) * (mean - math.sqrt(alpha_bar[1]) * m)
    variance = gain(1) ** 2 * variance
    assert (x_0.mean(0) - mean).abs().lt(4 * s / math.sqrt(n)).all()
    assert_allclose(x_0.var(0), variance, rtol=4 * math.sqrt(2 / n))
    # and there are steps enough to have the data's own
    assert (x_0.mean(0) - m).abs().lt(0.03 * s).all()
    assert_allclose(x_0.var(0), s**2, rtol=0.05)


@properties
@given(
    seed=seeds,
    n_steps=st.integers(1, 8),
    eta=st.floats(0, 1),
    scale=st.floats(-1, 4),
    width=st.integers(1, 6),
)
def test_steps_commute_with_a_linear_map(seed, n_steps, eta, scale, width):
    """x̂_0 = O·φ(W·x_t) + b in item space, against steps of W·x_t."""
    n, m = 3, 6
    rng = np.random.default_rng(seed)
    W, out = rng.normal(size=(width, m)), rng.normal(size=(m, width))
    bias = rng.normal(size=(2 * n, m))
    W, out, bias = (torch.from_numpy(a) for a in (W, out, bias))
    scale = torch.full((n, 1), scale, dtype=torch.float64)

    def item_space(x_t, t):
        doubled = torch.cat([x_t, x_t])
        return (torch.tanh(doubled @ W.T + t[0] / T) @ out.T + bias,)

    def image(g_t, t):
        doubled = torch.cat([g_t, g_t])
        return (torch.tanh(doubled + t[0] / T) @ (W @ out).T + bias @ W.T,)

    def noise(step):
        return normal([seed, step], n, m)

    start, timesteps = normal([seed, 99], n, m), sampling_timesteps(T, n_steps)
    in_items = sample(guide(item_space, [scale]), start, timesteps, DIFFUSION, eta=eta, noise=noise)
    in_image = sample(
        guide(image, [scale]),
        start @ W.T,
        timesteps,
        DIFFUSION,
        eta=eta,
        noise=lambda step: noise(step) @ W.T,
    )
    for (x_0,), (g_0,) in zip(in_items, in_image, strict=True):
        assert_allclose(g_0, x_0 @ W.T, atol=1e-7 * (1 + float(g_0.abs().max())))
