"""DenoisingDisplay: the ranks of items after each sampling step."""

import copy

import numpy as np
import pytest
import scipy
from conftest import tiny_cfg
from figures import close_figures_fixture, model_fixture, state  # noqa: F401
from numpy.testing import assert_array_equal
from packaging.version import Version
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError

from skdiffrec.baselines import EASERecommender
from skdiffrec.model_selection import GuidanceScaleCV
from skdiffrec.plotting import DenoisingDisplay


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
