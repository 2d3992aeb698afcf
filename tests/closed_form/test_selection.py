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

from skdiffrec._closed_form import selection
from skdiffrec._closed_form.ease import ease_matrix
from skdiffrec._closed_form.held_out import HeldOut
from skdiffrec._closed_form.selection import choose_settings, closed_form_matrix, ranked_items
from skdiffrec._closed_form.solver import ClosedFormSettings, ClosedFormSolver
from skdiffrec._training.early_stopping import split_validation
from skdiffrec._utils.recency import history_weights
from skdiffrec._utils.rows import hide_items, sampled_rows
from skdiffrec._utils.topk import masked_topk
from skdiffrec.baselines import EASERecommender, ItemKNNRecommender, NeighborhoodRecommender
from skdiffrec.metrics import ndcg_at_k

FORMS = {"ease": EASERecommender(reg="auto"), "neighborhood": NeighborhoodRecommender()}
OPTIONS = dict(values="binary", half_life=None, seed=0)


def matrix_of(X, row_weight, closed_form="auto", **options):
    return closed_form_matrix(X, row_weight, closed_form, **OPTIONS | options)[0]


def top_lists(B, history, read=None):
    scores = (history if read is None else read) @ dense(B)
    return masked_topk(np.asarray(scores, np.float32), 10, history)[0]


@pytest.mark.parametrize("seed", range(4))
def test_the_chosen_form_finds_more_of_the_held_out_items(seed, monkeypatch):
    """By 3 %, where it is the one with less ridge."""
    X, tried = random_csr(200, n_items=40, seed=seed), {}
    true = ClosedFormSolver.solve

    def watched(self, candidates):
        for candidate, B in true(self, candidates):
            tried[candidate] = B
            yield candidate, B

    monkeypatch.setattr(ClosedFormSolver, "solve", watched)
    chosen = choose_settings(X, np.ones(200), ("ease", "neighborhood"), "binary", None, 0)
    assert [settings.kind for settings in tried] == ["ease", "neighborhood"]
    assert chosen in tried
    history, holdout = hide_items(X[np.diff(X.indptr) > 1], "binary", 0.2, 0)
    ease, neighborhood = (ndcg_at_k(top_lists(B, history), holdout, k=10) for B in tried.values())
    assert chosen.kind == ("ease" if ease >= 0.97 * neighborhood else "neighborhood")


@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
def test_without_times_only_the_form_is_chosen(kind, monkeypatch):
    """Items held out at random would choose too little ridge."""
    X = random_csr(200, n_items=40)
    monkeypatch.setattr(ClosedFormSolver, "solve", None)  # nothing needs solving
    chosen = choose_settings(X, np.ones(200), (kind,), "binary", None, 0)
    assert chosen[:3] == {"ease": ("ease", 10, 0), "neighborhood": ("neighborhood", 3, 0.5)}[kind]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("values", ["binary", "weight"])
def test_held_out_items_of_early_stopping_choose_among_forms_of_all_rows(seed, values, monkeypatch):
    """Both forms are solved once, on all rows."""
    monkeypatch.setattr("skdiffrec._closed_form.selection.is_dense", lambda X: False)
    X = random_csr(300, n_items=40, seed=seed, weighted=values == "weight")
    row_weight = np.arange(300) % 3 + 1.0
    X, held_out = split_validation(X, row_weight, values, 0.8, 0)
    assert len(held_out.weight) > 200
    solved, true = [], ClosedFormSolver.solve

    def watched(self, candidates):
        candidates = list(candidates)
        solved.append((self.X.shape, [settings.kind for settings in candidates]))
        return true(self, candidates)

    monkeypatch.setattr(ClosedFormSolver, "solve", watched)
    found = matrix_of(X, row_weight, values=values, held_out=held_out)
    assert solved == [(X.shape, ["ease", "neighborhood"])]
    forms = {kind: matrix_of(X, row_weight, form) for kind, form in FORMS.items()}
    read = history_weights(held_out.history, values, None)
    quality = {}
    for kind, B in forms.items():
        lists = top_lists(B, held_out.history, read)
        ndcg = ndcg_at_k(lists, held_out.holdout, k=10, per_user=True)
        quality[kind] = np.average(ndcg, weights=held_out.weight)
    better = "ease" if quality["ease"] >= 0.97 * quality["neighborhood"] else "neighborhood"
    assert sp.issparse(found) == (better == "neighborhood")
    assert_allclose(dense(found), dense(forms[better]), atol=1e-5)


