"""ActivityDisplay: values by length of history, bins and their labels, refusals."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import band_at, close_figures_fixture, mean_and_error, model_fixture, timed_fixture  # noqa: F401
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.metrics import ndcg_at_k, novelty_at_k, recall_at_k
from skdiffrec.model_selection import GuidanceScaleCV, LastFraction
from skdiffrec.plotting import ActivityDisplay
from skdiffrec.plotting._activity import _bin_labels, _check_bins


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
        evaluated = holdout.sum(axis=1) > 0
        counts = [(evaluated & (lengths >= a) & (lengths <= b)).sum() for a, b in bins.values()]
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

    def test_held_out_items_do_not_count_as_history(self, timed, interactions):
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

    @settings(deadline=None, max_examples=25)
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

    @settings(deadline=None, max_examples=25)
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

    def test_users_who_cannot_be_evaluated(self):
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
