"""Displays of recommenders of ratings: scales of the dislikes, and the share of disliked items."""

import numpy as np
import pytest
from conftest import tiny_cfg
from numpy.testing import assert_allclose, assert_array_equal
from rated_models import rated_data

from skdiffrec.metrics import disliked_at_k, ndcg_at_k
from skdiffrec.plotting import ActivityDisplay, GuidanceCurveDisplay

SCALES = [0.0, 1.0, 3.0]


@pytest.fixture(name="rated", scope="module")
def rated_fixture():
    data = rated_data()
    return tiny_cfg(values="rating").fit(data.train), data


def test_a_curve_of_one_condition(rated):
    model, data = rated
    display = GuidanceCurveDisplay.from_estimator(
        model, data.train, data.test, scales={"disliked": SCALES}, metrics=["ndcg", "disliked@5"]
    )
    assert_array_equal(display.scales, SCALES)
    assert display.condition == "disliked"
    assert display.ax_[0].get_xlabel() == "Guidance scale of 'disliked'"
    assert [ax.get_ylabel() for ax in display.ax_] == ["nDCG@10", "Disliked@5"]
    liked = model._told_apart_by(data.train, data.test)[0]
    for place, scale in enumerate(SCALES):
        ids, _ = model.recommend(guidance_scale={"disliked": scale})
        accuracy = ndcg_at_k(ids, liked, per_user=True)
        assert_allclose(display.values["ndcg@10"][place], accuracy)
        bad = disliked_at_k(ids, data.test, 5, train=data.train, per_user=True)
        assert_allclose(display.values["disliked@5"][place], bad)


def test_scales_of_all_conditions_have_no_name(rated):
    model, data = rated
    display = GuidanceCurveDisplay.from_estimator(model, data.train, data.test, scales=SCALES)
    assert display.condition is None and display.ax_[0].get_xlabel() == "Guidance scale"


def test_two_conditions_are_no_curve(rated):
    model, data = rated
    scales = {"disliked": SCALES, "history": SCALES}
    with pytest.raises(ValueError, match="scales must name one condition, got .'disliked', 'hist"):
        GuidanceCurveDisplay.from_estimator(model, data.train, data.test, scales=scales)


def test_accuracy_by_activity_is_that_of_liked_items(rated):
    model, data = rated
    display = ActivityDisplay.from_estimator(model, data.train, data.test)
    liked = model._told_apart_by(data.train, data.test)[0]
    expected = ndcg_at_k(model.recommend()[0], liked, per_user=True)
    found = next(iter(display.values.values()))
    assert np.nanmean(found) == pytest.approx(np.nanmean(expected))