@pytest.mark.parametrize(("n_filled", "kind"), [(24, "ease"), (23, "either")])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_where_much_is_filled_nothing_is_evaluated(n_filled, kind, early_stopping, monkeypatch):
    """From 1.5 % of the cells on it is EASE; a recommender that is given is never compared."""
    cells = np.random.default_rng(0).permutation(1600)[:n_filled]
    X = sp.csr_array((np.ones(n_filled, np.float32), divmod(cells, 4)), (400, 4))
    chosen = []

    def choose(*args):
        chosen.append(args[2])
        return ClosedFormSettings("ease", 1.0, 0.0)

    def evaluate(X, *args):
        chosen.append(("ease", "neighborhood"))
        return ease_matrix(X, 1.0)

    monkeypatch.setattr("skdiffrec._closed_form.selection.choose_settings", choose)
    monkeypatch.setattr("skdiffrec._closed_form.selection._better_form", evaluate)
    held_out = HeldOut(X[:200], X[:200], np.ones(200)) if early_stopping else None
    for closed_form in ("auto", NeighborhoodRecommender()):
        matrix_of(X, np.ones(400), closed_form, held_out=held_out)
    both = ("ease", "neighborhood")
    assert chosen == [both[:1] if kind == "ease" else both]


def test_few_held_out_rows_choose_nothing(monkeypatch):
    X = random_csr(300, n_items=40)
    X, held_out = split_validation(X, np.ones(300), "binary", 0.5, 0)
    assert len(held_out.weight) < 200
    monkeypatch.setattr("skdiffrec._closed_form.selection._better_form", None)
    monkeypatch.setattr("skdiffrec._closed_form.selection.is_dense", lambda X: False)
    found = matrix_of(X, np.ones(300), held_out=held_out)
    assert_array_equal(dense(found), dense(matrix_of(X, np.ones(300))))


def test_a_closed_form_for_rows_that_cannot_be_divided():
    X = sp.csr_array(np.eye(4, dtype=np.float32))
    chosen = choose_settings(X, np.ones(4), ("neighborhood",), "binary", None, 0)
    assert chosen.kind == "neighborhood"


@pytest.mark.parametrize("n_items", [5_000, 5_001])
@pytest.mark.parametrize("values", ["binary", "time"])
def test_large_catalogues_have_the_neighborhood_form(values, n_items, monkeypatch):
    chosen = []

    def choose(*args):
        chosen.append(args[2])
        return ClosedFormSettings("neighborhood", 3.0, 0.5)

    monkeypatch.setattr("skdiffrec._closed_form.selection.choose_settings", choose)
    X = sp.csr_array((np.arange(1.0, 9), (np.arange(8) // 2, np.arange(8))), shape=(4, n_items))
    B = matrix_of(X, np.ones(4), values=values, half_life=5.0)
    assert chosen == [("ease", "neighborhood") if n_items == 5_000 else ("neighborhood",)]
    assert sp.issparse(B) and B.shape == (n_items, n_items)


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
        _, mean = closed_form_matrix(X, weight, closed_form, values=values, half_life=3.0, seed=0)
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
    monkeypatch.setattr(selection, "EASE_MAX_ITEMS", 100)
    assert_array_equal(ranked_items(holdout, 0), np.unique(holdout.indices))
    monkeypatch.setattr(selection, "_MAX_TARGETS", 20)
    some = ranked_items(holdout, 0)
    assert len(some) == 20 and (np.diff(some) > 0).all()
    assert np.isin(some, holdout.indices).all()
    assert_array_equal(some, ranked_items(holdout, 0))


@pytest.mark.parametrize("values", ["binary", "time"])
@pytest.mark.parametrize("n_ranked", [5, 1_000])
def test_a_choice_among_ranked_items(values, n_ranked, monkeypatch):
    """With few of them, users without a held-out item are left out rather than NaN."""
    monkeypatch.setattr(selection, "EASE_MAX_ITEMS", 10)
    monkeypatch.setattr(selection, "_MAX_TARGETS", n_ranked)
    X, found = random_times(300, 60), {}
    X.data = X.data if values == "time" else np.ones(X.nnz)
    true = selection._search

    def watched(qualities, *args):
        def kept(candidates):
            for tried, quality in qualities(candidates):
                found[tried] = quality
                yield tried, quality

        return true(kept, *args)

    monkeypatch.setattr(selection, "_search", watched)
    kinds = ("ease", "neighborhood")
    chosen = choose_settings(X, np.ones(300), kinds, values, 5.0, 0)
    assert np.isfinite(list(found.values())).all()
    handicap = {"ease": 1.0, "neighborhood": 0.97 if values == "binary" else 1.0}
    assert chosen == max(found, key=lambda settings: found[settings] * handicap[settings.kind])
    assert chosen == choose_settings(X, np.ones(300), kinds, values, 5.0, 0)
    holdout = hide_items(X[np.diff(X.indptr) > 1], values, 0.2, 0)[1]
    assert len(ranked_items(holdout, 0)) <= n_ranked
