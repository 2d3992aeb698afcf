"""RankingScorer: what it hides, what it says, and wherever scikit-learn takes a scorer."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import MODELS, tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.metrics import coverage_at_k, ndcg_at_k, novelty_at_k, recall_at_k
from skdiffrec.model_selection import (
    GuidanceScaleCV,
    KeepN,
    LastN,
    RankingScorer,
    SampleFraction,
    SampleN,
    TimeCut,
)

REGS = [1.0, 20.0, 400.0]


@pytest.fixture(scope="module")
def ease(interactions):
    return EASERecommender(reg=20.0).fit(interactions)


class TestScore:
    @pytest.mark.parametrize("name", MODELS)
    def test_every_model(self, interactions, name):
        """As the model's own score, and by hand: hold out, recommend from the rest, evaluate."""
        model = clone(MODELS[name]).fit(interactions)
        scorer = RankingScorer()
        history, held_out = scorer.split(model, interactions)
        assert held_out.nnz > 0.15 * interactions.nnz
        expected = ndcg_at_k(model.recommend(X=history, k=10)[0], held_out, 10)
        assert scorer(model, interactions) == expected == model.score(interactions)

    def test_times_hide_the_latest(self, drift_data):
        model = tiny_cfg(values="time").fit(drift_data.train)
        _, held_out = RankingScorer().split(model, drift_data.train)
        train = drift_data.train.toarray()
        for user in range(0, 1000, 97):
            shown = np.setdiff1d(np.flatnonzero(train[user]), held_out[[user]].indices)
            assert train[user, held_out[[user]].indices].min() > train[user, shown].max()

    @pytest.mark.parametrize("hides", [LastN(2), SampleN(1, random_state=3)])
    def test_a_holdout_of_ones_own(self, ease, interactions, hides):
        history, held_out = hides.hide(interactions)
        expected = recall_at_k(ease.recommend(X=history, k=5)[0], held_out, 5)
        assert RankingScorer("recall", 5, hides)(ease, interactions) == expected

    @pytest.mark.parametrize("make", [sp.csr_array, sp.coo_matrix, lambda y: y.toarray()])
    def test_y_is_the_holdout(self, ease, interactions, holdout, make):
        expected = ease.score(interactions, holdout)
        assert RankingScorer()(ease, interactions, make(holdout)) == expected
        # and nothing else is held out, whatever the scorer would hold out
        assert RankingScorer(holdout=LastN(3))(ease, interactions, holdout) == expected

    def test_labels_are_ignored(self, ease, interactions):
        labels = np.zeros(interactions.shape[0])
        with pytest.warns(UserWarning, match="holds no holdout items"):
            score = RankingScorer()(ease, interactions, labels)
        assert score == RankingScorer()(ease, interactions)

    def test_several_at_once(self, ease, interactions, monkeypatch):
        """A dict of what each would say alone, from one set of lists."""
        lists = []
        recommend = EASERecommender.recommend
        monkeypatch.setattr(
            EASERecommender,
            "recommend",
            lambda self, *args, **kw: lists.append(kw["k"]) or recommend(self, *args, **kw),
        )
        scorer = RankingScorer(["ndcg", "recall@20", "coverage@5", _first_hit], k=7)
        found = scorer(ease, interactions)
        assert lists == [20]
        assert list(found) == ["ndcg@7", "recall@20", "coverage@5", "_first_hit"]
        history, held_out = scorer.split(ease, interactions)
        ids = recommend(ease, X=history, k=20)[0]
        assert_allclose(
            list(found.values()),
            [
                ndcg_at_k(ids, held_out, 7),
                recall_at_k(ids, held_out, 20),
                coverage_at_k(ids, 50, 5),
                _first_hit(ids, held_out, 7),
            ],
        )

    def test_novelty_counts_the_histories(self, ease, interactions):
        history, _ = RankingScorer().split(ease, interactions)
        ids = ease.recommend(X=history, k=10)[0]
        expected = novelty_at_k(ids, history, 10)
        assert_allclose(RankingScorer("novelty")(ease, interactions), expected)

    def test_conventions(self, ease, interactions):
        _, held_out = RankingScorer().split(ease, interactions)
        plain, zero = RankingScorer(), RankingScorer(convention="diffrec")
        share = (np.diff(held_out.indptr) > 0).mean()
        assert share < 1
        assert_allclose(zero(ease, interactions), plain(ease, interactions) * share)

    @pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
    def test_every_call_hides_the_same(self, ease, interactions, random_state):
        scorer = RankingScorer(holdout=SampleN(2, random_state=random_state))
        assert scorer(ease, interactions) == scorer(ease, interactions)
        assert pickle.loads(pickle.dumps(scorer))(ease, interactions) == scorer(ease, interactions)
        others = [
            RankingScorer(holdout=SampleN(2, random_state=random_state))(ease, interactions)
            for _ in range(3)
        ]
        assert len({scorer(ease, interactions), *others}) > 1


