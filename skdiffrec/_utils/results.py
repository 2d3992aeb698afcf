"""What `fit` records and what the methods of a fitted recommender return."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class TrainingHistory(list):
    """One dict an epoch, with its number, mean loss and, with early stopping, validation nDCG.

    Examples
    --------
    >>> from skdiffrec._utils.results import TrainingHistory
    >>> history = TrainingHistory([{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 2.0}])
    >>> history.to_frame()
       epoch  loss
    0      1   2.5
    1      2   2.0
    """

    def to_frame(self):
        """The records as a pandas DataFrame, one row an epoch.

        Raises
        ------
        ImportError
            Without pandas.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_frame needs pandas: pip install pandas.") from error
        return pandas.DataFrame(list(self))


class _FourParts(NamedTuple):
    score: np.ndarray
    conditional: np.ndarray
    unconditional: np.ndarray
    lift: np.ndarray


class ScoreParts(_FourParts):
    """Scores and the estimates they are made of; NaN where an item id was -1.

    Attributes
    ----------
    score : ndarray of float32
        ``unconditional + guidance_scale * lift``; with scales by condition, the unconditional
        estimate plus each of `lifts` times its scale.
    conditional : ndarray of float32
        With all that is known.
    unconditional : ndarray of float32
        Without any of it.
    lift : ndarray of float32
        ``conditional - unconditional``: what is known changes.
    lifts : dict of ndarray of float32
        What each condition changes beside those before it; together they are `lift`. Not one of
        the four parts as which this unpacks.
    """

    lifts: dict[str, np.ndarray]

    def __new__(cls, score, conditional, unconditional, lift, lifts):
        parts = super().__new__(cls, score, conditional, unconditional, lift)
        parts.lifts = lifts
        return parts

    def __getnewargs__(self):
        return *self, self.lifts


@dataclass(frozen=True, eq=False)
class Explanation:
    """What each item of a user's history contributed to the scores of k items.

    For one item given as an int the first dimension is left out.

    Attributes
    ----------
    item_ids : ndarray of int64, shape (k,)
        The items whose scores are explained.
    history : ndarray of int64, shape (n,)
        The items of the history, ascending.
    score : ndarray of float32, shape (k,)
        As from `recommend`.
    base : ndarray of float32, shape (k,)
        The score without any history, whatever else is known.
    total : ndarray of float32, shape (k, n)
        How much lower the score is without this item of the history, the others read as before.
    closed_form : ndarray of float32, shape (k, n)
        The closed form's part of `total`. Linear: together with `closed_form_base` it adds up to
        the closed form's part of `score`.
    network : ndarray of float32, shape (k, n)
        ``total - closed_form``. The network is not linear, so these do not add up to its part.
    closed_form_base : ndarray of float32, shape (k,)
        What the closed form adds whatever the history.
    conditions : dict of ndarray of float32, shape (k,)
        How much lower the score is without each condition of the model ("history", and what else
        it has), the others as they are.
    """

    item_ids: np.ndarray
    history: np.ndarray
    score: np.ndarray
    base: np.ndarray
    total: np.ndarray
    closed_form: np.ndarray
    closed_form_base: np.ndarray
    conditions: dict[str, np.ndarray]

    @property
    def network(self) -> np.ndarray:
        return self.total - self.closed_form

    def to_frame(self, item_names: ArrayLike | None = None) -> Any:
        """A pandas DataFrame with one row for each item and item of the history, by `total`.

        Parameters
        ----------
        item_names : array-like of str, shape (n_items,), default=None
            What to call the items; None takes their ids.

        Returns
        -------
        frame : DataFrame
            Columns item, history, total, closed_form, network; the items in their order, the
            largest total of each first.

        Raises
        ------
        ImportError
            Without pandas.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_frame() needs pandas; run pip install pandas.") from error
        names = (lambda ids: ids) if item_names is None else np.asarray(item_names).__getitem__
        item_ids, n = np.atleast_1d(self.item_ids), len(self.history)
        columns = {
            "item": names(np.repeat(item_ids, n)),
            "history": names(np.tile(self.history, len(item_ids))),
            "total": self.total.ravel(),
            "closed_form": self.closed_form.ravel(),
            "network": self.network.ravel(),
        }
        order = np.argsort(-self.total.reshape(len(item_ids), n), axis=1, kind="stable")
        order += n * np.arange(len(item_ids))[:, None]
        return pd.DataFrame(columns).iloc[order.ravel()].reset_index(drop=True)


class DrawSummary(NamedTuple):
    """Statistics of the draws for every item, each an ndarray of float32, shape (n_users, n_items).

    Attributes
    ----------
    mean, std : ndarray
        Mean and standard deviation of the scores over draws (divided by their number).
    top_k_probability : ndarray
        Share of the draws in whose list of k the item is; 0 for items of the history.
    """

    mean: np.ndarray
    std: np.ndarray
    top_k_probability: np.ndarray
