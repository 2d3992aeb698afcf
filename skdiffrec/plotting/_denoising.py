"""One user's list along the sampling steps."""

import copy
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from .._topk import masked_topk
from .._typing import ArrayLike, Axes, MatrixLike, Names, Style
from .._validation import canonical_csr, check_k
from ..model_selection._holdout_base import check_matrix
from ._axes import COLORS, import_pyplot, new_or_given_axes, styled_line
from ._evaluation import one_row, require, unwrap

_LINES = ("-", "--", ":", "-.")


class DenoisingDisplay:
    """How one user's list comes about: ranks of its items after each sampling step.

    The items are those of the final list; items seen already have no rank. Lines that come from
    below were not yet near the list. Make one by :meth:`from_estimator` or, from scores, by
    :meth:`from_predictions`.

    Parameters
    ----------
    ranks : ndarray of int, shape (n_steps, k)
        Rank of each item among the unseen ones after each step, 1 the best.
    items : ndarray of int, shape (k,)
        Their ids, best first by the last step.
    item_names : array-like of str, shape (k,), default=None
        What to call them; None takes their ids.

    Attributes
    ----------
    ax_ : Axes
    name_ax_ : Axes
        Of the names, at the right of `ax_`.
    figure_ : Figure
    lines_ : list of Line2D
        One per item.

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
        k: int = 10,
        n_sampling_steps: int | None = 10,
        guidance_scale: float | None = None,
        item_names: Names | None = None,
        ax: Axes | None = None,
        line_kw: Style | None = None,
    ) -> Self:
        """Sample one user's list with a fitted recommender, and plot.

        Parameters
        ----------
        estimator : estimator
            Fitted, with a method `staged_decision_function`; or a fitted search or `Pipeline`
            around one. Left as it is.
        X : {array-like, sparse matrix, sparse array} of shape (1, n_items) or (n_items,)
            The user's history.
        k : int, default=10
            Length of the list.
        n_sampling_steps : int, default=10
            Steps; None takes the estimator's own number.
        guidance_scale : float, default=None
            None takes the estimator's.
        item_names : array-like of str, shape (n_items,), default=None
            What to call the items; None takes their ids.
        ax : Axes, default=None
            None makes a new figure.
        line_kw : dict, default=None
            For ``Axes.plot``.

        Returns
        -------
        display : DenoisingDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        ValueError, TypeError
            If X is not one row, `item_names` has another length, or a parameter is not valid.
        ImportError
            Without matplotlib.
        """
        import_pyplot()
        recommender, row = unwrap(estimator, one_row(X))
        require(recommender, "staged_decision_function", "which gives scores after each step")
        given = dict(n_sampling_steps=n_sampling_steps, guidance_scale=guidance_scale)
        recommender = copy.copy(recommender).set_params(
            **{name: value for name, value in given.items() if value is not None}
        )
        scores = np.concatenate(list(recommender.staged_decision_function(row)))
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
        """Plot from one user's scores.

        Parameters
        ----------
        scores : array-like of float, shape (n_steps, n_items)
            Of all items after each step, higher is better.
        seen : {array-like, sparse matrix, sparse array} of shape (1, n_items) or (n_items,), \
default=None
            The user's history: its items are left out.
        k : int, default=10
            Length of the list; shorter where fewer items are left.
        item_names : array-like of str, shape (n_items,), default=None
            What to call the items; None takes their ids.
        ax : Axes, default=None
            None makes a new figure.
        line_kw : dict, default=None
            For ``Axes.plot``.

        Returns
        -------
        display : DenoisingDisplay

        Raises
        ------
        ValueError, TypeError
            If a shape is wrong, a score is not finite, no item is unseen, or `k` is not positive.
        ImportError
            Without matplotlib.
        """
        import_pyplot()
        scores, k = _check_scores(scores), check_k(k)
        n_steps, n_items = scores.shape
        if item_names is not None and len(item_names) != n_items:
            raise ValueError(
                f"item_names must have one name for each of {n_items} items, got "
                f"{len(item_names)}; give those of all items, in the order of the columns."
            )
        history = _seen_at_every_step(seen, n_steps, n_items)
        order, _ = masked_topk(scores, n_items - history[[0]].nnz, history)
        items = order[-1, :k]
        ranks = 1 + np.argmax(order[:, :, None] == items, axis=1)
        names = None if item_names is None else np.asarray(item_names)[items]
        return cls(ranks=ranks, items=items, item_names=names).plot(ax, line_kw=line_kw)

    def plot(self, ax: Axes | None = None, *, line_kw: Style | None = None) -> Self:
        """Draw the stored values.

        Parameters
        ----------
        ax : Axes, default=None
            None makes a new figure.
        line_kw : dict, default=None
            For ``Axes.plot``.

        Returns
        -------
        self : object
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
        # what stood far below the list enters from below, so that the list itself has room
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
    """A float32 copy, (n_steps, n_items)."""
    scores = np.array(scores, dtype=np.float32)
    if scores.ndim != 2 or not scores.size or not np.isfinite(scores).all():
        raise ValueError(
            "scores must be finite numbers of shape (n_steps, n_items), got "
            f"{'NaN or infinite ones of ' if scores.size else ''}shape {scores.shape}; give those "
            "of one user, one row per step."
        )
    return scores


def _seen_at_every_step(seen, n_steps, n_items):
    """The user's history as a canonical CSR, the same row for every step."""
    row = np.zeros((1, n_items)) if seen is None else one_row(seen)
    if row.shape[1] != n_items:
        raise ValueError(
            f"seen must have one column for each of {n_items} items, got {row.shape[1]}; give the "
            "row that the scores were made from."
        )
    row = canonical_csr(check_matrix(row), "binary")
    if row.nnz == n_items:
        raise ValueError("seen holds every item, so that none can be listed; give a shorter row.")
    return sp.vstack([row] * n_steps, format="csr")
