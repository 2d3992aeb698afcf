"""Metrics that relate the lists to item popularity: novelty, serendipity, popularity bias."""

from .._utils.typing import ArrayLike, MatrixLike, Score
from ._checks import check_columns, check_ids, check_rows, interactions
from ._formulas import (
    each_or_mean,
    history_popularity,
    item_popularity,
    lengths,
    list_means,
    popularity_ranks,
    self_information,
    serendipity,
)
from ._hits import find_hits


def novelty_at_k(
    ids: ArrayLike, train: MatrixLike, k: int = 10, *, per_user: bool = False
) -> Score:
    """Mean self-information of the listed items: -log2(share of users who have the item) [1]_.

    Shows how little known the recommended items are, in bits: an item that half of the users have
    counts 1. Shares are relative to the users in `train` who have any item; an item that no user
    has counts as if one user had it. A high value is not a goal by itself: lists of random items
    are the most novel.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    train : sparse or dense, shape (n_train_users, n_items)
        Histories of any users: every non-zero entry is an item that the user has.
    k : int, default=10
        Number of ranks evaluated, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user instead of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        From 0 to log2(number of users in `train`); NaN for a user without a list.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if `per_user` is False and no user has a list.

    References
    ----------
    .. [1] T. Zhou et al. Solving the apparent diversity-accuracy dilemma of recommender systems.
       PNAS 107(10), 2010.

    Examples
    --------
    >>> from skdiffrec.metrics import novelty_at_k
    >>> novelty_at_k([[0, 1]], [[1, 1], [1, 0], [1, 0], [1, 0]], k=2)
    1.0
    """
    train = interactions("train", train)
    top = check_ids(ids, k, train.shape[1], "the columns of train")[:, :k]
    values = list_means(top, lengths(top), self_information(train, item_popularity(train)))
    return each_or_mean(values, per_user, "with a list")


def serendipity_at_k(
    ids: ArrayLike,
    holdout: MatrixLike,
    train: MatrixLike,
    k: int = 10,
    *,
    per_user: bool = False,
) -> Score:
    """Hits, weighted by how much higher they rank than in a popularity ranking.

    A hit at rank r, of an item with popularity rank q in `train`, has the weight
    max(q - r, 0) / n_items; the sum over the hits is divided by k. The value lies between 0 and
    precision, and a list ordered by popularity has 0. Shows whether the model finds relevant items
    that are not simply popular. Values of different catalogues are not comparable: one rank of
    difference counts 1 / n_items. The comparison with a primitive recommender follows [1]_. An
    item's popularity rank is 1 + the number of items that more users have, so ties share the
    best rank.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Held-out items: every non-zero entry is one.
    train : sparse or dense, shape (n_train_users, n_items)
        Histories of any users, from which popularity is counted.
    k : int, default=10
        Number of ranks evaluated, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user instead of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1); NaN for a user without held-out items, who is left out of the mean.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if `per_user` is False and no user has a held-out item.

    Notes
    -----
    RecTools' ``Serendipity`` gives the same value if all lists are full, every item is in `train`,
    and no two items are equally popular. RecTools uses dense ranks: ties share a rank and the next
    items get the following one, so thousands of items may have only a few distinct ranks and
    almost no weight. It also divides by the length of the list.

    References
    ----------
    .. [1] T. Murakami, K. Mori, R. Orihara. Metrics for evaluating the serendipity of
       recommendation lists. JSAI 2007, LNCS 4914, 2008.

    Examples
    --------
    >>> from skdiffrec.metrics import serendipity_at_k
    >>> train = [[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]]
    >>> serendipity_at_k([[2, 0], [0, 3]], [[0, 0, 1, 0], [1, 0, 0, 0]], train, k=2, per_user=True)
    array([0.25, 0.  ])
    """
    holdout, train = interactions("holdout", holdout), interactions("train", train)
    check_columns(train, "train", holdout.shape[1], "the columns of holdout")
    top = check_ids(ids, k, holdout.shape[1])[:, :k]
    check_rows(top, holdout, "holdout")
    values = serendipity(find_hits(top, holdout), top, popularity_ranks(item_popularity(train)))
    return each_or_mean(values, per_user, "with a holdout")


def popularity_bias_at_k(
    ids: ArrayLike, train: MatrixLike, k: int = 10, *, per_user: bool = False
) -> Score:
    """Relative popularity of a user's list, compared with the user's history [1]_.

    The popularity of an item is the number of users in `train` who have it. A user's value is the
    mean popularity of the top k, divided by the mean popularity of the history, minus 1: 0 means
    equally popular, 1 means twice as popular. Shows whether the model favours popular items over
    what its users took before. The values of users with unpopular items in their history have no
    upper bound and may dominate the mean. The paper compares means of groups of users; here each
    user is a group.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    train : sparse or dense, shape (n_users, n_items)
        Histories of the same users, in the same order.
    k : int, default=10
        Number of ranks evaluated, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user instead of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        At least -1; NaN for a user without a history or without a list.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if `per_user` is False and every user is NaN.

    References
    ----------
    .. [1] H. Abdollahpouri, M. Mansoury, R. Burke, B. Mobasher. The connection between popularity
       bias, calibration, and fairness in recommendation. RecSys 2020.

    Examples
    --------
    >>> from skdiffrec.metrics import popularity_bias_at_k
    >>> train = [[1, 0, 1], [1, 0, 0], [1, 1, 0]]
    >>> popularity_bias_at_k([[1], [2], [2]], train, k=1, per_user=True)
    array([-0.5       , -0.66666667, -0.5       ])
    """
    train = interactions("train", train)
    top = check_ids(ids, k, train.shape[1], "the columns of train")[:, :k]
    check_rows(top, train, "train")
    popularity = item_popularity(train)
    values = list_means(top, lengths(top), popularity) / history_popularity(train, popularity) - 1.0
    return each_or_mean(values, per_user, "with a history and a list")
