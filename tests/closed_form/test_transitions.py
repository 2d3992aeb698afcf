"""Closed forms from earlier to later items: the cuts, the pairs of rows, the regression."""

import numpy as np
import pytest
import scipy.sparse as sp
from closed_form_problems import both_grams, dense, ones_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form.ease import ease_matrix, ease_of_gram
from skdiffrec._closed_form.gram import gram_matrix
from skdiffrec._closed_form.neighborhood import N_NEIGHBORS, neighborhood_matrices
from skdiffrec._closed_form.selection import choose_settings
from skdiffrec._closed_form.solver import ClosedFormSolver, mixed_pairs
from skdiffrec._closed_form.transitions import MAX_CUTS, cut_places, scaled_pair, transitions
from skdiffrec._utils.rows import scale_rows
from skdiffrec.preprocessing import recency_weights

N_ITEMS = 12
properties = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**31 - 2)


def random_times(n, seed, n_items=N_ITEMS, distinct=True):
    """Rows of 0 to n_items items with times; ties where not `distinct`."""
    rng = np.random.default_rng(seed)
    X = np.zeros((n, n_items))
    for row in X:
        items = rng.permutation(n_items)[: rng.integers(0, n_items + 1)]
        row[items] = (
            rng.permutation(len(items)) + 1.0 if distinct else rng.integers(1, 4, len(items))
        )
    return sp.csr_array(X)


@properties
@given(st.lists(st.integers(0, 200), max_size=30), st.integers(1, 5_000))
def test_cuts_lie_between_items_and_within_the_budget(length, max_entries):
    length = np.array(length, np.int64)
    rows, n_before = cut_places(length, max_entries)
    assert ((n_before >= 1) & (n_before < length[rows])).all()
    assert len(np.unique(rows * 1_000 + n_before)) == len(rows)
    counts = np.bincount(rows, minlength=len(length))
    assert (counts <= MAX_CUTS).all()
    assert_array_equal(counts > 0, length > 1)
    assert length[rows].sum() <= max_entries or counts.max(initial=0) <= 1


def test_short_rows_are_cut_everywhere_and_long_ones_evenly():
    rows, n_before = cut_places(np.array([4, 0, 481]))
    assert_array_equal(n_before[rows == 0], [1, 2, 3])
    assert_array_equal(n_before[rows == 2], np.arange(6, 481, 10))


@properties
@given(seeds, st.floats(0.3, 8) | st.none(), st.booleans())
def test_a_transition_is_a_history_and_what_followed(seed, half_life, distinct):
    X = random_times(5, seed, distinct=distinct)
    found = transitions(X, half_life, 0)
    rows = X.toarray()
    for condition, steps, row in zip(
        found.conditions.toarray(), found.steps.toarray(), rows[found.rows], strict=True
    ):
        before, after = condition > 0, steps > 0
        assert_array_equal(before | after, row > 0)
        assert not (before & after).any() and before.any() and after.any()
        assert row[before].max() <= row[after].min()
        assert_array_equal(np.sort(steps[after]), np.arange(1, after.sum() + 1))
        if half_life is not None:
            expected = recency_weights((row * before)[None], half_life).toarray()[0]
            assert_allclose(condition, expected, rtol=1e-6)
    assert len(found.rows) == np.maximum((rows > 0).sum(1) - 1, 0).sum()


def test_targets_fade_with_distance():
    found = transitions(sp.csr_array([[3.0, 1.0, 2.0, 4.0]]), None, 0)
    assert_allclose(found.targets(1.0).toarray()[0], [0.5, 0, 1, 0.25])
    assert_allclose(found.targets(None).toarray()[0], [1, 0, 1, 1])
    assert found.targets(0.1).nnz == 3  # only the next item is left
    assert_allclose(found.steps.toarray()[0], [2, 0, 1, 3])  # and nothing is lost by it


def test_pairs_weigh_as_their_row_and_less_than_in_proportion_to_their_targets():
    found = transitions(sp.csr_array([[1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 0, 0, 0]]), None, 0)
    conditions, targets = scaled_pair(found, None, np.array([1.0, 4.0]))
    factor = (conditions.max(axis=1).toarray().ravel()) ** 2
    assert_allclose(factor, [4**-0.5, 3**-0.5, 2**-0.5, 1, 4], rtol=1e-6)
    assert_allclose(targets.max(axis=1).toarray().ravel() ** 2, factor)


