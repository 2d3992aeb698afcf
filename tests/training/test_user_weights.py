"""Weights of users in fit: copies of a row, rows left out, bad weights."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form.held_out import HeldOut
from skdiffrec._network.sparse_rows import UserRows
from skdiffrec._training.batches import TrainingRows
from skdiffrec._training.early_stopping import Monitor
from skdiffrec._training.user_weights import check_sample_weight, merge_rows, visits_per_epoch
from skdiffrec._utils import row_view
from skdiffrec.metrics import ndcg_at_k

VALUES = ("binary", "weight", "time")


@pytest.mark.parametrize("values", VALUES)
def test_a_weight_is_a_number_of_copies(interactions, values):
    """To the bit, and whatever the order of the users."""
    n = interactions.shape[0]
    weight = np.arange(n) % 4
    copies = np.random.default_rng(0).permutation(np.repeat(np.arange(n), weight))
    weighted = tiny_cfg(values=values).fit(interactions, sample_weight=weight)
    repeated = tiny_cfg(values=values).fit(interactions[copies])
    assert_array_equal(
        weighted.decision_function(interactions), repeated.decision_function(interactions)
    )
    plain = tiny_cfg(values=values).fit(interactions)
    assert not np.array_equal(
        weighted.decision_function(interactions), plain.decision_function(interactions)
    )


def test_weighted_users_count_more():
    """Two camps with their own items; the heavier one decides what is popular."""
    rng = np.random.default_rng(0)
    rows = np.zeros((200, 40))
    for user, row in enumerate(rows):
        row[rng.choice(20, 6, replace=False) + 20 * (user % 2)] = 1
    popular = {}
    for camp in (0, 1):
        weight = np.where(np.arange(200) % 2 == camp, 20.0, 1.0)
        model = tiny_cfg(guidance_scale=0.0).fit(rows, sample_weight=weight)
        popular[camp] = model.recommend(X=np.zeros((1, 40)), k=10)[0][0] // 20
    assert (popular[0] == 0).all() and (popular[1] == 1).all()


def test_known_users_stay_as_they_were(interactions):
    """Merged rows are for training only."""
    model = tiny_cfg().fit(interactions, sample_weight=np.arange(interactions.shape[0]))
    for user in (0, 2, 50):
        ids, _ = model.recommend(user, k=5)
        assert not np.isin(ids, interactions[[user]].indices).any()


@given(
    rows=st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=12),
    data=st.data(),
)
@settings(max_examples=30, deadline=None)
def test_merging_loses_no_weight(rows, data):
    X = sp.csr_array([[float(i in row) for i in range(5)] for row in rows])
    weight = np.array(
        data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    )
    if not weight.any():
        return
    merged, total = merge_rows(UserRows(X), "binary", weight.astype(float))
    expected = {}
    for row, w in zip(map(frozenset, rows), weight, strict=True):
        if w:
            expected[row] = expected.get(row, 0) + w
    found = {
        frozenset(np.flatnonzero(row)): w
        for row, w in zip(merged.history.toarray(), total, strict=True)
    }
    assert found == expected and merged.shape[0] == len(expected)


@given(weight=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_visits(weight):
    """One for each user, but in all four times the number of rows, and one more by rounding."""
    visits = visits_per_epoch(np.array(weight))
    assert (visits >= 1).all() and visits.sum() <= 5 * len(weight) + 1
    copies = np.minimum(np.ceil(weight).astype(int), 3)
    assert_array_equal(visits_per_epoch(copies.astype(float)), copies)


def test_merged_rows_are_trained_on_as_often():
    """An epoch shows as many rows, and as much weight, whether copies are merged or not."""
    X = sp.csr_array(np.tril(np.ones((4, 6)), 2).astype(np.float32))
    weight = np.array([1.0, 3.0, 2.0, 1.0])
    rows = TrainingRows(
        X,
        "binary",
        target_share=(0.3, 0.7),
        cond_drop_prob=0.2,
        half_life=None,
        row_weight=weight,
        generator=torch.Generator().manual_seed(0),
    )
    shown = [len(batch.known) for batch in rows.batches(2)]
    assert shown == [2, 2, 2, 1]
    assert_allclose(rows.row_weight, 1)
    halves = TrainingRows(
        X,
        "binary",
        target_share=(0.3, 0.7),
        cond_drop_prob=0.2,
        half_life=None,
        row_weight=np.array([0.5, 1.5, 1.0, 1.0]),
        generator=torch.Generator().manual_seed(0),
    )
    assert halves.visits.tolist() == [1, 2, 1, 1]
    assert_allclose(halves.row_weight, np.array([0.5, 0.75, 1, 1]) * 5 / 4)


def test_ones_take_no_memory():
    weight = check_sample_weight(None, 10**12)
    assert weight.shape == (10**12,) and weight[-1] == 1.0


def test_merging_takes_few_bytes_a_user(monkeypatch):
    """Beside the rows, which are read in parts."""
    monkeypatch.setattr(row_view, "BLOCK_ENTRIES", 2**14)
    monkeypatch.setattr(row_view, "PASS_ENTRIES", 2**11)
    n = 2**17
    X = sp.csr_array((1.0 + np.arange(n), np.arange(n) % 100, np.arange(n + 1)), (n, 100))
    rows = UserRows(row_view.RowView(X, 100, np.ones(n, int)))
    weight = check_sample_weight(None, n)
    tracemalloc.start()
    try:
        merged, _ = merge_rows(rows, "rating", weight)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert merged.shape == (n, 100)
    assert kept < 18 * n and peak < 50 * n


def test_rows_in_another_order_of_time_are_not_the_same():
    X = UserRows(sp.csr_array([[1.0, 2.0], [2.0, 1.0], [10.0, 20.0]]))
    assert merge_rows(X, "time", np.ones(3))[1].tolist() in ([1, 2], [2, 1])
    assert merge_rows(X, "binary", np.ones(3))[1].tolist() == [3]


def test_users_who_differ_in_their_features_are_not_the_same():
    X = sp.csr_array(np.ones((3, 2), np.float32))
    features = sp.csr_array(np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]], np.float32))
    merged, weight = merge_rows(UserRows(X, features), "binary", np.ones(3))
    found = dict(zip(map(tuple, merged.user_features.toarray()), weight, strict=True))
    assert found == {(1, 0): 2, (0, 2): 1}


def test_a_number_weighs_all_alike():
    assert_array_equal(check_sample_weight(3, 2), [3, 3])
    assert_array_equal(check_sample_weight(None, 2), [1, 1])


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ([1, 2], ValueError, r"shape \(2,\), but X has 3 users"),
        ([[1, 2, 3]], ValueError, "shape"),
        ([1, -1, 1], ValueError, r"finite and >= 0, got -1"),
        ([1, np.nan, 1], ValueError, "finite and >= 0, got nan"),
        ([0, 0, 0], ValueError, "zero for all users"),
        (["a", "b", "c"], TypeError, "one number per user"),
    ],
)
def test_refusals(weight, error, message):
    with pytest.raises(error, match=message):
        tiny_cfg().fit(np.eye(3), sample_weight=weight)


def test_early_stopping_weighs_users_too():
    history, holdout = sp.csr_array(np.eye(3, 6)), sp.csr_array(np.eye(3, 6, k=3))
    scores = np.zeros((3, 6), np.float32)
    scores[0, 3] = 1  # the first user alone is served at rank 1
    weight = np.array([5.0, 1.0, 1.0])
    monitor = Monitor(
        HeldOut(history, holdout, weight),
        lambda: lambda X: scores.copy(),
        None,
        blocks=[slice(0, 3)],
        closed_form_weight="auto",
        patience=1,
    )
    ids = np.array([[3, 1, 2, 4, 5], [0, 2, 3, 4, 5], [0, 1, 3, 4, 5]])
    expected = np.average(ndcg_at_k(ids, holdout, 5, per_user=True), weights=weight)
    assert_allclose(monitor.evaluate()[0], expected)


LEFT = "No interaction of any user with a weight above 0 is left"


@pytest.mark.parametrize(
    "parameters",
    [{}, {"values": "rating"}, {"ranking_head": False}, {"values": "time", "horizon": 1}],
)
def test_weights_of_users_without_interactions_alone(parameters):
    X = sp.csr_array([[1.0, 2, 0], [0, 1, 3], [0, 0, 0]])
    with pytest.raises(ValueError, match=LEFT):
        tiny_cfg(**parameters).fit(X, sample_weight=[0, 0, 1])


@pytest.mark.parametrize("closed_form", ["auto", None])
def test_an_update_after_which_nothing_is_left(closed_form):
    X = sp.csr_array([[1.0, 2, 0], [0, 1, 3]])
    model = tiny_cfg(closed_form=closed_form, max_epochs=1).fit(X, sample_weight=[1, 0])
    with pytest.raises(ValueError, match=LEFT):
        model.partial_fit(sp.csr_array((1, 3)), user_ids=[0])
    assert model.recommend(0, 1)[0].shape == (1,)
    rated = tiny_cfg(values="rating", liked_from=4, closed_form=closed_form, max_epochs=1)
    rated.fit(np.array([[5.0, 1, 4], [1, 5, 3]]))
    with pytest.raises(ValueError, match=LEFT):  # nobody likes anything any more
        rated.partial_fit(np.array([[1.0, 1, 1], [1, 1, 1]]), user_ids=[0, 1])
