"""Recency and history weights: the closed form and what it must not depend on."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._utils.recency import history_weights
from skdiffrec.preprocessing import recency_weights

properties = settings(max_examples=40, deadline=None)
# whole numbers: no shift or change of unit rounds two of them together
times = st.lists(st.lists(st.integers(0, 6), min_size=6, max_size=6), min_size=1, max_size=4).map(
    lambda rows: np.array(rows, float)
)
half_lives = st.floats(0.2, 30)


def slow_weights(times, half_life, floor):
    """0 where nothing happened; else by the number of later items of the row."""
    weights = np.zeros(times.shape)
    for row, col in zip(*np.nonzero(times), strict=True):
        later = sum(other > times[row, col] for other in times[row])
        weights[row, col] = max(floor, 0.5 ** (later / half_life))
    return weights


@properties
@given(times, half_lives, st.floats(0.01, 1))
def test_closed_form(times, half_life, floor):
    weights = recency_weights(times, half_life=half_life, floor=floor)
    assert weights.format == "csr" and weights.dtype == np.float32
    assert_allclose(weights.toarray(), slow_weights(times, half_life, floor), rtol=1e-6)


def test_a_half_life_is_where_the_weight_has_halved():
    times = np.arange(1.0, 12.0)[None, :]  # ages 10 … 0
    weights = recency_weights(times).toarray()[0]
    assert weights[10] == 1
    assert_allclose(weights[5], 0.5)
    assert_allclose(weights[0], 0.25)


def test_the_floor_by_default_is_a_tenth():
    weights = recency_weights(np.arange(1.0, 41.0)[None, :]).toarray()[0]
    assert_allclose(weights[0], 0.1)
    assert_allclose(weights.min(), 0.1)
    assert_allclose(recency_weights([[1.0, 2.0]], half_life=0.01, floor=0.3).data, [0.3, 1])


def test_no_floor_and_nothing_but_the_floor():
    assert_allclose(recency_weights([[1.0, 2.0, 3.0]], half_life=0.1, floor=0).data[0], 0.5**20)
    assert_array_equal(recency_weights([[1.0, 2.0, 3.0]], floor=1).data, [1, 1, 1])


def test_ties_share_a_weight_as_the_latest_of_them():
    weights = recency_weights([[4.0, 9.0, 4.0, 1.0, 9.0]], half_life=1, floor=0)
    assert_allclose(weights.toarray(), [[0.25, 1, 0.25, 0.0625, 1]])


@properties
@given(times, half_lives, st.integers(1, 10**9), st.integers(0, 10**9))
def test_unit_and_origin_of_the_times_do_not_matter(times, half_life, unit, origin):
    elsewhere = np.where(times > 0, times * unit + origin, 0)
    assert_array_equal(
        recency_weights(times, half_life).toarray(), recency_weights(elsewhere, half_life).toarray()
    )


def test_times_in_seconds_that_differ_by_one_are_told_apart():
    # float32 would round these two together
    weights = recency_weights([[1_700_000_000.0, 1_700_000_001.0]], half_life=1)
    assert_array_equal(weights.toarray(), [[0.5, 1]])


@pytest.mark.parametrize("layout", [sp.csr_array, sp.csc_array, sp.coo_array, sp.csr_matrix])
def test_sparse_layouts_agree_with_dense(layout):
    times = np.array([[3.0, 0, 1, 2], [0, 0, 0, 0], [5, 5, 0, 1]])
    assert_array_equal(recency_weights(layout(times)).toarray(), recency_weights(times).toarray())


def test_explicit_zeros_are_no_interactions_and_of_duplicates_the_latest_counts():
    rows, cols = [0, 0, 0, 0, 0], [3, 1, 0, 1, 2]
    times = sp.coo_array(([4.0, 1.0, 2.0, 3.0, 0.0], (rows, cols)), shape=(1, 4))
    weights = recency_weights(times, half_life=1, floor=0)
    assert weights.nnz == 3
    assert_array_equal(weights.toarray(), [[0.25, 0.5, 0, 1]])
    assert times.nnz == 5  # the input is left as it was


@pytest.mark.parametrize("half_life", [0, -1.0, math.nan])
def test_half_life_must_be_positive(half_life):
    with pytest.raises(ValueError, match=f"half_life must be > 0.*got {half_life}"):
        recency_weights([[1.0]], half_life=half_life)


@pytest.mark.parametrize("floor", [-0.1, 1.1, math.nan])
def test_floor_must_lie_between_0_and_1(floor):
    with pytest.raises(ValueError, match=f"floor must lie in .*got {floor}"):
        recency_weights([[1.0]], floor=floor)


@pytest.mark.parametrize("half_life", ["5", None, [5, 2], True, 5j])
def test_half_life_and_floor_must_be_numbers(half_life):
    for name in ("half_life", "floor"):
        with pytest.raises(TypeError, match=f"{name} must be a number, got"):
            recency_weights([[1.0]], **{name: half_life})


TIMES = np.array([[1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([[1.0, -2.0]], "times holds -2.0. A value must be >= 0"),
        ([[1.0, math.nan]], "times contains NaN.*no interaction"),
        ([[1.0, math.inf]], "times contains infinity"),
        ([[1.0, -math.inf]], "times contains infinity"),
        (TIMES.astype(str), "times holds text"),
        (TIMES.astype(str).tolist(), "times holds text"),
        (TIMES.astype("M8[s]"), "times holds dates"),
        (np.array([["NaT", "2020-01-01"]], "M8[s]"), "times holds dates"),
        (TIMES * 1j, "Complex"),
        (sp.csr_array(TIMES * 1j), "Complex"),
        (TIMES[0], "2D array"),
        (TIMES[None], "dim 3"),
        (None, "2D array"),
        (sp.coo_array(TIMES[0]), r"times has shape \(3,\)"),
    ],
    ids=str,
)
def test_times_are_checked_as_by_fit(times, message):
    with pytest.raises(ValueError, match=message):
        recency_weights(times)


def test_nothing_at_all():
    assert recency_weights(np.zeros((2, 3))).nnz == 0
    assert recency_weights(sp.csr_array((0, 3))).shape == (0, 3)


# What a model reads


def random_counts(seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, (5, 7)) * (rng.random((5, 7)) < 0.6)
    counts[2] = 0  # a user without history
    return sp.csr_array(counts.astype(np.float32))


def test_binary_histories_weigh_one():
    X = random_counts()
    weights = history_weights(X, "binary", 5.0)
    assert weights.dtype == np.float32
    assert_array_equal(weights.toarray(), X.toarray() > 0)


def test_weights_are_shares_of_the_rows_largest():
    X = random_counts()
    weights = history_weights(X, "weight", 5.0)
    dense = X.toarray()
    expected = dense / np.maximum(dense.max(axis=1, keepdims=True), 1)
    assert weights.dtype == np.float32
    assert_allclose(weights.toarray(), expected, atol=1e-6)  # shares are rounded


@properties
@given(st.integers(0, 50), st.lists(st.floats(1e-3, 1e6), min_size=5, max_size=5))
def test_weights_do_not_depend_on_the_unit_of_any_row(seed, units):
    X = random_counts(seed)
    scaled = sp.csr_array(X.toarray() * np.array(units, np.float32)[:, None])
    assert_allclose(
        history_weights(scaled, "weight", None).toarray(),
        history_weights(X, "weight", None).toarray(),
        rtol=1e-6,
    )


def test_times_become_recency_with_the_floor():
    times = sp.csr_array(np.arange(1.0, 31.0)[None, :])
    assert_array_equal(history_weights(times, "time", 2.0).data, recency_weights(times, 2.0).data)
    assert_allclose(history_weights(times, "time", 2.0).data.min(), 0.1)
    assert_array_equal(history_weights(times, "time", None).data, np.ones(30))


@pytest.mark.parametrize("values", ["binary", "weight", "time"])
def test_no_histories(values):
    weights = history_weights(sp.csr_array((3, 4)), values, 5.0)
    assert weights.shape == (3, 4) and weights.nnz == 0


@pytest.mark.parametrize("values", ["binary", "weight", "time"])
def test_histories_are_left_alone(values):
    X = random_counts()
    before = X.toarray()
    history_weights(X, values, 5.0).data[:] = -1
    assert_array_equal(X.toarray(), before)
