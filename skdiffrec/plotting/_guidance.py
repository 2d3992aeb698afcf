"""Metrics against the guidance scale, from an estimator or from search results."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from .._utils.typing import ArrayLike, AxesLike, DataFrame, DoubleArray, HasHide, MatrixLike, Style
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
from ._evaluation import lists_of, metric_values, named_scorer, split_rows

SCALES = (0.0, 0.25, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0, 4.0)


class GuidanceCurveDisplay:
    """Metrics against the guidance scale, one panel per metric.

    Shows the trade-off of guidance: accuracy levels off or falls above some scale, while coverage
    and novelty mostly keep rising. Use :meth:`from_estimator` to evaluate a fitted recommender, or
    :meth:`from_cv_results` to plot the results of a search.

    Parameters
    ----------
    scales : ndarray of float, shape (n_scales,)
        Guidance scales, in any order.
    values : dict of str to ndarray of float, shape (n_scales, n_units)
        For each metric, one value per scale and unit (user or fold); NaN is ignored. A metric with
        a single unit is plotted without a band.
    unit : str, default="users"
        What the units are: "users" or "folds".
    condition : str, default=None
        The condition whose scales these are; None is all.

    Attributes
    ----------
    best_scale : float
        Scale with the highest mean of the first metric; the first of them if there are ties.
    ax_ : Axes, or ndarray of Axes
        Axes, one per metric.
    figure_ : Figure
        Figure that contains the axes.
    lines_ : list of Line2D
        Lines of the means, one per metric.
    bands_ : list of PolyCollection or None
        Bands of the mean ± 1.96 standard errors over the units; None for a single unit. The units
        are the same at all scales, so differences between scales are more certain than the bands
        suggest: use `skdiffrec.metrics.compare` to test them.

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
        self,
        *,
        scales: DoubleArray,
        values: Mapping[str, DoubleArray],
        unit: str = "users",
        condition: str | None = None,
    ) -> None:
        self.scales = scales
        self.values = values
        self.unit = unit
        self.condition = condition

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
        user_features: MatrixLike | None = None,
        scales: ArrayLike | Mapping[str, ArrayLike] = SCALES,
        metrics: str | Sequence[str] = ("ndcg", "coverage", "novelty"),
        k: int = 10,
        holdout: HasHide | None = None,
        ax: AxesLike | None = None,
        line_kw: Style | None = None,
        band_kw: Style | None = None,
    ) -> Self:
        """Evaluate a fitted recommender at several scales and plot the metrics.

        Parameters
        ----------
        estimator : estimator
            A fitted recommender with a method `recommend_scales`, or a fitted search or `Pipeline`
            that contains one. Not modified.
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories; a table of events if a pipeline begins with one. Metrics that use item
            popularity count it here.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            Held-out items on which the lists are evaluated. None holds out a part of X; then pass
            users who were not in `fit`, since the model has seen the items of those who were.
        user_features : {array-like, sparse matrix, data frame} of shape \
(n_users, n_user_features), default=None
            What is known of the users beside `X`, as in `recommend`.
        scales : array-like of float, shape (n_scales,), or dict
            Guidance scales, by default 10 from 0 to 4. A dict has those of one condition, such as
            ``{"disliked": [0, 1, 2, 4]}``.
        metrics : str or sequence of str, default=("ndcg", "coverage", "novelty")
            Names of metrics, with or without "@k". The first decides which scale is the best. Of a
            recommender of ratings accuracy is that of liked items, and "disliked" the share of
            disliked ones.
        k : int, default=10
            Length of the lists, for metrics without a k in their name.
        holdout : object with a method ``hide(X) -> (history, holdout)``, default=None
            Holdout to apply if there is no `y`. None holds out a fifth of each row, the latest
            items if the estimator's values are times.
        ax : Axes or sequence of Axes, default=None
            Axes to plot on, one per metric; None creates a new figure.
        line_kw, band_kw : dict, default=None
            Keyword arguments for ``Axes.plot`` and ``Axes.fill_between``.

        Returns
        -------
        display : GuidanceCurveDisplay
            The display, plotted.

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        ValueError, TypeError
            If a metric does not exist, `scales` is empty, no user has a held-out item, the numbers
            of axes and metrics differ, `k` is above the number of items, or the estimator has no
            `recommend_scales`.
        ImportError
            If matplotlib is not installed.
        """
        import_pyplot()
        scorer = named_scorer(metrics, k, holdout)
        recommender, history, held_out, disliked = split_rows(scorer, estimator, X, y)
        lists = lists_of(recommender, history, scorer.n_listed, scales, user_features)
        values = {
            name: np.array([metric_values(name, ids, held_out, history, disliked) for ids in lists])
            for name in scorer.names
        }
        condition, tried = None, scales
        if isinstance(scales, Mapping):
            ((condition, tried),) = scales.items()
        display = cls(scales=np.array(tried, float), values=values, condition=condition)
        return display.plot(ax, line_kw=line_kw, band_kw=band_kw)

    @classmethod
    def from_cv_results(
        cls,
        cv_results: Mapping[str, Any] | DataFrame,
        *,
        param_name: str | None = None,
        condition: str | None = None,
        score_name: str = "score",
        ax: AxesLike | None = None,
        line_kw: Style | None = None,
        band_kw: Style | None = None,
    ) -> Self:
        """Plot the results of a search over the guidance scale, without recomputing them.

        If other parameters, or scales of other conditions, were searched too, each scale is
        represented by its best candidate, by the mean of the first metric.

        Parameters
        ----------
        cv_results : dict of ndarray, or DataFrame
            ``cv_results_`` of `GuidanceScaleCV`, `GridSearchCV` or `RandomizedSearchCV`.
        param_name : str, default=None
            Parameter to plot against, such as "recommender__guidance_scale". None uses the one that
            ends in "guidance_scale".
        condition : str, default=None
            The condition whose scales to plot, where candidates are dicts such as
            ``{"history": 1, "disliked": 2}``; None will do where there is only one.
        score_name : str, default="score"
            Label of the metric, if the search has a single one.
        ax : Axes or sequence of Axes, default=None
            Axes to plot on, one per metric; None creates a new figure.
        line_kw, band_kw : dict, default=None
            Keyword arguments for ``Axes.plot`` and ``Axes.fill_between``.

        Returns
        -------
        display : GuidanceCurveDisplay
            The display, plotted; its units are the folds. Candidates that failed in a fold are
            left out.

        Raises
        ------
        TypeError
            If `cv_results` is not a mapping.
        ValueError
            If it has no guidance scale or several, or none of the `condition`, or no candidate
            succeeded in all folds.
        ImportError
            If matplotlib is not installed.

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
        scales, condition = _searched_scales(cv_results, param_name, condition)
        tables = _fold_scores(cv_results)
        candidates = _best_candidates(scales, next(iter(tables.values())))
        if list(tables) == ["score"]:
            tables = {score_name: tables["score"]}
        values = {name: table[candidates] for name, table in tables.items()}
        scales = scales[candidates]
        display = cls(scales=scales, values=values, unit="folds", condition=condition)
        return display.plot(ax, line_kw=line_kw, band_kw=band_kw)

    def plot(
        self,
        ax: AxesLike | None = None,
        *,
        line_kw: Style | None = None,
        band_kw: Style | None = None,
    ) -> Self:
        """Plot the stored values.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            Axes to plot on, one per metric; None creates a new figure.
        line_kw, band_kw : dict, default=None
            Keyword arguments for ``Axes.plot`` and ``Axes.fill_between``.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the numbers of axes and metrics differ.
        ImportError
            If matplotlib is not installed.
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
        of_condition = "" if self.condition is None else f" of {self.condition!r}"
        panel.set(xlabel=f"Guidance scale{of_condition}", ylabel=metric_label(name))
        self.lines_.append(line)
        self.bands_.append(band)


