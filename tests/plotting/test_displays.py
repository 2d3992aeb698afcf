"""What all displays have in common."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import close_figures_fixture, grid_of, model_fixture  # noqa: F401
from matplotlib.colors import to_hex
from numpy.testing import assert_array_equal

from skdiffrec.plotting import (
    ActivityDisplay,
    DenoisingDisplay,
    GuidanceCurveDisplay,
    TrainingCurveDisplay,
)

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
