"""Paired bootstrap: known answers, another library, and what its interval and p-value promise."""

import warnings

import numpy as np
import pytest
from scipy import stats

from skdiffrec.metrics import compare


def pair(seed=0, n=200, shift=0.05, digits=None):
    """Values of two models for the same users; `digits` makes equal differences."""
    rng = np.random.default_rng(seed)
    a = rng.random(n)
    b = a + shift + 0.3 * rng.standard_normal(n)
    return (a, b) if digits is None else (a.round(digits), b.round(digits))


@pytest.mark.parametrize(("n", "digits"), [(200, None), (2000, 1)])
def test_agrees_with_scipy(n, digits):
    a, b = pair(n=n, digits=digits)
    got = compare(a, b, n_resamples=40_000, random_state=0)
    options = dict(n_resamples=40_000, method="percentile", batch=1000)
    theirs = stats.bootstrap((b - a,), np.mean, random_state=np.random.default_rng(1), **options)
    # Two standard errors of a 2.5 % quantile of 40,000 draws, on both sides.
    close = 4 * 0.0135 * theirs.standard_error
    assert got.low == pytest.approx(theirs.confidence_interval.low, abs=close)
    assert got.high == pytest.approx(theirs.confidence_interval.high, abs=close)
    below = (theirs.bootstrap_distribution <= 0).mean()
    assert got.p_value == pytest.approx(2 * min(below, 1 - below), abs=0.02)  # four standard errors


def test_means_are_those_of_the_users_compared():
    a, b = np.array([0.25, np.nan, 0.75]), np.array([0.5, np.nan, 1.0])
    got = compare(a, b, n_resamples=99)
    assert got[:3] == (0.5, 0.75, 0.25) and got.n_users == 2
    assert all(type(number) is float for number in got[:6])


def test_a_constant_difference_is_certain():
    a = np.random.default_rng(0).integers(0, 9, 50) / 8
    got = compare(a, a + 0.25, n_resamples=999, random_state=0)
    assert (got.difference, got.low, got.high) == (0.25, 0.25, 0.25)
    assert got.p_value == 2 / 1000  # as small as 999 draws can say, never 0


def test_identical_values_are_no_difference():
    a = np.random.default_rng(0).random(50)
    got = compare(a, a, n_resamples=100, random_state=0)
    assert (got.difference, got.low, got.high, got.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(("n", "digits"), [(100, None), (2000, 1)])
def test_swapping_the_models_mirrors_the_result(n, digits):
    a, b = pair(n=n, shift=0.01, digits=digits)
    there, back = (compare(*models, n_resamples=500, random_state=3) for models in [(a, b), (b, a)])
    assert back.difference == -there.difference and back.p_value == there.p_value
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), rel=1e-12)
    assert there.low < there.difference < there.high


def test_interval_covers_and_p_value_is_uniform_without_a_difference():
    # 400 studies of 60 users. Covering is binomial(400, 0.95) but for a small bias of the
    # bootstrap at 60 users; under no difference p is below 0.1 in about a tenth of the studies.
    results = [
        compare(*pair(seed, 60, shift=0.0), n_resamples=400, random_state=seed)
        for seed in range(400)
    ]
    covered = np.mean([r.low <= 0 <= r.high for r in results])
    assert 0.91 <= covered <= 0.975
    p = np.sort([r.p_value for r in results])
    distance = np.abs(p - np.arange(1, 401) / 400).max()
    assert distance < 1.63 / np.sqrt(400)  # Kolmogorov-Smirnov, 1 %
    for level in (0.1, 0.5):
        assert abs((p < level).mean() - level) < 0.08


def test_a_wider_level_is_a_wider_interval():
    narrow, wide = (
        compare(*pair(), confidence_level=level, random_state=0) for level in (0.5, 0.99)
    )
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.p_value == narrow.p_value


