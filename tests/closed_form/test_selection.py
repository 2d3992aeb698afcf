"""Which closed form is chosen, on which users, and samples of rows."""

import numpy as np
import pytest
import scipy.sparse as sp
from closed_form_problems import popular_csr, random_times
from denoiser_problems import random_csr, to_bags
from numpy.testing import assert_allclose, assert_array_equal

from skdiffrec._closed_form import selection
from skdiffrec._training.early_stopping import split_validation
from skdiffrec._closed_form.solver import PathSettings, PathSolver, ease_matrix
from skdiffrec._closed_form.selection import (
    Judges,
    build_path,
    choose_path,
    path_kinds,
    ranked_items,
    sampled_rows,
)
from skdiffrec._utils.rows import hide_items
from skdiffrec._utils.topk import masked_topk
from skdiffrec.metrics import ndcg_at_k
from skdiffrec.preprocessing import history_weights


@pytest.mark.parametrize("seed", range(4))
def test_the_chosen_form_finds_more_of_the_hidden_items(seed, monkeypatch):
    """By 3 %, where it is the one with less ridge."""
    X, tried = random_csr(200, n_items=40, seed=seed), {}
    true = PathSolver.solve

    def watched(self, candidates):
        for candidate, B in true(self, candidates):
            tried[candidate] = B
            yield candidate, B

    monkeypatch.setattr(PathSolver, "solve", watched)
    chosen = choose_path(X, np.ones(200), ("ease", "neighborhood"), "binary", None, 0)
    assert [settings.kind for settings in tried] == ["ease", "neighborhood"]
    assert chosen in tried
    history, hidden = hide_items(X[np.diff(X.indptr) > 1], "binary", 0.2, 0)
    quality = {
        settings: ndcg_at_k(
            masked_topk(
                np.asarray((history @ B).todense() if sp.issparse(B) else history @ B, np.float32),
                10,
                history,
            )[0],
            hidden,
            k=10,
        )
        for settings, B in tried.items()
    }
    ease, neighborhood = quality.values()
    assert chosen.kind == ("ease" if ease >= 0.97 * neighborhood else "neighborhood")


@pytest.mark.parametrize("kind", ["ease", "neighborhood"])
def test_without_times_only_the_form_is_chosen(kind, monkeypatch):
    """Items hidden at random would choose too little ridge."""
    X = random_csr(200, n_items=40)
    monkeypatch.setattr(PathSolver, "solve", None)  # nothing needs solving
    chosen = choose_path(X, np.ones(200), (kind,), "binary", None, 0)
    assert chosen[:3] == {"ease": ("ease", 10, 0), "neighborhood": ("neighborhood", 3, 0.5)}[kind]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("values", ["binary", "weight"])
def test_hidden_items_that_there_are_judge_what_is_solved_for_good(seed, values, monkeypatch):
    """Both forms are solved once, on all rows."""
    monkeypatch.setattr("skdiffrec._closed_form.selection.is_dense", lambda X: False)
    X = random_csr(300, n_items=40, seed=seed, weighted=values == "weight")
    row_weight = np.arange(300) % 3 + 1.0
    X, history, hidden, chosen = split_validation(X, values, 0.8, 0)
    judges = Judges(history, hidden, row_weight[chosen])
    assert len(chosen) > 200
    solved, true = [], PathSolver.solve

    def watched(self, candidates):
        candidates = list(candidates)
        solved.append((self.X.shape, [settings.kind for settings in candidates]))
        return true(self, candidates)

    monkeypatch.setattr(PathSolver, "solve", watched)
    options = dict(values=values, half_life=None, seed=0)
    path = build_path(X, row_weight, "auto", "auto", **options, judges=judges)
    assert solved == [(X.shape, ["ease", "neighborhood"])]
    forms = {
        kind: build_path(X, row_weight, kind, "auto", **options)
        for kind in ("ease", "neighborhood")
    }
    read = history_weights(history, values, None)
    quality = {}
    for kind, form in forms.items():
        lists = masked_topk(form(to_bags(read)).numpy(), 10, history)[0]
        ndcg = ndcg_at_k(lists, hidden, k=10, per_user=True)
        quality[kind] = np.average(ndcg, weights=judges.weight)
    better = "ease" if quality["ease"] >= 0.97 * quality["neighborhood"] else "neighborhood"
    assert path.sparse == (better == "neighborhood")
    assert_allclose(path(to_bags(read)), forms[better](to_bags(read)), atol=1e-5)


@pytest.mark.parametrize(("n_filled", "kind"), [(24, "ease"), (23, "either")])
@pytest.mark.parametrize("judged", [True, False])
def test_where_much_is_filled_nothing_is_judged(n_filled, kind, judged, monkeypatch):
    """At 1.5 % of the cells EASE it is."""
    cells = np.random.default_rng(0).permutation(1600)[:n_filled]
    X = sp.csr_array((np.ones(n_filled, np.float32), divmod(cells, 4)), (400, 4))
    chosen = []

    def choose(*args):
        chosen.append(args[2])
        return PathSettings("ease", 1.0, 0.0)

    def judge(X, *args):
        chosen.append(("ease", "neighborhood"))
        return ease_matrix(X, 1.0)

    monkeypatch.setattr("skdiffrec._closed_form.selection.choose_path", choose)
    monkeypatch.setattr("skdiffrec._closed_form.selection._better_form", judge)
    judges = Judges(X[:200], X[:200], np.ones(200)) if judged else None
    for item_path in ("auto", "neighborhood"):
        options = dict(values="binary", half_life=None, seed=0, judges=judges)
        build_path(X, np.ones(400), item_path, "auto", **options)
    both = ("ease", "neighborhood")
    assert chosen == [both[:1] if kind == "ease" else both, ("neighborhood",)]


