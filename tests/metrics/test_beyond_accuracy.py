"""What lists are like whatever was held out: catalogue, popularity, diversity."""

import itertools
import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from metric_cases import cases, listed, properties, random_case, random_train, same_mean, to_dense
from numpy.testing import assert_allclose
from sklearn.metrics.pairwise import cosine_similarity

from skdiffrec.metrics import (
    auc,
    coverage_at_k,
    gini_at_k,
    intra_list_diversity_at_k,
    novelty_at_k,
    personalization_at_k,
    popularity_bias_at_k,
    precision_at_k,
    r_precision,
    serendipity_at_k,
)

# --- the catalogue -------------------------------------------------------------------------------


@given(cases())
@properties
def test_coverage_and_gini(case):
    ids, _, n_items, k = case
    rows = listed(ids, k)
    counts = np.bincount(np.array(sum(rows, []), dtype=int), minlength=n_items)
    assert coverage_at_k(ids, n_items, k) == (counts > 0).mean()
    if not counts.any():
        with pytest.raises(ValueError, match="Gini index needs at least one listed item"):
            gini_at_k(ids, n_items, k)
        return
    # Half the mean difference of two items drawn at random, relative to the mean.
    spread = np.abs(counts[:, None] - counts).mean()
    assert gini_at_k(ids, n_items, k) == pytest.approx(spread / (2 * counts.mean()), abs=1e-12)


def test_coverage_and_gini_of_recbole():
    # RecBole 1.2.1: GiniIndex and ItemCoverage with config = {"topk": [10], "metric_decimal_place":
    # 10} and a struct of "rec.items" (the lists) and "data.num_items" = 51: it counts its padding.
    ids, _, _ = random_case()
    assert gini_at_k(ids, 51) == pytest.approx(0.2190849673, abs=5e-10)
    assert coverage_at_k(ids, 51) == pytest.approx(0.9803921569, abs=5e-10)


def test_coverage_of_rectools():
    # RecTools 0.19.0: CatalogCoverage(10, normalize=True).calc(reco, catalog).
    assert coverage_at_k(random_case(short=True)[0], 50) == 0.98


@given(cases())
@properties
def test_personalization_is_over_all_pairs(case):
    ids, _, _, k = case
    rows = listed(ids, k)
    expected = np.full(len(rows), np.nan)
    for user, row in enumerate(rows):
        others = [set(other) for v, other in enumerate(rows) if other and v != user]
        if row and others:
            shared = [len(other.intersection(row)) / len(row) for other in others]
            expected[user] = 1 - np.mean(shared)
    assert_allclose(same_mean(personalization_at_k, ids, k), expected, atol=1e-12)


def test_personalization_at_its_ends():
    same = [[1, 2], [2, 1], [1, 2]]
    assert personalization_at_k(same, k=2) == 0.0
    assert personalization_at_k([[1, 2], [3, 4], [5, 6]], k=2) == 1.0
    far = np.array([[10**12, 7], [7, 10**15], [3, -1]])  # no array of 10**15 counts
    assert_allclose(personalization_at_k(far, k=2, per_user=True), [0.75, 0.75, 1])


# --- what is popular -----------------------------------------------------------------------------


@given(cases(), st.data())
@properties
def test_novelty(case, data):
    ids, _, n_items, k = case
    train = random_train(data, data.draw(st.integers(1, 5)), n_items)
    if not train.any():
        with pytest.raises(ValueError, match="train must hold an item for at least one user"):
            novelty_at_k(ids, train, k)
        return
    n_users = train.any(axis=1).sum()
    bits = [-math.log2(max(owners, 1) / n_users) for owners in train.sum(axis=0)]
    expected = [np.mean([bits[i] for i in row]) if row else np.nan for row in listed(ids, k)]
    assert_allclose(same_mean(novelty_at_k, ids, train, k), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("short", "value"), [(False, 2.2892339058947084), (True, 2.236475555529063)]
)
def test_novelty_of_rectools(short, value):
    # RecTools 0.19.0: MeanInvUserFreq(10).calc(reco, train as interactions).
    ids, _, train = random_case(short)
    assert novelty_at_k(ids, train) == pytest.approx(value, rel=1e-12)