def ease_of(X, reg, targets):
    """The exact form of rows that predict others."""
    X, targets = X.astype(np.float64), targets.astype(np.float64)
    return ease_of_gram(gram_matrix(X), reg, gram_matrix(X, targets))


@pytest.mark.slow
@properties
@given(seeds, st.floats(0.5, 20))
def test_the_exact_form_solves_the_constrained_regression(seed, reg):
    rng = np.random.default_rng(seed)
    Z, Y = rng.normal(size=(2, 30, 6)).astype(np.float32)
    B = ease_of(sp.csr_array(Z), reg, sp.csr_array(Y))
    for j in range(6):
        others = np.delete(np.arange(6), j)
        A = Z[:, others].T @ Z[:, others] + reg * np.eye(5)
        assert_allclose(B[others, j], np.linalg.solve(A, Z[:, others].T @ Y[:, j]), atol=1e-4)
    assert not np.diag(B).any()
    pair = sp.csr_array(np.abs(Z)), sp.csr_array(np.abs(Y))
    for gram in both_grams(*pair):
        all_near = neighborhood_matrices(gram, [reg], N_NEIGHBORS)[0]
        assert_allclose(all_near.toarray(), ease_of(pair[0], reg, pair[1]), atol=1e-3)


def test_targets_equal_to_the_rows_are_ease():
    X = ones_of(random_times(40, 0))
    assert_allclose(ease_of(X, 3.0, X), ease_matrix(X, 3.0), atol=1e-5)


def test_a_wide_catalogue_gives_the_same_neighbourhoods():
    X = random_times(40, 0)
    pair = scaled_pair(transitions(X, 5.0, 0), 10.0, np.ones(40))
    wide, narrow = (neighborhood_matrices(gram, [2.0], 4)[0] for gram in both_grams(*pair))
    assert_allclose(wide.toarray(), narrow.toarray(), atol=1e-5)


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_shares_are_shares_of_the_gram_matrix(share):
    X = random_times(30, 1)
    ones = ones_of(X)
    later = scaled_pair(transitions(X, 5.0, 0), None, np.ones(30))
    conditions, targets = mixed_pairs(ones, later, share)
    gram, cross = (conditions.T @ part for part in (conditions, targets))
    scale = ones.sum() / (later[0].T @ later[0]).diagonal().sum()
    of_rows, of_pairs = ones.T @ ones, later[0].T @ later[0]
    assert_allclose(
        gram.toarray(), ((1 - share) * of_rows + share * scale * of_pairs).toarray(), rtol=1e-4
    )
    expected = (1 - share) * of_rows + share * scale * (later[0].T @ later[1])
    assert_allclose(cross.toarray(), expected.toarray(), rtol=1e-4)


def chains(n=300, n_items=60, length=3, seed=0):
    """Users who walk round a circle of items, each from a place of their own."""
    start = np.random.default_rng(seed).integers(0, n_items, n)
    items = (start[:, None] + np.arange(length)) % n_items
    times = np.tile(np.arange(1.0, length + 1), n)
    return sp.csr_array((times, (np.repeat(np.arange(n), length), items.ravel())), (n, n_items))


@pytest.mark.parametrize("wide", [False, True])
def test_transitions_are_chosen_where_order_predicts(wide, monkeypatch):
    if wide:
        monkeypatch.setattr("skdiffrec._closed_form.selection.EASE_MAX_ITEMS", 0)
    X = chains()
    chosen = choose_settings(X, np.ones(300), None, 0)
    assert chosen.transition_share > 0 and chosen.kind == "neighborhood" or not wide
    cuts = transitions(X, None, 0)
    ones = ones_of(X)
    B = dense(ClosedFormSolver(ones, np.ones(300), cuts).solve_once(chosen))
    item = np.arange(60)
    assert (B[item, (item + 1) % 60] > 2 * B[(item + 1) % 60, item]).all()


def test_scale_rows():
    X = random_times(6, 2)
    factor = np.arange(6.0)
    assert_allclose(scale_rows(X, factor).toarray(), factor[:, None] * X.toarray())


def test_rows_of_one_item_have_no_transitions():
    X = sp.csr_array(np.eye(4))
    assert len(transitions(X, 5.0, 0).rows) == 0
    # and a closed form can be chosen all the same
    X = sp.vstack([X, X[:2] + 2 * X[1:3]], format="csr")
    assert choose_settings(X, np.ones(6), 5.0, 0).transition_share == 0
