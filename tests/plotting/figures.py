"""Models to draw, and what the artists of a figure show."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import tiny_cfg

matplotlib.use("agg")

SCALES = [2.0, 0.0, 1.0, 1.5]  # out of order: lines are drawn from left to right


@pytest.fixture(name="close_figures", autouse=True)
def close_figures_fixture():
    yield
    plt.close("all")


@pytest.fixture(name="model", scope="module")
def model_fixture(interactions):
    return tiny_cfg(max_epochs=6).fit(interactions)


@pytest.fixture(name="timed", scope="module")
def timed_fixture(interactions):
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


def grid_of(scores, **params):
    """cv_results_ of one metric: `scores` (n_candidates, n_folds)."""
    scores = np.array(scores, dtype=float)
    results = {f"param_{name}": np.ma.array(values) for name, values in params.items()}
    results |= {f"split{i}_test_score": fold for i, fold in enumerate(scores.T)}
    return results | {"mean_test_score": scores.mean(axis=1)}
