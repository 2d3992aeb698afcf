"""Conventions: numbers of the libraries themselves, every choice against a slow loop, refusals."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from metric_cases import CASES, METRICS, cases, properties, to_dense
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec.metrics import Convention, map_at_k, ndcg_at_k, precision_at_k, recall_at_k
from skdiffrec.metrics._conventions import CONVENTIONS, OPTIONS

# What the libraries print for these cases. `reco`, `test` are the lists and holdouts in their form.
#   implicit 0.7.3: evaluation.ranking_metrics_at_k(model, train, test, K=k), where model.recommend
#     returns the lists as they are and train is empty.
#   DiffRec: computeTopNAccuracy(test, ids.tolist(), [k]) of its DiffRec/evaluate_utils.py, which
#     rounds to 4 digits (precision, recall, NDCG, MRR).
#   RecTools 0.19.0: Precision(k), Recall(k), NDCG(k), MAP(k), MRR(k), HitRate(k), each
#     .calc(reco, test), `reco` without the -1.
#   LensKit 2025.8.1: RunAnalysis(metric(n=k)).measure(reco, test).list_metrics(fill_missing=False),
#     mean over the users with a holdout, for Precision, Recall, NDCG, RecipRank, Hit; for
#     AveragePrecision measure_list per user with a holdout (it divides by zero for the others).
#   RecBole 1.2.1: as in test_accuracy.test_fixture, over the users with a holdout, 10 digits.
PINNED = {
    ("implicit", "fixture"): dict(precision=0.75, ndcg=0.6674239213027962, map=0.5277777777777777),
    ("implicit", "random"): dict(
        precision=0.40476190476190477, ndcg=0.29165471109337754, map=0.1796489621489621
    ),
    ("diffrec", "fixture"): dict(precision=0.3333, recall=0.4667, ndcg=0.4449, mrr=0.5),
    ("diffrec", "random"): dict(precision=0.2267, recall=0.1693, ndcg=0.2528, mrr=0.3344),
    ("diffrec", "short"): dict(precision=0.1467, recall=0.1234, ndcg=0.1886, mrr=0.3178),
    ("rectools", "fixture"): dict(
        precision=0.5, recall=0.7, ndcg=0.5, map=0.41666666666666663, mrr=0.75, hit_rate=1.0
    ),
    ("rectools", "random"): dict(
        precision=0.26153846153846155,
        recall=0.19537627678767763,
        ndcg=0.26266188470690605,
        map=0.08617839367291881,
        mrr=0.3858974358974358,
        hit_rate=0.6923076923076923,
    ),
    ("rectools", "short"): dict(
        precision=0.1692307692307692,
        recall=0.14237892061896684,
        ndcg=0.19201718532385276,
        map=0.06466595702332655,
        mrr=0.3666666666666666,
        hit_rate=0.5769230769230769,
    ),
    ("lenskit", "fixture"): dict(
        precision=0.5,
        recall=0.8333333333333333,
        ndcg=0.8099531166420328,
        map=0.5277777777777777,
        mrr=0.75,
        hit_rate=1.0,
    ),
    ("lenskit", "random"): dict(
        precision=0.26153846153846155,
        recall=0.333974358974359,
        ndcg=0.2958428453506535,
        map=0.17964896214896212,
        mrr=0.3858974358974358,
        hit_rate=0.6923076923076923,
    ),
    ("lenskit", "short"): dict(
        precision=0.25198412698412703,
        recall=0.23269230769230773,
        ndcg=0.2244896943646078,
        map=0.19311591516948656,
        mrr=0.3666666666666666,
        hit_rate=0.5769230769230769,
    ),
    ("recbole", "fixture"): dict(
        precision=0.5, recall=0.7, ndcg=0.6674239213, map=0.5277777778, mrr=0.75, hit_rate=1.0
    ),
    ("recbole", "random"): dict(
        precision=0.2615384615,
        recall=0.1953762768,
        ndcg=0.2916547111,
        map=0.1796489621,
        mrr=0.3858974359,
        hit_rate=0.6923076923,
    ),
}


@pytest.mark.parametrize(("library", "case"), PINNED)
def test_numbers_of_the_libraries(library, case):
    digits = {"diffrec": 5e-5, "recbole": 5e-10}.get(library, 1e-12)
    expected = PINNED[library, case]
    for name, value in expected.items():
        got = METRICS[name](*CASES[case], convention=library)
        assert got == pytest.approx(value, abs=digits, rel=0), name
    for name in set(METRICS) - set(expected):
        with pytest.raises(ValueError, match=f"'{library}' has no {name}, only .*'skdiffrec'"):
            METRICS[name](*CASES[case], convention=library)


@pytest.mark.parametrize(
    ("metric", "choices", "value"),
    [
        # RecTools 0.19.0: NDCG(10, divide_by_achievable=True), MAP(10, divide_by_k=True),
        # Precision(10, r_precision=True).
        (ndcg_at_k, {"convention": "rectools", "ideal": "min"}, 0.21764685603779985),
        (map_at_k, {"convention": "rectools", "divisor": "k"}, 0.1118574481074481),
        (precision_at_k, {"convention": "rectools", "divisor": "min"}, 0.23269230769230773),
        # LensKit 2025.8.1: list_summary(), which fills in 0 for a user without holdout.
        (precision_at_k, {"convention": "lenskit", "empty": "zero"}, 0.21838624338624335),
        (recall_at_k, {"convention": "lenskit", "empty": "zero"}, 0.20166666666666666),
        (ndcg_at_k, {"convention": "lenskit", "empty": "zero"}, 0.19455773511599347),
    ],
)
def test_options_of_the_libraries(metric, choices, value):
    assert metric(*CASES["short"], **choices) == pytest.approx(value, rel=1e-12)


def slow_ratio(name, top, held, k, choices):
    """What was found and what it is divided by, for one user, from the definitions."""
    T, listed = len(held), len(top)
    ranks = [rank for rank, item in enumerate(top, start=1) if item in held]
    if name == "precision":
        return len(ranks), {"k": k, "min": min(k, T), "listed": listed}[choices["divisor"]]
    if name == "recall":
        return len(ranks), {"holdout": T, "min": min(k, T)}[choices["divisor"]]
    if name == "map":
        by = {"min": min(k, T), "holdout": T, "k": k, "listed": min(T, listed)}
        return sum(nth / rank for nth, rank in enumerate(ranks, start=1)), by[choices["divisor"]]
    discount = {
        "standard": lambda r: math.log2(r + 1),
        "original": lambda r: max(1.0, math.log2(r)),
    }[choices["discount"]]
    best = k if choices["ideal"] == "k" else min(k, T)
    return sum(1 / discount(r) for r in ranks), sum(1 / discount(r) for r in range(1, best + 1))


@given(cases(), st.data())
@properties
def test_every_choice_agrees_with_slow_loop(case, data):
    ids, holdouts, n_items, k = case
    holdout = sp.csr_array(to_dense(holdouts, n_items))
    empty = data.draw(st.sampled_from(["nan", "zero"]))
    for name in ("precision", "recall", "ndcg", "map"):
        choices = {o: data.draw(st.sampled_from(valid)) for o, valid in OPTIONS[name].items()}
        tops = [[i for i in row[:k] if i >= 0] for row in ids]
        pairs = [
            slow_ratio(name, top, held, k, choices)
            for top, held in zip(tops, holdouts, strict=True)
        ]
        values = np.array([found / by if by else 0.0 for found, by in pairs])
        evaluated = np.array([bool(held) for held in holdouts])
        values[~evaluated] = np.nan if empty == "nan" else 0.0
        choices["empty"] = empty
        assert_allclose(
            METRICS[name](ids, holdout, k, per_user=True, **choices), values, rtol=1e-12
        )
        if not evaluated.any():
            with pytest.raises(ValueError, match="holdout must hold an item"):
                METRICS[name](ids, holdout, k, **choices)
            continue
        expected = np.nanmean(values)
        if choices.get("average") == "micro":
            kept = [
                pair
                for pair, counts in zip(pairs, evaluated, strict=True)
                if counts or empty == "zero"
            ]
            found, by = np.sum(kept, axis=0)
            expected = found / by if by else 0.0
        assert METRICS[name](ids, holdout, k, **choices) == pytest.approx(expected, rel=1e-12)


def test_own_convention_is_each_choice_by_itself():
    own = Convention(recall_divisor="min", map_divisor="k", empty="zero", lacks=("mrr",))
    case = CASES["short"]
    assert recall_at_k(*case, convention=own) == recall_at_k(*case, divisor="min", empty="zero")
    assert map_at_k(*case, convention=own) == map_at_k(*case, divisor="k", empty="zero")
    with pytest.raises(ValueError, match="has no mrr, only precision, recall, ndcg, map, hit_rate"):
        METRICS["mrr"](*case, convention=own)


def test_default_is_skdiffrec():
    assert Convention() == CONVENTIONS["skdiffrec"]
    for metric in METRICS.values():
        case = CASES["short"]
        assert (
            metric(*case)
            == metric(*case, convention="skdiffrec")
            == metric(*case, convention=Convention())
        )


@pytest.mark.parametrize("name", METRICS)
def test_users_without_holdout_as_zero(name):
    metric, (ids, holdout, k) = METRICS[name], CASES["random"]
    left_out = metric(ids, holdout, k, per_user=True)
    as_zero = metric(ids, holdout, k, per_user=True, empty="zero")
    assert np.isnan(left_out).sum() == 4
    assert_array_equal(as_zero, np.nan_to_num(left_out))
    assert metric(ids, holdout, k, empty="zero") == pytest.approx(as_zero.mean(), rel=1e-14)
    with pytest.raises(ValueError, match="holdout must hold an item"):
        metric(ids, np.zeros_like(holdout), k, empty="zero")


@pytest.mark.parametrize(
    ("metric", "choices", "error", "message"),
    [
        (
            recall_at_k,
            {"convention": "lightfm"},
            ValueError,
            "convention must be one of 'skdiffrec'.*got 'lightfm'",
        ),
        (recall_at_k, {"convention": None}, TypeError, "convention must be a name or a Conv.*None"),
        (
            recall_at_k,
            {"convention": {"empty": "nan"}},
            TypeError,
            "Convention.*of type dict; pass",
        ),
        (
            recall_at_k,
            {"divisor": "k"},
            ValueError,
            "divisor must be one of 'holdout', 'min', got 'k'",
        ),
        (
            recall_at_k,
            {"average": "mean"},
            ValueError,
            "average must be one of 'macro', 'micro', got 'mean'",
        ),
        (recall_at_k, {"empty": 0}, ValueError, "empty must be one of 'nan', 'zero', got 0"),
        (
            precision_at_k,
            {"divisor": "holdout"},
            ValueError,
            "divisor must be one of 'k', 'min', 'listed'",
        ),
        (
            ndcg_at_k,
            {"ideal": "holdout"},
            ValueError,
            "ideal must be one of 'min', 'k', got 'holdout'",
        ),
        (
            ndcg_at_k,
            {"discount": "log"},
            ValueError,
            "discount must be one of 'standard', 'original'",
        ),
        (
            map_at_k,
            {"divisor": "hits"},
            ValueError,
            "divisor must be one of 'min', 'holdout', 'k', 'listed'",
        ),
        (
            recall_at_k,
            {"convention": Convention(map_divisor="hits")},
            ValueError,
            "convention.map_divisor must be one of .*got 'hits'",
        ),
        (
            recall_at_k,
            {"convention": Convention(empty="drop")},
            ValueError,
            "convention.empty must be one of 'nan', 'zero', got 'drop'",
        ),
    ],
)
def test_refusals_of_choices(metric, choices, error, message):
    with pytest.raises(error, match=message):
        metric(*CASES["fixture"], **choices)


def test_micro_average():
    # Hits 1, 0, 0 in lists of 2, 1 and 2 items; no holdout for the last user.
    ids, holdout = [[0, 1], [2, -1], [1, 0]], [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]]

    def precision(**choices):
        return precision_at_k(ids, holdout, 2, average="micro", **choices)

    assert precision() == 1 / 4 and precision(empty="zero") == 1 / 6
    assert precision(divisor="listed") == 1 / 3
    assert precision(divisor="listed", empty="zero") == 1 / 5
    assert precision(divisor="min") == precision(divisor="min", empty="zero") == 1 / 3
    assert recall_at_k(ids, holdout, 2, average="micro") == 1 / 3
    assert_array_equal(precision(per_user=True), [0.5, 0, np.nan])
