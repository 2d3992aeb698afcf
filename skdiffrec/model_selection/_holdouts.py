"""Holdouts: a part of each user's items is held out, the rest is the history."""

from numbers import Integral, Real
from typing import Literal

import numpy as np

from .._utils.hashing import draw_seed
from .._utils.rows import hide_last, select_entries, share_of_rows
from .._utils.typing import RandomState
from .._utils.validation import Interval, StrOptions, canonical_csr, warn_without_order
from ._holdout_base import BaseHoldout, check_matrix, seed_of
from ._latest_items import hide_latest

_FRACTION = Interval(Real, 0, 1, closed="neither")
_COUNT = Interval(Integral, 1, None, closed="left")
_MIN_HISTORY = Interval(Integral, 0, None, closed="left")
_RANDOM_STATE = ["random_state", np.random.Generator]
_TIES = StrOptions({"split", "together"})


class SampleFraction(BaseHoldout):
    """Hold out a random share of each user's items.

    Parameters
    ----------
    fraction : float, default=0.2
        Share of a user's items to hold out, in (0, 1); rounded to a whole number, at least 1.
    min_history : int, default=1
        Minimum number of items that stay in a user's history, whatever the share. A user with no
        more items than this has no holdout.
    random_state : int, RandomState instance, Generator instance or None, default=None
        Pass an int for the same split on every call.

    See Also
    --------
    LastFraction : Holds out the latest items, which matches how a recommender is used.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffrec.model_selection import SampleFraction
    >>> history, holdout = SampleFraction(0.4, random_state=0).hide(np.ones((3, 5)))
    >>> history.sum(axis=1), holdout.sum(axis=1)
    (array([3., 3., 3.]), array([2., 2., 2.]))
    """

    _parameter_constraints = {
        "fraction": [_FRACTION],
        "min_history": [_MIN_HISTORY],
        "random_state": _RANDOM_STATE,
    }

    def __init__(
        self,
        fraction: float = 0.2,
        *,
        min_history: int = 1,
        random_state: RandomState | np.random.Generator = None,
    ) -> None:
        self.fraction = fraction
        self.min_history = min_history
        self.random_state = random_state

    def _hide(self, X):
        X, draw = _at_random(X, self.random_state)
        return hide_last(X, share_of_rows(X, self.fraction, self.min_history), draw)


class SampleN(BaseHoldout):
    """Hold out exactly n random items of each user.

    Parameters
    ----------
    n : int, default=1
        Number of items to hold out per user.
    min_history : int, default=1
        A user with fewer than ``n + min_history`` items has no holdout.
    random_state : int, RandomState instance, Generator instance or None, default=None
        Pass an int for the same split on every call.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffrec.model_selection import SampleN
    >>> X = np.array([[1, 1, 1, 1], [0, 1, 0, 1]])
    >>> SampleN(2, random_state=0).hide(X)[1].sum(axis=1)
    array([2., 0.])
    """

    _parameter_constraints = {
        "n": [_COUNT],
        "min_history": [_MIN_HISTORY],
        "random_state": _RANDOM_STATE,
    }

    def __init__(
        self,
        n: int = 1,
        *,
        min_history: int = 1,
        random_state: RandomState | np.random.Generator = None,
    ) -> None:
        self.n = n
        self.min_history = min_history
        self.random_state = random_state

    def _hide(self, X):
        X, draw = _at_random(X, self.random_state)
        return hide_last(X, _n_of_rows(X, self.n, self.min_history), draw)