@given(cases(), st.data())
@properties
def test_popularity_bias(case, data):
    ids, _, n_items, k = case
    train = random_train(data, len(ids), n_items)
    owners = train.sum(axis=0)
    expected = [
        owners[row].mean() / owners[history > 0].mean() - 1 if row and history.any() else np.nan
        for row, history in zip(listed(ids, k), train, strict=True)
    ]
    values = same_mean(popularity_bias_at_k, ids, sp.csr_array(train), k)
    assert_allclose(values, expected, atol=1e-12)


def test_popularity_bias_of_a_list_that_is_the_history():
    train = random_case()[2]
    train[:, :10] = 0
    train[:, 3] = 1  # popular, and the rest of a row follows
    history = [np.flatnonzero(row) for row in train]
    ids = np.full((30, 50), -1)
    for user, items in enumerate(history):
        ids[user, : len(items)] = items
    assert_allclose(popularity_bias_at_k(ids, train, k=50, per_user=True), 0, atol=1e-12)
    assert popularity_bias_at_k(np.full((30, 1), 3), train, k=1) > 1


@given(cases(), st.data())
@properties
def test_serendipity(case, data):
    ids, holdouts, n_items, k = case
    holdout = to_dense(holdouts, n_items)
    train = random_train(data, data.draw(st.integers(1, 5)), n_items)
    owners = train.sum(axis=0)
    place = [1 + (owners > count).sum() for count in owners]
    expected = [
        sum(max(place[i] - r, 0) / n_items for r, i in enumerate(row, start=1) if i in held) / k
        if held
        else np.nan
        for row, held in zip(listed(ids, k), holdouts, strict=True)
    ]
    values = same_mean(serendipity_at_k, ids, holdout, train, k)
    assert_allclose(values, expected, atol=1e-12)
    evaluated = [bool(held) for held in holdouts]
    assert (values <= precision_at_k(ids, holdout, k, per_user=True))[evaluated].all()


def test_serendipity_of_rectools():
    # RecTools 0.19.0: Serendipity(10).calc(reco, test, train as interactions, range(50)); equal
    # where no two items are equally popular and every item is in train.
    ids, holdout, _ = random_case()
    holdout[holdout.sum(axis=1) == 0, 0] = 1
    owners = np.random.default_rng(8).permutation(50) + 1
    train = (np.arange(60)[:, None] < owners).astype(float)
    assert serendipity_at_k(ids, holdout, train) == pytest.approx(0.09133333333333332, rel=1e-12)


def test_a_list_by_popularity_has_no_serendipity():
    owners = np.array([9, 7, 7, 4, 2])
    train = (np.arange(9)[:, None] < owners).astype(float)
    assert serendipity_at_k([[0, 1, 2, 3, 4]], np.ones((1, 5)), train, k=5) == 0.0


# --- diversity inside lists ----------------------------------------------------------------------


def slow_diversity(rows, similarity):
    return [
        1 - np.mean([similarity[i, j] for i, j in itertools.permutations(row, 2)])
        if len(row) > 1
        else np.nan
        for row in rows
    ]


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.coo_matrix, sp.csc_array])
@given(case=cases(), seed=st.integers(0, 100))
@properties
def test_intra_list_diversity(form, case, seed):
    ids, _, n_items, k = case
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n_items, 4)) * (rng.random((n_items, 4)) < 0.6)
    by_cosine = slow_diversity(listed(ids, k), cosine_similarity(vectors))
    values = same_mean(intra_list_diversity_at_k, ids, k, item_vectors=form(vectors))
    assert_allclose(values, by_cosine, atol=1e-12)
    similarity = rng.random((n_items, n_items)) * (rng.random((n_items, n_items)) < 0.6)
    values = same_mean(intra_list_diversity_at_k, ids, k, similarity=form(similarity))
    assert_allclose(values, slow_diversity(listed(ids, k), similarity), atol=1e-12)


def test_many_users_go_in_blocks():
    # More than one block of users for each of the three ways.
    rng = np.random.default_rng(0)
    ids = np.argsort(rng.random((9000, 30)), axis=1)[:, :20]
    vectors = np.abs(rng.standard_normal((30, 40)))
    cosine = cosine_similarity(vectors)
    whole = intra_list_diversity_at_k(ids, 20, item_vectors=vectors, per_user=True)
    for likeness in (cosine, sp.csr_array(cosine)):
        values = intra_list_diversity_at_k(ids, 20, similarity=likeness, per_user=True)
        assert_allclose(values, whole, atol=1e-12)
    assert_allclose(whole[-3:], slow_diversity(ids[-3:], cosine), atol=1e-12)


