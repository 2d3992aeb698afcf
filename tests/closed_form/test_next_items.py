"""The closed form for a horizon: every moment of every row and what came next."""

import numpy as np
import pytest
import scipy.sparse as sp
from closed_form_problems import dense
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from test_transitions import random_times

from skdiffrec._closed_form import next_items
from skdiffrec._closed_form.held_out import hold_out_moments
from skdiffrec._closed_form.next_items import next_item_form, next_transitions
from skdiffrec._utils.cuts import OrderedRows
from skdiffrec.preprocessing import recency_weights

properties = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**31 - 2)


def chain(n_users, n_items, length, seed=0):
    """Times of users who go round a ring, each from a place of its own."""
    rng = np.random.default_rng(seed)
    X = np.zeros((n_users, n_items))
    for row in X:
        row[(rng.integers(n_items) + np.arange(length)) % n_items] = np.arange(1, length + 1)
    return sp.csr_array(X)


@properties
@given(seeds, st.floats(0.3, 8), st.integers(1, 4), st.booleans())
def test_a_transition_is_a_history_and_the_next_items(seed, half_life, horizon, distinct):
    X = random_times(5, seed, distinct=distinct)
    found = next_transitions(OrderedRows(X, 0), horizon, half_life)
    place = 0
    for row, times in enumerate(X.toarray()):
        moments = np.unique(times[times > 0])
        for moment in moments[1:]:
            before = np.where(times < moment, times, 0)
            expected = recency_weights(before[None], half_life, floor=0.0).toarray()[0]
            near = expected * (expected >= 0.02)
            condition = found.conditions[[place]].toarray()[0]
            # weights are left out by age, those of one moment together
            assert_allclose(np.where(near, condition, 0), near, rtol=1e-5)
            assert (condition[near == 0] <= expected[near == 0] + 1e-6).all()
            later = np.sort(times[times >= moment])
            last = later[min(horizon, len(later)) - 1]
            steps = found.steps[[place]].toarray()[0]
            ahead = (times >= moment) & (times <= last)
            assert_array_equal(steps > 0, ahead)
            assert_array_equal(np.sort(steps[ahead]), np.arange(1, ahead.sum() + 1))
            assert found.rows[place] == row
            place += 1
    assert len(found.rows) == place


def test_of_too_many_moments_some_are_taken_evenly():
    ordered = OrderedRows(chain(40, 30, 25), 0)
    found = next_transitions(ordered, 1, 2.0, max_entries=12 * 100)
    assert abs(found.conditions.nnz - 1200) < 30
    assert np.ptp(np.bincount(found.rows // 10)) <= 1
    # a half-life of any length reads what is there, and no more is left out
    assert len(next_transitions(OrderedRows(chain(40, 30, 25), 0), 1, 1e9).rows) == 40 * 24


@pytest.mark.parametrize("ease_max", [100, 3])
def test_it_finds_the_next_place_of_a_ring(monkeypatch, ease_max):
    monkeypatch.setattr(next_items, "EASE_MAX_ITEMS", ease_max)
    X = chain(300, 20, 8)
    D, mean, half_life, *_ = next_item_form(X, np.ones(300), horizon=1, half_life=5.0, seed=0)
    assert half_life in (2.0, 5.0)
    assert_allclose(mean, recency_weights(X, half_life, floor=0.0).mean(axis=0), rtol=1e-4)
    last = recency_weights(X, half_life, floor=0.0)
    scores = np.where(X.toarray() > 0, -np.inf, last @ dense(D))
    latest = X.toarray().argmax(axis=1)
    assert_array_equal(scores.argmax(axis=1), (latest + 1) % 20)


def test_of_many_questions_some_are_asked(monkeypatch):
    """Beside the users' histories nothing is known."""
    X = chain(300, 20, 8)
    whole = next_item_form(X, np.ones(300), horizon=1, half_life=5.0, seed=0)
    monkeypatch.setattr(next_items, "_MAX_QUESTIONS", 40)
    some = next_item_form(X, np.ones(300), horizon=1, half_life=5.0, seed=0)
    assert some.settings.kind == whole.settings.kind
    again = dict(horizon=1, half_life=some.half_life, seed=0, settings=some.settings)
    assert_array_equal(dense(next_item_form(X, np.ones(300), **again).weights), dense(some.weights))


@pytest.mark.parametrize("X", [sp.eye_array(6).tocsr(), sp.csr_array(np.ones((6, 4)))])
def test_rows_of_one_moment_have_nothing_next(X):
    D, *_ = next_item_form(X.astype(float), np.ones(6), horizon=2, half_life=5.0, seed=0)
    assert np.isfinite(dense(D)).all()


@properties
@given(seeds, st.integers(1, 3))
def test_the_last_moments_are_held_out(seed, horizon):
    X, weight = random_times(8, seed, distinct=False), np.arange(1.0, 9)
    chosen = np.array([1, 2, 5, 7])
    train, held_out = hold_out_moments(X, chosen, weight, horizon, 0.3, 0)
    others = np.setdiff1d(np.arange(8), chosen)
    assert_array_equal(train[others].toarray(), X[others].toarray())
    several = [row for row in chosen if len(np.unique(X[[row]].data)) > 1]
    if not several:
        assert held_out is None and train is X
        return
    assert {*held_out.weight.tolist()} == {weight[row] for row in several}
    for row, w in enumerate(weight):
        times, kept = X[[row]].toarray()[0], train[[row]].toarray()[0]
        own = held_out.weight == w
        if row in several:
            first = held_out.history.toarray()[own][0]
            assert_array_equal(kept, first)  # what the first question shows is left to learn from
            hidden = held_out.holdout.toarray()[own]
            n = (times > 0).sum()
            assert hidden.max() == times.max() or horizon > 1
            # a whole horizon ahead, where a row has more than one moment before it
            second = np.unique(times[times > 0])[1]
            if (times >= second).sum() >= horizon:
                assert ((hidden > 0).sum(axis=1) >= horizon).all() and n > horizon
        else:
            assert_array_equal(kept, times)