def _first_hit(ids, holdout, k):
    return float(np.mean(holdout.toarray()[np.arange(len(ids)), ids[:, 0]] > 0))

    def test_less_is_better(self, ease, interactions):
        """Negated for searches, which take the highest; as it is beside others, to look at."""
        found = RankingScorer(["gini", "neg_gini", "neg_popularity_bias@5"])(ease, interactions)
        assert list(found) == ["gini@10", "neg_gini@10", "neg_popularity_bias@5"]
        assert found["neg_gini@10"] == -found["gini@10"] < 0
        alone = RankingScorer("neg_gini")
        assert alone(ease, interactions) == found["neg_gini@10"]
        search = GuidanceScaleCV(tiny_cfg(), scales=[0.0, 1.0], cv=2, scoring=alone)
        assert search.fit(interactions).best_guidance_scale_ == 1

    def test_repr_says_all(self):
        shown = repr(RankingScorer("recall", 5, LastN(2), convention="rectools"))
        assert all(part in shown for part in ("recall@5", "LastN(n=2)", "rectools"))


class TestTools:
    """Wherever scikit-learn takes a scorer; y is None in all but one."""

    @pytest.mark.parametrize("scorer", [RankingScorer(), RankingScorer(holdout=LastN(1))])
    def test_grid_search(self, interactions, scorer):
        search = GridSearchCV(EASERecommender(), {"reg": REGS}, scoring=scorer, cv=3)
        found = search.fit(interactions).cv_results_
        for i, reg in enumerate(REGS):
            rows = np.arange(40)  # the first fold's test rows
            model = EASERecommender(reg=reg).fit(interactions[40:])
            assert found["split0_test_score"][i] == scorer(model, interactions[rows])

    def test_randomized_search(self, interactions):
        search = RandomizedSearchCV(
            EASERecommender(), {"reg": REGS}, n_iter=2, scoring=RankingScorer(), random_state=0
        )
        assert 0 < search.fit(interactions).best_score_ < 1

    def test_halving_search(self, interactions):
        search = HalvingGridSearchCV(
            EASERecommender(), {"reg": REGS}, scoring=RankingScorer(), cv=3, random_state=0
        ).fit(interactions)
        assert search.n_iterations_ > 1 and search.best_params_["reg"] in REGS

    def test_cross_validation_with_several_metrics(self, interactions):
        several = cross_validate(
            EASERecommender(), interactions, cv=3, scoring=RankingScorer(["ndcg", "recall@20"])
        )
        apart = cross_validate(
            EASERecommender(),
            interactions,
            cv=3,
            scoring={"n": RankingScorer("ndcg"), "r": RankingScorer("recall", 20)},
        )
        alone = cross_val_score(EASERecommender(), interactions, cv=3, scoring=RankingScorer())
        assert_array_equal(several["test_ndcg@10"], apart["test_n"])
        assert_array_equal(several["test_recall@20"], apart["test_r"])
        assert_array_equal(several["test_ndcg@10"], alone)

    def test_search_with_several_metrics(self, interactions):
        search = GridSearchCV(
            EASERecommender(),
            {"reg": REGS},
            scoring=RankingScorer(["ndcg", "coverage"]),
            refit="coverage@10",
            cv=3,
        ).fit(interactions)
        assert search.best_index_ == search.cv_results_["mean_test_coverage@10"].argmax()

    def test_more_users_are_better(self, drift_data):
        sizes, _, scores = learning_curve(
            EASERecommender(reg=20.0), drift_data.train, None, scoring=RankingScorer(), cv=3
        )
        assert scores.mean(axis=1)[-1] > scores.mean(axis=1)[0] and len(sizes) == 5

    def test_validation_curve(self, interactions):
        train, test = validation_curve(
            EASERecommender(),
            interactions,
            None,
            param_name="reg",
            param_range=REGS,
            scoring=RankingScorer(),
            cv=3,
        )
        assert test.shape == (3, 3) and train.mean() > test.mean()

    def test_same_users_with_a_holdout(self, interactions):
        history, held_out = LastN(1).hide(interactions)
        search = GridSearchCV(EASERecommender(), {"reg": REGS}, scoring=RankingScorer(), cv=LastN())
        search.fit(history, held_out)
        for reg, score in zip(REGS, search.cv_results_["mean_test_score"], strict=True):
            assert score == EASERecommender(reg=reg).fit(history).score(history, held_out)

    def test_pipelines(self, interactions):
        """A pipeline has scores and no lists; what its last step reads values as still counts."""
        plain = EASERecommender().fit(interactions)
        pipe = make_pipeline(Binarizer(), EASERecommender()).fit(interactions)
        assert RankingScorer()(pipe, interactions) == RankingScorer()(plain, interactions)
        timed = EASERecommender(values="time").fit(interactions)
        pipe = make_pipeline(FunctionTransformer(), EASERecommender(values="time"))
        assert RankingScorer()(pipe.fit(interactions), interactions) == RankingScorer()(
            timed, interactions
        )

    def test_a_search_is_a_recommender_too(self, interactions):
        search = GridSearchCV(
            EASERecommender(values="time"), {"reg": REGS}, scoring=RankingScorer(), cv=3
        ).fit(interactions)
        assert RankingScorer()(search, interactions) == RankingScorer()(
            search.best_estimator_, interactions
        )

    @pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
    def test_workers(self, interactions, n_jobs):
        scores = cross_val_score(
            PopularityRecommender(), interactions, cv=3, scoring=RankingScorer(), n_jobs=n_jobs
        )
        assert_allclose(
            scores[0],
            RankingScorer()(PopularityRecommender().fit(interactions[40:]), interactions[:40]),
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            (dict(metric="ndgc"), ValueError, "did you mean 'ndcg'.*precision, recall, ndcg"),
            (dict(metric=["ndcg", "accuracy"]), ValueError, "precision, recall, ndcg"),
            (dict(metric="ndcg@0"), ValueError, ">= 1"),
            (dict(metric=[]), ValueError, "at least one metric"),
            (dict(metric=3), TypeError, "str"),
            (dict(k=0), ValueError, "k must be at least 1"),
            (dict(k=1.5), TypeError, "k must be a positive integer"),
            (dict(holdout=0.2), TypeError, "LastN"),
            (dict(holdout=LastN), TypeError, "LastN"),
            (dict(metric="gini"), ValueError, "'neg_gini'"),
            (dict(metric="popularity_bias@5"), ValueError, "'neg_popularity_bias@5'"),
            (dict(metric="neg_ndcg"), ValueError, "write 'ndcg'"),
            (dict(metric=["neg_ndcg"]), ValueError, "write 'ndcg'"),
            (dict(metric=[lambda i, h, k: 0, lambda i, h, k: 1]), ValueError, "two callables"),
            (dict(metric="intra_list_diversity"), ValueError, "callable"),
            (dict(convention="lenskitt"), ValueError, "lenskit"),
        ],
    )
    def test_when_made(self, arguments, error, message):
        with pytest.raises(error, match=message):
            RankingScorer(**arguments)

    def test_k_above_the_number_of_items(self, ease, interactions):
        with pytest.raises(ValueError, match="most the number of items, got 51 for 50"):
            RankingScorer(k=51)(ease, interactions)

    def test_overlap(self, ease, interactions):
        with pytest.raises(ValueError, match="overlap"):
            RankingScorer()(ease, interactions, interactions)

    def test_nobody_has_a_holdout(self, ease, interactions):
        with pytest.raises(ValueError, match="No user has a holdout item"):
            RankingScorer()(ease, interactions, sp.csr_array(interactions.shape))
        with pytest.raises(ValueError, match="No user has a holdout item"):
            RankingScorer()(ease, sp.csr_array(np.eye(3, 50)))


