"""Displays of pipelines that begin with a table, and of searches around them."""

import numpy as np
import pandas as pd
import pytest
from conftest import tiny_cfg
from figures import close_figures_fixture  # noqa: F401
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline

from skdiffrec.baselines import EASERecommender
from skdiffrec.model_selection import GuidanceScaleCV, RankingScorer
from skdiffrec.plotting import (
    ActivityDisplay,
    DenoisingDisplay,
    GuidanceCurveDisplay,
    TopKCalibrationDisplay,
    TrainingCurveDisplay,
)
from skdiffrec.preprocessing import InteractionEncoder

rng = np.random.default_rng(0)
EVENTS = pd.DataFrame(
    {
        "user": np.repeat([f"u{i:02d}" for i in range(40)], 8),
        "item": [f"i{i}" for i in rng.integers(0, 20, 320) + np.repeat([0, 20], 160)],
    }
)
FIT, NEW = EVENTS[EVENTS["user"] < "u30"], EVENTS[EVENTS["user"] >= "u30"]


@pytest.fixture(scope="module", name="pipeline")
def pipeline_fixture():
    model = tiny_cfg(max_epochs=1, hidden_dims=(8,))
    return make_pipeline(InteractionEncoder(unknown_items="ignore"), model).fit(FIT)


def scaled(pipeline):
    """A search of the scale around the pipeline, without another fit."""
    return GuidanceScaleCV(pipeline, scales=[1.0], cv="prefit").fit(NEW)


@pytest.mark.parametrize("wrap", [lambda pipeline: pipeline, scaled], ids=["pipeline", "search"])
class TestEvents:
    def test_guidance_curve(self, pipeline, wrap):
        options = dict(scales=[0.0, 2.0], metrics="ndcg")
        found = GuidanceCurveDisplay.from_estimator(wrap(pipeline), NEW, **options)
        encoder, model = pipeline
        expected = GuidanceCurveDisplay.from_estimator(model, encoder.transform(NEW), **options)
        assert_array_equal(found.values["ndcg@10"], expected.values["ndcg@10"])

    def test_activity(self, pipeline, wrap):
        found = ActivityDisplay.from_estimator(wrap(pipeline), NEW)
        encoder, model = pipeline
        expected = ActivityDisplay.from_estimator(model, encoder.transform(NEW))
        assert list(found.values) == ["CFGDiffusionRecommender"]
        for name, values in found.values.items():
            assert_array_equal(values, expected.values[name])

    def test_calibration(self, pipeline, wrap):
        options = dict(n_samples=3, k=5)
        found = TopKCalibrationDisplay.from_estimator(wrap(pipeline), NEW, **options)
        encoder, model = pipeline
        expected = TopKCalibrationDisplay.from_estimator(model, encoder.transform(NEW), **options)
        for name, value in vars(expected).items():
            if isinstance(value, np.ndarray) and not name.endswith("_"):
                assert_array_equal(vars(found)[name], value)

    def test_denoising(self, pipeline, wrap):
        one = NEW[NEW["user"] == "u31"]
        found = DenoisingDisplay.from_estimator(wrap(pipeline), one, k=3)
        encoder, model = pipeline
        expected = DenoisingDisplay.from_estimator(model, encoder.transform(one), k=3)
        assert_array_equal(found.ranks, expected.ranks)
        with pytest.raises(ValueError, match="history of one user"):
            DenoisingDisplay.from_estimator(wrap(pipeline), NEW)

    def test_training_curve(self, pipeline, wrap):
        assert len(TrainingCurveDisplay.from_estimator(wrap(pipeline)).loss) == 1


def test_other_recommenders_are_refused_by_name():
    pipeline = make_pipeline(InteractionEncoder(unknown_items="ignore"), EASERecommender())
    grid = {"easerecommender__reg": [1.0, 100.0]}
    search = GridSearchCV(pipeline, grid, cv=GroupKFold(2), scoring=RankingScorer())
    search.fit(FIT, groups=FIT["user"])
    with pytest.raises(TypeError, match="recommend_scales.*got EASERecommender"):
        GuidanceCurveDisplay.from_estimator(search, NEW)
    assert len(ActivityDisplay.from_estimator(search, NEW).history_lengths) == 10
