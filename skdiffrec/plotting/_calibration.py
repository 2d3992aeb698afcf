"""Calibration of sampled scores: top-k shares and spread over draws against held-out items."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from .._utils.holdouts import check_any_holdout, check_holdout
from .._utils.topk import masked_topk
from .._utils.typing import ArrayLike, AxesLike, HasHide, MatrixLike, Style
from .._utils.user_options import check_options, options_of
from .._utils.validation import canonical_csr, check_k
from ..model_selection._holdout_base import check_matrix
from ._axes import (
    BAND_FACTOR,
    COLORS,
    REFERENCE,
    as_attribute,
    draw_legend,
    import_pyplot,
    new_or_given_axes,
    styled_line,
)
from ._evaluation import named_scorer, require, split_rows, unwrap

_BLOCK_ELEMENTS = 2**22  # scores summarised at a time


class TopKCalibrationDisplay:
    """Sampled scores of a recommender against held-out items, in two panels.

    Left: the share of draws that have an item in their top k, against the share of such items that
    were held out. On the diagonal, the share of draws would be the probability that the user takes
    the item; recommenders lie far below it, since users take few of the many items worth listing.
    Right: the standard deviation over draws of the scores of recommended items, against the share
    of these items that are hits. A falling line means that the spread of the draws indicates which
    recommendations are uncertain.

    Parameters
    ----------
    predicted : ndarray of float, shape (n_bins,)
        Mean share of draws with the item in the top k, over the (user, unseen item) pairs of each
        bin. The first bin has the pairs that are in the top k of no draw.
    observed : ndarray of float, shape (n_bins,)
        Share of these pairs that are held-out items.
    n_pairs : ndarray of int, shape (n_bins,)
        Number of pairs.
    spread : ndarray of float, shape (n_spread_bins,)
        Mean standard deviation of the scores of recommended items, in bins of about equally many
        recommended items.
    hit_rate : ndarray of float, shape (n_spread_bins,)
        Share of these items that are hits.
    n_listed : ndarray of int, shape (n_spread_bins,)
        Number of recommended items.
    k : int
        Length of the lists.

    Attributes
    ----------
    ax_ : ndarray of Axes, shape (2,)
        Axes of the two panels.
    figure_ : Figure
        Figure that contains the axes.
    lines_ : list of Line2D
        Lines of the two panels.

    Examples
    --------
    >>> from skdiffrec.plotting import TopKCalibrationDisplay
    >>> mean, std = [[0.9, 0.5, 0.1]], [[0.2, 0.1, 0.1]]
    >>> draws = mean, std, [[1.0, 0.75, 0.25]]
    >>> display = TopKCalibrationDisplay.from_predictions(draws, [[0, 0, 0]], [[1, 0, 0]], k=2)
    >>> display.predicted, display.observed
    (array([0.25, 0.75, 1.  ]), array([0., 0., 1.]))
    """

    def __init__(
        self,
        *,
        predicted: NDArray[Any],
        observed: NDArray[Any],
        n_pairs: NDArray[Any],
        spread: NDArray[Any],
        hit_rate: NDArray[Any],
        n_listed: NDArray[Any],
        k: int,
    ) -> None:
        self.predicted = predicted
        self.observed = observed
        self.n_pairs = n_pairs
        self.spread = spread
        self.hit_rate = hit_rate
        self.n_listed = n_listed
        self.k = k

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: MatrixLike,
        y: MatrixLike | None = None,
        *,
        user_features: MatrixLike | None = None,
        k: int = 10,
        n_samples: int = 50,
        holdout: HasHide | None = None,
        n_bins: int = 10,
        n_spread_bins: int = 5,
        ax: AxesLike | None = None,
        line_kw: Style | None = None,
        **sampling: Any,
    ) -> Self:
        """Sample scores with a fitted recommender and plot them against held-out items.

        Parameters
        ----------
        estimator : estimator
            A fitted recommender with a method `sample_summary`, or a fitted search or `Pipeline`
            that contains one.
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories; a table of events if a pipeline begins with one.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            Held-out items. None holds out a part of X; then pass users who were not in `fit`.
        user_features : {array-like, sparse matrix, data frame} of shape \
