"""The multistep sampler: the same ends as step by step, or the steps themselves."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec import CFGDiffusionRecommender
from skdiffrec._diffusion.multistep import multistep_sample, plan_leaps
from skdiffrec._diffusion.process import Diffusion
from skdiffrec._diffusion.samplers import sample
from skdiffrec._diffusion.schedules import SCHEDULES, sampling_timesteps
from skdiffrec._inference.reverse_process import ReverseProcess
from skdiffrec._inference.settings import SamplingSettings
from skdiffrec.datasets import make_interactions

T = 1000
properties = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**31 - 1)


def diffusion_of(schedule="cosine", prediction_type="x0", n_timesteps=T):
    return Diffusion(SCHEDULES[schedule](n_timesteps), prediction_type)


def tensor(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


class Counting:
    """``denoise(x, t)`` from ``f(x, t/T)``, with a second estimate; counts its calls."""

    def __init__(self, f):
        self.f, self.times = f, []

    def __call__(self, x, t):
        assert (t == t[0]).all() and t.shape == (len(x),)
        self.times.append(int(t[0]))
        x_0 = self.f(x, self.times[-1] / T)
        return x_0, 2 * x_0[:, :1]


def both_ways(f, x, timesteps, diffusion, eta=0.0):
    """The last estimates of `multistep_sample` and of `sample`, and which rows are trusted."""
    leaps = plan_leaps(timesteps, diffusion, eta)
    leaping, stepping = Counting(f), Counting(f)
    found, trusted = multistep_sample(leaping, x, int(timesteps[0]), leaps)
    *_, expected = sample(stepping, x, timesteps, diffusion, eta=eta)
    assert leaping.times == [int(timesteps[0]), *(leap.t for leap in leaps)]
    assert set(leaping.times) <= set(stepping.times)
    return found, expected, trusted


# The plan


@pytest.mark.parametrize("n_steps", [251, 500, 777, 1000])
@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_a_plan_ends_where_the_steps_do_and_passes_over_most(n_steps, eta):
    timesteps = sampling_timesteps(T, n_steps)
    leaps = plan_leaps(timesteps, diffusion_of(), eta)
    times = [T, *(leap.t for leap in leaps)]
    assert times[-1] == timesteps[-2]
    assert (np.diff(times) < 0).all()
    assert set(times) <= set(timesteps.tolist())
    assert len(times) < 200
    assert np.max(-np.diff(times)) <= T / 80


@pytest.mark.parametrize("n_steps", [1, 2, 50, 100, 150])
def test_of_few_steps_all_are_taken(n_steps):
    assert plan_leaps(sampling_timesteps(T, n_steps), diffusion_of(), 0.0) is None


def test_a_start_half_way_has_half_of_the_calls():
    whole, half = (
        len(plan_leaps(sampling_timesteps(start, start), diffusion_of(), 0.0))
        for start in (T, T // 2)
    )
    assert half < 0.75 * whole


@pytest.mark.parametrize("eta", [0.0, 0.6])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_a_prediction_missed_is_made_up_for(schedule, eta):
    """An x̂_0 that is 0 at the last five calls: the next one is all that there is to correct."""
    timesteps, diffusion = sampling_timesteps(T, T), diffusion_of(schedule)
    times, n_leaps = [T], 0
    for leap in plan_leaps(timesteps, diffusion, eta):
        if not leap.is_step:

            def f(t, known=tuple(times[-5:])):
                return float(np.prod([(t - node) / 10 for node in known]))

            x = 0.0
            for t in range(times[-1], leap.t, -1):
                p, q, _ = diffusion.step(t, t - 1, eta)
                x = p * f(t) + q * x
            assert_allclose(leap.correction * f(leap.t), x, rtol=1e-9)
            assert_allclose(leap.prediction.sum(), 1, rtol=1e-9)
            n_leaps += 1
        times.append(leap.t)
    assert n_leaps > 50


# Against the steps


@pytest.mark.slow
@properties
@given(
    seed=seeds,
    degree=st.integers(0, 4),
    schedule=st.sampled_from(list(SCHEDULES)),
    eta=st.sampled_from([0.0, 0.5, 1.0]),
    n_steps=st.integers(300, T),
)
def test_polynomials_in_t_lose_nothing(seed, degree, schedule, eta, n_steps):
    """Whatever x is: up to degree 4 the filled-in estimates are the true ones."""
    factors, x = tensor([seed, 0], degree + 1, 3, 2), tensor([seed, 1], 3, 2)

    def f(x, share):
        return sum(factor * share**power for power, factor in enumerate(factors))

    timesteps = sampling_timesteps(T, n_steps)
    diffusion, states = diffusion_of(schedule), []

    def noting(x, share):
        states.append(x)
        return f(x, share)

    both_ways(noting, x, timesteps, diffusion, eta)
    # the last x of the multistep sampler, then that of all steps
    leaping, stepping = states[-n_steps - 1], states[-1]
    assert_allclose(leaping, stepping, rtol=1e-7, atol=1e-9)


def random_network(seed, diffusion):
    """(f, x): a network's x̂_0, of x and of t, in float64, where rounding hides nothing."""
    n, d = 6, 4
    reads, writes, x = tensor([seed, 0], d, 9) / 2, tensor([seed, 1], 9, d) / 3, tensor(seed, n, d)
    time = tensor([seed, 2], 9)

    def f(x, share):
        t = torch.tensor([round(share * T)])
        alpha = diffusion.scales(t)[0].double()
        raw = torch.tanh(alpha * x @ reads + time * np.cos(6 * share) / 2) @ writes
        return diffusion.to_x0(x, raw, t).double()

    return f, x


