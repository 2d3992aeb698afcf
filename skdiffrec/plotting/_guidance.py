"""Metrics against the guidance scale."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from .._typing import ArrayLike, AxesLike, DataFrame, DoubleArray, HasHide, MatrixLike, Style
from ._axes import (
    COLORS,
    REFERENCE,
    as_attribute,
    draw_legend,
    import_pyplot,
    mean_and_error,
    metric_label,
    new_or_given_axes,
    styled,
    styled_line,
)
from ._evaluation import named_scorer, recommend_lists, split_rows, unit_values

SCALES = (0.0, 0.25, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0, 4.0)


class GuidanceCurveDisplay:
    """Metrics against the guidance scale, one panel per metric.

    Shows what the dial trades: accuracy levels off or falls from some scale on, while coverage and
    novelty mostly go on rising. Make one by :meth:`from_estimator`, which judges a fitted
    recommender, or by :meth:`from_cv_results`, from what a search has found already.

    Parameters
    ----------
    scales : ndarray of float, shape (n_scales,)
        Guidance scales, in any order.
    values : dict of str to ndarray of float, shape (n_scales, n_units)
        By metric, one value per unit; NaN is left out. Of a single unit no band is drawn.
    unit : str, default="users"
        What the units are: "users" or "folds".

    Attributes
    ----------
    best_scale : float
        Scale at which the first metric has its highest mean; of equals the first.
    ax_ : Axes, or ndarray of Axes
        One per metric.
    figure_ : Figure
    lines_ : list of Line2D
        Means, one per metric.
    bands_ : list of PolyCollection or None
        Mean ± 1.96 standard errors over the units; None where there is a single unit. The units
        are the same at all scales, so that differences between scales are better known than bands
        suggest: `skdiffrec.metrics.compare` judges these.

    See Also
    --------
    skdiffrec.model_selection.GuidanceScaleCV : Chooses the scale.

    Examples
    --------
    >>> from skdiffrec import CFGDiffusionRecommender
    >>> from skdiffrec.datasets import make_interactions
    >>> from skdiffrec.plotting import GuidanceCurveDisplay
    >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
    >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
    >>> display = GuidanceCurveDisplay.from_estimator(model.fit(data.train), data.train, data.test)
    >>> list(display.values)
    ['ndcg@10', 'coverage@10', 'novelty@10']
    >>> display.ax_.shape
    (3,)
    """

    lines_: list[Any]
    bands_: list[Any]

    def __init__(
        self, *, scales: DoubleArray, values: Mapping[str, DoubleArray], unit: str = "users"
    ) -> None:
        self.scales = scales
        self.values = values
        self.unit = unit

    @property
    def best_scale(self) -> float:
        mean, _ = mean_and_error(next(iter(self.values.values())))
        return float(self.scales[np.nanargmax(mean)])

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: MatrixLike,
        y: MatrixLike | None = None,
        *,
        scales: ArrayLike = SCALES,
        metrics: str | Sequence[str] = ("ndcg", "coverage", "novelty"),
        k: int = 10,
        holdout: HasHide | None = None,
        ax: AxesLike | None = None,
        line_kw: Style | None = None,
        band_kw: Style | None = None,
    ) -> Self:
        """Judge a fitted recommender at several scales, and plot.

        Parameters
        ----------
        estimator : estimator
            Fitted, with a method `recommend_scales`; or a fitted search or `Pipeline` around one.
            Left as it is.
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories. Metrics that look at popularity count it here.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            Holdout items, by which the lists are judged. None hides a part of X; give users then
            who were not in `fit`, or the model has seen what is hidden.
        scales : array-like of float, shape (n_scales,)
            Guidance scales, 10 from 0 to 4 by default.
        metrics : str or sequence of str, default=("ndcg", "coverage", "novelty")
            Names of metrics, with or without "@k". The first decides which scale is the best one.
        k : int, default=10
            Length of the lists, for metrics whose name says none.
        holdout : object with a method ``hide(X) -> (history, holdout)``, default=None
            What is hidden where there is no `y`. None hides a fifth of each row, the latest items
            where the estimator's values are times.
        ax : Axes or sequence of Axes, default=None
            As many as metrics; None makes a new figure.
        line_kw, band_kw : dict, default=None
            For ``Axes.plot`` and ``Axes.fill_between``.

        Returns
        -------
        display : GuidanceCurveDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        ValueError, TypeError
            If there is no such metric, no scale, no holdout item, the number of axes is not that
            of metrics, `k` is above the number of items, or the estimator knows no scales.
        ImportError
            Without matplotlib.
        """
        import_pyplot()
        scorer = named_scorer(metrics, k, holdout)
        history, hidden = split_rows(scorer, estimator, X, y)
        lists = recommend_lists(estimator, history, scorer.n_listed, scales)
        values = {
            name: np.array([unit_values(name, ids, hidden, history) for ids in lists])
            for name in scorer.names
        }
        display = cls(scales=np.array(scales, dtype=np.float64), values=values)
        return display.plot(ax, line_kw=line_kw, band_kw=band_kw)

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Mapping[str, Any] | DataFrame,
        *,
        param_name: str | None = None,
        score_name: str = "score",
        ax: AxesLike | None = None,
        line_kw: Style | None = None,
        band_kw: Style | None = None,
    ) -> Self:
        """Plot what a search over the guidance scale has found; nothing is computed anew.

        Where other parameters were searched too, each scale stands for the best candidate that has
        it, by the mean of the first metric.

        Parameters
        ----------
        cv_results : dict of ndarray, or DataFrame
            ``cv_results_`` of `GuidanceScaleCV`, `GridSearchCV` or `RandomizedSearchCV`.
        param_name : str, default=None
            The parameter to plot against, such as "recommender__guidance_scale". None finds the
            one that ends in "guidance_scale".
        score_name : str, default="score"
            What to call the metric of a search with a single one.
        ax : Axes or sequence of Axes, default=None
            As many as metrics; None makes a new figure.
        line_kw, band_kw : dict, default=None
            For ``Axes.plot`` and ``Axes.fill_between``.

        Returns
        -------
        display : GuidanceCurveDisplay
            Its units are the folds. Candidates that failed in a fold are left out.

        Raises
        ------
        TypeError
            If `cv_results` is not a mapping.
        ValueError
            If it has no guidance scale, or several; or no candidate that worked in all folds.
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> from skdiffrec.plotting import GuidanceCurveDisplay
        >>> found = {
        ...     "param_guidance_scale": [0.0, 1.0, 2.0],
        ...     "split0_test_score": [0.1, 0.4, 0.3],
        ...     "split1_test_score": [0.2, 0.3, 0.4],
        ...     "mean_test_score": [0.15, 0.35, 0.35],
        ... }
        >>> GuidanceCurveDisplay.from_cv_results(found, score_name="ndcg@10").best_scale
        1.0
        """
        import_pyplot()
        scales = _searched_scales(cv_results, param_name)
        tables = _fold_scores(cv_results)
        candidates = _best_candidates(scales, next(iter(tables.values())))
        if list(tables) == ["score"]:
            tables = {score_name: tables["score"]}
        values = {name: table[candidates] for name, table in tables.items()}
        display = cls(scales=scales[candidates], values=values, unit="folds")
        return display.plot(ax, line_kw=line_kw, band_kw=band_kw)

    def plot(
        self,
        ax: AxesLike | None = None,
        *,
        line_kw: Style | None = None,
        band_kw: Style | None = None,
    ) -> Self:
        """Draw the stored values.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            As many as metrics; None makes a new figure.
        line_kw, band_kw : dict, default=None
            For ``Axes.plot`` and ``Axes.fill_between``.

        Returns
        -------
        self : object
        """
        several = len(self.values) > 1
        axes, new = new_or_given_axes(ax, len(self.values), (3.9, 3.4) if several else (5.5, 4.2))
        self.lines_, self.bands_ = [], []
        for panel, (name, values) in zip(axes, self.values.items(), strict=True):
            self._plot_panel(panel, name, values, line_kw, band_kw)
        draw_legend(axes, new, n_columns=min(len(axes), 3))
        self.ax_, self.figure_ = as_attribute(axes), axes[0].figure
        return self

    def _plot_panel(self, panel, name, values, line_kw, band_kw):
        from matplotlib.collections import PolyCollection

        order = np.argsort(self.scales, kind="stable")
        scales = np.asarray(self.scales)[order]
        mean, error = (part[order] for part in mean_and_error(values))
        panel.axvline(1.0, label="plain conditional (scale 1)", **REFERENCE)
        look = styled_line(line_kw, color=COLORS[0], marker="o", markersize=4)
        (line,) = panel.plot(scales, mean, **look)
        band = None
        if values.shape[1] > 1:
            label = f"mean ± 1.96 standard errors over {self.unit}"
            look = dict(color=line.get_color(), alpha=0.2, linewidth=0, label=label)
            look = styled(PolyCollection, band_kw, **look)
            band = panel.fill_between(scales, mean - error, mean + error, **look)
        first = metric_label(next(iter(self.values)))
        panel.plot(
            self.best_scale,
            mean[scales == self.best_scale][0],
            linestyle="none",
            marker="*",
            markersize=14,
            color=COLORS[1],
            label=f"best {first} (scale {self.best_scale:g})",
        )
        panel.set(xlabel="Guidance scale", ylabel=metric_label(name))
        self.lines_.append(line)
        self.bands_.append(band)


def _searched_scales(cv_results, param_name):
    """The guidance scale of every candidate, NaN for one without, float64 (n_candidates,)."""
    if not isinstance(cv_results, Mapping) and not hasattr(cv_results, "keys"):
        raise TypeError(
            f"cv_results must be a dict of arrays, got {type(cv_results).__name__}; give "
            "search.cv_results_ of a fitted search."
        )
    params = [key.removeprefix("param_") for key in cv_results.keys() if key.startswith("param_")]
    wanted = [name for name in params if name.split("__")[-1] == "guidance_scale"]
    wanted = [name for name in params if name == param_name] if param_name else wanted
    if len(wanted) != 1:
        got = "several" if wanted else f"no {param_name or 'guidance_scale'}"
        raise ValueError(
            f"cv_results has {got} among its parameters {params}. Search over guidance_scale, and "
            "give param_name where there are several."
        )
    column = np.ma.asarray(cv_results[f"param_{wanted[0]}"]).astype(object).filled(np.nan)
    try:
        return column.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"param_{wanted[0]} of cv_results must hold numbers, got {list(column)}."
        ) from None


def _fold_scores(cv_results):
    """{metric: float64 (n_candidates, n_folds)}, NaN where a candidate failed."""
    prefix = "mean_test_"
    names = [key.removeprefix(prefix) for key in cv_results.keys() if key.startswith(prefix)]
    if not names:
        raise ValueError(
            f"cv_results has no key that starts with {prefix!r}, but {list(cv_results.keys())}; "
            "give search.cv_results_ of a fitted search."
        )
    tables = {}
    for name in names:
        folds = []
        while (key := f"split{len(folds)}_test_{name}") in cv_results:
            folds.append(np.asarray(cv_results[key], dtype=np.float64))
        tables[name] = np.stack(folds, axis=1)
    return tables


def _best_candidates(scales, table):
    """For each scale, in order of appearance, the index of its best candidate."""
    mean = np.where(np.isnan(scales), np.nan, table.mean(axis=1))
    usable = np.flatnonzero(~np.isnan(mean))
    if not len(usable):
        raise ValueError(
            "cv_results has no candidate with a guidance scale that worked in all folds; see the "
            "warnings of the search."
        )
    groups = [usable[scales[usable] == scale] for scale in dict.fromkeys(scales[usable])]
    return np.array([group[mean[group].argmax()] for group in groups])
