"""Metrics of accuracy without a k: R-precision and AUC."""

import numpy as np

from .._utils.typing import ArrayLike, Empty, MatrixLike, Score
from ._checks import as_2d, check_columns, check_ids, check_option, check_rows, interactions
from ._closed_forms import over_judged, ratio
from ._conventions import EMPTY
from ._hits import find_hits, look_up, places_in


def r_precision(
    ids: ArrayLike, holdout: MatrixLike, *, per_user: bool = False, empty: Empty = "nan"
) -> Score:
    """Share of the first T places that hold one of the user's T holdout items.

    Answers "how much of the list is right?" with every user judged at a length of their own, at
    which precision and recall are the same number and 1 can be reached. It misleads where holdouts
    are small: at T = 1 only the first place counts. Lists have to be as long as the largest
    holdout: at a width w (columns of `ids`) below T, the first w places are judged, and divided
    by w.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Hidden items, T for a user: every non-zero is one.
    per_user : bool, default=False
        Return one value per user in place of the mean.
    empty : {"nan", "zero"}, default="nan"
        Users without holdout are left out of the mean, or count as 0.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, unless `empty` is "zero".

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and no user has a holdout.

    Examples
    --------
    >>> from skdiffrec.metrics import r_precision
    >>> r_precision([[3, 2, 0], [4, 1, 0]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], per_user=True)
    array([0.5, 0. ])
    """
    check_option("empty", empty, EMPTY)
    hits = look_up(ids, holdout, _width(ids))
    places = np.minimum(hits.sizes, hits.k)
    found = hits.sums(hits.ranks < places[hits.rows])
    return over_judged(ratio(found, places), hits.sizes, empty, per_user)


def auc(
    ids: ArrayLike,
    holdout: MatrixLike,
    *,
    train: MatrixLike | None = None,
    per_user: bool = False,
    empty: Empty = "nan",
) -> Score:
    """Probability that a holdout item ranks above an item the user did not choose.

    Each holdout item is compared with each item that is neither in the holdout nor in `train`.
    Items that are not listed share the places after the list; a tie counts half. Answers "is the
    whole order right?". It misleads about recommending, where only the top is seen: with thousands
    of items a value of 0.95 may go with no hit in the top ten. A short list nears 0.5.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Hidden items: every non-zero is one.
    train : sparse or dense, shape (n_users, n_items), default=None
        Histories of the same users. Their items are not compared, wherever they are listed; with
        None they count as items not chosen, which flatters nobody who lists them last.
    per_user : bool, default=False
        Return one value per user in place of the mean.
    empty : {"nan", "zero"}, default="nan"
        Users without holdout are left out of the mean, or count as 0.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, unless `empty` is "zero", and for one with
        nothing to compare with, whom the mean leaves out.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and every user is NaN.

    Examples
    --------
    >>> from skdiffrec.metrics import auc
    >>> auc([[3, 2, 0]], [[1, 0, 0, 1, 0]])  # 3 before all others; 0 after 2, before 1 and 4
    0.8333333333333334
    """
    check_option("empty", empty, EMPTY)
    holdout = interactions("holdout", holdout)
    ids = check_ids(ids, _width(ids), holdout.shape[1])
    check_rows(ids, holdout, "holdout")
    hits = find_hits(ids, holdout)
    misses = ids >= 0
    misses[hits.rows, hits.ranks] = False
    others = holdout.shape[1] - hits.sizes
    if train is not None:
        seen = interactions("train", train)
        check_rows(ids, seen, "train")
        check_columns(seen, "train", holdout.shape[1], "the columns of holdout")
        misses[places_in(ids, seen)] = False
        others = others - np.diff(seen.indptr) + np.diff(seen.multiply(holdout).indptr)
    before = np.cumsum(misses, axis=1)[hits.rows, hits.ranks]
    listed = hits.sums(others[hits.rows] - before)
    tied = (hits.sizes - hits.counts()) * (others - misses.sum(axis=1)) / 2
    pairs = hits.sizes * others
    values = np.where(pairs > 0, ratio(listed + tied, pairs), np.nan)
    need = "with a holdout item and another to compare it with"
    return over_judged(values, hits.sizes, empty, per_user, need)


def _width(ids):
    """Number of columns, at least 1 so that the check of k speaks of ids that have none."""
    return max(as_2d("ids", ids, "iu", "pass the ids of recommend() alone").shape[1], 1)
