"""Metrics that hold the lists against what is popular: novelty, serendipity, popularity bias."""

from .._utils.typing import ArrayLike, MatrixLike, Score
from ._checks import check_columns, check_ids, check_rows, interactions
from ._closed_forms import (
    history_popularity,
    lengths,
    list_means,
    mean_of,
    owners_of,
    popularity_places,
    self_information,
    serendipity,
)
from ._hits import find_hits


def novelty_at_k(
    ids: ArrayLike, train: MatrixLike, k: int = 10, *, per_user: bool = False
) -> Score:
    """Mean self-information of the listed items: -log2(share of users who have the item) [1]_.

    Shares are of the users in `train` who have any item; an item that nobody has counts as had by
    one. Answers "how little known is what we recommend?", in bits: an item that half of the users
    have is worth 1. It misleads alone: lists of random items are the most novel.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    train : sparse or dense, shape (n_train_users, n_items)
        Histories, of any users: every non-zero is an item that the user has.
    k : int, default=10
        Number of places judged, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user in place of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        From 0 to log2(number of users in `train`); NaN for a user without a list.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and no user has a list.

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
    values = list_means(top, lengths(top), self_information(train, owners_of(train)))
    return values if per_user else mean_of(values, "with a list")


def serendipity_at_k(
    ids: ArrayLike,
    holdout: MatrixLike,
    train: MatrixLike,
    k: int = 10,
    *,
    per_user: bool = False,
) -> Score:
    """Hits, weighted by how much higher they stand than in a list by popularity.

    A hit at rank r of the item that comes q-th by popularity in `train` weighs
    max(q - r, 0) / n_items; the sum is divided by k. So it lies between 0 and precision, and a
    list by popularity has 0. Answers "do we find good items that are not simply popular?". It
    misleads across catalogues: the weight of one popular place is 1 / n_items. Follows the idea of
    [1]_, to compare with a primitive recommender. Of equally popular items each is q-th with
    q = 1 + the number of items that more users have.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Hidden items: every non-zero is one.
    train : sparse or dense, shape (n_train_users, n_items)
        Histories, of any users, that say what is popular.
    k : int, default=10
        Number of places judged, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user in place of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1); NaN for a user without holdout, whom the mean leaves out.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and no user has a holdout.

    Notes
    -----
    RecTools' ``Serendipity`` gives the same number where all lists are full, every item is in
    `train`, and no two items are equally popular. It gives equally popular items one shared place,
    and the next ones the place after, so that thousands of items may have but a few places and
    nearly no weight; it divides by the length of the list.

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
    values = serendipity(find_hits(top, holdout), top, popularity_places(owners_of(train)))
    return values if per_user else mean_of(values, "with a holdout")


def popularity_bias_at_k(
    ids: ArrayLike, train: MatrixLike, k: int = 10, *, per_user: bool = False
) -> Score:
    """How much more popular a user's list is than the user's history [1]_.

    The popularity of an item is the number of users in `train` who have it. A user's value is its
    mean over the top k, divided by its mean over the user's history, minus 1: 0 is no lift, 1 is
    twice as popular. Answers "does the model push users towards the popular?". It misleads for
    users of rare taste, whose values have no upper bound and lead the mean. The paper compares
    the means of groups of users; here each user is a group.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    train : sparse or dense, shape (n_users, n_items)
        Histories of the same users, in the same order.
    k : int, default=10
        Number of places judged, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user in place of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        From -1 up; NaN for a user without a history or without a list.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if the mean is wanted and every user is NaN.

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
    owners = owners_of(train)
    values = list_means(top, lengths(top), owners) / history_popularity(train, owners) - 1.0
    return values if per_user else mean_of(values, "with a history and a list")
