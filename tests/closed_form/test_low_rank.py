"""Projections on singular directions: their scores, how many, and when they join."""

import numpy as np
import pytest
import scipy.sparse as sp
from closed_form_problems import ones_of, popular_csr
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form import low_rank, low_rank_choice, selection
from skdiffrec._closed_form.blending import spread
from skdiffrec._closed_form.held_out import HeldOut, held_out_quality
from skdiffrec._closed_form.low_rank import low_rank_form
from skdiffrec._closed_form.low_rank_choice import best_number, scores_of
from skdiffrec._closed_form.next_items import next_item_form
from skdiffrec._closed_form.selection import solved_form
from skdiffrec._utils.cuts import hide_share
from skdiffrec._utils.recency import history_weights
from skdiffrec.datasets import make_interactions

OPTIONS = dict(values="binary", half_life=None, seed=0)


def sparse_rows(n_users=500, n_items=1000):
    return make_interactions(n_users, n_items, n_interactions_per_user=8, random_state=0).train


def cut(X, n):
    """(rows, HeldOut): a fifth of the items of n users held out."""
    history, holdout = hide_share(X[:n], "binary", 0.2, 0, False)
    rest = sp.csr_array(sp.vstack([history, X[n:]]))
    return rest, HeldOut(ones_of(history), holdout, np.ones(n))


def test_scores_are_projections_on_the_leading_directions():
    X, weight = popular_csr(60, 14, weighted=False), np.arange(60) % 3 + 1.0
    lengths = np.maximum(np.diff(X.indptr), 1)
    counts = weight @ X.toarray()
    root = (counts / counts.mean()) ** 0.4
    scaled = np.sqrt(weight / np.sqrt(lengths))[:, None] * X.toarray() / root
    V = np.linalg.svd(scaled)[2][:5]
    histories = ones_of(popular_csr(7, 14, seed=1))
    expected = (histories.toarray() / root) @ V.T @ V * root
    form = low_rank_form(X, weight, 0).first(5)
    assert form.read.dtype == form.write.dtype == np.float32
    assert_allclose(form.scores(histories), expected, atol=1e-4)


def test_a_row_of_weight_2_is_two_rows():
    X, weight = popular_csr(60, 14, weighted=False), np.arange(60) % 2 + 1
    repeated = X[np.repeat(np.arange(60), weight)]
    forms = low_rank_form(X, weight.astype(float), 0), low_rank_form(repeated, np.ones(90), 0)
    weighted, one_each = (form.first(4).scores(X) for form in forms)
    assert_allclose(weighted, one_each, atol=1e-3)


def test_all_directions_give_the_history_back():
    X = popular_csr(60, 14, weighted=False)
    assert_allclose(low_rank_form(X, np.ones(60), 0).scores(X), X.toarray(), atol=1e-4)


@pytest.mark.parametrize("n_users", [1, 5])
def test_there_are_no_more_directions_than_users(n_users):
    X = popular_csr(n_users, 14, weighted=False)
    assert low_rank_form(X, np.ones(n_users), 0).read.shape == (14, n_users)
    assert best_number(X, np.ones(n_users), 0) <= n_users


def test_rows_that_cannot_be_divided_have_no_best_number():
    assert best_number(sp.csr_array(np.eye(4, dtype=np.float32)), np.ones(4), 0) == 0


def test_the_best_number_follows_from_how_much_rows_have_in_common():
    """Few broad tastes, or many pairs of items that say nothing of one another."""
    broad = make_interactions(1000, 500, n_interactions_per_user=8, random_state=3).train
    pairs = np.zeros((800, 800), np.float32)
    for row, rng in zip(pairs, map(np.random.default_rng, range(800)), strict=True):
        first = 2 * rng.choice(400, 4, replace=False)
        row[first] = row[first + 1] = 1
    found = [best_number(rows, np.ones(rows.shape[0]), 0) for rows in (broad, sp.csr_array(pairs))]
    assert found[0] <= 32 and found[1] == 128


def test_few_directions_find_more_where_rows_are_few():
    rest, held_out = cut(sparse_rows(), 300)
    form = low_rank_form(ones_of(rest), np.ones(500), 0)
    n = best_number(rest, np.ones(500), 0)
    few, all_ = (held_out_quality(form.first(k).scores, held_out) for k in (n, 128))
    assert few > 1.2 * all_ and n < 64


