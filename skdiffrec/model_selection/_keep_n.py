"""KeepN: a few items of each user are the history, all others are held out."""

from numbers import Integral
from typing import Literal

import numpy as np

from .._utils.rows import hide_last
from .._utils.typing import RandomState
from .._utils.validation import Interval, StrOptions
from ._holdout_base import BaseHoldout
from ._holdouts import _RANDOM_STATE, _at_random
from ._latest_items import hide_latest


class KeepN(BaseHoldout):
    """Keep n items of each user and hold out all others: users of whom little is known yet.

    Parameters
    ----------
    n : int, default=1
        Number of items that stay in a user's history; 0 keeps none. A user with no more than this
        has no holdout.
    by : {"random", "value", "order"}, default="random"
        Which items stay: random ones, or each user's first, by times or by the order in which a
        CSR matrix stores them (see `LastFraction`).
    random_state : int, RandomState instance, Generator instance or None, default=None
        Pass an int for the same split on every call; of no effect unless ``by="random"``.

    See Also
    --------
    SampleN : Holds out n items and keeps the others.
    UnseenUsers : Parts users, whose rows can then be cut by this.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffrec.model_selection import KeepN
    >>> times = np.array([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 0.0, 0.0]])
    >>> history, holdout = KeepN(1, by="value").hide(times)
    >>> history.toarray()
    array([[0., 1., 0., 0.],
           [0., 5., 0., 0.]])
    >>> holdout.toarray()
    array([[3., 0., 2., 0.],
           [0., 0., 0., 0.]])
    """

    ties = "split"
    _parameter_constraints = {
        "n": [Interval(Integral, 0, None, closed="left")],
        "by": [StrOptions({"random", "value", "order"})],
        "random_state": _RANDOM_STATE,
    }

    def __init__(
        self,
        n: int = 1,
        *,
        by: Literal["random", "value", "order"] = "random",
        random_state: RandomState | np.random.Generator = None,
    ) -> None:
        self.n = n
        self.by = by
        self.random_state = random_state

    def _hide(self, X):
        if self.by != "random":
            return hide_latest(self, X, self._n_hidden)
        X, draw = _at_random(X, self.random_state)
        return hide_last(X, self._n_hidden(X), draw)

    def _n_hidden(self, X):
        """Number of entries to hold out per row, (n_rows,)."""
        length = np.diff(X.indptr)
        return np.maximum(length - min(self.n, X.shape[1]), 0)
