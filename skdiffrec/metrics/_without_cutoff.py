"""Accuracy metrics without a cutoff k: R-precision and AUC."""

import numpy as np

from .._utils.typing import ArrayLike, Empty, MatrixLike, Score
from ._checks import as_2d, check_columns, check_ids, check_option, check_rows, interactions
from ._conventions import EMPTY
from ._formulas import aggregate, ratio
from ._hits import find_hits, find_listed, look_up


def r_precision(
    ids: ArrayLike, holdout: MatrixLike, *, per_user: bool = False, empty: Empty = "nan"
) -> Score:
    """Share of the first T places that hold one of the user's T held-out items.

    Shows how much of the list is relevant, with a list length of each user's own, at which
    precision and recall are equal and 1 is reachable. It misleads when users have few held-out
    items: at T = 1 only the first place counts. Pass lists as long as the largest holdout: if the
    number w of columns of `ids` is below T, the first w places are evaluated and the divisor is w.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Held-out items, T per user: every non-zero entry is one.
    per_user : bool, default=False
        Return one value per user instead of the mean.
    empty : {"nan", "zero"}, default="nan"
        Leave users without held-out items out of the mean, or count them as 0.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without held-out items, unless `empty` is "zero".

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if `per_user` is False and no user has a held-out item.

    Examples
    --------
    >>> from skdiffrec.metrics import r_precision
    >>> r_precision([[3, 2, 0], [4, 1, 0]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], per_user=True)
    array([0.5, 0. ])
    """
    check_option("empty", empty, EMPTY)
    hits = look_up(ids, holdout, _width(ids))
    places = np.minimum(hits.sizes, hits.k)
    n_hits = hits.sums(hits.ranks < places[hits.rows])
    return aggregate(ratio(n_hits, places), hits.sizes, empty, per_user)


def auc(
    ids: ArrayLike,
    holdout: MatrixLike,
    *,
    train: MatrixLike | None = None,
    per_user: bool = False,
    empty: Empty = "nan",
) -> Score:
    """Probability that a held-out item ranks above an item the user did not choose.

    Each held-out item is compared with each item that is neither held out nor in `train`. Items
    that are not listed are tied after the end of the list; a tie counts one half. Evaluates the
    whole ranking, and so misleads about recommendation, where users see only the top: with
    thousands of items, 0.95 is possible without a hit in the top ten. For short lists the value
    approaches 0.5.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Held-out items: every non-zero entry is one.
    train : sparse or dense, shape (n_users, n_items), default=None
        Histories of the same users. Their items are not compared, wherever they are listed. With
        None, items of the history count as not chosen, which raises the value if they are listed
        last.
    per_user : bool, default=False
        Return one value per user instead of the mean.
    empty : {"nan", "zero"}, default="nan"
        Leave users without held-out items out of the mean, or count them as 0.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without held-out items, unless `empty` is "zero". A user with
        nothing to compare with is NaN too and left out of the mean.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if `per_user` is False and every user is NaN.

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
        misses[find_listed(ids, seen)] = False
        others = others - np.diff(seen.indptr) + np.diff(seen.multiply(holdout).indptr)
    before = np.cumsum(misses, axis=1)[hits.rows, hits.ranks]
    listed = hits.sums(others[hits.rows] - before)
    tied = (hits.sizes - hits.counts()) * (others - misses.sum(axis=1)) / 2
    pairs = hits.sizes * others
    values = np.where(pairs > 0, ratio(listed + tied, pairs), np.nan)
    need = "with a holdout item and another to compare it with"
    return aggregate(values, hits.sizes, empty, per_user, need)


def _width(ids):
    """Number of columns, at least 1, so that the check of k reports ids without columns."""
    hint = "pass the ids that recommend() returns"
    return max(as_2d("ids", ids, "iu", hint).shape[1], 1)