def test_pairing_counts():
    # The users differ much, the models little and always alike: unpaired, nothing would show.
    rng = np.random.default_rng(0)
    a = rng.random(100)
    assert compare(a, a + 0.01 + 0.001 * rng.random(100), random_state=0).p_value < 0.001
    assert compare(a, rng.permutation(a + 0.01), random_state=0).p_value > 0.05


@pytest.mark.parametrize("digits", [None, 1])
def test_random_state(digits):
    a, b = pair(n=2000, digits=digits)
    states = (5, np.random.default_rng(5))
    results = {compare(a, b, n_resamples=50, random_state=state) for state in states}
    assert len(results) == 1
    legacy = [
        compare(a, b, n_resamples=50, random_state=np.random.RandomState(seed))
        for seed in (5, 5, 6)
    ]
    assert legacy[0] == legacy[1] != legacy[2]
    assert compare(a, b, n_resamples=50).low != compare(a, b, n_resamples=50).low


def test_one_line():
    a, b = np.array([0.1, 0.3, 0.2]), np.array([0.3, 0.5, 0.4])
    line = str(compare(a, b, n_resamples=999, confidence_level=0.9))
    assert line == (
        "0.2000 -> 0.4000: +0.2000 (90% interval +0.2000 to +0.2000, p = 0.002, 3 users)"
    )


@pytest.mark.parametrize(
    ("a", "b", "options", "error", "message"),
    [
        ([1.0, 2.0], [1.0], {}, ValueError, "must hold the same users, got 2 and 1 values; pass"),
        ([1.0, np.nan], [1.0, 2.0], {}, ValueError, "NaN in one of them only at user 1; evaluate"),
        ([np.nan], [np.nan], {}, ValueError, "numbers for at least 2 users, got 0 among 1"),
        ([], [], {}, ValueError, "got 0 among 0"),
        ([1.0, np.nan], [2.0, np.nan], {}, ValueError, "at least 2 users, got 1 among 2"),
        ([1.0, np.inf], [1.0, 2.0], {}, ValueError, "metric_a must hold finite .*got inf at 1"),
        (0.5, [0.5], {}, ValueError, r"metric_a must be 1-D, got shape \(\); pass one number"),
        ([0.5], [[0.5]], {}, ValueError, r"metric_b must be 1-D, got shape \(1, 1\)"),
        (["x"], [0.5], {}, TypeError, "metric_a must hold numbers, got dtype <U1"),
        ([1.0], [2.0], {"n_resamples": 0}, ValueError, "n_resamples must be at least 1, got 0"),
        ([1.0], [2.0], {"n_resamples": 1e4}, TypeError, "n_resamples must be an integer"),
        ([1.0], [2.0], {"confidence_level": 95}, ValueError, "between 0 and 1, got 95; pass 0.95"),
        ([1.0], [2.0], {"confidence_level": 1.0}, ValueError, "confidence_level .*got 1.0"),
    ],
)
def test_refusals(a, b, options, error, message):
    with pytest.raises(error, match=message):
        compare(a, b, **options)


def test_few_users_are_warned_of():
    with pytest.warns(UserWarning, match="9 users are too few"):
        compare(np.arange(9.0), np.arange(9.0) ** 2, n_resamples=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare(np.arange(10.0), np.arange(10.0) ** 2, n_resamples=10)


@pytest.mark.parametrize(
    "difference",
    [[-3, 1, 2] * 4 + [1, -1], [-3, 1, 2] * 40, [0] * 9 + [3, -1, -2, 1, 1, -2]],
    ids=["few users", "few values", "ties"],
)
@pytest.mark.parametrize("unit", [0.1, 1 / 3, 1 / 7, 1e-9, 1e9])
def test_the_unit_changes_no_p(difference, unit):
    """Resampled differences of exactly 0 lie on both sides, also where sums are rounded."""
    difference, zeros = np.array(difference, float), np.zeros(len(difference))
    expected = compare(zeros, difference, n_resamples=2000, random_state=0)
    got = compare(zeros, unit * difference, n_resamples=2000, random_state=0)
    assert got.p_value == expected.p_value
