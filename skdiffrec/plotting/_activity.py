"""A metric by length of the users' histories, for several guidance scales or models."""

import numbers
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from .._utils.holdouts import check_any_holdout, check_holdout
from .._utils.typing import ArrayLike, Axes, DoubleArray, HasHide, MatrixLike, Style
from .._utils.validation import canonical_csr
from ..metrics._registry import OPTIONS, PER_USER, parse
from ..model_selection._holdout_base import check_matrix
from ._axes import (
    COLORS,
    MARKERS,
    draw_legend,
    import_pyplot,
    mean_and_error,
    metric_label,
    new_or_given_axes,
    styled,
    styled_line,
)
from ._evaluation import lists_of, metric_values, named_scorer, split_rows, unwrap

BINS = (0, 1, 6, 21, 101)


class ActivityDisplay:
    """Mean of a metric by length of the users' histories, one line per guidance scale or model.

    Shows how quality differs between users with short and with long histories. Light bars show the
    number of users per bin. Use :meth:`from_estimator`, or :meth:`from_predictions` to compare
    models.

    Parameters
    ----------
    history_lengths : ndarray of int, shape (n_users,)
        Number of items in each user's history.
    values : dict of str to ndarray of float, shape (n_users,)
        Values of the metric, one entry per line of the plot; NaN for users who cannot be evaluated.
    bins : sequence of int, default=(0, 1, 6, 21, 101)
        Shortest history of each bin, ascending; the last bin is open-ended. Users with shorter
        histories than the first bin are left out.
    metric : str, default="metric"
        Name of the metric.

    Attributes
    ----------
    ax_ : Axes
        Axes with the lines.
    count_ax_ : Axes
        Axes with the bars, behind `ax_`.
    figure_ : Figure
        Figure that contains the axes.
    bin_labels_ : list of str
        Labels of the non-empty bins, such as "1–5"; empty bins are not shown.
    n_users_ : ndarray of int, shape (n_bins,)
        Number of evaluated users per bin.
    lines_ : list of Line2D
        Lines of the means, one per entry of `values`.
    bands_ : list of PolyCollection
        Bands of the mean ± 1.96 standard errors over the users of a bin; a bin with a single user
        has none.
    bars_ : BarContainer
        Bars of the number of users.

    Examples
    --------
    >>> from skdiffrec.baselines import EASERecommender, PopularityRecommender
    >>> from skdiffrec.datasets import make_interactions
    >>> from skdiffrec.plotting import ActivityDisplay
    >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
    >>> models = {"EASE": EASERecommender(reg=50.0), "popularity": PopularityRecommender()}
    >>> lists = {name: m.fit(data.train).recommend(k=10)[0] for name, m in models.items()}
    >>> display = ActivityDisplay.from_predictions(lists, data.train, data.test, bins=3)
    >>> display.bin_labels_, display.n_users_
    (['5–9', '10–14', '15+'], array([ 56, 138, 106]))
    """

    ax_: Axes
    bin_labels_: list[str]
    n_users_: NDArray[np.integer]
    lines_: list[Any]
    bands_: list[Any]

    def __init__(
        self,
        *,
        history_lengths: NDArray[np.integer],
        values: Mapping[str, DoubleArray],
        bins: Sequence[int] | NDArray[np.integer] = BINS,
        metric: str = "metric",
    ) -> None:
        self.history_lengths = history_lengths
        self.values = values
        self.bins = bins
        self.metric = metric

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: MatrixLike,
        y: MatrixLike | None = None,
        *,
        user_features: MatrixLike | None = None,
        scales: ArrayLike | None = None,
        metric: str = "ndcg",
        k: int = 10,
        holdout: HasHide | None = None,
        bins: int | Sequence[int] = BINS,
        ax: Axes | None = None,
        line_kw: Style | None = None,
        band_kw: Style | None = None,
        bar_kw: Style | None = None,
    ) -> Self:
        """Evaluate a fitted recommender and plot the metric.

        Parameters
        ----------
        estimator : estimator
            A fitted recommender with a method `recommend` (with `scales`: `recommend_scales`), or a
            fitted search or `Pipeline` that contains one. Not modified.
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories; a table of events if a pipeline begins with one.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            Held-out items. None holds out a part of X, and the length of the remaining history
            counts; then pass users who were not in `fit`, since the model has seen the items of
            those who were.
        user_features : {array-like, sparse matrix, data frame} of shape \
(n_users, n_user_features), default=None
            What is known of the users beside `X`, as in `recommend`.
        scales : array-like of float, shape (n_scales,), default=None
            Guidance scales, one line each. None evaluates the estimator with its own scale.
        metric : str, default="ndcg"
            Name of a metric that has one value per user, with or without "@k".
        k : int, default=10
            Length of the lists, if the metric's name has no k.
        holdout : object with a method ``hide(X) -> (history, holdout)``, default=None
            Holdout to apply if there is no `y`. None holds out a fifth of each row, the latest
            items if the estimator's values are times.
        bins : int or sequence of int, default=(0, 1, 6, 21, 101)
            Shortest history of each bin, ascending; or a number of bins with about equally many
            users.
        ax : Axes, default=None
            Axes to plot on; None creates a new figure.
        line_kw, band_kw, bar_kw : dict, default=None
            Keyword arguments for ``Axes.plot``, ``Axes.fill_between`` and ``Axes.bar``.

        Returns
        -------
        display : ActivityDisplay
            The display, plotted.

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        ValueError, TypeError
            If the metric does not exist or has no value per user, `scales` is empty, no user has a
            held-out item, the bins are not ascending, or `k` is above the number of items.
        ImportError
            If matplotlib is not installed.
        """
        import_pyplot()
        scorer = _one_metric(metric, k, holdout)
        recommender, history, held_out, _ = split_rows(scorer, estimator, X, y)
        lists = lists_of(recommender, history, scorer.n_listed, scales, user_features)
        if scales is None:
            names = [type(unwrap(recommender)[0]).__name__]
        else:
            names = [f"guidance scale {scale}" for scale in _short(np.asarray(scales, np.float64))]
        lists = dict(zip(names, lists, strict=True))
        display = cls._from_lists(lists, history, held_out, scorer, bins)
        return display.plot(ax, line_kw=line_kw, band_kw=band_kw, bar_kw=bar_kw)

    @classmethod
    def from_predictions(
        cls,
        ids: ArrayLike | Mapping[str, ArrayLike],
        history: MatrixLike,
        holdout: MatrixLike,
        *,
        metric: str = "ndcg",
        k: int = 10,
        bins: int | Sequence[int] = BINS,
        ax: Axes | None = None,
        line_kw: Style | None = None,
        band_kw: Style | None = None,
        bar_kw: Style | None = None,
    ) -> Self:
        """Evaluate given lists of one or several models and plot the metric.

        Parameters
        ----------
        ids : array-like of int, shape (n_users, n_listed), or dict of str to such
            Recommended items, best first, -1 filling the end of a list; a dict has one entry per
            model.
        history : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories from which the lists were recommended.
        holdout : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Held-out items.
        metric : str, default="ndcg"
            Name of a metric that has one value per user, with or without "@k".
        k : int, default=10
            Number of ranks evaluated, if the metric's name has no k.
        bins : int or sequence of int, default=(0, 1, 6, 21, 101)
            Shortest history of each bin, ascending; or a number of bins with about equally many
            users.
        ax : Axes, default=None
            Axes to plot on; None creates a new figure.
        line_kw, band_kw, bar_kw : dict, default=None
            Keyword arguments for ``Axes.plot``, ``Axes.fill_between`` and ``Axes.bar``.

        Returns
        -------
        display : ActivityDisplay
            The display, plotted.

        Raises
        ------
        ValueError, TypeError, IndexError
            If the metric does not exist or has no value per user, the shapes differ, history and
            holdout overlap, or the bins are not ascending.
        ImportError
            If matplotlib is not installed.
        """
        import_pyplot()
        scorer = _one_metric(metric, k, None)
        history = canonical_csr(check_matrix(history), "binary")
        holdout = check_holdout(history, holdout)
        check_any_holdout(holdout)
        ids = ids if isinstance(ids, Mapping) else {"recommendations": ids}
        if not ids:
            raise ValueError("ids must hold the lists of at least one model, got an empty dict.")
        display = cls._from_lists(ids, history, holdout, scorer, bins)
        return display.plot(ax, line_kw=line_kw, band_kw=band_kw, bar_kw=bar_kw)

    @classmethod
    def _from_lists(cls, lists, history, holdout, scorer, bins):
        """A display of {name: lists (n_users, k)}, not yet plotted."""
        (metric,) = scorer.names
        values = {name: metric_values(metric, ids, holdout, history) for name, ids in lists.items()}
        lengths = np.diff(history.indptr)
        bins = _check_bins(bins, lengths[_evaluated_users(values)])
        return cls(history_lengths=lengths, values=values, bins=bins, metric=metric)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        line_kw: Style | None = None,
        band_kw: Style | None = None,
        bar_kw: Style | None = None,
    ) -> Self:
        """Plot the stored values.

        Parameters
        ----------
        ax : Axes, default=None
            Axes to plot on; None creates a new figure.
        line_kw, band_kw, bar_kw : dict, default=None
            Keyword arguments for ``Axes.plot``, ``Axes.fill_between`` and ``Axes.bar``.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If `ax` is not an Axes.
        ImportError
            If matplotlib is not installed.
        """
        axes, new = new_or_given_axes(ax, 1, (6.4, 4.2))
        self.ax_, self.figure_ = axes[0], axes[0].figure
        groups = self._users_by_bin()
        self._plot_counts(bar_kw)
        self.lines_, self.bands_ = [], []
        for (name, values), color, marker in zip(
            self.values.items(), cycle(COLORS), cycle(MARKERS), strict=False
        ):
            mean, error = np.transpose([mean_and_error(values[users]) for users in groups])
            default = dict(color=color, marker=marker, markersize=5, label=name)
            self._plot_line(mean, error, styled_line(line_kw, **default), band_kw)
        self.ax_.set(xlabel="Items in the history (n users)", ylabel=metric_label(self.metric))
        self.ax_.set_ylim(bottom=min(0, self.ax_.get_ylim()[0]))  # room for the bars
        self.bands_[-1].set_label("mean ± 1.96 standard errors over users")
        draw_legend(axes, new, n_columns=2)
        return self

    def _users_by_bin(self):
        """Indices of the users of each non-empty bin; sets `bin_labels_` and `n_users_`."""
        evaluated = _evaluated_users(self.values)
        bin_of = np.searchsorted(self.bins, self.history_lengths, side="right") - 1
        groups = [np.flatnonzero(evaluated & (bin_of == i)) for i in range(len(self.bins))]
        labels = _bin_labels(self.bins)
        self.bin_labels_ = [
            label for label, users in zip(labels, groups, strict=True) if len(users)
        ]
        groups = [users for users in groups if len(users)]
        self.n_users_ = np.array([len(users) for users in groups])
        return groups

    def _plot_counts(self, bar_kw):
        """Bars at the bottom, behind the lines; the numbers are in the tick labels."""
        from matplotlib.patches import Rectangle

        positions = np.arange(len(self.n_users_))
        self.count_ax_ = self.ax_.twinx()
        self.count_ax_.set(ylim=(0, 6 * self.n_users_.max()), yticks=[])
        self.ax_.set_zorder(self.count_ax_.get_zorder() + 1)
        self.ax_.patch.set_visible(False)
        look = styled(Rectangle, bar_kw, color="0.9", width=0.6)
        self.bars_ = self.count_ax_.bar(positions, self.n_users_, **look)
        labels = zip(self.bin_labels_, self.n_users_, strict=True)
        self.ax_.set_xticks(positions, [f"{label}\nn = {n:,}" for label, n in labels])

    def _plot_line(self, mean, error, look, band_kw):
        from matplotlib.collections import PolyCollection

        positions = np.arange(len(mean))
        (line,) = self.ax_.plot(positions, mean, **look)
        look = styled(PolyCollection, band_kw, color=line.get_color(), alpha=0.15, linewidth=0)
        self.lines_.append(line)
        self.bands_.append(self.ax_.fill_between(positions, mean - error, mean + error, **look))


