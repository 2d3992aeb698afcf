"""GuidanceCurveDisplay: what the artists show is what the metrics and the searches give."""

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_cfg
from figures import (  # noqa: F401
    SCALES,
    band_at,
    close_figures_fixture,
    grid_of,
    legend_texts,
    mean_and_error,
    model_fixture,
    star,
    state,
    timed_fixture,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skdiffrec.baselines import EASERecommender
from skdiffrec.metrics import coverage_at_k, ndcg_at_k, novelty_at_k
from skdiffrec.model_selection import GuidanceScaleCV, LastFraction, LastN, RankingScorer
from skdiffrec.plotting import GuidanceCurveDisplay


class TestGuidanceFromEstimator:
    def test_is_what_the_metrics_say(self, model, interactions, holdout):
        display = GuidanceCurveDisplay.from_estimator(
            model, interactions, holdout, scales=SCALES, metrics=("ndcg", "coverage", "novelty@5")
        )
        assert list(display.values) == ["ndcg@10", "coverage@10", "novelty@5"]
        for place, scale in enumerate(sorted(SCALES)):
            ids, _ = model.recommend(X=interactions, k=10, guidance_scale=scale)
            novelty = novelty_at_k(ids, interactions, k=5, per_user=True)
            for panel, values in ((0, ndcg_at_k(ids, holdout, per_user=True)), (2, novelty)):
                mean, error = mean_and_error(values)
                line, band = display.lines_[panel], display.bands_[panel]
                assert line.get_xdata()[place] == scale
                assert_allclose(line.get_ydata()[place], mean, rtol=1e-6)
                assert_allclose(band_at(band, scale), (mean - error, mean + error), rtol=1e-6)
            coverage = display.lines_[1].get_ydata()[place]
            assert_allclose(coverage, coverage_at_k(ids, interactions.shape[1]))
        assert display.bands_[1] is None

    def test_marks(self, model, interactions, holdout):
        display = GuidanceCurveDisplay.from_estimator(model, interactions, holdout, scales=SCALES)
        means = np.nanmean(display.values["ndcg@10"], axis=1)
        assert display.best_scale == SCALES[means.argmax()]
        assert star(display.ax_[0]) == (display.best_scale, means.max())
        coverage = display.values["coverage@10"][means.argmax(), 0]
        assert star(display.ax_[1]) == (display.best_scale, coverage)
        for panel in display.ax_:
            assert [1.0, 1.0] in [list(line.get_xdata()) for line in panel.lines]
        texts = legend_texts(display)
        assert "mean ± 1.96 standard errors over users" in texts
        assert f"best nDCG@10 (scale {display.best_scale:g})" in texts
        assert [panel.get_ylabel() for panel in display.ax_] == [
            "nDCG@10",
            "Coverage@10",
            "Novelty@10",
        ]

    def test_the_first_of_equals_is_best(self):
        values = {"ndcg@10": np.array([[0.1], [0.4], [0.4], [np.nan]])}
        display = GuidanceCurveDisplay(scales=np.array([0, 2, 1, 3.0]), values=values).plot()
        assert display.best_scale == 2

    def test_hides_as_the_scorer_does(self, model, interactions):
        display = GuidanceCurveDisplay.from_estimator(
            model, interactions, scales=[1.0], metrics="recall@7"
        )
        expected = RankingScorer("recall@7")(model, interactions)
        assert_allclose(np.nanmean(display.values["recall@7"]), expected)

    @pytest.mark.parametrize("given, hides", [(None, LastFraction(0.2)), (LastN(2), LastN(2))])
    def test_times_hide_the_latest(self, timed, interactions, given, hides):
        display = GuidanceCurveDisplay.from_estimator(
            timed, interactions, scales=[1.5], metrics=["ndcg"], k=5, holdout=given
        )
        history, held_out = hides.hide(interactions)
        ids, _ = timed.recommend(X=history, k=5, guidance_scale=1.5)
        assert_allclose(display.values["ndcg@5"][0], ndcg_at_k(ids, held_out, k=5, per_user=True))

    def test_leaves_the_estimator(self, model, interactions, holdout):
        before = state(model)
        GuidanceCurveDisplay.from_estimator(model, interactions, holdout, scales=SCALES)
        assert state(model) == before

    def test_a_search_is_its_best_estimator(self, model, interactions, holdout):
        search = GuidanceScaleCV(model, scales=[0, 2], cv="prefit").fit(interactions)
        options = dict(scales=SCALES, metrics="ndcg")
        found = GuidanceCurveDisplay.from_estimator(search, interactions, holdout, **options)
        expected = GuidanceCurveDisplay.from_estimator(model, interactions, holdout, **options)
        assert_array_equal(found.values["ndcg@10"], expected.values["ndcg@10"])

    def test_a_pipeline_passes_its_rows_on(self, interactions, holdout):
        inner = tiny_cfg(values="weight")
        shift = FunctionTransformer(lambda X: X.power(3), accept_sparse=True)
        pipe = Pipeline([("shift", shift), ("model", inner)]).fit(interactions)
        options = dict(scales=[1.5], metrics="ndcg")
        found = GuidanceCurveDisplay.from_estimator(pipe, interactions, holdout, **options)
        ids, _ = inner.recommend(X=interactions.power(3), guidance_scale=1.5)
        expected = ndcg_at_k(ids, holdout, per_user=True)
        assert_array_equal(found.values["ndcg@10"][0], expected)
        plain, _ = inner.recommend(X=interactions, guidance_scale=1.5)
        assert (plain != ids).any()  # the step before the model matters here

    @pytest.mark.parametrize(
        "options, message",
        [
            (dict(metrics="ndgc"), "did you mean 'ndcg'"),
            (dict(metrics=[]), "at least one"),
            (dict(scales=[]), "at least one"),
            (dict(scales=[np.nan]), "between"),
            (dict(k=51), "number of items"),
            (dict(y=csr_array((120, 50))), "No user has a holdout"),
            (dict(holdout="last"), "holdout must"),
            (dict(metrics=[len]), "must be a str"),
            (dict(metrics="intra_list_diversity@5"), "cannot show 'intra_list_diversity@5'"),
        ],
    )
    def test_refusals(self, model, interactions, options, message):
        with pytest.raises((ValueError, TypeError), match=message):
            GuidanceCurveDisplay.from_estimator(model, interactions, **options)

    def test_needs_scales(self, interactions):
        with pytest.raises(TypeError, match="recommend_scales.*got EASERecommender"):
            GuidanceCurveDisplay.from_estimator(EASERecommender().fit(interactions), interactions)
        search = GuidanceScaleCV(tiny_cfg(), scales=[1], cv=2, refit=False).fit(interactions)
        with pytest.raises(TypeError, match="refit=True"):
            GuidanceCurveDisplay.from_estimator(search, interactions)

    def test_needs_a_fit(self, interactions):
        for unfitted in (tiny_cfg(), GuidanceScaleCV(tiny_cfg()), Pipeline([("m", tiny_cfg())])):
            with pytest.raises(NotFittedError):
                GuidanceCurveDisplay.from_estimator(unfitted, interactions)


class TestGuidanceFromCVResults:
    def test_agrees_with_guidance_scale_cv(self, interactions):
        scoring = RankingScorer(["ndcg", "coverage"])
        search = GuidanceScaleCV(tiny_cfg(), scales=SCALES, cv=3, scoring=scoring, refit="ndcg@10")
        results = search.fit(interactions).cv_results_
        display = GuidanceCurveDisplay.from_cv_results(results)
        assert display.best_scale == search.best_guidance_scale_
        order = np.argsort(SCALES)
        for name, line, band in zip(scoring.names, display.lines_, display.bands_, strict=True):
            assert_array_equal(line.get_xdata(), np.sort(SCALES))
            assert_allclose(line.get_ydata(), results[f"mean_test_{name}"][order])
            folds = np.array([results[f"split{i}_test_{name}"][1] for i in range(3)])
            mean, error = mean_and_error(folds)
            assert_allclose(band_at(band, SCALES[1]), (mean - error, mean + error), atol=1e-12)
        assert "mean ± 1.96 standard errors over folds" in legend_texts(display)

    def test_of_a_pipeline_in_a_grid(self, interactions):
        pipe = Pipeline([("model", tiny_cfg(max_epochs=1))])
        grid = {"model__guidance_scale": SCALES, "model__n_sampling_steps": [1, 2]}
        search = GridSearchCV(pipe, grid, cv=2, scoring=RankingScorer()).fit(interactions)
        display = GuidanceCurveDisplay.from_cv_results(search.cv_results_, score_name="ndcg@10")
        assert display.best_scale == search.best_params_["model__guidance_scale"]
        assert_allclose(np.nanmax(display.lines_[0].get_ydata()), search.best_score_)
        assert display.ax_.get_ylabel() == "nDCG@10"

    def test_best_over_the_other_parameters(self):
        results = grid_of(
            [[0.1, 0.3], [0.4, 0.2], [0.5, 0.7], [0.6, 0.4]],
            guidance_scale=[1.0, 1.0, 2.0, 2.0],
            eta=[0, 1, 0, 1],
        )
        display = GuidanceCurveDisplay.from_cv_results(results)
        assert_array_equal(display.scales, [1, 2])
        assert_array_equal(display.values["score"], [[0.4, 0.2], [0.5, 0.7]])

    def test_all_metrics_of_the_same_candidate(self):
        results = {
            "param_guidance_scale": [1.0, 1.0],
            "split0_test_ndcg@10": [0.3, 0.2],
            "mean_test_ndcg@10": [0.3, 0.2],
            "split0_test_coverage@10": [0.5, 0.9],
            "mean_test_coverage@10": [0.5, 0.9],
        }
        display = GuidanceCurveDisplay.from_cv_results(results)
        assert display.values["coverage@10"] == [[0.5]]
        assert display.bands_ == [None, None]  # a single fold

    def test_candidates_without_a_scale_or_that_failed(self):
        scales = np.ma.array([0.0, 1.0, 7.0, 2.0], mask=[0, 0, 1, 0], dtype=object)
        results = grid_of(
            [[0.1, 0.1], [0.2, np.nan], [0.9, 0.9], [0.3, 0.3]], guidance_scale=scales
        )
        for table in (results, pd.DataFrame(results)):
            display = GuidanceCurveDisplay.from_cv_results(table)
            assert_array_equal(display.scales, [0, 2])
            assert_array_equal(display.values["score"], [[0.1, 0.1], [0.3, 0.3]])

    @pytest.mark.parametrize(
        "results, message",
        [
            (grid_of([[1.0]], eta=[0.0]), r"no guidance_scale.*\['eta'\]"),
            (grid_of([[1.0]], a__guidance_scale=[1], b__guidance_scale=[2]), "several"),
            (grid_of([[1.0]], guidance_scale=["auto"]), "must hold numbers"),
            (grid_of([[np.nan]], guidance_scale=[1.0]), "no candidate"),
            ({"param_guidance_scale": [1.0]}, "mean_test_"),
            (GuidanceScaleCV(tiny_cfg()), "search.cv_results_"),
        ],
    )
    def test_refusals(self, results, message):
        with pytest.raises((ValueError, TypeError), match=message):
            GuidanceCurveDisplay.from_cv_results(results)

    def test_the_parameter_can_be_named(self):
        results = grid_of([[1.0]], a__guidance_scale=[1.0], b__guidance_scale=[2.0])
        display = GuidanceCurveDisplay.from_cv_results(results, param_name="b__guidance_scale")
        assert display.scales == [2]
        with pytest.raises(ValueError, match="no c"):
            GuidanceCurveDisplay.from_cv_results(results, param_name="c")

    def test_scales_of_one_condition_among_several(self):
        """Each with the best of the others, missing ones left out."""
        tried = [{"history": h, "disliked": d} for h in (1.0, 2.0) for d in (0.0, 3.0)]
        scores = [[0.1, 0.3], [0.4, 0.2], [0.5, 0.7], [0.6, 0.4], [0.9, 0.9]]
        results = grid_of(scores, guidance_scale=[*tried, {"history": 1.0}])
        display = GuidanceCurveDisplay.from_cv_results(results, condition="disliked")
        assert_array_equal(display.scales, [0, 3])
        assert_array_equal(display.values["score"], [[0.5, 0.7], [0.6, 0.4]])
        assert display.ax_.get_xlabel() == "Guidance scale of 'disliked'"
        for condition in (None, "wanted"):
            with pytest.raises(ValueError, match="scales of history, disliked; give one"):
                GuidanceCurveDisplay.from_cv_results(results, condition=condition)

    def test_the_only_condition_needs_no_name(self):
        results = grid_of([[0.1], [0.4]], guidance_scale=[{"disliked": 1}, {"disliked": 2}])
        display = GuidanceCurveDisplay.from_cv_results(results)
        assert display.condition == "disliked" and display.best_scale == 2