def test_diversity_at_its_ends():
    for length in range(2, 30):  # rounding goes either way, but never below 0
        ids, alike = np.arange(length)[None], np.full((length, 7), 0.1)
        assert 0 <= intra_list_diversity_at_k(ids, length, item_vectors=alike) < 1e-12
    assert intra_list_diversity_at_k([[0, 1, 2]], k=3, item_vectors=np.eye(3)) == 1.0
    assert intra_list_diversity_at_k([[0, 1]], k=2, item_vectors=[[1.0], [-1.0]]) == 2.0
    assert intra_list_diversity_at_k([[0, 1]], k=2, item_vectors=[[1.0], [0.0]]) == 1.0


# --- refusals ------------------------------------------------------------------------------------

IDS, HELD = [[0, 1], [1, 2]], [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: coverage_at_k(IDS, 2, k=2),
            IndexError,
            r"items 0 to 1 \(n_items\).*got 2 at row 1",
        ),
        (lambda: coverage_at_k(IDS, 0, k=2), ValueError, "n_items must be at least 1, got 0; pass"),
        (lambda: gini_at_k(IDS, 3.0, k=2), TypeError, "n_items must be an integer, got 3.0"),
        (lambda: gini_at_k(IDS, 3, k=3), ValueError, r"k must be at most .*\(2\), got 3"),
        (lambda: personalization_at_k(IDS, k=0), ValueError, "k must be at least 1, got 0"),
        (lambda: personalization_at_k([[0, -2]], k=1), IndexError, "items >= 0, or -1.*got -2 at"),
        (lambda: personalization_at_k([[0, 1]], k=1), ValueError, "with a list, and another"),
        (lambda: novelty_at_k(IDS, [[1, 1]], k=2), IndexError, r"0 to 1 \(the columns of train\)"),
        (lambda: novelty_at_k(IDS, [[1, -1, 0]], k=2), ValueError, r"train .*got -1\.0 at row 0"),
        (lambda: novelty_at_k(IDS, [1, 1, 1], k=2), ValueError, r"train must be 2-D.* history"),
        (
            lambda: popularity_bias_at_k(IDS, HELD[:1], k=2),
            ValueError,
            "ids and train .*got 2 rows",
        ),
        (
            lambda: serendipity_at_k(IDS, HELD, [[1, 1]], k=2),
            ValueError,
            "train .*2 columns and 3 i",
        ),
        (
            lambda: serendipity_at_k(IDS[:1], HELD, HELD, k=2),
            ValueError,
            "ids and holdout must have",
        ),
        (
            lambda: auc(IDS, HELD, train=[[1, 1, 0]]),
            ValueError,
            "ids and train .*got 2 rows of ids",
        ),
        (
            lambda: auc(IDS, HELD, train=np.ones((2, 4))),
            ValueError,
            "train .*4 columns and 3 items",
        ),
        (lambda: auc(np.zeros((2, 0), int), HELD), ValueError, r"columns of ids \(0\)"),
        (lambda: r_precision([[0.5]], [[1]]), TypeError, "ids must hold integers, got dtype float"),
        (lambda: intra_list_diversity_at_k(IDS, 2), ValueError, "exactly one .*got neither; pass"),
        (
            lambda: intra_list_diversity_at_k(IDS, 2, item_vectors=HELD, similarity=HELD),
            ValueError,
            "exactly one of item_vectors and similarity, got both",
        ),
        (
            lambda: intra_list_diversity_at_k(IDS, 2, similarity=np.eye(4)[:3]),
            ValueError,
            r"similarity must be square, got shape \(3, 4\)",
        ),
        (
            lambda: intra_list_diversity_at_k(IDS, 2, item_vectors=np.eye(2)),
            IndexError,
            r"items 0 to 1 \(the rows of item_vectors\)",
        ),
        (
            lambda: intra_list_diversity_at_k(IDS, 2, item_vectors=[[1.0], [np.nan], [2.0]]),
            ValueError,
            "item_vectors must hold finite numbers, got nan; fill",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("size", [1e-310, 1e-200, 1.0, 1e200])
@pytest.mark.parametrize("form", [np.array, sp.csr_array])
def test_diversity_of_vectors_of_any_length(size, form):
    vectors = form(size * np.array([[1.0, 0], [1, 0], [0, 1]]))
    found = intra_list_diversity_at_k([[0, 1], [0, 2]], 2, item_vectors=vectors, per_user=True)
    assert_allclose(found, [0, 1], atol=1e-12)
