"""GuidanceScaleCV: what GridSearchCV finds, for one training per fold."""

import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score, cross_validate
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender
from skdiffrec.model_selection import GuidanceScaleCV, LastN, RankingScorer, UnseenUsers

SCALES = [0.0, 0.5, 1.0, 2.0]
TINY = tiny_cfg(hidden_dims=(16, 16), latent_dim=8, max_epochs=2)


@pytest.mark.slow
@parametrize_with_checks([GuidanceScaleCV(TINY, cv=2, scoring=RankingScorer(k=1))])
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture
def fits(monkeypatch):
    counted = []
    fit = CFGDiffusionRecommender.fit

    def count(self, X, *args, **kwargs):
        counted.append(X.shape[0])
        return fit(self, X, *args, **kwargs)

    monkeypatch.setattr(CFGDiffusionRecommender, "fit", count)
    return counted


def searched(X, y=None, model=None, **options):
    model = tiny_cfg() if model is None else model
    return GuidanceScaleCV(model, **{"scales": SCALES, "cv": 3} | options).fit(X, y)


class TestAgainstGridSearch:
    @pytest.mark.slow
    @pytest.mark.parametrize("parameters", [{}, {"values": "time"}, {"n_sampling_steps": 3}])
    def test_the_same_scores_for_fewer_fits(self, interactions, fits, parameters):
        model = tiny_cfg(**parameters)
        found = searched(interactions, model=model)
        assert fits == [80, 80, 80, 120]
        grid = GridSearchCV(
            model, {"guidance_scale": SCALES}, cv=3, scoring=RankingScorer(), error_score="raise"
        ).fit(interactions)
        assert len(fits) == 4 + 13
        for name in found.cv_results_:
            if name.endswith("_test_score") and not name.startswith("rank"):
                assert_allclose(found.cv_results_[name], grid.cv_results_[name], atol=1e-3)
        assert found.best_guidance_scale_ == grid.best_params_["guidance_scale"]
        assert_array_equal(found.recommend(k=5)[0], grid.best_estimator_.recommend(k=5)[0])
        assert set(found.cv_results_) <= set(grid.cv_results_)

    def test_same_users_with_a_holdout(self, interactions):
        history, held_out = LastN(1).hide(interactions)
        found = searched(history, held_out, cv=LastN())
        expected = [
            tiny_cfg(guidance_scale=scale).fit(history).score(history, held_out) for scale in SCALES
        ]
        assert_allclose(found.cv_results_["mean_test_score"], expected, atol=1e-3)

    def test_folds_with_a_holdout(self, interactions, holdout):
        found = searched(interactions, holdout)
        train, test = next(iter(KFold(3).split(interactions)))
        model = tiny_cfg(guidance_scale=2.0).fit(interactions[train])
        expected = RankingScorer()(model, interactions[test], holdout[test])
        assert_allclose(found.cv_results_["split0_test_score"][3], expected, atol=1e-3)