@properties
@given(
    seed=seeds,
    schedule=st.sampled_from(list(SCHEDULES)),
    eta=st.sampled_from([0.0, 1.0]),
    prediction_type=st.sampled_from(["x0", "v"]),
    start=st.sampled_from([T, T // 2]),
)
@pytest.mark.slow
def test_smooth_denoisers_come_to_the_same_end(seed, schedule, eta, prediction_type, start):
    diffusion = diffusion_of(schedule, prediction_type)
    f, x = random_network(seed, diffusion)
    found, expected, trusted = both_ways(f, x, sampling_timesteps(start, start), diffusion, eta)
    # of networks that are too steep no row is; how many, the next test counts
    assume(trusted.any())
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a[trusted], b[trusted], atol=3e-5 * float(expected[0].abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("schedule", list(SCHEDULES))
@pytest.mark.parametrize("prediction_type", ["x0", "v"])
def test_most_rows_of_smooth_denoisers_are_trusted(schedule, prediction_type):
    diffusion, trusted = diffusion_of(schedule, prediction_type), []
    for eta in (0.0, 1.0):
        leaps = plan_leaps(sampling_timesteps(T, T), diffusion, eta)
        for seed in range(6):
            f, x = random_network(seed, diffusion)
            trusted.append(multistep_sample(Counting(f), x, T, leaps)[1])
    assert torch.cat(trusted).double().mean() > 0.98


@pytest.mark.parametrize("where", [0.9, 0.5, 0.2])
def test_a_row_that_jumps_is_not_trusted(where):
    def f(x, share):
        jump = torch.tensor([0.0, 0.01, 1.0])[:, None] * (share < where)
        return x * 0 + np.sin(share) + jump

    _, _, trusted = both_ways(f, torch.zeros(3, 2), sampling_timesteps(T, T), diffusion_of())
    assert_array_equal(trusted, [True, False, False])


def test_a_row_that_flickers_between_the_calls_is_not_trusted():
    def f(x, share):
        flicker = torch.tensor([0.0, 1.0])[:, None] * np.cos(T * share)
        return x * 0 + 1 + flicker

    _, _, trusted = both_ways(f, torch.zeros(2, 2), sampling_timesteps(T, T), diffusion_of())
    assert_array_equal(trusted, [True, False])


def test_the_size_of_a_row_makes_no_difference():
    def f(x, share):
        return torch.tensor([1e-6, 1.0, 1e6])[:, None] * np.sin(6 * share) + 0 * x

    start = torch.zeros(3, 1)
    found, _, trusted = both_ways(f, start, sampling_timesteps(T, T), diffusion_of())
    assert trusted.all()
    assert_allclose(found[0][:, 0] / found[0][1, 0], [1e-6, 1, 1e6], rtol=1e-5)


# In a model


@pytest.fixture(scope="module")
def data():
    return make_interactions(n_users=300, n_items=150, random_state=0)


def fitted(data, **parameters):
    settings = dict(n_timesteps=T, n_sampling_steps=T, max_epochs=6, hidden_dims=(48,))
    settings |= dict(latent_dim=24, guidance_scale=2.0, random_state=0)
    return CFGDiffusionRecommender(**settings | parameters).fit(data.train)


def count_calls(monkeypatch):
    """A list that grows by a timestep with every call of the denoiser."""
    calls, guided = [], ReverseProcess._guided

    def counting(self, *args):
        hidden = guided(self, *args)

        def counted(x, t):
            calls.append(int(t[0]))
            return hidden(x, t)

        return counted

    monkeypatch.setattr(ReverseProcess, "_guided", counting)
    return calls


MODELS = {
    "default": {},
    "residual": dict(hidden_dims=(48, 48)),
    "v": dict(prediction_type="v"),
    "other widths": dict(hidden_dims=(48, 32)),
    "three layers": dict(hidden_dims=(24, 48, 48)),
    "no head": dict(ranking_head=False),
    "hidden space": dict(ranking_head=False, latent_dim=None),
    "from the history": dict(start_timestep=700, n_sampling_steps=700),
    "a draw": dict(temperature=1.0),
    "ancestral, no noise": dict(eta=1.0),
    "every other step": dict(n_sampling_steps=500),
}


@pytest.mark.slow
@pytest.mark.parametrize("parameters", MODELS.values(), ids=MODELS)
def test_many_steps_give_the_scores_of_all_of_them(data, parameters, monkeypatch):
    model = fitted(data, **parameters)
    users = np.arange(24)
    leaping = model.decision_function(data.train[users])
    monkeypatch.setattr("skdiffrec._inference.reverse_process.plan_leaps", lambda *plan: None)
    calls = count_calls(monkeypatch)
    stepping = copy.deepcopy(model).decision_function(data.train[users])  # without its plan
    assert len(calls) == model.n_sampling_steps
    spread = stepping.std(axis=1, keepdims=True)
    assert_allclose(leaping / spread, stepping / spread, atol=1e-4)


def test_many_steps_call_the_denoiser_seldom(data, monkeypatch):
    calls = count_calls(monkeypatch)
    fitted(data).decision_function(data.train[:64])
    assert len(calls) < 200


@pytest.mark.parametrize("noise_schedule", SCHEDULES)
def test_all_steps_are_taken_where_noise_is_predicted(data, noise_schedule, monkeypatch):
    """x̂_0 is divided by α_t: what is missed at the start would be blown up."""
    model = fitted(data, prediction_type="epsilon", noise_schedule=noise_schedule)
    calls = count_calls(monkeypatch)
    model.decision_function(data.train[:8])
    assert len(calls) == T


def test_noise_in_every_step_and_the_reference_take_all_steps(data, monkeypatch):
    fitted_model = fitted(data, latent_dim=8)._model
    calls = count_calls(monkeypatch)
    for sampling in (
        SamplingSettings(T, eta=0.5, temperature=1.0),
        SamplingSettings(T, reference=True),
    ):
        calls.clear()
        fitted_model.score(data.train[:8], np.full(8, 2.0), sampling)
        assert len(calls) == T


@pytest.mark.parametrize("prediction_type", ["x0", "v"])
def test_untrusted_rows_get_all_steps_and_others_do_not_notice(data, prediction_type, monkeypatch):
    model = fitted(data, prediction_type=prediction_type)
    X = data.train[:40]
    leaping = model.decision_function(X)

    def suspicious(*given):
        estimate, trusted = multistep_sample(*given)
        return estimate, trusted & (torch.arange(len(trusted)) % 2 == 0)

    monkeypatch.setattr("skdiffrec._inference.reverse_process.multistep_sample", suspicious)
    mixed = model.decision_function(X)
    monkeypatch.setattr("skdiffrec._inference.reverse_process.plan_leaps", lambda *plan: None)
    stepping = copy.deepcopy(model).decision_function(X)
    assert_array_equal(mixed[1::2], stepping[1::2])
    assert_array_equal(mixed[::2], leaping[::2])
    assert (leaping[1::2] != stepping[1::2]).any()


def test_the_last_plan_is_kept(data, monkeypatch):
    model, planned = fitted(data), []

    def plan(timesteps, *rest):
        planned.append(len(timesteps) - 1)
        return plan_leaps(timesteps, *rest)

    monkeypatch.setattr("skdiffrec._inference.reverse_process.plan_leaps", plan)
    for n_steps in (T, T, 500, 500, T):
        model.set_params(n_sampling_steps=n_steps).decision_function(data.train[:8])
    assert planned == [T, 500, T]


def test_other_users_in_the_call_make_no_difference(data):
    model = fitted(data)
    alone = model.decision_function(data.train[:8])
    assert_array_equal(model.decision_function(data.train[:64])[:8], alone)
