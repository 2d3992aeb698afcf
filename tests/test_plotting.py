"""Displays: what the artists show is what the metrics and the searches say."""

import copy
import sys

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy
from conftest import tiny_cfg
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from numpy.testing import assert_allclose, assert_array_equal
from packaging.version import Version
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.metrics import coverage_at_k, ndcg_at_k, novelty_at_k, recall_at_k
from skdiffrec.model_selection import GuidanceScaleCV, LastFraction, LastN, RankingScorer
from skdiffrec.plotting import (
    ActivityDisplay,
    DenoisingDisplay,
    GuidanceCurveDisplay,
    TrainingCurveDisplay,
)
from skdiffrec.plotting._activity import _bin_labels, _check_bins

SCALES = [2.0, 0.0, 1.0, 1.5]  # out of order: lines are drawn from left to right


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model(interactions):
    return tiny_cfg(max_epochs=6).fit(interactions)


@pytest.fixture(scope="module")
def timed(interactions):
    return tiny_cfg(values="time").fit(interactions)


def mean_and_error(values):
    """By hand: mean and 1.96 standard errors of what is not NaN."""
    values = values[~np.isnan(values)]
    return values.mean(), 1.96 * values.std(ddof=1) / np.sqrt(len(values))


def band_at(band, x):
    """(low, high) of a band at x."""
    corners = band.get_paths()[0].vertices
    y = corners[np.isclose(corners[:, 0], x), 1]
    return y.min(), y.max()


def star(panel):
    (found,) = [line for line in panel.lines if line.get_marker() == "*"]
    return found.get_xdata()[0], found.get_ydata()[0]


def legend_texts(display):
    legend = display.figure_.legends[0]
    return [text.get_text() for text in legend.get_texts()]


def state(estimator):
    """What must stay as it is: parameters and the identity of everything fitted."""
    return {name: id(value) for name, value in vars(estimator).items()}


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
        history, hidden = hides.hide(interactions)
        ids, _ = timed.recommend(X=history, k=5, guidance_scale=1.5)
        assert_allclose(display.values["ndcg@5"][0], ndcg_at_k(ids, hidden, k=5, per_user=True))

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


def grid_of(scores, **params):
    """cv_results_ of one metric: `scores` (n_candidates, n_folds)."""
    scores = np.array(scores, dtype=float)
    results = {f"param_{name}": np.ma.array(values) for name, values in params.items()}
    results |= {f"split{i}_test_score": fold for i, fold in enumerate(scores.T)}
    return results | {"mean_test_score": scores.mean(axis=1)}


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


class TestTrainingCurve:
    def test_shows_the_history(self, model):
        display = TrainingCurveDisplay.from_estimator(model)
        loss, ndcg = display.lines_
        assert_array_equal(loss.get_ydata(), [record["loss"] for record in model.history_])
        assert_array_equal(ndcg.get_ydata(), [r["validation_ndcg"] for r in model.history_])
        assert_array_equal(ndcg.get_xdata(), np.arange(1, model.n_iter_ + 1))
        assert star(display.ax_[1]) == (display.best_epoch, model.best_validation_score_)
        upper, lower = display.ax_
        assert upper.get_shared_x_axes().joined(upper, lower)

    def test_best_is_the_first_of_equals(self):
        records = [dict(epoch=i + 1, loss=1.0, validation_ndcg=v) for i, v in enumerate([1, 3, 3])]
        display = TrainingCurveDisplay.from_history(records)
        assert display.best_epoch == 2
        assert legend_texts(display) == ["best epoch: 2, nDCG@10 3.0000"]

    def test_without_early_stopping(self, interactions):
        plain = tiny_cfg(early_stopping=False).fit(interactions)
        display = TrainingCurveDisplay.from_estimator(plain)
        assert isinstance(display.ax_, Axes) and len(display.lines_) == 1
        assert display.best_epoch is None and not display.figure_.legends

    def test_unwraps(self, model, interactions):
        search = GuidanceScaleCV(model, scales=[0, 2], cv="prefit").fit(interactions)
        pipe = Pipeline([("same", "passthrough"), ("model", model)])
        for wrapped in (search, pipe):
            display = TrainingCurveDisplay.from_estimator(wrapped)
            assert_array_equal(display.loss, [record["loss"] for record in model.history_])

    def test_refusals(self, interactions):
        with pytest.raises(NotFittedError):
            TrainingCurveDisplay.from_estimator(tiny_cfg())
        with pytest.raises(TypeError, match="history_.*got EASERecommender"):
            TrainingCurveDisplay.from_estimator(EASERecommender().fit(interactions))
        with pytest.raises(ValueError, match="at least one record.*got none"):
            TrainingCurveDisplay.from_history([])
        with pytest.raises(ValueError, match=r"got \{'epoch': 1\}"):
            TrainingCurveDisplay.from_history([{"epoch": 1}])