def _searched_scales(cv_results, param_name, condition):
    """(scale of each candidate, NaN for one without, float64 (n_candidates,); its condition)."""
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
    masked = np.ma.asarray(cv_results[f"param_{wanted[0]}"]).astype(object)
    column = np.ma.filled(masked, np.nan)
    given = dict.fromkeys(name for entry in column if isinstance(entry, Mapping) for name in entry)
    if given:
        condition = next(iter(given)) if condition is None and len(given) == 1 else condition
        if condition not in given:
            raise ValueError(
                f"condition={condition!r}, but param_{wanted[0]} of cv_results has scales of "
                f"{', '.join(given)}; give one of these."
            )
        scales = (e.get(condition, np.nan) if isinstance(e, Mapping) else e for e in column)
        column = np.array(list(scales), object)
    try:
        return column.astype(np.float64), condition
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
        folds: list[DoubleArray] = []
        while (key := f"split{len(folds)}_test_{name}") in cv_results:
            folds.append(np.asarray(cv_results[key], dtype=np.float64))
        tables[name] = np.stack(folds, axis=1)
    return tables


def _best_candidates(scales, table):
    """Index of the best candidate of each scale, in order of appearance."""
    mean = np.where(np.isnan(scales), np.nan, table.mean(axis=1))
    usable = np.flatnonzero(~np.isnan(mean))
    if not len(usable):
        raise ValueError(
            "cv_results has no candidate with a guidance scale that succeeded in all folds; see "
            "the warnings of the search."
        )
    groups = [usable[scales[usable] == scale] for scale in dict.fromkeys(scales[usable])]
    return np.array([group[mean[group].argmax()] for group in groups])
