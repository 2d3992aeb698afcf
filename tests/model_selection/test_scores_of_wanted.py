"""Lists that are steered by what is wanted, evaluated: `score`, scorers, routing and searches."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import tiny_cfg
from numpy.testing import assert_allclose
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ndcg_at_k
from skdiffrec.model_selection import GuidanceScaleCV, RankingScorer

N_USERS, N_ITEMS, HALF = 120, 60, 60
SCALES = [0.0, 1.0, 4.0]
CUT = [(np.arange(HALF, N_USERS), np.arange(HALF)), (np.arange(HALF), np.arange(HALF, N_USERS))]


@pytest.fixture(name="data", scope="module")
def data_fixture():
    return make_interactions(N_USERS, N_ITEMS, n_interactions_per_user=12, random_state=5)


@pytest.fixture(name="wanted", scope="module")
def wanted_fixture(data):
    """A row a user, of whom some want nothing: a feature that their held-out items have."""
    shares = (data.test @ data.item_features).toarray()
    rows = np.zeros_like(shares)
    rows[np.arange(N_USERS), shares.argmax(axis=1)] = np.arange(N_USERS) % 3
    return sp.csr_array(rows)


def guided(data, **parameters):
    return tiny_cfg(
        item_features=data.item_features,
        max_epochs=1,
        closed_form=None,
        **{"guidance_scale": {"wanted": 4.0}} | parameters,
    )


@pytest.fixture(name="model", scope="module")
def model_fixture(data):
    return guided(data).fit(data.train)


def some(wanted, rows):
    return wanted if isinstance(wanted, dict) else wanted[rows]


@pytest.fixture(name="given", params=["matrix", "array", "dict"])
def given_fixture(request, wanted):
    return {"matrix": wanted, "array": wanted.toarray(), "dict": {1: 1.0, 2: 0.5}}[request.param]


def test_scores_of_given_items(model, data, given):
    ids, _ = model.recommend(X=data.train, wanted=given)
    expected = ndcg_at_k(ids, data.test, k=10)
    assert model.score(data.train, data.test, wanted=given) == expected
    assert RankingScorer("ndcg")(model, data.train, data.test, wanted=given) == expected
    assert expected != model.score(data.train, data.test)
    pipe = make_pipeline(FunctionTransformer(accept_sparse=True), model)
    assert RankingScorer("ndcg")(pipe, data.train, data.test, wanted=given) == expected


def test_scores_of_items_held_out_there(model, data, wanted):
    history, holdout = RankingScorer().split(model, data.train)
    expected = ndcg_at_k(model.recommend(X=history, wanted=wanted)[0], holdout, k=10)
    assert model.score(data.train, wanted=wanted) == expected
    assert RankingScorer("ndcg")(model, data.train, wanted=wanted) == expected


def test_what_is_wanted_by_nobody_known(model, data, wanted):
    for evaluate in (model.score, lambda *args, **o: RankingScorer()(model, *args, **o)):
        with pytest.raises(ValueError, match="wanted has 3 rows, but 120 users"):
            evaluate(data.train, data.test, wanted=wanted[:3])
    without = tiny_cfg(max_epochs=1, closed_form=None).fit(data.train)
    with pytest.raises(ValueError, match="fitted without item_features"):
        without.score(data.train, wanted=wanted)


class TestRouting:
    @pytest.mark.parametrize("scorer", [None, RankingScorer("recall@5")])
    def test_rows_are_cut_with_those_of_X(self, scorer, data, given):
        with config_context(enable_metadata_routing=True):
            model = guided(data).set_score_request(wanted=True)
            scorer = scorer and scorer.set_score_request(wanted=True)
            options = {"cv": CUT, "params": {"wanted": given}, "scoring": scorer}
            found = cross_validate(model, data.train, **options)["test_score"]
        fitted = guided(data).fit(data.train[HALF:])
        evaluate = fitted.score if scorer is None else lambda X, **o: scorer(fitted, X, **o)
        assert found[0] == evaluate(data.train[:HALF], wanted=some(given, slice(HALF)))
        assert found[0] != evaluate(data.train[:HALF])

    def test_requests_stay_until_they_are_changed(self):
        scorer = RankingScorer().set_score_request(user_features=True)
        scorer.set_score_request(wanted="mood").set_score_request()
        asked = scorer.get_metadata_routing().score.requests
        assert asked == {"user_features": True, "wanted": "mood"}
        other = RankingScorer().get_metadata_routing().score.requests
        assert other == {"user_features": None, "wanted": None}


class TestChoiceOfAScale:
    scales = {"wanted": SCALES}

    @pytest.mark.parametrize("routing", [True, False])
    def test_rows_are_cut_with_those_of_X(self, routing, data, given):
        model = guided(data, guidance_scale=1.0)
        with config_context(enable_metadata_routing=routing):
            search = GuidanceScaleCV(model, scales=self.scales, cv=CUT)
            search.fit(data.train, data.test, wanted=given)
        for i, (train, test) in enumerate(CUT):
            fitted = clone(model).fit(data.train[train])
            lists, _ = fitted.recommend_scales(
                self.scales, X=data.train[test], wanted=some(given, test)
            )
            expected = [ndcg_at_k(ids, data.test[test], k=10) for ids in lists]
            assert_allclose(search.cv_results_[f"split{i}_test_score"], expected)
        assert np.ptp(search.cv_results_["mean_test_score"]) > 0
        best = search.best_estimator_.score(data.train, data.test, wanted=given)
        assert search.score(data.train, data.test, wanted=given) == best

    def test_of_a_fitted_model(self, model, data, wanted):
        search = GuidanceScaleCV(model, scales=self.scales, cv="prefit")
        search.fit(data.train, data.test, wanted=wanted)
        lists, _ = model.recommend_scales(self.scales, X=data.train, wanted=wanted)
        expected = [ndcg_at_k(ids, data.test, k=10) for ids in lists]
        assert_allclose(search.cv_results_["mean_test_score"], expected)

    def test_nothing_wanted(self, data):
        search = GuidanceScaleCV(guided(data), scales=self.scales, cv=CUT)
        search.fit(data.train, wanted=None)
        assert np.ptp(search.cv_results_["mean_test_score"]) == 0


def test_scales_of_what_nobody_wants(data, model):
    search = GuidanceScaleCV(model, scales={"wanted": SCALES}, cv="prefit")
    with pytest.raises(ValueError, match="not told what is wanted"):
        search.fit(data.train, data.test)