def by_hand(values, lengths, low, high):
    return mean_and_error(values[(lengths >= low) & (lengths <= high)])


class TestActivity:
    def test_is_what_the_metric_says(self, model, interactions, holdout):
        display = ActivityDisplay.from_estimator(
            model, interactions, holdout, scales=[0.0, 2.0], metric="recall", k=5
        )
        lengths = np.diff(interactions.indptr)
        bins = {"0": (0, 0), "1–5": (1, 5), "6–20": (6, 20), "21–100": (21, 100)}
        assert display.bin_labels_ == list(bins)
        judged = holdout.sum(axis=1) > 0
        counts = [(judged & (lengths >= a) & (lengths <= b)).sum() for a, b in bins.values()]
        assert_array_equal(display.n_users_, counts)
        assert_array_equal([bar.get_height() for bar in display.bars_], counts)
        for scale, line, band in zip([0.0, 2.0], display.lines_, display.bands_, strict=True):
            ids, _ = model.recommend(X=interactions, k=5, guidance_scale=scale)
            values = recall_at_k(ids, holdout, k=5, per_user=True)
            assert line.get_label() == f"guidance scale {scale:g}"
            mean, error = by_hand(values, lengths, 6, 20)
            assert_allclose(line.get_ydata()[2], mean)
            assert_allclose(band_at(band, 2), (mean - error, mean + error))
            assert_allclose(line.get_ydata()[0], np.nanmean(values[lengths == 0]))
        assert display.ax_.get_ylabel() == "Recall@5"
        assert display.ax_.get_xticklabels()[2].get_text() == f"6–20\nn = {counts[2]}"

    def test_the_estimator_as_it_is(self, interactions, holdout):
        ease = EASERecommender(reg=20.0).fit(interactions)
        display = ActivityDisplay.from_estimator(ease, interactions, holdout)
        ids, _ = ease.recommend(X=interactions)
        assert_array_equal(
            display.values["EASERecommender"], ndcg_at_k(ids, holdout, per_user=True)
        )

    def test_its_own_scale_inside_a_search(self, model, interactions, holdout):
        search = GuidanceScaleCV(model, scales=[3.0], cv="prefit").fit(interactions)
        (found,) = ActivityDisplay.from_estimator(search, interactions, holdout).values.values()
        ids, _ = model.recommend(X=interactions, guidance_scale=3.0)
        assert_array_equal(found, ndcg_at_k(ids, holdout, per_user=True))
        assert model.guidance_scale == 1.0

    def test_hidden_items_do_not_count_as_history(self, timed, interactions):
        display = ActivityDisplay.from_estimator(timed, interactions)
        history, _ = LastFraction(0.2).hide(interactions)
        assert_array_equal(display.history_lengths, np.diff(history.indptr))

    def test_models_beside_each_other(self, interactions, holdout):
        models = {"EASE": EASERecommender(reg=20.0), "popular": PopularityRecommender()}
        ids = {name: m.fit(interactions).recommend()[0] for name, m in models.items()}
        display = ActivityDisplay.from_predictions(
            ids, interactions, holdout, metric="novelty", bins=[6, 12]
        )
        assert display.bin_labels_ == ["6–11", "12+"]  # shorter histories are left out
        lengths = np.diff(interactions.indptr)
        for name, line in zip(models, display.lines_, strict=True):
            values = novelty_at_k(ids[name], interactions, per_user=True)
            assert line.get_label() == name
            assert_allclose(line.get_ydata()[0], by_hand(values, lengths, 6, 11)[0])
            assert_allclose(line.get_ydata()[1], by_hand(values, lengths, 12, 50)[0])
        colors = {to_hex(line.get_color()) for line in display.lines_}
        assert len(colors) == len({line.get_marker() for line in display.lines_}) == 2

    def test_one_array_of_lists(self, interactions, holdout):
        ids, _ = PopularityRecommender().fit(interactions).recommend()
        display = ActivityDisplay.from_predictions(ids, interactions.toarray(), holdout)
        assert list(display.values) == ["recommendations"]

    @settings(deadline=None, max_examples=40)
    @given(
        st.lists(st.integers(0, 60), min_size=1, max_size=80),
        st.integers(1, 8),
    )
    def test_bins_of_about_equal_size(self, lengths, n_bins):
        """Every user is in one bin; no bin holds more than its share and one group of ties."""
        lengths = np.array(lengths)
        display = _of_lengths(lengths, n_bins).plot()
        plt.close(display.figure_)
        assert display.n_users_.sum() == len(lengths)
        ties = np.bincount(lengths).max()
        assert display.n_users_.max() <= -(-len(lengths) // n_bins) + ties

    @settings(deadline=None, max_examples=40)
    @given(
        st.lists(st.integers(0, 60), min_size=1, max_size=80),
        st.sets(st.integers(1, 50), max_size=5),
    )
    def test_labels_say_who_is_in_a_bin(self, lengths, starts):
        lengths, starts = np.array(lengths), np.array([0, *sorted(starts)])
        display = _of_lengths(lengths, starts).plot()
        plt.close(display.figure_)
        for label, n in zip(display.bin_labels_, display.n_users_, strict=True):
            low, _, high = label.rstrip("+").partition("–")
            high = 10**9 if label.endswith("+") else int(high or low)
            assert ((lengths >= int(low)) & (lengths <= high)).sum() == n > 0
        assert display.n_users_.sum() == len(lengths)

    def test_labels(self):
        assert _bin_labels([0, 1, 6, 21, 101]) == ["0", "1–5", "6–20", "21–100", "101+"]

    def test_users_who_cannot_be_judged(self):
        values = {"a": np.array([0.5, np.nan, np.nan]), "b": np.array([np.nan, 1.0, np.nan])}
        lengths = np.array([3, 3, 3])
        display = ActivityDisplay(history_lengths=lengths, values=values, bins=[0]).plot()
        assert_array_equal(display.n_users_, [2])
        assert [line.get_ydata()[0] for line in display.lines_] == [0.5, 1.0]

    @pytest.mark.parametrize(
        "options, message",
        [
            (dict(metric="coverage"), "a value for each user, got 'coverage'"),
            (dict(metric="ndgc"), "did you mean"),
            (dict(metric="intra_list_diversity"), "cannot show"),
            (dict(scales=[]), "at least one"),
            (dict(bins=0), "bins must be"),
            (dict(bins=[]), "bins must be"),
            (dict(bins=[0, 5, 5]), "ascending"),
            (dict(bins=[-1, 5]), "ascending"),
            (dict(bins=[0.5, 5]), "ascending"),
            (dict(bins=[999]), "bins start at 999"),
            (dict(k=51), "number of items"),
            (dict(y=csr_array((120, 50))), "No user has a holdout"),
        ],
    )
    def test_refusals(self, model, interactions, options, message):
        with pytest.raises((ValueError, TypeError), match=message):
            ActivityDisplay.from_estimator(model, interactions, **options)

    @pytest.mark.parametrize(
        "change, message",
        [
            (dict(ids={}), "at least one model"),
            (dict(history=np.ones((2, 5))), "overlap"),
            (dict(history=np.zeros((3, 5))), "shape"),
            (dict(holdout=np.zeros((2, 5))), "No user has a holdout"),
            (dict(ids=[[1, 2]]), "same users as rows"),
            (dict(k=3), "at most the number of columns"),
        ],
    )
    def test_refusals_of_predictions(self, change, message):
        good = dict(ids=[[1, 2], [3, 4]], history=np.eye(2, 5), holdout=np.eye(2, 5, 2))
        ActivityDisplay.from_predictions(**good, k=2)
        with pytest.raises((ValueError, TypeError), match=message):
            ActivityDisplay.from_predictions(**{"k": 2, **good, **change})


def _of_lengths(lengths, bins):
    """A display of users with these lengths, who all have a value."""
    bins = _check_bins(bins, lengths)
    return ActivityDisplay(history_lengths=lengths, values={"a": np.ones(len(lengths))}, bins=bins)


class TestDenoising:
    def test_ranks_by_hand(self):
        scores = [[0.1, 0.9, 0.5, 0.7], [0.4, 0.3, 0.2, 0.4]]
        display = DenoisingDisplay.from_predictions(scores, k=3)
        assert_array_equal(display.items, [0, 3, 1])  # of equals the lower id
        assert_array_equal(display.ranks, [[4, 2, 1], [1, 2, 3]])
        for item, line in enumerate(display.lines_):
            assert_array_equal(line.get_xdata(), [1, 2])
            assert_array_equal(line.get_ydata(), display.ranks[:, item])

    def test_seen_items_have_no_rank(self):
        scores = [[0.1, 0.9, 0.5, 0.7], [0.4, 0.3, 0.2, 0.4]]
        for seen in ([0, 5.0, 0, 0], [[0, 1, 0, 0]], csr_array([[0, 1, 0, 0]])):
            display = DenoisingDisplay.from_predictions(scores, seen=seen, k=10)
            assert_array_equal(display.items, [0, 3, 2])  # a short list
            assert_array_equal(display.ranks, [[3, 1, 2], [1, 2, 3]])

    def test_names_stand_at_their_ranks(self):
        names = ["a", "b", "c"]
        display = DenoisingDisplay.from_predictions([[0.1, 0.5, 0.9]], k=2, item_names=names)
        labels = display.name_ax_.get_yticklabels()
        assert [label.get_text() for label in labels] == ["c", "b"]
        assert_array_equal(display.name_ax_.get_yticks(), [1, 2])
        assert display.name_ax_.get_ylim() == display.ax_.get_ylim()
        assert display.ax_.yaxis_inverted()
        for label, line in zip(labels, display.lines_, strict=True):
            assert label.get_color() == line.get_color()
        without = DenoisingDisplay.from_predictions([[0.1, 0.5, 0.9]], k=2)
        assert [label.get_text() for label in without.name_ax_.get_yticklabels()] == ["2", "1"]

    def test_steps_of_the_recommender(self, model, interactions):
        display = DenoisingDisplay.from_estimator(
            model, interactions[[5]], k=8, n_sampling_steps=4, guidance_scale=2.5
        )
        stepped = copy.copy(model).set_params(n_sampling_steps=4, guidance_scale=2.5)
        (expected,), _ = stepped.recommend(X=interactions[[5]], k=8)
        assert_array_equal(display.items, expected)
        assert_array_equal(display.ranks[-1], np.arange(1, 9))
        seen = interactions[[5]].indices
        for scores, ranks in zip(
            stepped.staged_decision_function(interactions[[5]]), display.ranks, strict=True
        ):
            scores = np.delete(scores[0], seen)
            places = [np.delete(np.arange(50), seen).tolist().index(item) for item in expected]
            assert_array_equal(ranks, [1 + (scores > scores[place]).sum() for place in places])

    def test_a_row_as_users_have_it(self, model, interactions):
        expected = DenoisingDisplay.from_estimator(model, interactions[[5]]).ranks
        rows = [interactions[[5]].toarray(), interactions.toarray()[5]]
        if Version(scipy.__version__) >= Version("1.15"):  # before it a CSR had no 1-D rows
            rows.append(interactions[5])
        for row in rows:
            assert_array_equal(DenoisingDisplay.from_estimator(model, row).ranks, expected)

    def test_leaves_the_estimator(self, model, interactions):
        before = state(model)
        DenoisingDisplay.from_estimator(model, interactions[[5]], guidance_scale=3.0)
        assert state(model) == before

    def test_none_takes_the_estimators_own(self, model, interactions):
        own = copy.copy(model).set_params(n_sampling_steps=3, guidance_scale=1.7)
        display = DenoisingDisplay.from_estimator(own, interactions[[5]], n_sampling_steps=None)
        assert display.ranks.shape == (3, 10)
        assert_array_equal(display.items, own.recommend(X=interactions[[5]])[0][0])

    def test_unwraps(self, model, interactions):
        search = GuidanceScaleCV(model, scales=[3.0], cv="prefit").fit(interactions)
        found = DenoisingDisplay.from_estimator(search, interactions[[5]])
        expected = DenoisingDisplay.from_estimator(model, interactions[[5]], guidance_scale=3.0)
        assert_array_equal(found.ranks, expected.ranks)

    def test_refusals(self, model, interactions):
        row = interactions[[5]]
        with pytest.raises(NotFittedError):
            DenoisingDisplay.from_estimator(tiny_cfg(), row)
        with pytest.raises(TypeError, match="staged_decision_function.*got EASE"):
            DenoisingDisplay.from_estimator(EASERecommender().fit(interactions), row)
        with pytest.raises(ValueError, match=r"one row, got shape \(2, 50\)"):
            DenoisingDisplay.from_estimator(model, interactions[:2])
        with pytest.raises(ValueError, match="n_sampling_steps"):
            DenoisingDisplay.from_estimator(model, row, n_sampling_steps=0)

    @pytest.mark.parametrize(
        "change, message",
        [
            (dict(scores=[0.1, 0.2]), "n_steps, n_items"),
            (dict(scores=[[0.1, np.nan]]), "NaN or infinite"),
            (dict(scores=np.empty((0, 2))), "shape"),
            (dict(k=0), "k must be at least 1"),
            (dict(item_names=["a"]), "each of 2 items, got 1"),
            (dict(seen=[1, 0, 0]), "each of 2 items, got 3"),
            (dict(seen=[1, 1]), "every item"),
        ],
    )
    def test_refusals_of_predictions(self, change, message):
        with pytest.raises((ValueError, TypeError), match=message):
            DenoisingDisplay.from_predictions(**{"scores": [[0.1, 0.2]], **change})


DISPLAYS = {
    "guidance": lambda: GuidanceCurveDisplay(
        scales=np.array([0.0, 1.0]),
        values={"ndcg@10": np.array([[0.1, 0.2], [0.3, 0.5]]), "coverage@10": np.ones((2, 1))},
    ),
    "training": lambda: TrainingCurveDisplay(
        epochs=np.array([1, 2]), loss=np.array([2.0, 1.0]), validation_ndcg=np.array([0.1, 0.2])
    ),
    "activity": lambda: ActivityDisplay(
        history_lengths=np.array([1, 2, 8, 9]),
        values={f"guidance scale {i}": np.array([0.1, 0.2, 0.3, 0.5]) + i for i in range(6)},
    ),
    "denoising": lambda: DenoisingDisplay(ranks=np.array([[2, 1], [1, 2]]), items=np.array([7, 3])),
}


@pytest.mark.parametrize("name", DISPLAYS)
class TestConventions:
    def test_plot_again(self, name):
        display = DISPLAYS[name]()
        assert display.plot() is display
        first, panels = display.figure_, np.ravel(display.ax_)
        assert all(panel.figure is first for panel in panels)
        assert display.plot().figure_ is not first
        assert len(display.lines_) == len(set(map(id, display.lines_)))

    def test_axes_handed_in(self, name):
        display = DISPLAYS[name]()
        n = np.size(display.plot().ax_)
        figure, axes = plt.subplots(1, n)
        before = len(plt.get_fignums())
        display.plot(ax=axes)
        assert len(plt.get_fignums()) == before
        assert display.figure_ is figure
        assert_array_equal(np.ravel(display.ax_), np.ravel(axes))
        assert all(panel.lines for panel in np.ravel(axes))
        assert not figure.legends  # the figure is not ours

    @pytest.mark.parametrize("wrong", [3, 0, "figure"])
    def test_wrong_axes(self, name, wrong):
        axes = plt.figure() if wrong == "figure" else [plt.figure().add_subplot()] * wrong
        with pytest.raises(ValueError, match="ax must be"):
            DISPLAYS[name]().plot(ax=axes)

    def test_styles(self, name):
        """Short names of matplotlib override the defaults, too."""
        display = DISPLAYS[name]().plot(line_kw={"c": "#123456", "lw": 7, "marker": "x"})
        for line in display.lines_:
            assert to_hex(line.get_color()) == "#123456"
            assert line.get_linewidth() == 7 and line.get_marker() == "x"

    def test_nothing_is_cut_off(self, name, tmp_path):
        """Labels and legends lie inside the picture."""
        display = DISPLAYS[name]().plot()
        display.figure_.savefig(tmp_path / "picture.png")
        drawn = display.figure_.get_tightbbox(display.figure_.canvas.get_renderer())
        assert (drawn.min >= -0.02).all()  # inches
        assert (drawn.max <= display.figure_.get_size_inches() + 0.02).all()


def test_styles_of_bands_and_bars():
    display = DISPLAYS["guidance"]().plot(band_kw={"alpha": 0.7, "facecolor": "#123456"})
    assert display.bands_[0].get_alpha() == 0.7
    assert to_hex(display.bands_[0].get_facecolor()) == "#123456"
    display = DISPLAYS["activity"]().plot(band_kw={"alpha": 0.7}, bar_kw={"fc": "#123456"})
    assert display.bands_[0].get_alpha() == 0.7
    assert to_hex(display.bars_[0].get_facecolor()) == "#123456"


def test_styles_pass_through(model, interactions, holdout):
    look = dict(line_kw={"linewidth": 7})
    records = model.history_
    scores = np.arange(6.0).reshape(2, 3)
    ids, _ = model.recommend()
    _, axes = plt.subplots(1, 3)
    for display in (
        GuidanceCurveDisplay.from_estimator(model, interactions, holdout, ax=axes, **look),
        GuidanceCurveDisplay.from_cv_results(
            grid_of([[1.0]], guidance_scale=[1.0]), ax=axes[0], **look
        ),
        TrainingCurveDisplay.from_estimator(model, ax=axes[:2], **look),
        TrainingCurveDisplay.from_history(records, ax=axes[:2], **look),
        ActivityDisplay.from_estimator(model, interactions, holdout, ax=axes[1], **look),
        ActivityDisplay.from_predictions(ids, interactions, holdout, ax=axes[1], **look),
        DenoisingDisplay.from_estimator(model, interactions[[5]], ax=axes[2], **look),
        DenoisingDisplay.from_predictions(scores, ax=axes[2], **look),
    ):
        assert display.lines_[0].get_linewidth() == 7
        assert display.figure_ is axes[0].figure


def test_without_matplotlib(monkeypatch, model, interactions):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    for call in (
        lambda: GuidanceCurveDisplay.from_estimator(model, interactions),
        lambda: GuidanceCurveDisplay.from_cv_results({}),
        lambda: TrainingCurveDisplay.from_estimator(model),
        lambda: ActivityDisplay.from_estimator(model, interactions),
        lambda: ActivityDisplay.from_predictions([[0]], interactions, interactions),
        lambda: DenoisingDisplay.from_estimator(model, interactions[[5]]),
        lambda: DenoisingDisplay.from_predictions([[1.0]]),
        *(lambda make=make: make().plot() for make in DISPLAYS.values()),
    ):
        with pytest.raises(ImportError, match=r"pip install skdiffrec\[plot\]"):
            call()
