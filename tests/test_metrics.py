"""Ranking metrics: definitions, identities, agreement with other code, and refusals."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import ndcg_score

from skdiffrec.metrics import (
    hit_rate_at_k,
    map_at_k,
    mrr_at_k,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)

METRICS = {
    "precision": precision_at_k,
    "recall": recall_at_k,
    "ndcg": ndcg_at_k,
    "mrr": mrr_at_k,
    "map": map_at_k,
    "hit_rate": hit_rate_at_k,
}
all_metrics = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
properties = settings(max_examples=60, deadline=None)

# The three users on whom the libraries part: T < k, T > k, and no holdout.
FIXTURE_IDS = np.array([[7, 1, 2], [1, 9, 2], [1, 2, 3]])
FIXTURE_HOLDOUTS = [{1}, {1, 2, 3, 4, 5}, set()]


def to_dense(holdouts, n_items):
    dense = np.zeros((len(holdouts), n_items))
    for row, items in enumerate(holdouts):
        dense[row, sorted(items)] = 1.0
    return dense


def slow_metrics(items, held, k):
    """One user's values, written from the definitions; `items` without the fill."""
    top = list(items)[:k]
    ranks = [rank for rank, item in enumerate(top, start=1) if item in held]
    best = min(k, len(held))
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, best + 1))
    precisions = [sum(r <= rank for r in ranks) / rank for rank in ranks]
    return {
        "precision": len(ranks) / k,
        "recall": len(ranks) / len(held),
        "ndcg": sum(1 / math.log2(rank + 1) for rank in ranks) / ideal,
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "map": sum(precisions) / best,
        "hit_rate": 1.0 if ranks else 0.0,
    }


@st.composite
def cases(draw, short=True, min_holdout=0):
    """Lists without repeats (short ones filled with -1), holdouts, number of items, k."""
    n_items = draw(st.integers(2, 12))
    n_listed = draw(st.integers(1, n_items + 2 if short else n_items))
    n_users = draw(st.integers(1, 6))
    lists, holdouts = [], []
    for _ in range(n_users):
        order = draw(st.permutations(range(n_items)))[:n_listed]
        if short:
            order = order[: draw(st.integers(0, len(order)))]
        lists.append(order + [-1] * (n_listed - len(order)))
        items = st.integers(0, n_items - 1)
        holdouts.append(draw(st.sets(items, min_size=min_holdout, max_size=n_items)))
    k = draw(st.integers(1, n_listed))
    return np.array(lists), holdouts, n_items, k


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


# --- what comes in -------------------------------------------------------------------------------


def _messy_csr():
    """The fixture's holdout with unsorted columns, duplicates, explicit zeros and weights."""
    indices = np.array([8, 1, 1, 5, 3, 1, 2, 4, 3, 0], dtype=np.int32)
    data = np.array([0.0, 2.0, 3.0, 1.0, 9.0, 0.5, 1.0, 1.0, 1.0, 0.0])
    return sp.csr_array((data, indices, np.array([0, 3, 9, 10], dtype=np.int32)), shape=(3, 10))


HOLDOUTS = {
    **{
        f"{form}_{kind}": (lambda dense, f=form, k=kind: getattr(sp, f"{f}_{k}")(dense))
        for form in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")
        for kind in ("array", "matrix")
    },
    "messy csr": lambda dense: _messy_csr(),
    "messy csc": lambda dense: _messy_csr().tocsc(),
    "messy coo": lambda dense: _messy_csr().tocoo(),
    "dense": lambda dense: dense,
    "list": lambda dense: dense.tolist(),
    "fortran": np.asfortranarray,
    **{
        f"dense {dtype}": (lambda dense, d=dtype: dense.astype(d))
        for dtype in ("bool", "uint8", "int64", "float16", "float32")
    },
    **{
        f"csr {dtype}": (lambda dense, d=dtype: sp.csr_matrix(dense.astype(d)))
        for dtype in ("bool", "uint8", "int64", "float32")
    },
    "int64 indices": lambda dense: _wide(sp.csr_array(dense)),
    "weights": lambda dense: sp.csr_array(dense * 1e-300),
}


def _wide(matrix):
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


@pytest.mark.parametrize("make", HOLDOUTS.values(), ids=HOLDOUTS.keys())
@all_metrics
def test_holdout_formats(metric, make):
    dense = to_dense(FIXTURE_HOLDOUTS, 10)
    expected = [
        slow_metrics(row, held, 3)[next(n for n, m in METRICS.items() if m is metric)]
        for row, held in zip(FIXTURE_IDS[:2], FIXTURE_HOLDOUTS[:2], strict=True)
    ]
    got = metric(FIXTURE_IDS, make(dense), k=3, per_user=True)
    assert_allclose(got, expected + [np.nan], rtol=1e-12)