def test_few_judges_are_not_asked(monkeypatch):
    X = random_csr(300, n_items=40)
    X, history, hidden, chosen = split_validation(X, "binary", 0.5, 0)
    assert len(chosen) < 200
    monkeypatch.setattr("skdiffrec._closed_form.selection._better_form", None)
    monkeypatch.setattr("skdiffrec._closed_form.selection.is_dense", lambda X: False)
    options = dict(values="binary", half_life=None, seed=0)
    judges = Judges(history, hidden, np.ones(len(chosen)))
    path = build_path(X, np.ones(300), "auto", "auto", **options, judges=judges)
    again = build_path(X, np.ones(300), "auto", "auto", **options)
    assert_array_equal(path(to_bags(X)), again(to_bags(X)))


def test_a_path_for_rows_that_cannot_be_divided():
    X = sp.csr_array(np.eye(4, dtype=np.float32))
    chosen = choose_path(X, np.ones(4), ("neighborhood",), "binary", None, 0)
    assert chosen.kind == "neighborhood"


def test_path_kinds():
    assert path_kinds("auto", 5_000) == ("ease", "neighborhood")
    assert path_kinds("auto", 5_001) == ("neighborhood",)
    for kind in ("ease", "neighborhood"):
        assert path_kinds(kind, 10_000) == (kind,)


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


def build(X, reg="auto", seed=0, values="binary"):
    weight = np.ones(X.shape[0])
    return build_path(X, weight, "neighborhood", reg, values=values, half_life=5.0, seed=seed).csr


@pytest.mark.parametrize("values", ["binary", "time"])
@pytest.mark.parametrize("reg", ["auto", 40.0])
def test_a_path_of_sampled_rows(reg, values, monkeypatch):
    """It repeats for a seed and is near that of all rows, a fixed λ being scaled along."""
    X = random_times(4_000, 30)
    X.data = X.data if values == "time" else np.ones(X.nnz)
    whole = build(X, reg, values=values).toarray()
    monkeypatch.setattr(_path_choice, "_MAX_ENTRIES", X.nnz // 2)
    monkeypatch.setattr(_path_choice, "_CHOICE_ENTRIES", X.nnz // 4)
    sampled = build(X, reg, values=values).toarray()
    assert_array_equal(sampled, build(X, reg, values=values).toarray())
    other = build(X, reg, seed=1, values=values).toarray()
    if reg == "auto":
        return  # the choice among settings may differ
    for B in (sampled, other):
        assert 0 < np.abs(B - whole).max() < 0.1
        assert np.corrcoef(B.ravel(), whole.ravel())[0, 1] > 0.8


def test_what_is_ranked_in_a_large_catalogue(monkeypatch):
    hidden = popular_csr(50, 200)
    assert ranked_items(hidden, 0) is None
    monkeypatch.setattr(_path_choice, "EASE_MAX_ITEMS", 100)
    assert_array_equal(ranked_items(hidden, 0), np.unique(hidden.indices))
    monkeypatch.setattr(_path_choice, "_MAX_TARGETS", 20)
    some = ranked_items(hidden, 0)
    assert len(some) == 20 and (np.diff(some) > 0).all()
    assert np.isin(some, hidden.indices).all()
    assert_array_equal(some, ranked_items(hidden, 0))


@pytest.mark.parametrize("values", ["binary", "time"])
@pytest.mark.parametrize("n_ranked", [5, 1_000])
def test_a_choice_among_ranked_items(values, n_ranked, monkeypatch):
    """With few of them, users that nothing is hidden of are left out rather than NaN."""
    monkeypatch.setattr(_path_choice, "EASE_MAX_ITEMS", 10)
    monkeypatch.setattr(_path_choice, "_MAX_TARGETS", n_ranked)
    X, found = random_times(300, 60), {}
    X.data = X.data if values == "time" else np.ones(X.nnz)
    true = _path_choice._search

    def watched(qualities, *args):
        def kept(candidates):
            for tried, quality in qualities(candidates):
                found[tried] = quality
                yield tried, quality

        return true(kept, *args)

    monkeypatch.setattr(_path_choice, "_search", watched)
    kinds = ("ease", "neighborhood")
    chosen = choose_path(X, np.ones(300), kinds, values, 5.0, 0)
    assert np.isfinite(list(found.values())).all()
    handicap = {"ease": 1.0, "neighborhood": 0.97 if values == "binary" else 1.0}
    assert chosen == max(found, key=lambda settings: found[settings] * handicap[settings.kind])
    assert chosen == choose_path(X, np.ones(300), kinds, values, 5.0, 0)
    hidden = hide_items(X[np.diff(X.indptr) > 1], values, 0.2, 0)[1]
    assert len(ranked_items(hidden, 0)) <= n_ranked
