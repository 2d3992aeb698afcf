"""Which closed form is chosen, on which users, and samples of rows."""

import numpy as np
import pytest
import scipy.sparse as sp
from closed_form_problems import (
    assert_same,
    dense,
    ones_of,
    popular_csr,
    random_csr,
    random_times,
)
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form import held_out, selection
from skdiffrec._closed_form.ease import ease_matrix
from skdiffrec._closed_form.held_out import HeldOut, ranked_items
from skdiffrec._closed_form.selection import choose_settings, solved_form, without_times
from skdiffrec._closed_form.solver import ClosedFormSettings, ClosedFormSolver
from skdiffrec._utils.cuts import hide_share
from skdiffrec._utils.recency import history_weights
from skdiffrec._utils.rows import hide_items, sampled_rows
from skdiffrec.baselines import EASERecommender, ItemKNNRecommender, NeighborhoodRecommender
from skdiffrec.datasets import make_interactions

FORMS = {"ease": EASERecommender(reg="auto"), "neighborhood": NeighborhoodRecommender()}
OPTIONS = dict(values="binary", half_life=None, seed=0)


def matrix_of(X, row_weight, closed_form="auto", **options):
    return solved_form(X, row_weight, closed_form, **OPTIONS | options).weights


@pytest.mark.parametrize(
    ("n_filled", "kind", "discount", "cosine_share"),
    [
        (24, "ease", 0.2, 1.0),
        (23, "neighborhood", 0.2, 1.0),
        (16, "neighborhood", 0.2, 1.0),
        (15, "neighborhood", 0.2, 0.3),
        (7, "neighborhood", 0.2, 0.3),
        (6, "neighborhood", 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("values", ["binary", "weight"])
def test_without_times_the_form_follows_from_how_much_is_filled(
    n_filled, kind, discount, cosine_share, values
):
    """1.5, 1 and .4 % of 1,600 cells; items held out at random would choose too little ridge."""
    cells = np.random.default_rng(0).permutation(1600)[:n_filled]
    X = sp.csr_array((np.ones(n_filled, np.float32), divmod(cells, 4)), (400, 4))
    settings = without_times(X)
    assert (settings.kind, settings.discount, settings.cosine_share) == (
        kind,
        discount,
        cosine_share,
    )
    expected = ClosedFormSolver(X, np.ones(400)).solve_once(settings)
    found = matrix_of(X, np.ones(400), values=values)
    assert_array_equal(dense(found), dense(expected))
    assert sp.issparse(found) == (kind == "neighborhood")


def held_out_of(X, n=300):
    """(rows without the held-out items, these)"""
    history, holdout = hide_share(X[:n], "binary", 0.3, 0, False)
    rest = sp.csr_array(sp.vstack([history, X[n:]]))
    return rest, HeldOut(history, holdout, np.ones(n))


def sparse_rows():
    return make_interactions(500, 1000, n_interactions_per_user=8, random_state=0).train


@pytest.mark.parametrize(("times", "kind"), [(1.04, "neighborhood"), (1.06, "ease")])
def test_held_out_items_must_clearly_want_more_ridge(times, kind, monkeypatch):
    X, held = held_out_of(sparse_rows())
    weight = np.arange(X.shape[0]) % 3 + 1.0

    def quality(score, held):
        return 0.1 if sp.issparse(score(held.history)) else 0.1 * times

    monkeypatch.setattr(selection, "held_out_quality", quality)
    monkeypatch.setattr("skdiffrec._closed_form.low_rank_choice.best_number", lambda *_: 0)
    form = solved_form(X, weight, "auto", held_out=held, **OPTIONS)
    assert form.settings.kind == kind
    assert_same(form.weights, ClosedFormSolver(ones_of(X), weight).solve_once(form.settings))
    update = matrix_of(X, weight, held_out=held, settings=form.settings)
    assert_same(update, form.weights)
    monkeypatch.setattr(selection, "EASE_MAX_ITEMS", X.shape[1] - 1)
    assert sp.issparse(matrix_of(X, weight, held_out=held))


def test_noise_wants_more_ridge_and_strong_patterns_do_not():
    X = sparse_rows()
    pairs = np.random.default_rng(0).integers(0, 400, (500, 2))  # of items that go together
    items = np.stack([2 * pairs, 2 * pairs + 1], axis=2).reshape(500, 4)
    together = sp.lil_array((500, 1000), dtype=np.float32)
    together[np.arange(500)[:, None], items] = 1
    for rows, kind in ((X, "ease"), (together.tocsr(), "neighborhood")):
        rest, held = held_out_of(rows)
        assert without_times(rest).kind == "neighborhood"
        form = solved_form(rest, np.ones(500), "auto", held_out=held, **OPTIONS)
        assert form.settings.kind == kind


def test_the_closed_form_is_chosen_on_whole_orders(monkeypatch):
    rng, dense_rows = np.random.default_rng(0), np.zeros((60, 30))
    for row in dense_rows:
        row[rng.permutation(30)[:15]] = np.repeat([1.0, 2.0, 3.0], 5)
    X, asked = sp.csr_array(dense_rows), []
    true = selection.held_out_quality

    def quality(score, held, *args):
        asked.append(held)
        return true(score, held, *args)

    monkeypatch.setattr(selection, "held_out_quality", quality)
    for sets in (True, False):
        choose_settings(X, np.ones(60), 5.0, 0, sets)
        sizes = np.diff(asked[-1].holdout.indptr)
        assert (sizes == (5 if sets else 3)).all()


def test_large_dense_catalogues_have_the_neighborhood_form(monkeypatch):
    X = random_csr(50, n_items=40)
    assert without_times(X).kind == "ease"
    monkeypatch.setattr(selection, "EASE_MAX_ITEMS", 39)
    assert without_times(X).kind == "neighborhood"


def test_rows_that_cannot_be_divided_choose_nothing():
    X = sp.csr_array(np.eye(4, dtype=np.float32))
    assert choose_settings(X, np.ones(4), None, 0) == without_times(X)


@pytest.mark.parametrize(("n_items", "kinds"), [(40, {"ease"}), (41, {"neighborhood"})])
def test_forms_that_are_tried(n_items, kinds, monkeypatch):
    """Every step with what was best before it; the best of all is chosen, once solved a ridge."""
    monkeypatch.setattr(selection, "EASE_MAX_ITEMS", 40)
    monkeypatch.setattr(held_out, "MOST_RANKED", 40)
    X, found = random_times(200, n_items), {}
    true = selection.held_out_quality

    def watched(self, candidates):
        for settings, B in solve(self, candidates):
            tried.append(settings)
            yield settings, B

    def quality(*args):
        found[tried[-1]] = true(*args)
        return found[tried[-1]]

    tried, solve = [], ClosedFormSolver.solve
    monkeypatch.setattr(ClosedFormSolver, "solve", watched)
    monkeypatch.setattr(selection, "held_out_quality", quality)
    chosen = choose_settings(X, np.ones(200), 5.0, 0)
    assert {settings.kind for settings in tried} == kinds
    assert len(set(tried)) == len(tried)
    some = n_items > 40  # of the items are ranked, which flatters discounts
    assert {settings.discount for settings in tried} == ({0.0} if some else {0.0, 0.2})
    assert {settings.cosine_share for settings in tried} == (
        {0.0, 0.3} if some else {0.0, 0.3, 1.0}
    )
    assert found[chosen] == max(found.values())


@pytest.mark.parametrize("values", ["binary", "time"])
@pytest.mark.parametrize("kind", FORMS)
def test_automatic_ridges_are_those_of_the_recommenders(kind, values, monkeypatch):
    """The neighbourhood form to the bit; EASE in float64 instead of float32."""
    X, weight = random_times(200, 40), np.arange(200) % 3 + 1.0
    settings = {
        "ease": ClosedFormSettings("ease", 10.0, 0.0),
        "neighborhood": ClosedFormSettings("neighborhood", 3.0, 0.5),
    }[kind]
    expected = ClosedFormSolver(ones_of(X), weight).solve_once(settings)
    found = matrix_of(X, weight, FORMS[kind], values=values)
    assert_same(found, expected)
    if kind == "neighborhood":
        assert_array_equal(dense(found), dense(expected))


@pytest.mark.parametrize("values", ["binary", "weight", "time"])
def test_the_mean_history_is_that_of_weighted_users(values):
    X, weight = random_times(200, 40), np.arange(200) % 3 + 1.0
    for closed_form in ("auto", ItemKNNRecommender()):
        mean = solved_form(
            X, weight, closed_form, values=values, half_life=3.0, seed=0
        ).mean_history
        read = history_weights(X, values, 3.0).toarray()
        assert_allclose(mean, np.average(read, axis=0, weights=weight), rtol=1e-5)


def test_rows_are_sampled_above_the_limit_only():
    X = popular_csr(500, 40)
    assert_array_equal(sampled_rows(X, X.nnz, 0), np.arange(500))
    rows = sampled_rows(X, 300, 0)
    assert 250 < X[rows].nnz <= 300
    assert (np.diff(rows) > 0).all()
    assert_array_equal(rows, sampled_rows(X, 300, 0))
    assert len(np.setdiff1d(rows, sampled_rows(X, 300, 1)))
    assert len(sampled_rows(X, 0, 0)) == 1
    drawn = np.bincount(np.concatenate([sampled_rows(X, X.nnz // 2, s) for s in range(60)]))
    assert drawn.min() > 10 and drawn.max() < 50  # 30 expected of every row


def automatic(X, seed=0, values="binary"):
    return dense(matrix_of(X, np.ones(X.shape[0]), values=values, half_life=5.0, seed=seed))


@pytest.mark.parametrize("values", ["binary", "time"])
@pytest.mark.parametrize("kind", FORMS)
def test_a_closed_form_of_sampled_rows(kind, values, monkeypatch):
    """It repeats for a seed and is near that of all rows, λ being relative to them."""
    X = random_times(4_000, 30)
    X.data = X.data if values == "time" else np.ones(X.nnz)
    if kind == "neighborhood":
        monkeypatch.setattr(selection, "EASE_MAX_ITEMS", 0)
    whole = automatic(X, values=values)
    monkeypatch.setattr(selection, "_MAX_ENTRIES", X.nnz // 2)
    monkeypatch.setattr(selection, "_CHOICE_ENTRIES", X.nnz // 4)
    sampled = automatic(X, values=values)
    assert_array_equal(sampled, automatic(X, values=values))
    other = automatic(X, seed=1, values=values)
    if values == "time":
        return  # the choice among settings may differ
    for B in (sampled, other):
        assert 0 < np.abs(B - whole).max() < 0.1
        assert np.corrcoef(B.ravel(), whole.ravel())[0, 1] > 0.8


def test_a_given_recommender_learns_from_all_rows(monkeypatch):
    X, weight = random_csr(300), np.ones(300)
    expected = matrix_of(X, weight, EASERecommender(reg=40.0))
    monkeypatch.setattr(selection, "_MAX_ENTRIES", X.nnz // 2)
    assert_array_equal(matrix_of(X, weight, EASERecommender(reg=40.0)), expected)
    assert_same(expected, ease_matrix(X, 40.0))


def test_what_is_ranked_in_a_large_catalogue(monkeypatch):
    holdout = popular_csr(50, 200)
    assert ranked_items(holdout, 0) is None
    met = np.unique(holdout.indices)
    monkeypatch.setattr(held_out, "MOST_RANKED", len(met))
    assert_array_equal(ranked_items(holdout, 0), met)
    monkeypatch.setattr(held_out, "MOST_RANKED", 20)
    some = ranked_items(holdout, 0)
    assert len(some) == 20 and (np.diff(some) > 0).all()
    assert np.isin(some, holdout.indices).all()
    assert_array_equal(some, ranked_items(holdout, 0))


@pytest.mark.parametrize("n_ranked", [5, 50, 1_000])
def test_a_choice_among_ranked_items(n_ranked, monkeypatch):
    """With few of them, users without a held-out item are left out rather than NaN."""
    monkeypatch.setattr(selection, "EASE_MAX_ITEMS", 10)
    monkeypatch.setattr(held_out, "MOST_RANKED", n_ranked)
    X, found = random_times(300, 60), {}
    true = selection._search

    def watched(qualities, *args):
        def kept(candidates):
            for tried, quality in qualities(candidates):
                found[tried] = quality
                yield tried, quality

        return true(kept, *args)

    monkeypatch.setattr(selection, "_search", watched)
    chosen = choose_settings(X, np.ones(300), 5.0, 0)
    assert np.isfinite(list(found.values())).all()
    assert chosen == max(found, key=lambda settings: found[settings])
    assert chosen == choose_settings(X, np.ones(300), 5.0, 0)
    holdout = hide_items(X[np.diff(X.indptr) > 1], "time", 0.2, 0)[1]
    ranked = ranked_items(holdout, 0)
    assert (ranked is None) == (n_ranked > 60)
    assert ranked is None or len(ranked) <= n_ranked