class TestResults:
    def test_attributes_agree(self, interactions):
        found = searched(interactions)
        scores = np.array([found.cv_results_[f"split{i}_test_score"] for i in range(3)])
        assert_allclose(found.cv_results_["mean_test_score"], scores.mean(axis=0))
        assert_allclose(found.cv_results_["std_test_score"], scores.std(axis=0))
        assert found.best_index_ == scores.mean(axis=0).argmax()
        assert found.best_score_ == found.cv_results_["mean_test_score"].max()
        assert found.best_guidance_scale_ == SCALES[found.best_index_]
        assert found.best_estimator_.guidance_scale == found.best_guidance_scale_
        assert found.cv_results_["rank_test_score"][found.best_index_] == 1
        assert found.cv_results_["params"][1] == {"guidance_scale": 0.5}
        assert found.n_splits_ == len(found.fit_times_) == len(found.score_times_) == 3
        assert (found.fit_times_ > 0).all() and (found.score_times_ > 0).all()

    @pytest.mark.slow
    def test_it_finds_the_good_end(self, drift_data):
        found = searched(drift_data.train, scales=[-1.0, 0.0, 1.5], model=tiny_cfg(max_epochs=5))
        assert found.best_guidance_scale_ == 1.5

    def test_of_equal_scales_the_first(self, interactions):
        assert searched(interactions, scales=[1.0, 1.0]).best_index_ == 0

    def test_several_metrics(self, interactions):
        scoring = RankingScorer(["ndcg", "coverage"])
        found = searched(interactions, scoring=scoring, refit="coverage@10")
        assert found.best_index_ == found.cv_results_["mean_test_coverage@10"].argmax()
        alone = searched(interactions)
        assert_array_equal(
            found.cv_results_["mean_test_ndcg@10"], alone.cv_results_["mean_test_score"]
        )
        expected = RankingScorer("coverage")(found.best_estimator_, interactions)
        assert found.score(interactions) == expected

    def test_a_name_as_scoring(self, interactions):
        by_name = searched(interactions, scoring="recall@20")
        by_scorer = searched(interactions, scoring=RankingScorer("recall", 20))
        assert by_name.best_score_ == by_scorer.best_score_

    @pytest.mark.slow
    def test_another_callable(self, interactions, fits):
        """As GridSearchCV calls it, for fewer fits."""
        found = searched(interactions, scoring=lambda model, X, y: model.score(X))
        assert len(fits) == 4
        grid = GridSearchCV(tiny_cfg(), {"guidance_scale": SCALES}, cv=3).fit(interactions)
        assert_array_equal(
            found.cv_results_["mean_test_score"], grid.cv_results_["mean_test_score"]
        )
        assert found.best_estimator_.guidance_scale == grid.best_params_["guidance_scale"]

    def test_prefit(self, interactions, holdout, fits):
        model = tiny_cfg(guidance_scale=2.0).fit(interactions)
        found = GuidanceScaleCV(model, scales=SCALES, cv="prefit").fit(interactions, holdout)
        assert fits == [120]
        expected = [model.set_params(guidance_scale=s).score(interactions, holdout) for s in SCALES]
        assert_allclose(found.cv_results_["mean_test_score"], expected, atol=1e-3)
        model.set_params(guidance_scale=2.0)
        assert found.best_estimator_.guidance_scale == found.best_guidance_scale_ != 2.0
        assert_array_equal(
            found.recommend([1, 2])[0],
            model.recommend([1, 2], guidance_scale=found.best_guidance_scale_)[0],
        )

    def test_without_refit(self, interactions, fits):
        found = searched(interactions, refit=False)
        assert len(fits) == 3 and found.best_guidance_scale_ in SCALES
        assert not hasattr(found, "best_estimator_") and not hasattr(found, "recommend")

    def test_weights_go_with_their_users(self, interactions):
        weight = np.linspace(0, 3, interactions.shape[0])
        found = GuidanceScaleCV(tiny_cfg(), scales=SCALES, cv=3).fit(
            interactions, sample_weight=weight
        )
        train, test = next(iter(KFold(3).split(interactions)))
        model = tiny_cfg(guidance_scale=1.0).fit(interactions[train], sample_weight=weight[train])
        expected = RankingScorer()(model, interactions[test])
        assert found.cv_results_["split0_test_score"][2] == expected

    @pytest.mark.slow
    @pytest.mark.parametrize("n_jobs", [2])
    def test_workers(self, interactions, n_jobs):
        assert_array_equal(
            searched(interactions, n_jobs=n_jobs).cv_results_["mean_test_score"],
            searched(interactions).cv_results_["mean_test_score"],
        )

    def test_groups_go_to_the_splitter(self, interactions):
        groups = np.arange(interactions.shape[0]) % 2
        found = GuidanceScaleCV(TINY, scales=[1.0], cv=GroupKFold(2)).fit(
            interactions, groups=groups
        )
        test = np.flatnonzero(groups == 0)
        scores = [found.cv_results_[f"split{i}_test_score"][0] for i in range(2)]
        model = clone(TINY).fit(interactions[np.flatnonzero(groups)])
        assert RankingScorer()(model, interactions[test]) in scores

    def test_metadata_routing(self, interactions):
        weight = np.linspace(0, 3, interactions.shape[0])
        plain = GuidanceScaleCV(TINY, scales=SCALES, cv=2)
        weighted = clone(plain).fit(interactions, sample_weight=weight).best_score_
        assert weighted != plain.fit(interactions).best_score_
        with config_context(enable_metadata_routing=True):
            asks = GuidanceScaleCV(
                clone(TINY).set_fit_request(sample_weight=True), scales=SCALES, cv=2
            )
            assert asks.fit(interactions, sample_weight=weight).best_score_ == weighted
            with pytest.raises(ValueError, match="sample_weight"):
                plain.fit(interactions, sample_weight=weight)
            found = cross_validate(
                asks, interactions, cv=2, scoring=RankingScorer(), params={"sample_weight": weight}
            )
            assert np.isfinite(found["test_score"]).all()

    def test_lists_at_several_scales(self, interactions):
        found = searched(interactions)
        assert_array_equal(
            found.recommend_scales(SCALES, [1, 2])[0],
            found.best_estimator_.recommend_scales(SCALES, [1, 2])[0],
        )


