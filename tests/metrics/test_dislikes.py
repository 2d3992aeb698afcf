"""Metrics of graded holdouts."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import ndcg_score

from skdiffrec.metrics import disliked_at_k, ndcg_at_k, precision_at_k, ranking_report
from skdiffrec.metrics._registry import evaluate

N_ITEMS = 8
graded = st.lists(
    st.lists(st.sampled_from([0, 0, 1, 2, 3.5, 5]), min_size=N_ITEMS, max_size=N_ITEMS),
    min_size=1,
    max_size=5,
)
properties = settings(max_examples=30, deadline=None)


def lists_of(n_users, seed, k=N_ITEMS):
    rng = np.random.default_rng(seed)
    return np.array([rng.permutation(N_ITEMS)[:k] for _ in range(n_users)])


@properties
@given(holdout=graded, seed=st.integers(0, 99), k=st.integers(1, N_ITEMS))
def test_ndcg_of_ratings_is_that_of_scikit_learn(holdout, seed, k):
    holdout = np.array(holdout, float)
    ids = lists_of(len(holdout), seed)
    found = ndcg_at_k(ids, sp.coo_array(holdout), k, gains="rating", per_user=True)
    for user, row in enumerate(holdout):
        scores = np.empty(N_ITEMS)
        scores[ids[user]] = -np.arange(N_ITEMS)
        expected = ndcg_score(row[None], scores[None], k=k) if row.any() else np.nan
        assert found[user] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@properties
@given(holdout=graded, seed=st.integers(0, 99), value=st.sampled_from([1, 0.25, 3]))
def test_equal_ratings_gain_as_hits_do(holdout, seed, value):
    holdout = (np.array(holdout) > 0) * float(value)
    ids = lists_of(len(holdout), seed, 5)
    one, other = (ndcg_at_k(ids, holdout, 5, per_user=True, gains=g) for g in ("binary", "rating"))
    assert_allclose(one, other, rtol=1e-12)


def test_the_best_rated_first_is_the_best_list():
    holdout = np.array([[0, 5, 1, 3, 0, 0, 0, 0]])
    assert ndcg_at_k([[1, 3, 2]], holdout, 3, gains="rating") == 1.0
    assert ndcg_at_k([[3, 1, 2]], holdout, 3, gains="rating") < 1.0


@properties
@given(holdout=graded, seed=st.integers(0, 99), liked_from=st.sampled_from([1, 2, 3.6]))
def test_disliked_are_the_low_ratings_in_the_list(holdout, seed, liked_from):
    holdout = np.array(holdout, float)
    ids = lists_of(len(holdout), seed, 4)
    found = disliked_at_k(ids, holdout, 4, liked_from=liked_from, per_user=True)
    for user, row in enumerate(holdout):
        hits = sum(0 < row[item] < liked_from for item in ids[user])
        assert found[user] == pytest.approx(hits / 4 if row.any() else np.nan, nan_ok=True)


def test_auto_goes_by_the_mean_of_the_history():
    train = np.array([[1, 1, 1, 2, 2, 0, 0, 0], [3, 5, 0, 0, 0, 0, 0, 0]])
    holdout = np.array([[0, 0, 0, 0, 0, 1, 2, 0], [0, 0, 0, 0, 0, 2, 4, 0]])
    ids = [[5, 6], [5, 6]]
    # 1.4 is the mean of the first user, 16/7 that of all ratings, by which the second goes
    shares = disliked_at_k(ids, holdout, 2, train=train, per_user=True)
    assert_array_equal(shares, [0.5, 0.5])
    assert_array_equal(disliked_at_k(ids, holdout, 1, train=train, per_user=True), [1, 1])


def test_float32_does_not_change_sides():
    for least in (3.3, 3.1, 0.7):
        holdout = np.array([[least, 5.0]])
        for dtype in (np.float64, np.float32):
            assert disliked_at_k([[0]], holdout.astype(dtype), 1, liked_from=least) == 0.0


def test_without_a_rating_nothing_is_disliked():
    nothing, holdout = np.zeros((1, 3)), [[1, 0, 0]]
    assert disliked_at_k([[0]], holdout, 1, train=nothing) == 0.0
    assert disliked_at_k([[0]], holdout, 1, train=nothing, liked_from=2) == 1.0
    with pytest.raises(ValueError, match="with a held-out rating"):
        disliked_at_k([[0]], nothing, 1)


def test_in_a_report_and_by_name():
    liked = np.array([[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    disliked = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    ids = [[0, 1], [2, 3], [1, 2]]
    report = ranking_report(ids, liked, k=2, disliked=disliked)
    assert report["disliked@2"] == 0.5
    assert_array_equal(report.per_user["disliked@2"], [0.5, 0.5, np.nan])
    assert evaluate(["disliked@1"], ids, liked, disliked=disliked) == {"disliked@1": 1.0}
    assert precision_at_k(ids[:1], disliked[:1], 2) == 0.5
    assert "disliked@2" not in ranking_report(ids, liked, k=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(liked_from="high"), "a number or \"auto\", got 'high'"),
        (dict(liked_from=np.nan), 'a number or "auto", got nan'),
        (dict(train=np.ones((2, 4))), "the same users as rows"),
        (dict(train=np.ones((1, 3))), "one column per item"),
        (dict(k=3), "at most the number of columns"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        disliked_at_k([[0, 1]], [[1, 0, 0, 0]], **{"k": 2} | options)


def test_names_need_dislikes():
    with pytest.raises(ValueError, match='values="rating"'):
        evaluate(["disliked"], [[0] + [-1] * 9], [[1, 0]])
    with pytest.raises(ValueError, match="gains must be one of"):
        ndcg_at_k([[0]], [[1, 0]], 1, gains="exponential")
