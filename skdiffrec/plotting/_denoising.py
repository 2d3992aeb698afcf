"""Ranks of one user's items after each sampling step."""

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from .._utils.topk import masked_topk
from .._utils.typing import ArrayLike, Axes, MatrixLike, Names, Style
from .._utils.validation import canonical_csr, check_k
from ..model_selection._holdout_base import check_matrix
from ._axes import COLORS, import_pyplot, new_or_given_axes, styled_line
from ._evaluation import one_history, one_row, require

_LINES = ("-", "--", ":", "-.")


class DenoisingDisplay:
    """Ranks of the items of one user's final list, after each sampling step.

    Items of the user's history are not ranked. Lines that enter from below are items that ranked
    far below the list at earlier steps. Use :meth:`from_estimator`, or :meth:`from_predictions`
    with your own scores.

    Parameters
    ----------
    ranks : ndarray of int, shape (n_steps, k)
        Rank of each item among the unseen items after each step; 1 is the best.
    items : ndarray of int, shape (k,)
        Ids of the items, best first by the last step.
    item_names : array-like of str, shape (k,), default=None
        Labels of the items; None uses their ids.

    Attributes
    ----------
    ax_ : Axes
        Axes with the lines.
    name_ax_ : Axes
        Axes with the item labels, at the right of `ax_`.
    figure_ : Figure
        Figure that contains the axes.
    lines_ : list of Line2D
        One line per item.

    Examples
    --------
    >>> from skdiffrec.plotting import DenoisingDisplay
    >>> scores = [[0.9, 0.5, 0.1], [0.3, 0.5, 0.4]]
    >>> display = DenoisingDisplay.from_predictions(scores, k=2, item_names=["a", "b", "c"])
    >>> display.items, display.ranks
    (array([1, 2]), array([[2, 3],
           [1, 2]]))
    """

    ax_: Axes
    lines_: list[Any]

    def __init__(
        self,
        *,
        ranks: NDArray[np.integer],
        items: NDArray[np.integer],
        item_names: Names | None = None,
    ) -> None:
        self.ranks = ranks
        self.items = items
        self.item_names = item_names

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: MatrixLike,
        *,
        user_features: MatrixLike | None = None,
        k: int = 10,
        n_sampling_steps: int | None = 10,
        guidance_scale: float | Mapping[str, float] | None = None,
        item_names: Names | None = None,
        ax: Axes | None = None,
        line_kw: Style | None = None,
    ) -> Self:
        """Sample one user's list with a fitted recommender and plot the ranks.

        Parameters
        ----------
        estimator : estimator
            A fitted recommender with a method `staged_decision_function`, or a fitted search or
            `Pipeline` that contains one. Not modified.
        X : {array-like, sparse matrix, sparse array} of shape (1, n_items) or (n_items,)
            The user's history; the user's events if a pipeline begins with a table.
        user_features : {array-like, sparse matrix, data frame} of shape (1, n_user_features), \
default=None
            What is known of the user besides, as in `recommend`.
        k : int, default=10
            Length of the list.
        n_sampling_steps : int, default=10
            Number of sampling steps; None uses the estimator's.
        guidance_scale : float or dict of float, default=None
            Guidance scale; None uses the estimator's.
        item_names : array-like of str, shape (n_items,), default=None
            Labels of all items; None uses their ids.
        ax : Axes, default=None
            Axes to plot on; None creates a new figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : DenoisingDisplay
            The display, plotted.

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        ValueError, TypeError
            If X is not one row, `item_names` has the wrong length, or a parameter is invalid.
        ImportError
            If matplotlib is not installed.
        """
        import_pyplot()
        recommender, row = one_history(estimator, X)
        require(recommender, "staged_decision_function", "which returns scores after each step")
        given = dict(n_sampling_steps=n_sampling_steps, guidance_scale=guidance_scale)
        recommender = copy.copy(recommender).set_params(
            **{name: value for name, value in given.items() if value is not None}
        )
        known = {} if user_features is None else {"user_features": user_features}
        scores = np.concatenate(list(recommender.staged_decision_function(row, **known)))
        return cls.from_predictions(
            scores, seen=row, k=k, item_names=item_names, ax=ax, line_kw=line_kw
        )

    @classmethod
    def from_predictions(
        cls,
        scores: ArrayLike,
        *,
        seen: MatrixLike | None = None,
        k: int = 10,
        item_names: Names | None = None,
        ax: Axes | None = None,
        line_kw: Style | None = None,
    ) -> Self:
        """Plot the ranks that one user's scores give after each step.

        Parameters
        ----------
        scores : array-like of float, shape (n_steps, n_items)
            Scores of all items after each step, higher is better.
        seen : {array-like, sparse matrix, sparse array} of shape (1, n_items) or (n_items,), \
default=None
            The user's history, whose items are left out.
        k : int, default=10
            Length of the list; shorter if fewer items are left.
        item_names : array-like of str, shape (n_items,), default=None
            Labels of all items; None uses their ids.
        ax : Axes, default=None
            Axes to plot on; None creates a new figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : DenoisingDisplay
            The display, plotted.

        Raises
        ------
        ValueError, TypeError
            If a shape is wrong, a score is not finite, no item is unseen, or `k` is not positive.
        ImportError
            If matplotlib is not installed.
        """
        import_pyplot()
        scores, k = _check_scores(scores), check_k(k)
        n_steps, n_items = scores.shape
        if item_names is not None and len(item_names) != n_items:
            raise ValueError(
                f"item_names must have one name for each of {n_items} items, got "
                f"{len(item_names)}; give the names of all items, in the order of the columns."
            )
        history = _seen_at_every_step(seen, n_steps, n_items)
        order, _ = masked_topk(scores, n_items - history[[0]].nnz, history)
        items = order[-1, :k]
        ranks = 1 + np.argmax(order[:, :, None] == items, axis=1)
        names = None if item_names is None else np.asarray(item_names)[items]
        return cls(ranks=ranks, items=items, item_names=names).plot(ax, line_kw=line_kw)

    def plot(self, ax: Axes | None = None, *, line_kw: Style | None = None) -> Self:
        """Plot the stored values.

        Parameters
        ----------
        ax : Axes, default=None
            Axes to plot on; None creates a new figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

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
        n_steps, k = self.ranks.shape
        (self.ax_,), _ = new_or_given_axes(ax, 1, (6.4, 1.2 + 0.3 * k))
        self.figure_, self.lines_ = self.ax_.figure, []
        names = self.items if self.item_names is None else self.item_names
        for i, name in enumerate(names):
            look = dict(color=COLORS[i % len(COLORS)], marker="o", markersize=5, linewidth=2)
            look |= dict(linestyle=_LINES[i // len(COLORS) % len(_LINES)], label=str(name))
            look = styled_line(line_kw, **look)
            self.lines_ += self.ax_.plot(np.arange(1, n_steps + 1), self.ranks[:, i], **look)
        # Cut off ranks far below the list, so that the list itself has room.
        lowest = max(k, min(self.ranks.max(), 3 * k // 2)) + 0.5
        self.ax_.set(xlabel="Sampling step", ylabel="Rank", ylim=(lowest, 0.5))
        self.ax_.set_yticks(np.unique([1, *range(5, int(lowest) + 1, 5), k]))
        self.ax_.set_xticks(np.unique(np.linspace(1, n_steps, min(n_steps, 10)).round()))
        self._write_names(names, lowest)
        return self

    def _write_names(self, names, lowest):
        self.name_ax_ = self.ax_.twinx()
        self.name_ax_.set_ylim(lowest, 0.5)
        self.name_ax_.set_yticks(np.arange(1, len(names) + 1), [str(name) for name in names])
        self.name_ax_.tick_params(right=False)
        for label, line in zip(self.name_ax_.get_yticklabels(), self.lines_, strict=True):
            label.set_color(line.get_color())


def _check_scores(scores):
    """The scores as a float32 copy (n_steps, n_items), checked."""
    scores = np.array(scores, dtype=np.float32)
    if scores.ndim != 2 or not scores.size or not np.isfinite(scores).all():
        raise ValueError(
            "scores must be finite numbers of shape (n_steps, n_items), got "
            f"{'NaN or infinite ones of ' if scores.size else ''}shape {scores.shape}; give the "
            "scores of one user, one row per step."
        )
    return scores


def _seen_at_every_step(seen, n_steps, n_items):
    """The user's history as a canonical CSR with one copy of the row per step."""
    row = np.zeros((1, n_items)) if seen is None else one_row(seen)
    if row.shape[1] != n_items:
        raise ValueError(
            f"seen must have one column for each of {n_items} items, got {row.shape[1]}; give the "
            "history from which the scores were computed."
        )
    row = canonical_csr(check_matrix(row), "binary")
    if row.nnz == n_items:
        raise ValueError("seen holds every item, so none can be listed; give a shorter history.")
    return sp.vstack([row] * n_steps, format="csr")
