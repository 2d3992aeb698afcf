"""Displays of a model that was fitted with features of users."""

import copy

import numpy as np
import pytest
from conftest import tiny_cfg
from numpy.testing import assert_allclose

from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ndcg_at_k
from skdiffrec.plotting import (
    ActivityDisplay,
    DenoisingDisplay,
    GuidanceCurveDisplay,
    TopKCalibrationDisplay,
)

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def shop():
    data = make_interactions(90, 40, n_interactions_per_user=8, n_tastes=4, random_state=4)
    model = tiny_cfg(guidance_scale={"user_features": 3.0})
    return model.fit(data.train, user_features=data.user_features), data


def test_curves_by_scale(shop):
    model, data = shop
    display = GuidanceCurveDisplay.from_estimator(
        model,
        data.train,
        data.test,
        user_features=data.user_features,
        scales=[0.5, 2.0],
        metrics="ndcg",
    )
    found = display.values["ndcg@10"].mean(axis=1)
    for scale, value in zip([0.5, 2.0], found, strict=True):
        ids, _ = model.recommend(guidance_scale=scale)
        assert_allclose(value, ndcg_at_k(ids, data.test))


def test_accuracy_by_length(shop):
    model, data = shop
    given = model, data.train, data.test
    display = ActivityDisplay.from_estimator(*given, user_features=data.user_features, bins=[0])
    (values,) = display.values.values()
    assert_allclose(np.nanmean(values), ndcg_at_k(model.recommend()[0], data.test))


def test_one_user_by_step(shop):
    model, data = shop
    display = DenoisingDisplay.from_estimator(
        model, data.train[[5]], user_features=data.user_features[[5]], n_sampling_steps=2, k=5
    )
    staged = copy.copy(model).set_params(n_sampling_steps=2)
    *_, last = staged.staged_decision_function(
        data.train[[5]], user_features=data.user_features[[5]]
    )
    scores = np.where(data.train[[5]].toarray() > 0, -np.inf, last)[0]
    assert set(display.items) >= set(np.argsort(-scores, kind="stable")[:5])


def test_draws(shop):
    model, data = shop
    given = dict(k=5, n_samples=4, n_sampling_steps=2)
    with_features = TopKCalibrationDisplay.from_estimator(
        model, data.train, data.test, user_features=data.user_features, **given
    )
    summary = model.sample_summary(
        data.train, 5, 4, n_sampling_steps=2, user_features=data.user_features
    )
    expected = TopKCalibrationDisplay.from_predictions(summary, data.train, data.test, k=5)
    for name, value in vars(expected).items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            assert_allclose(getattr(with_features, name), value, rtol=1e-5, err_msg=name)