def guided_score(estimator, X, y=None):
    """nDCG, NaN without guidance."""
    return RankingScorer()(estimator, X, y) if estimator.guidance_scale else np.nan


def gini_weighted(ids, holdout, k):
    return float(ids.shape[1] == k)


def test_a_callable_may_have_any_name(interactions):
    scoring = RankingScorer(["recall", gini_weighted])
    options = dict(model=TINY, scales=[1.0], cv=2, scoring=scoring)
    assert searched(interactions, **options, refit="gini_weighted").best_score_ == 1


class TestUndefinedScores:
    def test_nan_is_the_last(self, interactions):
        model, scales = tiny_cfg(max_epochs=1), [0.0, 1.0, 2.0]
        options = dict(cv=KFold(2), scoring=guided_score)
        with pytest.warns(UserWarning, match="scores are non-finite"):
            found = GuidanceScaleCV(model, scales=scales, **options).fit(interactions)
        with pytest.warns(UserWarning, match="scores are non-finite"):
            grid = GridSearchCV(model, {"guidance_scale": scales}, **options).fit(interactions)
        ranks = found.cv_results_["rank_test_score"]
        assert np.isnan(found.cv_results_["mean_test_score"][0]) and ranks[0] == 3
        assert_array_equal(ranks, grid.cv_results_["rank_test_score"])
        assert found.best_guidance_scale_ == grid.best_params_["guidance_scale"] != 0

    @pytest.mark.filterwarnings("ignore:One or more")
    def test_all_nan_is_the_first(self, interactions):
        scoring = RankingScorer(lambda ids, holdout, k: np.nan)
        found = searched(interactions, scoring=scoring)
        assert_array_equal(found.cv_results_["rank_test_score"], 1)
        assert found.best_index_ == 0 and np.isnan(found.best_score_)


class TestSecondFit:
    """Nothing of an earlier fit stays."""

    def test_without_names(self, interactions):
        frame = pd.DataFrame(interactions.toarray()).add_prefix("item")
        found = searched(frame, model=TINY, scales=[1.0], cv=2)
        assert list(found.feature_names_in_) == list(frame.columns)
        assert not hasattr(found.fit(interactions), "feature_names_in_")

    def test_without_refit(self, interactions):
        scoring = RankingScorer(["ndcg", "neg_gini"])
        options = dict(model=TINY, scales=[1.0], cv=2)
        found = searched(interactions, **options, scoring=scoring, refit="ndcg@10")
        found.set_params(refit=False).fit(interactions)
        for name in ("estimator_", "index_", "score_", "guidance_scale_"):
            assert not hasattr(found, f"best_{name}")
        assert not hasattr(found, "n_features_in_")
        with pytest.raises(NotFittedError):
            found.score(interactions)
        found.set_params(scoring=None).fit(interactions)
        assert found.best_index_ == 0 and not hasattr(found, "best_estimator_")

    def test_names_of_a_fitted_estimator(self, interactions):
        frame = pd.DataFrame(interactions.toarray()).add_prefix("item")
        fitted = clone(TINY).fit(frame)
        found = searched(frame, model=fitted, scales=[1.0], cv="prefit")
        assert list(found.feature_names_in_) == list(frame.columns)