(n_users, n_user_features), default=None
            What is known of the users beside `X`, as in `recommend`.
        k : int, default=10
            Length of the lists.
        n_samples : int, default=50
            Number of draws per user.
        holdout : object with a method ``hide(X) -> (history, holdout)``, default=None
            Holdout to apply if there is no `y`. None holds out a fifth of each row, the latest
            items if the estimator's values are times.
        n_bins : int, default=10
            Number of bins of equal width for the share of draws, besides the bin of 0.
        n_spread_bins : int, default=5
            Number of bins for the spread.
        ax : array-like of 2 Axes, default=None
            Axes to plot on; None creates a new figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.
        **sampling
            Further arguments of `sample_summary`: wanted, guidance_scale, temperature, eta,
            n_sampling_steps. What holds something for each user has a value or row for each row
            of the histories.

        Returns
        -------
        display : TopKCalibrationDisplay
            The display, plotted.

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        ValueError, TypeError
            If no user has a held-out item, or a parameter is invalid.
        ImportError
            If matplotlib is not installed.
        """
        import_pyplot()
        k = check_k(k)
        scorer = named_scorer("ndcg", k, holdout)
        estimator, history, held_out, _ = split_rows(scorer, estimator, X, y)
        recommender, history = unwrap(estimator, history)
        require(recommender, "sample_summary", "which samples scores")
        if user_features is not None:
            sampling["user_features"] = user_features
        check_options(sampling, history.shape[0])
        users = np.flatnonzero(np.diff(held_out.indptr))  # those with held-out items
        sums = _PairSums(check_k(n_bins, "n_bins"))
        step = max(1, _BLOCK_ELEMENTS // history.shape[1])
        for start in range(0, len(users), step):
            block = users[start : start + step]
            options = options_of(sampling, block)
            summary = recommender.sample_summary(history[block], k, n_samples, **options)
            sums.add(summary, history[block], held_out[block], k)
        return cls._from_sums(sums, n_spread_bins, k).plot(ax, line_kw=line_kw)

    @classmethod
    def from_predictions(
        cls,
        summary: Sequence[ArrayLike],
        history: MatrixLike,
        holdout: MatrixLike,
        *,
        k: int = 10,
        n_bins: int = 10,
        n_spread_bins: int = 5,
        ax: AxesLike | None = None,
        line_kw: Style | None = None,
    ) -> Self:
        """Plot given summaries of sampled scores against held-out items.

        Parameters
        ----------
        summary : tuple of 3 array-likes of float, shape (n_users, n_items)
            Mean and standard deviation of the scores over draws, and share of draws that have the
            item in their top k, as `sample_summary` returns them.
        history : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories from which the scores were sampled.
        holdout : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Held-out items.
        k, n_bins, n_spread_bins, ax, line_kw
            As in `from_estimator`.

        Returns
        -------
        display : TopKCalibrationDisplay
            The display, plotted.

        Raises
        ------
        ValueError, TypeError
            If the shapes differ, history and holdout overlap, no user has a held-out item, or a
            share is not in [0, 1].
        ImportError
            If matplotlib is not installed.
        """
        import_pyplot()
        k, n_bins = check_k(k), check_k(n_bins, "n_bins")
        history = canonical_csr(check_matrix(history), "binary")
        holdout = check_holdout(history, holdout)
        check_any_holdout(holdout)
        users = np.flatnonzero(np.diff(holdout.indptr))  # those with held-out items
        summary = [part[users] for part in _check_summary(summary, history.shape)]
        sums = _PairSums(n_bins)
        sums.add(summary, history[users], holdout[users], k)
        return cls._from_sums(sums, n_spread_bins, k).plot(ax, line_kw=line_kw)

    @classmethod
    def _from_sums(cls, sums, n_spread_bins, k):
        """A display of `_PairSums`, not yet plotted."""
        filled = sums.n > 0
        n = sums.n[filled]
        spread, hit = (np.concatenate(part) for part in (sums.spread, sums.hit))
        parts = np.array_split(np.argsort(spread, kind="stable"), check_k(n_spread_bins))
        parts = [part for part in parts if len(part)]
        return cls(
            predicted=sums.predicted[filled] / n,
            observed=sums.observed[filled] / n,
            n_pairs=n,
            spread=np.array([spread[part].mean() for part in parts]),
            hit_rate=np.array([hit[part].mean() for part in parts]),
            n_listed=np.array([len(part) for part in parts]),
            k=k,
        )

    def plot(self, ax: AxesLike | None = None, *, line_kw: Style | None = None) -> Self:
        """Plot the stored values.

        Parameters
        ----------
        ax : array-like of 2 Axes, default=None
            Axes to plot on; None creates a new figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If `ax` does not hold 2 Axes.
        ImportError
            If matplotlib is not installed.
        """
        axes, new = new_or_given_axes(ax, 2, (4.6, 4.0))
        self.ax_, self.figure_ = as_attribute(axes), axes[0].figure
        self.lines_: list[Any] = []
        left, right = axes
        left.plot([0, 1], [0, 1], label="perfect calibration", **REFERENCE)
        look = dict(color=COLORS[0], marker="o", markersize=5, label="mean ± 1.96 standard errors")
        for panel, x, y, n in (
            (left, self.predicted, self.observed, self.n_pairs),
            (right, self.spread, self.hit_rate, self.n_listed),
        ):
            self._plot_shares(panel, x, y, n, styled_line(line_kw, **look))
        left.set(xlabel=f"Share of draws with the item in the top {self.k}")
        left.set(
            ylabel="Share of such items in the holdout", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03)
        )
        right.set(xlabel=f"Spread of a listed item's score over draws (top {self.k})")
        right.set(ylabel="Share of such items in the holdout")
        right.set_ylim(bottom=0)
        draw_legend(axes, new, n_columns=2)
        return self

    def _plot_shares(self, panel, x, share, n, look):
        (line,) = panel.plot(x, share, **look)
        error = BAND_FACTOR * np.sqrt(share * (1 - share) / n)
        panel.vlines(x, np.maximum(share - error, 0), share + error, color=line.get_color())
        self.lines_.append(line)


class _PairSums:
    """Sums over (user, unseen item) pairs by share of draws, added block by block."""

    def __init__(self, n_bins):
        self.n_bins = n_bins
        self.predicted, self.observed = np.zeros(n_bins + 1), np.zeros(n_bins + 1)
        self.n = np.zeros(n_bins + 1, np.int64)
        self.spread: list[NDArray[Any]] = []
        self.hit: list[NDArray[Any]] = []

    def add(self, summary, history, holdout, k):
        """Add the users of a block; `summary` is (mean, std, share of draws)."""
        mean, std, share = summary
        hit = holdout.toarray() > 0
        unseen = history.toarray() == 0
        bin_of = np.ceil(share[unseen] * self.n_bins - 1e-4).astype(np.int64)
        for total, weight in (
            (self.n, None),
            (self.predicted, share[unseen]),
            (self.observed, hit[unseen]),
        ):
            total += np.bincount(bin_of, weight, self.n_bins + 1).astype(total.dtype)
        ids, _ = masked_topk(np.array(mean, np.float32), k, canonical_csr(history, "binary"))
        users, ranks = np.nonzero(ids >= 0)
        listed = users, ids[users, ranks]
        self.spread.append(std[listed])
        self.hit.append(hit[listed])


def _check_summary(summary, shape):
    """(mean, std, share of draws) as float64 arrays of the given shape."""
    parts = [np.asarray(part, dtype=np.float64) for part in summary]
    if len(parts) != 3 or any(part.shape != shape for part in parts):
        raise ValueError(
            f"summary must hold mean, std and share of draws, each of shape {shape}, got shapes "
            f"{[part.shape for part in parts]}; give what sample_summary returns."
        )
    bad = parts[2][~((parts[2] >= 0) & (parts[2] <= 1))]
    if bad.size:
        raise ValueError(
            f"Shares of draws must lie in [0, 1], got {bad[0]}; give what sample_summary returns."
        )
    return parts