def test_they_join_such_rows_and_find_more_of_what_was_not_seen():
    data = make_interactions(1000, 500, n_interactions_per_user=8, random_state=3)
    rest, held_out = cut(data.train, 300)
    form = solved_form(rest, np.ones(1000), "auto", held_out=held_out, **OPTIONS)
    assert form.low_rank.read.shape == (500, form.settings.n_factors)
    test = HeldOut(ones_of(rest), data.test, np.ones(1000))
    alone = held_out_quality(scores_of(form.weights), test)
    assert held_out_quality(scores_of(form.weights, form.low_rank), test) > 1.05 * alone


@pytest.mark.parametrize(("times", "joins"), [(1.01, False), (1.03, True)])
def test_held_out_items_must_be_clearly_for_them(times, joins, monkeypatch):
    X, held_out = cut(sparse_rows(), 300)

    def quality(score, held_out, *_):
        scores = score(held_out.history)
        return 0.1 if sp.issparse(scores) else 0.1 * times

    monkeypatch.setattr(low_rank_choice, "held_out_quality", quality)
    monkeypatch.setattr(selection, "EASE_MAX_ITEMS", 10)
    weight = np.arange(500) % 3 + 1.0
    form = solved_form(X, weight, "auto", held_out=held_out, **OPTIONS)
    assert (form.low_rank is not None) == (form.settings.n_factors > 0) == joins
    again = solved_form(X, weight, "auto", settings=form.settings, **OPTIONS)
    for part, same in zip(form.low_rank or (), again.low_rank or (), strict=True):
        assert_array_equal(part, same)
    if joins:
        spreads = [
            spread(score, ones_of(X)) for score in (scores_of(form.weights), form.low_rank.scores)
        ]
        assert_allclose(*spreads, rtol=1e-4)


def test_without_held_out_items_nothing_joins():
    form = solved_form(sparse_rows(), np.ones(500), "auto", **OPTIONS)
    assert form.low_rank is None and form.settings.n_factors == 0


def test_dense_rows_are_left_alone():
    X, held_out = cut(popular_csr(200, 40, weighted=False), 100)
    form = solved_form(X, np.ones(200), "auto", held_out=held_out, **OPTIONS)
    assert form.settings.kind == "ease" and form.low_rank is None


def test_of_many_interactions_a_sample_is_read(monkeypatch):
    X = sparse_rows()
    monkeypatch.setattr(low_rank, "SVD_ENTRIES", X.nnz // 8)
    form = low_rank_form(ones_of(X), np.ones(500), 0)
    assert form.read.shape[1] < 100 and np.isfinite(form.read).all()
    unmet = np.diff(X.tocsc().indptr) == 0
    assert_allclose(form.read[unmet], 0, atol=1e-4)


@pytest.mark.parametrize("best", [0.0, 0.25, 1.0])
def test_the_next_items_choose_how_far_scores_spread(best, monkeypatch):
    """A quality of its own for each share tells which one is taken, and updates repeat it."""
    X, weight = popular_csr(120, 30, weighted=False), np.ones(120)
    X.data = np.random.default_rng(0).permutation(X.nnz) + 1.0
    spreads = []

    def quality(score, held_out, ranked):
        spreads.append(spread(score, held_out.history))
        return 1.0 if np.isclose(len(spreads) - 1, {0.0: 0, 0.25: 1, 1.0: 3}[best]) else 0.5

    monkeypatch.setattr(low_rank_choice, "held_out_quality", quality)

    def solved(**options):
        return next_item_form(X, weight, horizon=1, **{"half_life": 5.0, "seed": 0} | options)

    form = solved()
    assert len(spreads) == 4  # without, and three shares
    assert form.settings.n_factors == (30 if best else 0)
    if not best:
        assert form.low_rank is None
        return
    assert form.settings.factor_share == best
    read = history_weights(X, "time", form.half_life, floor=0.0)
    own = [spread(score, read) for score in (scores_of(form.weights), form.low_rank.scores)]
    assert_allclose(own[1], best * own[0], rtol=1e-3)
    again = solved(settings=form.settings, half_life=form.half_life)
    for part, same in zip(form.low_rank, again.low_rank, strict=True):
        assert_allclose(part, same, rtol=1e-4, atol=1e-6)


def test_with_times_but_no_horizon_nothing_joins():
    X = popular_csr(120, 30, weighted=False)
    X.data = np.random.default_rng(0).permutation(X.nnz) + 1.0
    form = solved_form(X, np.ones(120), "auto", values="time", half_life=5.0, seed=0)
    assert form.low_rank is None
