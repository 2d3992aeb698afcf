"""TrainingCurveDisplay: the history of a fit and its best epoch."""

import numpy as np
import pytest
from conftest import tiny_cfg
from figures import close_figures_fixture, legend_texts, model_fixture, star  # noqa: F401
from matplotlib.axes import Axes
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from skdiffrec.baselines import EASERecommender
from skdiffrec.model_selection import GuidanceScaleCV
from skdiffrec.plotting import TrainingCurveDisplay


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

    def test_best_is_the_last_of_equals(self):
        records = [
            dict(epoch=i + 1, loss=1.0, validation_ndcg=v) for i, v in enumerate([1, 3, 3, 2])
        ]
        display = TrainingCurveDisplay.from_history(records)
        assert display.best_epoch == 3
        assert legend_texts(display) == ["best epoch: 3, nDCG@10 3.0000"]

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