ANY_HOLDOUT = [
    *(SampleN(1, random_state=0), SampleFraction(0.3, random_state=0), LastN(1, by="order")),
    *(KeepN(2, random_state=0), KeepN(2, by="order"), LastN(1), TimeCut(120.0), None),
]


@pytest.mark.parametrize("holdout", ANY_HOLDOUT, ids=repr)
@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_repeated_times_are_not_added_up(holdout, form):
    if form != "csr" and getattr(holdout, "by", None) == "order":
        pytest.skip("only CSR has an order")
    X = sp.csr_array(([160.0, 900.0, 100.0, 150.0], [2, 0, 0, 1], [0, 4]), (1, 4)).asformat(form)
    model = EASERecommender(values="time").fit([[1, 2, 3, 4], [3, 2, 1, 0]])
    history, held_out = RankingScorer(k=1, holdout=holdout).split(model, X)
    assert_array_equal((history + held_out).toarray(), [[100, 150, 160, 0]])
    if getattr(holdout, "by", None) == "order":
        assert_array_equal(held_out.indices, [1])  # stored last
    assert X.nnz == 4  # as it was


def test_repeated_ratings_have_their_mean():
    X = sp.csr_array(([3.0, 4.0, 5.0, 2.0], [2, 0, 0, 1], [0, 4]), (1, 4))
    model = EASERecommender().fit(np.eye(4))
    model.values = "rating"
    history, held_out = RankingScorer(k=1, holdout=SampleN(1, random_state=0)).split(model, X)
    assert_array_equal((history + held_out).toarray(), [[4.5, 2, 3, 0]])


def test_a_holdout_needs_hide_alone(ease, interactions):
    class Unseeded:
        random_state = None

        def hide(self, X):
            return LastN(1).hide(X)

    expected = RankingScorer(holdout=LastN(1))(ease, interactions)
    assert RankingScorer(holdout=Unseeded())(ease, interactions) == expected
