"""Metrics of accuracy: definitions, other libraries, identities."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given
from hypothesis import strategies as st
from metric_cases import (
    FIXTURE_HOLDOUTS,
    FIXTURE_IDS,
    METRICS,
    all_metrics,
    cases,
    properties,
    slow_metrics,
    to_dense,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import ndcg_score

from skdiffrec.metrics import hit_rate_at_k, map_at_k, mrr_at_k, ndcg_at_k

# --- definitions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "per_user", "mean"),
    [
        # Worked by hand: hits are at rank 2 of user 0, at ranks 1 and 3 of user 1.
        ("precision", [1 / 3, 2 / 3], 0.5),
        ("recall", [1 / 1, 2 / 5], 0.7),
        ("ndcg", [1 / math.log2(3), 1.5 / (1.5 + 1 / math.log2(3))], 0.6674),
        ("mrr", [1 / 2, 1 / 1], 0.75),
        ("map", [(1 / 2) / 1, (1 / 1 + 2 / 3) / 3], 0.5278),
        ("hit_rate", [1.0, 1.0], 1.0),
    ],
)
def test_fixture(name, per_user, mean):
    # RecBole 1.2.1 has exactly our definitions and drops the user without holdout. Recipe: for each
    # of Precision, Recall, NDCG, MRR, MAP, Hit in recbole.evaluator.metrics, with
    # config = {"topk": [3], "metric_decimal_place": 4} and a struct whose get("rec.topk") is
    # torch.tensor([[0, 1, 0, 1], [1, 0, 1, 5]]) (hits, then T), calculate_metric(struct) gives
    # .5, .7, .6674, .75, .5278, 1 (numpy >= 1.24 needs np.float = float first).
    # Equal on this fixture too: implicit nDCG, MAP; RecTools P, R; LensKit P, MAP.
    holdout = to_dense(FIXTURE_HOLDOUTS, 10)
    got = METRICS[name](FIXTURE_IDS, holdout, k=3, per_user=True)
    assert_allclose(got, per_user + [np.nan], rtol=1e-12)
    assert METRICS[name](FIXTURE_IDS, holdout, k=3) == pytest.approx(mean, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "value"), [("precision", 0.3333), ("recall", 0.4667), ("ndcg", 0.4449)]
)
def test_fixture_diffrec_counts_empty_holdouts_as_zero(name, value):
    # DiffRec's computeTopNAccuracy has our definitions per user, but divides by all users.
    holdout = to_dense(FIXTURE_HOLDOUTS, 10)
    per_user = METRICS[name](FIXTURE_IDS, holdout, k=3, per_user=True)
    assert np.nan_to_num(per_user).mean() == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_agrees_with_implicit(k):
    # Live: implicit ranks through a stand-in model that returns the lists as they are.
    evaluation = pytest.importorskip("implicit.evaluation")
    rng = np.random.default_rng(0)
    ids = np.argsort(rng.random((50, 40)), axis=1)[:, :10].astype(np.int32)
    holdout = sp.csr_matrix((rng.random((50, 40)) < 0.08).astype(np.float32))
    assert (np.diff(holdout.indptr) == 0).any()

    class Lists:
        def recommend(self, userid, user_items, N):
            return ids[userid, :N], np.zeros((len(userid), N), np.float32)

    theirs = evaluation.ranking_metrics_at_k(
        Lists(), sp.csr_matrix(holdout.shape, dtype=np.float32), holdout, K=k, show_progress=False
    )
    assert ndcg_at_k(ids, holdout, k) == pytest.approx(theirs["ndcg"])
    assert map_at_k(ids, holdout, k) == pytest.approx(theirs["map"])


@given(cases())
@properties
def test_agrees_with_slow_loop(case):
    ids, holdouts, n_items, k = case
    holdout = sp.csr_array(to_dense(holdouts, n_items))
    for name, metric in METRICS.items():
        expected = [
            slow_metrics([i for i in row if i >= 0], held, k)[name] if held else np.nan
            for row, held in zip(ids, holdouts, strict=True)
        ]
        got = metric(ids, holdout, k, per_user=True)
        assert got.dtype == np.float64 and got.shape == (len(ids),)
        assert_allclose(got, expected, rtol=1e-12, err_msg=name)
        if any(holdouts):
            mean = metric(ids, holdout, k)
            assert type(mean) is float
            assert mean == pytest.approx(np.nanmean(expected), rel=1e-12), name


@given(cases(short=False, min_holdout=1))
@properties
def test_ndcg_agrees_with_sklearn(case):
    ids, holdouts, n_items, k = case
    holdout = to_dense(holdouts, n_items)
    # No ties: listed items count down from n_items, the others lie below zero, all different.
    y_score = np.tile(-1.0 - np.arange(n_items), (len(ids), 1))
    np.put_along_axis(y_score, ids, np.arange(n_items, n_items - ids.shape[1], -1.0)[None], axis=1)
    assert ndcg_at_k(ids, holdout, k) == pytest.approx(ndcg_score(holdout, y_score, k=k))


# --- identities ----------------------------------------------------------------------------------


@given(cases(min_holdout=1))
@properties
def test_bounds(case):
    ids, holdouts, n_items, k = case
    for name, metric in METRICS.items():
        values = metric(ids, to_dense(holdouts, n_items), k, per_user=True)
        assert ((values >= 0) & (values <= 1)).all(), name


@given(cases(min_holdout=1))
@properties
def test_recall_hit_rate_and_mrr_never_fall_with_k(case):
    ids, holdouts, n_items, _ = case
    holdout = to_dense(holdouts, n_items)
    for name in ("recall", "hit_rate", "mrr"):
        ks = range(1, ids.shape[1] + 1)
        values = np.array([METRICS[name](ids, holdout, k, per_user=True) for k in ks])
        assert (np.diff(values, axis=0) >= 0).all(), name


@pytest.mark.parametrize("name", ["precision", "ndcg", "map"])
def test_others_rise_and_fall_with_k(name):
    # T = 2: a hit then a miss falls at k=2, a miss then a hit rises.
    values = [
        METRICS[name]([[0, 1], [1, 0]], [[1, 0, 1], [1, 0, 1]], k, per_user=True) for k in (1, 2)
    ]
    assert values[1][0] < values[0][0] == 1
    assert values[1][1] > values[0][1] == 0


@given(cases(min_holdout=1))
@properties
def test_perfect_lists(case):
    ids, holdouts, n_items, k = case
    best = [
        (sorted(held) + sorted(set(range(n_items)) - held) + [-1, -1])[: ids.shape[1]]
        for held in holdouts
    ]
    holdout, sizes = to_dense(holdouts, n_items), np.array([len(held) for held in holdouts])
    expected = dict.fromkeys(METRICS, np.ones(len(ids)))
    expected["precision"] = np.minimum(k, sizes) / k
    expected["recall"] = np.minimum(k, sizes) / sizes
    for name, metric in METRICS.items():
        # Exactly: rounding must not push a perfect list off 1.
        assert_array_equal(metric(best, holdout, k, per_user=True), expected[name], err_msg=name)


@pytest.mark.parametrize("k", [1, 7, 8, 9, 64, 129, 1000])
def test_long_perfect_lists_are_exactly_one(k):
    ids = np.arange(1000)[None]
    assert ndcg_at_k(ids, np.ones((1, 1000)), k) == 1.0
    assert map_at_k(ids, np.ones((1, 1000)), k) == 1.0


@given(cases(min_holdout=1))
@properties
def test_worst_lists_are_zero(case):
    ids, holdouts, n_items, k = case
    worst = [
        (sorted(set(range(n_items)) - held) + [-1] * ids.shape[1])[: ids.shape[1]]
        for held in holdouts
    ]
    for name, metric in METRICS.items():
        values = metric(worst, to_dense(holdouts, n_items), k, per_user=True)
        assert_array_equal(values, 0.0, err_msg=name)


@given(cases(), st.randoms(use_true_random=False))
@properties
def test_users_in_another_order(case, random):
    ids, holdouts, n_items, k = case
    order = random.sample(range(len(ids)), len(ids))
    holdout = sp.csr_array(to_dense(holdouts, n_items))
    for name, metric in METRICS.items():
        straight = metric(ids, holdout, k, per_user=True)
        shuffled = metric(ids[order], holdout[order], k, per_user=True)
        assert_array_equal(shuffled, straight[order], err_msg=name)


@given(cases(), st.randoms(use_true_random=False))
@properties
def test_items_under_other_names(case, random):
    ids, holdouts, n_items, k = case
    new_name = np.array(random.sample(range(n_items), n_items))
    renamed = np.where(ids < 0, -1, new_name[ids])
    holdout = to_dense(holdouts, n_items)
    moved = np.zeros_like(holdout)
    moved[:, new_name] = holdout
    for name, metric in METRICS.items():
        straight = metric(ids, holdout, k, per_user=True)
        assert_array_equal(metric(renamed, moved, k, per_user=True), straight, err_msg=name)


@given(cases(min_holdout=1), st.data())
@properties
def test_what_lies_below_k_is_ignored(case, data):
    ids, holdouts, n_items, k = case
    assume(k < ids.shape[1])
    cut = ids.copy()
    cut[:, k:] = -1
    for metric in METRICS.values():
        whole = metric(ids, to_dense(holdouts, n_items), k, per_user=True)
        assert_array_equal(metric(cut, to_dense(holdouts, n_items), k, per_user=True), whole)
        assert_array_equal(metric(ids[:, :k], to_dense(holdouts, n_items), k, per_user=True), whole)


@all_metrics
def test_k_is_ten_unless_given(metric):
    ids = np.arange(12)[None]
    holdout = np.zeros((1, 12))
    holdout[0, [4, 9, 10, 11]] = 1
    assert metric(ids, holdout) == metric(ids, holdout, k=10)
    if metric not in (mrr_at_k, hit_rate_at_k):  # which end at the first hit
        assert metric(ids, holdout) not in (metric(ids, holdout, 9), metric(ids, holdout, 11))
