"""Loss and validation nDCG by epoch."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from .._typing import AxesLike, DoubleArray, Style
from ._axes import (
    COLORS,
    REFERENCE,
    as_attribute,
    draw_legend,
    import_pyplot,
    new_or_given_axes,
    styled_line,
)
from ._evaluation import require, unwrap


class TrainingCurveDisplay:
    """Loss and nDCG@10 of hidden items by epoch, one above the other, the best epoch marked.

    Shows whether training was long enough. Make one by :meth:`from_estimator` or
    :meth:`from_history`.

    Parameters
    ----------
    epochs : ndarray of int, shape (n_epochs,)
    loss : ndarray of float, shape (n_epochs,)
        Mean training loss.
    validation_ndcg : ndarray of float, shape (n_epochs,), default=None
        nDCG@10 of the hidden items of early stopping; None without it.

    Attributes
    ----------
    best_epoch : int or None
        The epoch with the highest `validation_ndcg`, the first of equals: the one whose weights
        the recommender keeps. None where there is no `validation_ndcg`.
    ax_ : Axes, or ndarray of 2 Axes
        Loss, and nDCG where there is one.
    figure_ : Figure
    lines_ : list of Line2D
        Loss, and nDCG where there is one.

    Examples
    --------
    >>> from skdiffrec import CFGDiffusionRecommender
    >>> from skdiffrec.datasets import make_interactions
    >>> from skdiffrec.plotting import TrainingCurveDisplay
    >>> data = make_interactions(300, 200, n_interactions_per_user=20, random_state=0)
    >>> model = CFGDiffusionRecommender(max_epochs=3, hidden_dims=(64, 64), random_state=0)
    >>> display = TrainingCurveDisplay.from_estimator(model.fit(data.train))
    >>> display.epochs
    array([1, 2, 3])
    """

    lines_: list[Any]

    def __init__(
        self,
        *,
        epochs: NDArray[np.integer],
        loss: DoubleArray,
        validation_ndcg: DoubleArray | None = None,
    ) -> None:
        self.epochs = epochs
        self.loss = loss
        self.validation_ndcg = validation_ndcg

    @property
    def best_epoch(self) -> int | None:
        if self.validation_ndcg is None:
            return None
        return int(self.epochs[np.nanargmax(self.validation_ndcg)])

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        *,
        ax: AxesLike | None = None,
        line_kw: Style | None = None,
    ) -> Self:
        """Plot how a fitted recommender was trained.

        Parameters
        ----------
        estimator : estimator
            Fitted, with an attribute `history_`; or a fitted search or `Pipeline` around one.
        ax : Axes or sequence of Axes, default=None
            Two (one without early stopping); None makes a new figure.
        line_kw : dict, default=None
            For ``Axes.plot``.

        Returns
        -------
        display : TrainingCurveDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        TypeError
            If it has no `history_`.
        ValueError
            If its `history_` is empty, or the number of axes is wrong.
        ImportError
            Without matplotlib.
        """
        recommender, _ = unwrap(estimator)
        require(recommender, "history_", "which records its training")
        return cls.from_history(recommender.history_, ax=ax, line_kw=line_kw)

    @classmethod
    def from_history(
        cls,
        history: Iterable[Mapping[str, float]],
        *,
        ax: AxesLike | None = None,
        line_kw: Style | None = None,
    ) -> Self:
        """Plot records of training.

        Parameters
        ----------
        history : list of dict
            One record an epoch: epoch, loss and, with early stopping, validation_ndcg.
        ax : Axes or sequence of Axes, default=None
            Two (one without validation_ndcg); None makes a new figure.
        line_kw : dict, default=None
            For ``Axes.plot``.

        Returns
        -------
        display : TrainingCurveDisplay

        Raises
        ------
        ValueError
            If there is no record, one lacks its epoch or loss, or the number of axes is wrong.
        ImportError
            Without matplotlib.

        Examples
        --------
        >>> from skdiffrec.plotting import TrainingCurveDisplay
        >>> records = [{"epoch": 1, "loss": 7.0}, {"epoch": 2, "loss": 6.5}]
        >>> TrainingCurveDisplay.from_history(records).loss
        array([7. , 6.5])
        """
        import_pyplot()
        history = list(history)
        lacking = [record for record in history if not {"epoch", "loss"} <= set(record)]
        if lacking or not history:
            raise ValueError(
                "history must hold at least one record, each a dict with epoch and loss, got "
                f"{lacking[0] if lacking else 'none'}; give history_ of a fitted recommender."
            )
        validation = np.array([record.get("validation_ndcg", np.nan) for record in history])
        display = cls(
            epochs=np.array([record["epoch"] for record in history]),
            loss=np.array([record["loss"] for record in history]),
            validation_ndcg=None if np.isnan(validation).all() else validation,
        )
        return display.plot(ax, line_kw=line_kw)

    def plot(self, ax: AxesLike | None = None, *, line_kw: Style | None = None) -> Self:
        """Draw the stored values.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            Two (one without validation_ndcg); None makes a new figure.
        line_kw : dict, default=None
            For ``Axes.plot``.

        Returns
        -------
        self : object
        """
        curves = {"Training loss": self.loss}
        if self.validation_ndcg is not None:
            curves["nDCG@10 of hidden items"] = self.validation_ndcg
        axes, new = new_or_given_axes(ax, len(curves), (5.5, 2.6), stacked=True)
        self.lines_ = []
        for panel, (name, values) in zip(axes, curves.items(), strict=True):
            if self.best_epoch is not None:
                panel.axvline(self.best_epoch, **REFERENCE)
            look = styled_line(line_kw, color=COLORS[0], marker="o", markersize=3)
            self.lines_ += panel.plot(self.epochs, values, **look)
            panel.set_ylabel(name)
            panel.xaxis.get_major_locator().set_params(integer=True)
        if self.best_epoch is not None:
            self._mark_best(axes[-1])
            draw_legend(axes[::-1], new, n_columns=1)
        axes[-1].set_xlabel("Epoch")
        self.ax_, self.figure_ = as_attribute(axes), axes[0].figure
        return self

    def _mark_best(self, panel):
        best = np.nanmax(self.validation_ndcg)
        panel.plot(
            self.best_epoch,
            best,
            linestyle="none",
            marker="*",
            markersize=14,
            color=COLORS[1],
            label=f"best epoch: {self.best_epoch}, nDCG@10 {best:.4f}",
        )
