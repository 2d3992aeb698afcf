"""Noise schedules against their closed forms, and the spacing of sampling steps."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._diffusion.schedules import SCHEDULES, cumulative_alphas, sampling_timesteps

properties = settings(max_examples=60, deadline=None)
lengths = st.integers(1, 200)


@st.composite
def ends(draw, largest=0.2):
    """Two different ends, in order."""
    low = draw(st.floats(1e-4, largest / 2))
    return low, draw(st.floats(low * 1.01, largest))


@properties
@given(lengths, ends())
def test_linear_is_the_running_product_of_evenly_spaced_betas(n_timesteps, ends):
    start, end = ends
    expected = [1.0]
    for step in range(n_timesteps):
        beta = start + (end - start) * step / max(n_timesteps - 1, 1)
        expected.append(expected[-1] * (1 - beta))
    assert_allclose(cumulative_alphas("linear", n_timesteps, start, end), expected, rtol=1e-9)


def squared_cosine(share):
    return math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2


@pytest.mark.parametrize("n_timesteps", [1, 2, 10, 100, 1000])
def test_cosine_formula_but_for_the_clipped_last_step(n_timesteps):
    alpha_bar = cumulative_alphas("cosine", n_timesteps, 1e-4, 0.02)
    expected = [squared_cosine(t / n_timesteps) / squared_cosine(0) for t in range(n_timesteps)]
    assert_allclose(alpha_bar[:-1], expected, rtol=1e-9)
    assert_allclose(alpha_bar[-1] / alpha_bar[-2], 0.001, rtol=1e-9)  # the largest beta is 0.999


def test_cosine_does_not_use_the_ends():
    assert_array_equal(
        cumulative_alphas("cosine", 20, 1e-4, 0.02), cumulative_alphas("cosine", 20, 0.3, 0.4)
    )


@properties
@given(lengths, ends(largest=0.99))
def test_linear_variance_has_evenly_spaced_variances(n_timesteps, ends):
    alpha_bar = cumulative_alphas("linear_variance", n_timesteps, *ends)
    assert_allclose(1 - alpha_bar[1:], np.linspace(*ends, n_timesteps), rtol=1e-8)


@pytest.mark.parametrize("name", SCHEDULES)
@properties
@given(n_timesteps=lengths, ends=ends())
def test_every_schedule_falls_strictly_from_one_and_stays_positive(name, n_timesteps, ends):
    try:
        alpha_bar = cumulative_alphas(name, n_timesteps, *ends)
    except ValueError as error:  # so much noise that nothing of the signal is left
        assert name == "linear" and np.log1p(-np.linspace(*ends, n_timesteps)).sum() < -69
        assert f"beta_end={ends[1]}" in str(error) and f"n_timesteps={n_timesteps}" in str(error)
        return
    assert alpha_bar.shape == (n_timesteps + 1,) and alpha_bar.dtype == np.float64
    assert alpha_bar[0] == 1
    assert (np.diff(alpha_bar) < 0).all()
    assert alpha_bar[-1] > 0


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("value", [-0.25, 0, 0.0, 1, 1.0, 1.5, math.inf, math.nan])
def test_an_end_outside_the_unit_interval_is_refused_by_name_and_value(name, value):
    with pytest.raises(ValueError, match=rf"beta_start .*got {re.escape(str(value))}"):
        cumulative_alphas(name, 10, value, 0.5)
    with pytest.raises(ValueError, match=rf"beta_end .*got {re.escape(str(value))}"):
        cumulative_alphas(name, 10, 0.5, value)


@pytest.mark.parametrize("name", SCHEDULES)
def test_ends_in_the_wrong_order_are_refused_with_both_values(name):
    with pytest.raises(ValueError, match=r"beta_start=0\.3 and beta_end=0\.2"):
        cumulative_alphas(name, 10, 0.3, 0.2)


def test_equal_ends_make_a_constant_beta():
    assert_allclose(cumulative_alphas("linear", 5, 0.1, 0.1), 0.9 ** np.arange(6))


@pytest.mark.parametrize("start", [*range(1, 61), 100, 333])
def test_timesteps_for_every_number_of_steps(start):
    for n_steps in range(1, start + 1):
        timesteps = sampling_timesteps(start, n_steps)
        assert timesteps.dtype == np.int64
        assert len(timesteps) == n_steps + 1
        assert timesteps[0] == start and timesteps[-1] == 0
        assert (np.diff(timesteps) < 0).all()
        exact = [start * (n_steps - step) / n_steps for step in range(n_steps + 1)]
        assert np.abs(timesteps - exact).max() <= 0.5 + 1e-9  # the nearest whole step


def test_as_many_steps_as_timesteps_visit_each():
    assert_array_equal(sampling_timesteps(7, 7), [7, 6, 5, 4, 3, 2, 1, 0])
    assert_array_equal(sampling_timesteps(9, 3), [9, 6, 3, 0])


def test_a_schedule_that_leaves_no_signal_is_refused():
    with pytest.raises(ValueError, match=r"beta_end=0\.5 over n_timesteps=1100 leaves .* signal"):
        cumulative_alphas("linear", 1100, 0.5, 0.5)