class TestAsAnEstimator:
    def test_within_other_tools(self, interactions):
        """Nested: the scale is chosen inside each outer fold."""
        scores = cross_val_score(
            GuidanceScaleCV(TINY, scales=[0.0, 1.0], cv=2),
            interactions,
            cv=UnseenUsers(3, random_state=0),
            scoring=RankingScorer(),
        )
        assert scores.shape == (3,) and (scores > 0).all()

    def test_clone_and_pickle(self, interactions):
        found = searched(interactions)
        again = clone(found).fit(interactions)
        copied = pickle.loads(pickle.dumps(found))
        for other in (again, copied):
            assert_array_equal(other.recommend(k=5)[0], found.recommend(k=5)[0])
        assert found.score(interactions) == RankingScorer()(found.best_estimator_, interactions)

    def test_memory(self, interactions, tmp_path, monkeypatch):
        """A second search, with other scales, trains nothing."""
        model = tiny_cfg(memory=tmp_path)
        searched(interactions, model=model)
        monkeypatch.setattr("skdiffrec._trainable.fit_model", None)
        found = searched(interactions, model=model, scales=[0.7, 1.2])
        assert found.best_guidance_scale_ in (0.7, 1.2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (dict(scales=[]), ValueError, "at least one guidance scale"),
        (dict(scales=1.0), ValueError, "scales"),
        (dict(scales=[1.0, np.nan]), ValueError, "between -1000 and 1000, got nan"),
        (dict(scales={}), ValueError, "empty dict"),
        (dict(scales={"history": 1.0}), ValueError, "1-D sequence"),
        (dict(scales={"history": [1, np.inf]}), ValueError, "between -1000 and 1000, got inf"),
        (dict(scales={"age": [1.0]}), ValueError, "a scale for 'age'"),
        (
            dict(scales={"disliked": [1.0]}),
            ValueError,
            "a scale for 'disliked'",
        ),  # not of the model
        (dict(scoring="ndgc"), ValueError, "precision, recall, ndcg"),
        (dict(scoring=3), ValueError, "scoring"),
        (dict(scoring=RankingScorer(k=51)), ValueError, "at most the number of items"),
        (dict(scoring=RankingScorer(["ndcg", "map"])), ValueError, "refit must be one of"),
        (
            dict(scoring=RankingScorer(["ndcg", "gini"]), refit="gini@10"),
            ValueError,
            "neg_gini@10",
        ),
        (dict(cv=iter([])), ValueError, "no split"),
        (dict(model=EASERecommender()), ValueError, "recommend_scales"),
        (dict(cv="other"), ValueError, "prefit"),
        (dict(cv=LastN()), ValueError, "hide"),
    ],
)
def test_refusals(interactions, options, error, message):
    with pytest.raises(error, match=message):
        searched(interactions, **options)


def test_refusals_of_data(interactions):
    with pytest.raises(ValueError, match="overlap"):
        searched(interactions, interactions)
    with pytest.raises(ValueError, match="No user has a holdout item"):
        searched(np.eye(9, 12))
    with pytest.raises(NotFittedError):
        GuidanceScaleCV(tiny_cfg(), cv="prefit").fit(interactions)
    with pytest.raises(NotFittedError):
        GuidanceScaleCV(tiny_cfg()).recommend([0])
