"""Training loss and validation nDCG by epoch."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from .._utils.typing import AxesLike, DoubleArray, Style
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
    """Training loss and validation nDCG@10 by epoch, in two panels, with the best epoch marked.

    Shows whether training was long enough. Use :meth:`from_estimator` or :meth:`from_history`.

    Parameters
    ----------
    epochs : ndarray of int, shape (n_epochs,)
        Numbers of the epochs.
    loss : ndarray of float, shape (n_epochs,)
        Mean training loss per epoch.
    validation_ndcg : ndarray of float, shape (n_epochs,), default=None
        nDCG@10 on the held-out items of early stopping; None without early stopping.

    Attributes
    ----------
    best_epoch : int or None
        The last epoch with the highest `validation_ndcg`, whose weights the recommender keeps.
        None without `validation_ndcg`.
    ax_ : Axes, or ndarray of 2 Axes
        Axes of the loss and, with `validation_ndcg`, of the nDCG.
    figure_ : Figure
        Figure that contains the axes.
    lines_ : list of Line2D
        Lines of the loss and, with `validation_ndcg`, of the nDCG.

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
        best = np.flatnonzero(self.validation_ndcg == np.nanmax(self.validation_ndcg))
        return int(self.epochs[best[-1]])

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        *,
        ax: AxesLike | None = None,
        line_kw: Style | None = None,
    ) -> Self:
        """Plot the training history of a fitted recommender.

        Parameters
        ----------
        estimator : estimator
            A fitted recommender with an attribute `history_`, or a fitted search or `Pipeline`
            that contains one.
        ax : Axes or sequence of Axes, default=None
            Two Axes to plot on (one without early stopping); None creates a new figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : TrainingCurveDisplay
            The display, plotted.

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        TypeError
            If it has no `history_`.
        ValueError
            If its `history_` is empty, or the number of axes is wrong.
        ImportError
            If matplotlib is not installed.
        """
        recommender, _ = unwrap(estimator)
        require(recommender, "history_", "its training history")
        return cls.from_history(recommender.history_, ax=ax, line_kw=line_kw)

    @classmethod
    def from_history(
        cls,
        history: Iterable[Mapping[str, float]],
        *,
        ax: AxesLike | None = None,
        line_kw: Style | None = None,
    ) -> Self:
        """Plot a training history, such as the attribute `history_` of a fitted recommender.

        Parameters
        ----------
        history : list of dict
            One record per epoch, with keys "epoch", "loss" and, with early stopping,
            "validation_ndcg".
        ax : Axes or sequence of Axes, default=None
            Two Axes to plot on (one without "validation_ndcg"); None creates a new figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : TrainingCurveDisplay
            The display, plotted.

        Raises
        ------
        ValueError
            If there is no record, one lacks its epoch or loss, or the number of axes is wrong.
        ImportError
            If matplotlib is not installed.

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
        """Plot the stored values.

        Parameters
        ----------
        ax : Axes or sequence of Axes, default=None
            Two Axes to plot on (one without `validation_ndcg`); None creates a new figure.
        line_kw : dict, default=None
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the number of axes is wrong.
        ImportError
            If matplotlib is not installed.
        """
        curves = {"Training loss": self.loss}
        if self.validation_ndcg is not None:
            curves["Validation nDCG@10"] = self.validation_ndcg
        axes, new = new_or_given_axes(ax, len(curves), (5.5, 2.6), stacked=True)
        self.lines_ = []
        for panel, (name, values) in zip(axes, curves.items(), strict=True):
            if self.best_epoch is not None:
                panel.axvline(self.best_epoch, **REFERENCE)
            look = styled_line(line_kw, color=COLORS[0], marker="o", markersize=3)
            self.lines_ += panel.plot(self.epochs, values, **look)
            panel.set_ylabel(name)
            panel.xaxis.get_major_locator().set_params(integer=True)
        if self.validation_ndcg is not None:
            self._mark_best(axes[-1], np.nanmax(self.validation_ndcg))
            draw_legend(axes[::-1], new, n_columns=1)
        axes[-1].set_xlabel("Epoch")
        self.ax_, self.figure_ = as_attribute(axes), axes[0].figure
        return self

    def _mark_best(self, panel, best):
        panel.plot(
            self.best_epoch,
            best,
            linestyle="none",
            marker="*",
            markersize=14,
            color=COLORS[1],
            label=f"best epoch: {self.best_epoch}, nDCG@10 {best:.4f}",
        )