class LastFraction(BaseHoldout):
    """Hold out the latest share of each user's items.

    Parameters
    ----------
    fraction : float, default=0.2
        Share of a user's items to hold out, in (0, 1); rounded to a whole number, at least 1.
    by : {"value", "order"}, default="value"
        How to order a user's items in time. "value": the values of `X` are times or positions,
        larger is later; ties are broken by a hash of the row and the item. "order": the order in
        which a CSR matrix stores the entries of a row, a repeated item where it is stored first. It
        is the order of time only if the matrix was built that way and its indices were never
        sorted.
    min_history : int, default=1
        Minimum number of items that stay in a user's history, whatever the share. A user with no
        more items than this has no holdout.
    ties : {"split", "together"}, default="split"
        Whether items of one time (an order, a session) may be parted. "together" cuts before the
        first of them, so that a little more is held out; where too few items would stay, after
        the last of them. Needs ``by="value"``.

    Warns
    -----
    UserWarning
        With ``by="order"``, if every row is stored in ascending order of item id. With
        ``by="value"``, if all values are equal.

    Notes
    -----
    The split is per user: one user's held-out items may be older than another user's history, so
    a model trained on all histories has seen interactions from after some users' split times.
    `TimeCut` splits all users at the same time.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffrec.model_selection import LastFraction
    >>> times = np.array([[5, 0, 2, 4, 3], [0, 0, 7, 0, 9]])
    >>> history, holdout = LastFraction(0.5).hide(times)
    >>> holdout.toarray()
    array([[5., 0., 0., 4., 0.],
           [0., 0., 0., 0., 9.]])
    """

    _parameter_constraints = {
        "fraction": [_FRACTION],
        "by": [StrOptions({"value", "order"})],
        "min_history": [_MIN_HISTORY],
        "ties": [_TIES],
    }

    def __init__(
        self,
        fraction: float = 0.2,
        *,
        by: Literal["value", "order"] = "value",
        min_history: int = 1,
        ties: Literal["split", "together"] = "split",
    ) -> None:
        self.fraction = fraction
        self.by = by
        self.min_history = min_history
        self.ties = ties

    def _hide(self, X):
        return hide_latest(self, X, lambda X: share_of_rows(X, self.fraction, self.min_history))


class LastN(BaseHoldout):
    """Hold out the n latest items of each user.

    Parameters
    ----------
    n : int, default=1
        Number of items to hold out per user.
    by : {"value", "order"}, default="value"
        How to order a user's items in time, as in `LastFraction`.
    min_history : int, default=1
        A user with fewer than ``n + min_history`` items has no holdout.
    ties : {"split", "together"}, default="split"
        As in `LastFraction`. With "together" this is what `score` holds out for a model of
        ``horizon=n``.

    Warns
    -----
    UserWarning
        As in `LastFraction`.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffrec.model_selection import LastN
    >>> times = np.array([[5, 0, 2, 4, 3], [0, 0, 7, 0, 9]])
    >>> history, holdout = LastN(2).hide(times)
    >>> holdout.toarray()
    array([[5., 0., 0., 4., 0.],
           [0., 0., 0., 0., 0.]])
    """

    _parameter_constraints = {
        "n": [_COUNT],
        "by": [StrOptions({"value", "order"})],
        "min_history": [_MIN_HISTORY],
        "ties": [_TIES],
    }

    def __init__(
        self,
        n: int = 1,
        *,
        by: Literal["value", "order"] = "value",
        min_history: int = 1,
        ties: Literal["split", "together"] = "split",
    ) -> None:
        self.n = n
        self.by = by
        self.min_history = min_history
        self.ties = ties

    def _hide(self, X):
        return hide_latest(self, X, lambda X: _n_of_rows(X, self.n, self.min_history))


class LeaveOneOut(BaseHoldout):
    """Hold out one item of each user who has at least two.

    Parameters
    ----------
    by : {"random", "value", "order"}, default="random"
        "random" holds out a random item, as ``SampleN(1)``; the others hold out the latest item,
        as ``LastN(1, by=by)``.
    random_state : int, RandomState instance, Generator instance or None, default=None
        Used with ``by="random"``. Pass an int for the same split on every call.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffrec.model_selection import LeaveOneOut
    >>> times = np.array([[5, 0, 2, 4], [0, 8, 0, 0]])
    >>> LeaveOneOut(by="value").hide(times)[1].toarray()
    array([[5., 0., 0., 0.],
           [0., 0., 0., 0.]])
    """

    _parameter_constraints = {
        "by": [StrOptions({"random", "value", "order"})],
        "random_state": _RANDOM_STATE,
    }

    def __init__(
        self,
        *,
        by: Literal["random", "value", "order"] = "random",
        random_state: RandomState | np.random.Generator = None,
    ) -> None:
        self.by = by
        self.random_state = random_state

    def _hide(self, X):
        if self.by == "random":
            return SampleN(1, random_state=self.random_state)._hide(X)
        return LastN(1, by=self.by)._hide(X)