def _short(scales):
    """Scales as text, no two that differ the same."""
    short = [f"{scale:g}" for scale in scales]
    return short if len(set(short)) == len(set(scales)) else [repr(float(s)) for s in scales]


def _one_metric(metric, k, holdout):
    """A RankingScorer of one metric that has one value per user."""
    scorer = named_scorer(metric, k, holdout)
    valid = [name for name in (*OPTIONS, *PER_USER) if name != "intra_list_diversity"]
    if parse(metric)[0] not in valid:
        raise ValueError(
            f"metric must have a value for each user, got {metric!r}; valid are {', '.join(valid)}."
        )
    return scorer


def _evaluated_users(values):
    """Whether each user has a value in any line, bool (n_users,)."""
    return ~np.isnan(list(values.values())).all(axis=0)


def _check_bins(bins, lengths):
    """Shortest history of each bin, from `bins` as given or as a number of bins.

    `lengths` are the lengths of the evaluated users' histories.
    """
    if isinstance(bins, numbers.Integral) and int(bins) > 0:
        n_bins = int(bins)
        shares = np.arange(n_bins) / n_bins
        return np.unique(np.quantile(lengths, shares, method="higher"))
    starts = np.asarray(bins)
    ascending = starts.ndim == 1 and starts.size and starts.dtype.kind in "iu"
    if not ascending or starts[0] < 0 or (np.diff(starts) <= 0).any():
        raise ValueError(
            "bins must be a number of bins >= 1, or the shortest history of each bin as ascending "
            f"integers >= 0, such as (0, 6, 21), got {bins!r}."
        )
    if lengths.max() < starts[0]:
        raise ValueError(
            f"bins start at {starts[0]}, but the longest history has {lengths.max()} items; lower "
            "the first bin."
        )
    return starts


def _bin_labels(starts):
    """Labels of bins: "0", "1–5" and "6+" for 0, 1, 6."""
    ends = [*(np.asarray(starts[1:]) - 1), None]
    return [
        f"{start}+" if end is None else f"{start}" if start == end else f"{start}–{end}"
        for start, end in zip(starts, ends, strict=True)
    ]
