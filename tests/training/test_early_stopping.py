"""Held-out items of some users, and the monitor that ends the training."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from training_problems import (
    N_ITEMS,
    all_values,
    filled_rows,
    marked_rows,
    properties,
    seeds,
    to_csr,
    to_rows,
)

from skdiffrec._closed_form.held_out import HeldOut
from skdiffrec._network.sparse_rows import UserRows
from skdiffrec._training.early_stopping import (
    Monitor,
    fixed_weight,
    split_validation,
    spread_ratio,
)
from skdiffrec.metrics import ndcg_at_k

# Held-out items


@all_values
@properties
@given(rows=filled_rows, fraction=st.floats(0.01, 0.99), seed=seeds)
def test_split_validation_loses_nothing(values, rows, fraction, seed):
    X = to_csr(rows)
    sets = values == "time" and seed % 2 == 1  # then rows of several moments are cut between them
    # the weight of a user is its number
    train, held_out = split_validation(
        UserRows(X), np.arange(len(rows)), values, fraction, seed, sets=sets
    )
    n_candidates = sum(len(set(row.values()) if sets else row) > 1 for row in rows)
    if not n_candidates:
        assert train.history is X and held_out is None
        return
    history, holdout, users, *_ = held_out
    n_chosen = max(1, round(fraction * n_candidates))
    assert history.shape == holdout.shape == (n_chosen, N_ITEMS)
    chosen = []
    for user, (row, kept) in enumerate(zip(to_rows(X), to_rows(train.history), strict=True)):
        assert kept.items() <= row.items() and kept
        assert (kept != row) == (user in users)
        if kept != row:
            chosen.append((kept, {item: row[item] for item in row.keys() - kept.keys()}))
    assert chosen == list(zip(to_rows(history), to_rows(holdout), strict=True))
    for stays, goes in chosen:
        length = len(stays) + len(goes)
        n_expected = min(max(round(0.2 * length), 1), length - 1)
        assert len(goes) == n_expected or sets
        if values == "time":
            assert max(stays.values()) <= min(goes.values())
            assert not sets or max(stays.values()) < min(goes.values())


def test_at_most_a_thousand_users_have_held_out_items():
    X = to_csr([{0: 1.0, i % 10 + 1: 1.0} for i in range(2_100)])
    features = csr_array(np.arange(1.0, 2_101)[:, None])
    rows = UserRows(X, features)
    train, (history, holdout, _, known, _) = split_validation(
        rows, np.ones(2_100), "binary", 0.9, 0
    )
    assert history.shape[0] == holdout.shape[0] == holdout.nnz == 1_000
    assert train.history.nnz == X.nnz - 1_000 and train.user_features is features
    short = np.flatnonzero(np.diff(train.history.indptr) == 1)
    assert (known.toarray().ravel() == short + 1).all()  # of these users


def test_without_a_share_nothing_is_held_out():
    X = to_csr(marked_rows(5, N_ITEMS, 4))
    train, held_out = split_validation(UserRows(X), np.ones(5), "binary", 0.0, 0)
    assert train.history is X and held_out is None


def test_the_seed_chooses_the_users():
    X = to_csr(marked_rows(40, 60, 5), 60)
    first, again, other = (
        split_validation(UserRows(X), np.ones(40), "time", 0.5, seed)[0].history
        for seed in (1, 1, 2)
    )
    assert to_rows(first) == to_rows(again) != to_rows(other)


def test_held_out_ndcg_is_a_weighted_mean_over_users_with_holdout_items():
    holdout = to_csr([{3: 1.0}, {}, {4: 1.0, 5: 1.0}, {1: 1.0}])
    ids = np.array([[3, *range(5, 14)], [*range(10)], [4, *range(6, 15)], [*range(5, 15)]])
    weight = np.array([2.0, 7.0, 1.0, 3.0])
    per_user = ndcg_at_k(ids, holdout, k=10, per_user=True)
    assert np.isnan(per_user).tolist() == [False, True, False, False]
    expected = (2 * per_user[0] + per_user[2] + 3 * per_user[3]) / 6
    assert_allclose(HeldOut(holdout, holdout, weight).ndcg(ids), expected)


# The monitor


def test_spread_ratio_is_that_of_the_mean_standard_deviations():
    rng = np.random.default_rng(0)
    network, form = rng.normal(0, 3, (4, 9)), rng.normal(5, 1, (4, 9))
    deviations = [
        np.mean([math.sqrt(np.mean((row - row.mean()) ** 2)) for row in scores])
        for scores in (network, form)
    ]
    assert_allclose(spread_ratio(network, form), deviations[0] / deviations[1])
    assert spread_ratio(network, None) == 0
    assert spread_ratio(network, np.ones((4, 9))) == 0


def test_fixed_weight():
    assert fixed_weight("auto") == 0.5
    assert fixed_weight(2) == 2.0


class Stage:
    """Histories, held-out items, and scores that can be set: what a Monitor watches."""

    def __init__(self, seed=0, n=30, n_items=40):
        rng = np.random.default_rng(seed)
        rows = marked_rows(n, n + n_items, 5, seed)
        split = [sorted(row, key=row.get) for row in rows]
        shape = (n, n + n_items)
        self.history = to_csr([{i: 1.0 for i in items[:3]} for items in split], shape[1])
        self.holdout = to_csr([{i: 1.0 for i in items[3:]} for items in split], shape[1])
        self.noise = rng.normal(size=shape).astype(np.float32)
        self.truth = self.holdout.toarray().astype(np.float32)
        self.network, self.form = self.noise, self.truth
        self.marks = {tuple(row): i for i, row in enumerate(self.history.toarray())}

    def rows_of(self, rows):
        return [self.marks[tuple(row)] for row in rows.history.toarray()]

    def monitor(self, *, with_form=True, weight="auto", patience=3, blocks=(slice(None),)):
        return Monitor(
            HeldOut(self.history, self.holdout, np.ones(len(self.truth))),
            lambda: lambda X: self.network[self.rows_of(X)],
            (lambda X: self.form[self.rows_of(X)]) if with_form else None,
            blocks=list(blocks),
            closed_form_weight=weight,
            patience=patience,
        )

    def ndcg(self, scores):
        """By sorting all items but those of the history."""
        scores = np.where(self.history.toarray() > 0, -np.inf, scores)
        return ndcg_at_k(np.argsort(-scores, axis=1, kind="stable")[:, :10], self.holdout, k=10)


def test_monitor_without_a_closed_form_measures_the_network():
    stage = Stage()
    for share in (0.0, 0.5, 1.0):
        stage.network = stage.noise + np.float32(4 * share) * stage.truth
        ndcg, improved = stage.monitor(with_form=False).evaluate()
        assert_allclose(ndcg, stage.ndcg(stage.network))
        assert improved
    monitor = stage.monitor(with_form=False)
    monitor.evaluate()
    assert (monitor.best_weight, monitor.best_factor) == (0, 0)


def test_monitor_leaves_out_the_history():
    stage = Stage()
    stage.network = 10 * stage.history.toarray().astype(np.float32) + stage.truth
    assert stage.monitor(with_form=False).evaluate()[0] == 1


@pytest.mark.parametrize("seed", range(4))
def test_monitor_picks_the_best_weight(seed):
    stage = Stage(seed)
    rng = np.random.default_rng(seed)
    # each knows something the other does not, so that the best weight is neither end
    half = (rng.random((len(stage.truth), 1)) < 0.5).astype(np.float32)
    other_noise = rng.normal(size=stage.noise.shape).astype(np.float32)
    stage.network = stage.noise + 2 * stage.truth * half
    stage.form = 3 * (other_noise + 3 * stage.truth * (1 - half))
    ratio = stage.network.std(1).mean() / stage.form.std(1).mean()
    weights = [0.25, 0.5, 1.0, 2.0, 4.0, 16.0, 64.0]
    by_weight = [stage.ndcg(stage.network + w * ratio * stage.form) for w in weights]
    around = np.lib.stride_tricks.sliding_window_view(np.pad(by_weight, 1, "edge"), 3)
    best = int(around.mean(axis=1).argmax())
    monitor = stage.monitor()
    ndcg, improved = monitor.evaluate()
    assert improved and 1 < best < 6
    assert_allclose(ndcg, by_weight[best])
    assert_allclose(monitor.best, by_weight[best])
    assert monitor.best_weight == weights[best]
    assert_allclose(monitor.best_factor, monitor.best_weight * ratio, rtol=1e-5)


def test_a_weight_must_not_win_by_luck():
    monitor = Stage().monitor()
    by_weight = [0.6, 0.5, 0.1, 0.1, 0.1, 0.4, 0.45]
    values = iter(by_weight)
    monitor.held_out = SimpleNamespace(ndcg=lambda ids: next(values))
    assert monitor.evaluate() == (0.45, True)
    assert monitor.best == 0.45 and monitor.best_weight == 64.0


def test_monitor_gives_a_useless_closed_form_its_least_weight():
    stage = Stage()
    stage.network, stage.form = stage.truth, stage.noise
    monitor = stage.monitor()
    assert monitor.evaluate()[0] == 1
    assert monitor.best_weight == 0.5


def test_monitor_with_a_given_weight_tries_no_other():
    stage = Stage()
    monitor = stage.monitor(weight=0.25)
    ndcg, _ = monitor.evaluate()
    ratio = stage.network.std(1).mean() / stage.form.std(1).mean()
    assert_allclose(ndcg, stage.ndcg(stage.network + 0.25 * ratio * stage.form))
    assert ndcg < stage.monitor().evaluate()[0]
    assert monitor.best_weight == 0.25
    assert_allclose(monitor.best_factor, 0.25 * ratio, rtol=1e-5)


def test_monitor_goes_through_the_rows_in_blocks():
    stage = Stage()
    stage.network = stage.noise + 2 * stage.truth
    whole = stage.monitor(with_form=False).evaluate()
    parts = stage.monitor(with_form=False, blocks=(slice(0, 7), slice(7, 30))).evaluate()
    assert whole == parts


def test_the_best_scale_is_that_of_the_best_lists():
    """Scores of two blocks, affine in the scale: the truth and what hides it."""
    stage = Stage()
    best = 1.6

    def sweep(X, scales):
        rows = stage.rows_of(X)
        for scale in scales:
            yield stage.noise[rows] + np.float32(scale == best) * 9 * stage.truth[rows]

    monitor = stage.monitor(blocks=(slice(0, 7), slice(7, 30)))
    assert monitor.best_scale(sweep) == best


def test_monitor_leaves_the_scores_alone():
    stage = Stage()
    network, form = stage.noise.copy(), stage.truth.copy()
    monitor = stage.monitor()
    monitor.new_scorer, monitor.score_closed_form = lambda: lambda X: network, lambda X: form
    monitor.evaluate()
    assert_array_equal(network, stage.noise)
    assert_array_equal(form, stage.truth)


def test_monitor_stops_after_its_patience():
    stage = Stage()
    qualities = [0, 2, 1, 2, 6, 3, 3, 3]
    monitor = stage.monitor(with_form=False, patience=3)
    improvements, stops = [], []
    for quality in qualities:
        stage.network = stage.noise + np.float32(quality) * stage.truth
        improvements.append(bool(monitor.evaluate()[1]))
        stops.append(monitor.should_stop)
    # of two as good as each other the later one is kept, but it does not prolong training
    assert improvements == [True, True, False, True, True, False, False, False]
    assert stops == [False] * 7 + [True]
    assert_allclose(monitor.best, stage.ndcg(stage.noise + 6 * stage.truth))


def test_monitor_waits_for_a_network_that_learns_beside_a_better_closed_form():
    """Lists are the closed form's at first, and no better for a while, but it is not done."""
    stage = Stage()
    stage.form = stage.noise + 20 * stage.truth  # as good as can be, so that nothing beats it
    other = np.random.default_rng(9).normal(size=stage.noise.shape).astype(np.float32)
    monitor = stage.monitor(patience=3)
    for epoch in range(8):
        stage.network = other + np.float32(0.4 * epoch) * stage.truth
        assert monitor.evaluate()[1]  # as good as before, and trained longer
        assert not monitor.should_stop
    for _ in range(3):
        monitor.evaluate()
    assert monitor.should_stop


def test_of_two_epochs_as_good_as_each_other_the_later_one_is_kept():
    stage = Stage()
    monitor = stage.monitor(with_form=False, patience=2)
    stage.network = stage.truth
    assert monitor.evaluate()[1]
    first = monitor.best
    stage.network = 2 * stage.truth  # the same lists
    assert monitor.evaluate()[1]
    assert monitor.best == first
    assert not monitor.should_stop
    monitor.evaluate()
    assert monitor.should_stop


def test_a_worse_epoch_does_not_touch_the_best_weight():
    stage = Stage()
    monitor = stage.monitor()
    monitor.evaluate()
    best = monitor.best_weight, monitor.best_factor
    stage.form = -stage.truth
    assert not monitor.evaluate()[1]
    assert (monitor.best_weight, monitor.best_factor) == best
    assert best[0] > 0
