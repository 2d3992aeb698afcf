"""Catalogue metrics: coverage, Gini index of item counts, personalization across users."""

import numpy as np

from .._utils.typing import ArrayLike, Score
from ._checks import check_ids, check_k
from ._formulas import coverage, each_or_mean, gini, item_counts, lengths, personalization


def coverage_at_k(ids: ArrayLike, n_items: int, k: int = 10) -> float:
    """Share of the catalogue that is in the top k of at least one user.

    Shows how many items the model recommends at all. It misleads because a single list among
    thousands is enough for an item to count, and it grows with the number of users: compare values
    for the same users and the same k only.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    n_items : int
        Number of items in the catalogue.
    k : int, default=10
        Number of ranks evaluated, at most ``n_listed``.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid.

    Examples
    --------
    >>> from skdiffrec.metrics import coverage_at_k
    >>> coverage_at_k([[3, 2], [3, 1]], n_items=5, k=2)
    0.6
    """
    return coverage(_counts(ids, n_items, k))


def gini_at_k(ids: ArrayLike, n_items: int, k: int = 10) -> float:
    """Gini index of the number of top-k lists that each item of the catalogue is in.

    Shows whether a few items get most recommendations: 0 if all items are listed equally often,
    1 - 1 / n_items if one item fills every list. Items in no list count. Like coverage it depends
    on the number of users; with fewer places than items it cannot be 0.

    Parameters
    ----------
    ids, n_items, k
        As for :func:`coverage_at_k`.

    Returns
    -------
    float
        In [0, 1).

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if no list holds an item.

    Examples
    --------
    >>> from skdiffrec.metrics import gini_at_k
    >>> gini_at_k([[0, 1], [2, 3]], n_items=4, k=2)
    0.0
    >>> gini_at_k([[0], [0]], n_items=4, k=1)
    0.75
    """
    return gini(_counts(ids, n_items, k))


def personalization_at_k(ids: ArrayLike, k: int = 10, *, per_user: bool = False) -> Score:
    """Difference between users' lists: 1 - mean share of items that two users have in common.

    The mean is over all pairs of users with a list. It is computed from item counts: exact, and in
    time linear in the number of entries. The value of one user is the share of their list that
    another user's list does not contain, averaged over the other users. It is 0 if all users get
    the same items. A high value is not a goal by itself: random lists score highest.

    Parameters
    ----------
    ids, k
        As for :func:`coverage_at_k`.
    per_user : bool, default=False
        Return one value per user instead of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without a list.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if `per_user` is False and fewer than two users have a list.

    Examples
    --------
    >>> from skdiffrec.metrics import personalization_at_k
    >>> personalization_at_k([[3, 2], [3, 1], [0, 4]], k=2, per_user=True)
    array([0.75, 0.75, 1.  ])
    """
    top = check_ids(ids, k)[:, :k]
    if top.max(initial=-1) >= top.size:  # renumber sparse ids; -1 stays -1
        names, renamed = np.unique(top, return_inverse=True)
        top = renamed.reshape(top.shape) - (names[0] == -1)
    values = personalization(top, lengths(top), item_counts(top, top.max(initial=-1) + 1))
    return each_or_mean(values, per_user, "with a list, and another user with one")


def _counts(ids, n_items, k):
    n_items = check_k(n_items, "n_items", "the number of items in the catalogue")
    return item_counts(check_ids(ids, k, n_items, "n_items")[:, :k], n_items)