@pytest.mark.parametrize("make", [np.array, np.asfortranarray, list], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
@all_metrics
def test_id_formats(metric, dtype, make):
    holdout = to_dense(FIXTURE_HOLDOUTS, 10)
    expected = metric(FIXTURE_IDS, holdout, k=3, per_user=True)
    got = metric(make(FIXTURE_IDS.astype(dtype)), holdout, k=np.int64(3), per_user=True)
    assert_array_equal(got, expected)


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
@all_metrics
def test_inputs_are_not_modified(metric, form, kind):
    # Read-only as well: joblib hands workers memory maps.
    messy = getattr(_messy_csr(), f"to{form}")()
    holdout = getattr(sp, f"{form}_{kind}")(messy)
    parts = ("row", "col", "data") if form == "coo" else ("indptr", "indices", "data")
    ids = FIXTURE_IDS.copy()
    before = [getattr(holdout, part).copy() for part in parts]
    assert len(before[2]) == 10
    for array in [ids, *(getattr(holdout, part) for part in parts)]:
        array.flags.writeable = False
    metric(ids, holdout, k=2)
    assert_array_equal(ids, FIXTURE_IDS)
    for part, old in zip(parts, before, strict=True):
        assert_array_equal(getattr(holdout, part), old, err_msg=part)


def test_duplicates_count_once_whatever_they_sum_to():
    # 128 + 128 wraps to 0 in uint8.
    data, items = np.array([128, 128, 1], np.uint8), np.array([3, 3, 5])
    coo = sp.coo_array((data, (np.zeros(3, int), items)), shape=(1, 6))
    csr = sp.csr_array((data, items, [0, 3]), shape=(1, 6))
    csc = sp.csc_array((data, [0, 0, 0], [0, 0, 0, 0, 2, 2, 3]), shape=(1, 6))
    for holdout in (coo, csr, csc):
        assert holdout.data.size == 3
        assert recall_at_k([[3, 0]], holdout, k=2) == 0.5, holdout.format


def test_catalogue_too_wide_for_int32():
    n_items = 3_000_000_000
    rows, items = [0, 1, 1], [n_items - 1, 0, 2**31]
    holdout = sp.coo_array((np.ones(3), (rows, items)), shape=(2, n_items)).tocsr()
    ids = np.array([[n_items - 1, 0], [2**31 - 1, 2**31]])
    assert_array_equal(mrr_at_k(ids, holdout, k=2, per_user=True), [1.0, 0.5])


def test_users_times_items_too_large_for_int32():
    # 70,000 x 70,000 keys: a key made of both in 32 bits would wrap.
    n = 70_000
    holdout = sp.csr_array((np.ones(n), np.arange(n)[::-1], np.arange(n + 1)), shape=(n, n))
    ids = np.stack([np.arange(n), np.arange(n)[::-1]], axis=1)
    assert_array_equal(mrr_at_k(ids, holdout, k=2, per_user=True), np.full(n, 0.5))


# --- short lists, no holdout ---------------------------------------------------------------------


def test_fill_is_never_a_hit():
    # The last item is where an index of -1 would land.
    holdout = to_dense([{4}, {4}, {0, 4}], 5)
    ids = [[-1, -1, -1], [0, 4, -1], [0, -1, -1]]
    assert_array_equal(mrr_at_k(ids, holdout, k=3, per_user=True), [0, 0.5, 1])
    assert_array_equal(precision_at_k(ids, holdout, k=3, per_user=True), [0, 1 / 3, 1 / 3])
    assert_array_equal(recall_at_k(ids, holdout, k=3, per_user=True), [0, 1, 0.5])
    assert_allclose(map_at_k(ids, holdout, k=3, per_user=True), [0, 0.5, 0.5])


@all_metrics
def test_users_without_holdout_are_left_out_of_the_mean(metric):
    ids = [[0, 1], [0, 1], [2, 0]]
    holdout = [[1, 1, 0], [0, 0, 0], [0, 1, 0]]
    per_user = metric(ids, holdout, k=2, per_user=True)
    assert_array_equal(per_user, [1, np.nan, 0])
    assert metric(ids, holdout, k=2) == 0.5


@pytest.mark.parametrize("shape", [(2, 5), (0, 5), (2, 0)])
@all_metrics
def test_no_user_has_a_holdout(metric, shape):
    ids = np.full((shape[0], 3), -1)
    with pytest.raises(ValueError, match=rf"holdout .* got {shape[0]} users and no item.*per_user"):
        metric(ids, sp.csr_array(shape), k=3)
    assert_array_equal(metric(ids, sp.csr_array(shape), k=3, per_user=True), [np.nan] * shape[0])


@all_metrics
def test_explicit_zeros_alone_are_no_holdout(metric):
    holdout = sp.csr_array((np.zeros(2), [0, 1], [0, 1, 2]), shape=(2, 3))
    with pytest.raises(ValueError, match="holdout must hold an item"):
        metric([[0], [1]], holdout, k=1)


# --- refusals ------------------------------------------------------------------------------------

GOOD = [[1, 2, 3], [3, 2, -1]]
HELD = np.array([[1.0, 0, 0, 1], [0, 1, 0, 0]])


def held(value):
    bad = HELD.copy()
    bad[1, 2] = value
    return bad


@pytest.mark.parametrize(
    ("ids", "holdout", "k", "error", "message"),
    [
        ([1, 2, 3], HELD, 3, ValueError, r"ids must be 2-D, got shape \(3,\); pass the ids"),
        ([GOOD, GOOD], HELD, 3, ValueError, r"ids must be 2-D, got shape \(2, 2, 3\)"),
        (sp.csr_array(np.eye(2, dtype=int)), HELD, 2, ValueError, r"ids must be 2-D, got shape"),
        ([[1, 2], [3]], HELD, 1, ValueError, r"ids must be a 2-D array, got uneven rows .*-1"),
        (np.array(GOOD, float), HELD, 3, TypeError, "ids must hold integers, got dtype float64"),
        (np.array(GOOD) > 0, HELD, 3, TypeError, "ids must hold integers, got dtype bool"),
        ([["a", "b"]] * 2, HELD, 2, TypeError, "ids must hold integers, got dtype <U1"),
        ([[0, 1, 2], [3, 0, 4]], HELD, 2, IndexError, r"ids .*0 to 3.* got 4 at row 1, place 2"),
        ([[0, 1, 2], [3, -2, 0]], HELD, 1, IndexError, r"ids .*got -2 at row 1, place 1"),
        (np.array([[0], [2**64 - 1]], "u8"), HELD, 1, IndexError, rf"ids .*got {2**64 - 1} at"),
        ([[0, 1, 2], [3, -1, 0]], HELD, 1, ValueError, "ids .*-1.*got item 0 after -1 in row 1"),
        ([[0, 1, 2], [3, 2, 3]], HELD, 2, ValueError, "ids .*repeat.*got item 3 .*row 1.*drop"),
        ([[0, 1, 0], [3, -1, -1]], HELD, 1, ValueError, "ids .*repeat.*got item 0 .*row 0"),
        (GOOD[:1], HELD, 3, ValueError, "ids and holdout .*got 1 rows of ids and 2 of holdout"),
        (GOOD, HELD, 4, ValueError, r"k must be at most .*ids \(3\), got 4; recommend longer"),
        (GOOD, HELD, 0, ValueError, "k must be at least 1, got 0; pass"),
        (GOOD, HELD, -1, ValueError, "k must be at least 1, got -1; pass"),
        (GOOD, HELD, True, TypeError, "k must be an integer, got True of type bool; pass"),
        (GOOD, HELD, np.True_, TypeError, "k must be an integer, got .*True.* of type bool"),
        (GOOD, HELD, 2.0, TypeError, "k must be an integer, got 2.0 of type float; pass"),
        (GOOD, HELD, "2", TypeError, "k must be an integer, got '2' of type str; pass"),
        (GOOD, HELD, None, TypeError, "k must be an integer, got None of type NoneType"),
        (GOOD, held(-1), 3, ValueError, r"holdout .*>= 0, got -1\.0 at row 1, column 2; drop"),
        (GOOD, held(np.nan), 3, ValueError, r"holdout .*got nan at row 1, column 2; drop"),
        (GOOD, held(np.inf), 3, ValueError, r"holdout .*finite.*got inf at row 1, column 2; drop"),
        (GOOD, HELD[0], 3, ValueError, r"holdout must be 2-D, got shape \(4,\); pass a users x"),
        (GOOD, sp.coo_array(HELD[0]), 3, ValueError, r"holdout must be 2-D, got shape \(4,\)"),
        (GOOD, HELD.astype(str), 3, TypeError, "holdout must hold numbers, got dtype <U"),
        (GOOD, sp.csr_array(HELD * 1j), 3, TypeError, "holdout must hold numbers, got dtype compl"),
        (GOOD, [{0, 3}, {1}], 3, ValueError, r"holdout must be 2-D, got shape \(2,\)"),
        (GOOD, [[0, 3], [1]], 3, ValueError, "holdout must be a 2-D array, got uneven rows"),
    ],
)
def test_refusals(ids, holdout, k, error, message):
    for metric in METRICS.values():
        with pytest.raises(error, match=message):
            metric(ids, holdout, k)
        with pytest.raises(error, match=message):
            metric(ids, holdout, k=k, per_user=True)


def test_the_good_arguments_of_the_refusals_pass():
    assert recall_at_k(GOOD, HELD, 3) == 0.25


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_bad_holdout_values_in_every_format(form, value):
    holdout = getattr(sp, f"{form}_array")(held(value))
    with pytest.raises(ValueError, match=rf"holdout .*got {value} at row 1, column 2"):
        recall_at_k(GOOD, holdout, k=3)


def test_negative_values_do_not_hide_in_duplicates():
    holdout = sp.coo_array((np.array([1, -1]), ([0, 0], [2, 2])), shape=(1, 4))
    with pytest.raises(ValueError, match="holdout .*got -1 at row 0, column 2"):
        recall_at_k([[2]], holdout, k=1)


def test_per_user_is_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        recall_at_k(GOOD, HELD, 3, True)