class TimeCut(BaseHoldout):
    """Hold out all interactions at or after one point in time, the same for all users.

    The values of `X` are times. This is the only holdout here that keeps the future out of
    training: no history contains an interaction from after the cut. A user whose interactions are
    all after it has an empty history (a new user at that time), and a user without interactions
    after it has no holdout.

    Parameters
    ----------
    time : float, default=None
        Time of the cut, in the unit of the values of `X`. If `InteractionEncoder` read dates, that
        is seconds since 1970: ``pandas.Timestamp("2024-01-05").timestamp()``.
    fraction : float, default=None
        Alternative to `time`: the share of all interactions that are at or after the cut. Equal
        times are never split, so the cut is the one with the nearest share that leaves
        interactions on both sides; if all times are equal, nothing is held out. If both are None,
        the fraction is 0.2.

    Warns
    -----
    UserWarning
        If all values of `X` are equal.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffrec.model_selection import TimeCut
    >>> times = np.array([[1, 5, 0], [2, 3, 0], [0, 6, 7]])
    >>> history, holdout = TimeCut(5).hide(times)
    >>> history.toarray()
    array([[1., 0., 0.],
           [2., 3., 0.],
           [0., 0., 0.]])
    """

    _parameter_constraints = {
        "time": [Interval(Real, None, None, closed="neither"), None],
        "fraction": [_FRACTION, None],
    }

    def __init__(self, time: float | None = None, *, fraction: float | None = None) -> None:
        self.time = time
        self.fraction = fraction

    def _hide(self, X):
        self._check_one_cut()
        X = canonical_csr(check_matrix(X), "time", earliest=True)
        warn_without_order(X.data, "TimeCut", "Give times.")
        held_out = X.data >= self._cut(X.data)
        return select_entries(X, ~held_out), select_entries(X, held_out)

    def _check_one_cut(self):
        if self.time is not None and self.fraction is not None:
            raise ValueError(
                f"time={self.time!r} and fraction={self.fraction!r} are both given. Each of them "
                "defines the cut; leave one of them None."
            )

    def _cut(self, times):
        """Time of the cut, after which are about `fraction` of the `times` (n,) if it is given."""
        if self.time is not None:
            return self.time
        fraction = 0.2 if self.fraction is None else self.fraction
        return times[_latest_share(times, fraction)].min(initial=np.inf)


def _at_random(X, random_state):
    """(canonical X, a random number for each of its entries)."""
    X = canonical_csr(check_matrix(X), "weight")
    rng = np.random.default_rng(draw_seed(seed_of(random_state)))
    return X, rng.integers(2**64, size=X.nnz, dtype=np.uint64)


def _n_of_rows(X, n, min_history):
    """Number of entries to hold out per row: n, or 0 if the row has too few, (n_rows,)."""
    n = min(n, X.shape[1] + 1)  # an int of any size
    return np.where(np.diff(X.indptr) >= n + min(min_history, X.shape[1]), n, 0)


def _latest_share(times, fraction):
    """Mask of the latest entries, about `fraction` of all; never splits equal times."""
    if not len(times):
        return np.zeros(0, bool)
    place = min(int(round((1 - fraction) * len(times))), len(times) - 1)
    cut = np.partition(times, place)[place]
    with_cut, without = times >= cut, times > cut
    over, under = with_cut.mean() - fraction, fraction - without.mean()
    if with_cut.all() or (over > under and without.any()):
        return without
    return with_cut
