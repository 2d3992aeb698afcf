"""Noise schedules against their closed forms, and the spacing of sampling steps."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec import cosine_schedule, linear_schedule, linear_variance_schedule
from skdiffrec._diffusion.schedules import SCHEDULES, check_alpha_bar, sampling_timesteps

properties = settings(max_examples=30, deadline=None)
lengths = st.integers(1, 200)
# each with the name of its ends
WITH_ENDS = [(linear_schedule, "beta"), (linear_variance_schedule, "variance")]
with_ends = pytest.mark.parametrize(("schedule", "name"), WITH_ENDS)


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
    assert_allclose(linear_schedule(n_timesteps, start, end), expected, rtol=1e-9)


def squared_cosine(share):
    return math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2


@pytest.mark.parametrize("n_timesteps", [1, 2, 10, 100, 1000])
def test_cosine_formula_but_for_the_clipped_last_step(n_timesteps):
    alpha_bar = cosine_schedule(n_timesteps)
    expected = [squared_cosine(t / n_timesteps) / squared_cosine(0) for t in range(n_timesteps)]
    assert_allclose(alpha_bar[:-1], expected, rtol=1e-9)
    assert_allclose(alpha_bar[-1] / alpha_bar[-2], 0.001, rtol=1e-9)  # the largest beta is 0.999


@properties
@given(lengths, ends(largest=0.99))
def test_linear_variance_has_evenly_spaced_variances(n_timesteps, ends):
    alpha_bar = linear_variance_schedule(n_timesteps, *ends)
    assert_allclose(1 - alpha_bar[1:], np.linspace(*ends, n_timesteps), rtol=1e-8)


def assert_falls_from_one(alpha_bar, n_timesteps):
    assert alpha_bar.shape == (n_timesteps + 1,) and alpha_bar.dtype == np.float64
    assert alpha_bar[0] == 1
    assert (np.diff(alpha_bar) < 0).all()
    assert alpha_bar[-1] > 0
    assert_array_equal(check_alpha_bar(alpha_bar), alpha_bar)


@with_ends
@properties
@given(n_timesteps=lengths, ends=ends())
def test_every_schedule_falls_strictly_from_one_and_stays_positive(
    schedule, name, n_timesteps, ends
):
    try:
        alpha_bar = schedule(n_timesteps, *ends)
    except ValueError as error:  # so much noise that nothing of the signal is left
        assert name == "beta" and np.log1p(-np.linspace(*ends, n_timesteps)).sum() < -69
        assert f"after {n_timesteps} timesteps" in str(error)
        return
    assert_falls_from_one(alpha_bar, n_timesteps)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("n_timesteps", [1, 2, 100, 1000])
def test_schedules_by_name_have_usual_ends(name, n_timesteps):
    """1e-4 and 0.02, where there are ends."""
    alpha_bar = SCHEDULES[name](n_timesteps)
    assert_falls_from_one(alpha_bar, n_timesteps)
    if name != "cosine":
        assert_array_equal(SCHEDULES[name](n_timesteps, 1e-4, 0.02), alpha_bar)


@with_ends
@pytest.mark.parametrize("value", [-0.25, 0, 0.0, 1, 1.0, 1.5, math.inf, math.nan])
def test_an_end_outside_the_unit_interval_is_refused_by_name_and_value(schedule, name, value):
    with pytest.raises(ValueError, match=rf"{name}_start .*got {re.escape(str(value))}"):
        schedule(10, value, 0.5)
    with pytest.raises(ValueError, match=rf"{name}_end .*got {re.escape(str(value))}"):
        schedule(10, 0.5, value)


@with_ends
def test_ends_in_the_wrong_order_are_refused_with_both_values(schedule, name):
    with pytest.raises(ValueError, match=rf"{name}_start=0\.3 and {name}_end=0\.2"):
        schedule(10, 0.3, 0.2)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_without_timesteps_is_refused(name):
    with pytest.raises(ValueError, match="n_timesteps must be at least 1, got 0"):
        SCHEDULES[name](0)


def test_equal_ends_make_a_constant_beta():
    assert_allclose(linear_schedule(5, 0.1, 0.1), 0.9 ** np.arange(6))


def test_a_schedule_that_leaves_no_signal_is_refused():
    with pytest.raises(ValueError, match=r"leaves .* of the signal after 1100 timesteps"):
        linear_schedule(1100, 0.5, 0.5)


# A schedule that is given


@pytest.mark.parametrize("given", [[1, 0.5], (1.0, 0.25, 0.25), np.float32([1, 0.5, 1e-30])])
def test_cumulative_alphas_may_be_given(given):
    found = check_alpha_bar(given)
    assert found.dtype == np.float64
    assert_array_equal(found, given)


@pytest.mark.parametrize(
    "given",
    [
        "quadratic",
        None,
        0.5,
        [],
        [1.0],
        [0.9, 0.5],
        [1.0, 0.5, 0.6],
        [1.0, 0.5, 0.0],
        (1.0, 1.0, 0.25),
        [1.0, 1e-31],
        [1.0, math.nan],
        [[1.0, 0.5]],
        [1.0, "a"],
    ],
)
def test_what_is_no_schedule_is_refused_with_what_would_be(given):
    with pytest.raises(
        ValueError, match=r"'cosine'.*start at 1, fall.*never rise.*cosine_schedule"
    ):
        check_alpha_bar(given)


# Timesteps


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
