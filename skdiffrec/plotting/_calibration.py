"""What draws are worth: their probabilities and their spread against what users took."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from .._topk import masked_topk
from .._typing import ArrayLike, AxesLike, HasHide, MatrixLike, Style
from .._validation import canonical_csr, check_any_holdout, check_holdout, check_k
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

_BLOCK_ELEMENTS = 2**22  # scores summarised at once


class TopKCalibrationDisplay:
    """Draws of a recommender held against holdout items, in two panels.

    Left: how often an item was in the k best of a draw, against how often it was among the
    holdout items. On the diagonal the share of draws would be the probability that the user takes
    the item; recommenders lie far below it, since a user takes few of many items worth listing.
    Right: the spread of the score of listed items over draws, against the share of them that were
    hits. A falling line says that the model knows which of its recommendations are shaky.

    Parameters
    ----------
    predicted, observed : ndarray of shape (n_bins,)
        Mean share of draws, and share of holdout items, of the pairs of user and unseen item in a
        bin. The first bin is of pairs that no draw has listed.
    n_pairs : ndarray of int, shape (n_bins,)
    spread, hit_rate : ndarray of shape (n_spread_bins,)
        Mean deviation of the scores of listed items, and their share of hits, in bins of about as
        many listed items each.
    n_listed : ndarray of int, shape (n_spread_bins,)
    k : int

    Attributes
    ----------
    ax_ : ndarray of Axes, shape (2,)
    figure_ : Figure
    lines_ : list of Line2D

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
        k: int = 10,
        n_samples: int = 50,
        holdout: HasHide | None = None,
        n_bins: int = 10,
        n_spread_bins: int = 5,
        ax: AxesLike | None = None,
        line_kw: Style | None = None,
        **sampling: Any,
    ) -> Self:
        """Draw scores with a fitted recommender, hold them against holdout items, and plot.

        Parameters
        ----------
        estimator : estimator
            Fitted, with a method `sample_summary`; or a fitted search or `Pipeline` around one.
        X : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            Histories.
        y : {sparse matrix, sparse array, ndarray} of shape (n_users, n_items), default=None
            Holdout items. None hides a part of X; give users then who were not in `fit`.
        k : int, default=10
            Length of the lists.
        n_samples : int, default=50
            Draws.
        holdout : object with a method ``hide(X) -> (history, holdout)``, default=None
            What is hidden where there is no `y`. None hides a fifth of each row.
        n_bins : int, default=10
            Bins of equal width of the share of draws, besides that of 0.
        n_spread_bins : int, default=5
            Bins of the spread.
        ax : array-like of 2 Axes, default=None
            None makes a new figure.
        line_kw : dict, default=None
            For ``Axes.plot``.
        **sampling
            For `sample_summary`: guidance_scale, temperature, eta, n_sampling_steps.

        Returns
        -------
        display : TopKCalibrationDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        ValueError, TypeError
            If nobody has a holdout item, or a parameter is not valid.
        ImportError
            Without matplotlib.
        """
        import_pyplot()
        k = check_k(k)
        history, hidden = split_rows(named_scorer("ndcg", k, holdout), estimator, X, y)
        recommender, history = unwrap(estimator, history)
        require(recommender, "sample_summary", "which draws scores")
        judged = np.flatnonzero(np.diff(hidden.indptr))
        history, hidden = history[judged], hidden[judged]
        counts = _Counts(check_k(n_bins, "n_bins"))
        step = max(1, _BLOCK_ELEMENTS // history.shape[1])
        for start in range(0, len(judged), step):
            block = slice(start, start + step)
            summary = recommender.sample_summary(history[block], k, n_samples, **sampling)
            counts.add(summary, history[block], hidden[block], k)
        return cls._counted(counts, n_spread_bins, k).plot(ax, line_kw=line_kw)

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
        """Hold draws that are there already against holdout items, and plot.

        Parameters
        ----------
        summary : tuple of 3 array-likes of float, shape (n_users, n_items)
            Mean and deviation of the scores, and share of draws that list an item, as from
            `sample_summary`.
        history, holdout : {array-like, sparse matrix, sparse array} of shape (n_users, n_items)
            What the draws were made from, and by what they are judged.
        k, n_bins, n_spread_bins, ax, line_kw
            As in `from_estimator`.

        Returns
        -------
        display : TopKCalibrationDisplay

        Raises
        ------
        ValueError, TypeError
            If the shapes differ, history and holdout overlap, nobody has a holdout item, or a
            share is not in [0, 1].
        ImportError
            Without matplotlib.
        """
        import_pyplot()
        k, n_bins = check_k(k), check_k(n_bins, "n_bins")
        history = canonical_csr(check_matrix(history), "binary")
        holdout = check_holdout(history, holdout)
        check_any_holdout(holdout)
        judged = np.flatnonzero(np.diff(holdout.indptr))
        summary = [part[judged] for part in _check_summary(summary, history.shape)]
        counts = _Counts(n_bins)
        counts.add(summary, history[judged], holdout[judged], k)
        return cls._counted(counts, n_spread_bins, k).plot(ax, line_kw=line_kw)

    @classmethod
    def _counted(cls, counts, n_spread_bins, k):
        filled = counts.n > 0
        n = counts.n[filled]
        spread, hit = (np.concatenate(part) for part in (counts.spread, counts.hit))
        parts = np.array_split(np.argsort(spread, kind="stable"), check_k(n_spread_bins))
        parts = [part for part in parts if len(part)]
        return cls(
            predicted=counts.predicted[filled] / n,
            observed=counts.taken[filled] / n,
            n_pairs=n,
            spread=np.array([spread[part].mean() for part in parts]),
            hit_rate=np.array([hit[part].mean() for part in parts]),
            n_listed=np.array([len(part) for part in parts]),
            k=k,
        )

    def plot(self, ax: AxesLike | None = None, *, line_kw: Style | None = None) -> Self:
        """Draw the stored values.

        Parameters
        ----------
        ax : array-like of 2 Axes, default=None
            None makes a new figure.
        line_kw : dict, default=None
            For ``Axes.plot``.

        Returns
        -------
        self : object
        """
        axes, new = new_or_given_axes(ax, 2, (4.6, 4.0))
        self.ax_, self.figure_ = as_attribute(axes), axes[0].figure
        self.lines_: list[Any] = []
        left, right = axes
        left.plot([0, 1], [0, 1], label="taken as often as drawn", **REFERENCE)
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


class _Counts:
    """Sums over pairs of user and unseen item, gathered block by block."""

    def __init__(self, n_bins):
        self.n_bins = n_bins
        self.predicted, self.taken = np.zeros(n_bins + 1), np.zeros(n_bins + 1)
        self.n = np.zeros(n_bins + 1, np.int64)
        self.spread, self.hit = [], []

    def add(self, summary, history, holdout, k):
        mean, std, probability = summary
        hit = holdout.toarray() > 0
        unseen = history.toarray() == 0
        place = np.ceil(probability[unseen] * self.n_bins - 1e-4).astype(np.int64)
        for total, weight in (
            (self.n, None),
            (self.predicted, probability[unseen]),
            (self.taken, hit[unseen]),
        ):
            total += np.bincount(place, weight, self.n_bins + 1).astype(total.dtype)
        ids, _ = masked_topk(np.array(mean, np.float32), k, canonical_csr(history, "binary"))
        users, ranks = np.nonzero(ids >= 0)
        listed = users, ids[users, ranks]
        self.spread.append(std[listed])
        self.hit.append(hit[listed])


def _check_summary(summary, shape):
    """Three float arrays of the given shape."""
    parts = [np.asarray(part, dtype=np.float64) for part in summary]
    if len(parts) != 3 or any(part.shape != shape for part in parts):
        raise ValueError(
            f"summary must hold mean, std and share of draws, each of shape {shape}, got shapes "
            f"{[part.shape for part in parts]}; give what sample_summary returns."
        )
    bad = parts[2][~((parts[2] >= 0) & (parts[2] <= 1))]
    if bad.size:
        raise ValueError(f"Shares of draws must lie in [0, 1], got {bad[0]}.")
    return parts
