"""Accuracy metrics at k, computed from the ranks of the hits; one value per user."""

from typing import Literal

import numpy as np

from .._utils.rows import entry_rows, rank_in_rows
from .._utils.typing import ArrayLike, Average, Empty, MatrixLike, Score
from ._checks import check_option, graded
from ._conventions import Convention, define
from ._formulas import accuracy, aggregate, graded_ndcg, ratio
from ._hits import look_up


def precision_at_k(
    ids: ArrayLike,
    holdout: MatrixLike,
    k: int = 10,
    *,
    per_user: bool = False,
    convention: str | Convention = "skdiffrec",
    divisor: Literal["k", "min", "listed"] | None = None,
    average: Average | None = None,
    empty: Empty | None = None,
) -> Score:
    """Share of the top k items that are held-out items: hits / k.

    Shows how much of the list is relevant. The order within the top k does not matter. It misleads
    when users have few held-out items: with T < k the highest possible value is T / k, so values
    from different splits are not comparable. The divisor is k for short lists too.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Held-out items, T per user: every non-zero entry is one, whatever its value. Not modified.
    k : int, default=10
        Number of ranks evaluated, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user instead of the mean.
    convention : str or Convention, default="skdiffrec"
        The library whose definition to use; see :class:`Convention`.
    divisor : {"k", "min", "listed"}, default=None
        Divisor: k, min(k, T), or the length of the list. None takes the convention's.
    average : {"macro", "micro"}, default=None
        Mean of the users' ratios, or the sum of all hits over the sum of all divisors. None takes
        the convention's.
    empty : {"nan", "zero"}, default=None
        Leave users without held-out items out of the mean, or count them as 0. None takes the
        convention's.

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
    >>> from skdiffrec.metrics import precision_at_k
    >>> holdout = [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]]
    >>> precision_at_k([[3, 2], [4, 1]], holdout, k=2, per_user=True)
    array([0.5, 0.5])
    >>> precision_at_k([[3, 2], [4, 1]], holdout, k=2, divisor="min")
    0.75
    """
    choices = {"divisor": divisor, "average": average, "empty": empty}
    definition = define("precision", convention, **choices)
    return accuracy("precision", look_up(ids, holdout, k), definition, per_user)


def recall_at_k(
    ids: ArrayLike,
    holdout: MatrixLike,
    k: int = 10,
    *,
    per_user: bool = False,
    convention: str | Convention = "skdiffrec",
    divisor: Literal["holdout", "min"] | None = None,
    average: Average | None = None,
    empty: Empty | None = None,
) -> Score:
    """Share of the held-out items that are in the top k: hits / T.

    Shows how much of what the user chose later the list finds. It never decreases as k grows. It
    misleads when users have many held-out items: with T > k the highest possible value is k / T
    (some libraries divide by min(k, T) and report higher values). With few held-out items it is
    coarse: 0 or 1 at T = 1.

    Parameters
    ----------
    ids, holdout, k, per_user, convention, average, empty
        As for :func:`precision_at_k`.
    divisor : {"holdout", "min"}, default=None
        Divisor: T, or min(k, T). None takes the convention's.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without held-out items, unless `empty` is "zero".

    Raises
    ------
    TypeError, ValueError, IndexError
        As for :func:`precision_at_k`.

    Examples
    --------
    >>> from skdiffrec.metrics import recall_at_k
    >>> recall_at_k([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=2)
    0.75
    """
    choices = {"divisor": divisor, "average": average, "empty": empty}
    definition = define("recall", convention, **choices)
    return accuracy("recall", look_up(ids, holdout, k), definition, per_user)


def ndcg_at_k(
    ids: ArrayLike,
    holdout: MatrixLike,
    k: int = 10,
    *,
    per_user: bool = False,
    convention: str | Convention = "skdiffrec",
    ideal: Literal["min", "k"] | None = None,
    discount: Literal["standard", "original"] | None = None,
    empty: Empty | None = None,
    gains: Literal["binary", "rating"] = "binary",
) -> Score:
    """Discounted cumulative gain of the top k, relative to the best possible list [1]_.

    A hit at rank r (from 1) counts 1 / log2(r + 1). The sum is divided by that of an ideal list,
    whose first min(k, T) places are hits. Shows whether hits are near the top. Values at different
    k are not comparable: the ideal list grows with k, so the value may rise or fall. Libraries
    whose ideal list has k hits report lower values.

    Parameters
    ----------
    ids, holdout, k, per_user, convention, empty
        As for :func:`precision_at_k`.
    ideal : {"min", "k"}, default=None
        Number of hits in the ideal list: min(k, T), or k. None takes the convention's.
    discount : {"standard", "original"}, default=None
        Discount at rank r: log2(r + 1), or log2(max(r, 2)), with which the first two ranks count
        the same. None takes the convention's.
    gains : {"binary", "rating"}, default="binary"
        What a hit counts, before the discount: 1, or the value that `holdout` has for it, such as
        a rating. With ratings the ideal list holds the user's best-rated items, and `ideal` does
        not matter.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without held-out items, unless `empty` is "zero".

    Raises
    ------
    TypeError, ValueError, IndexError
        As for :func:`precision_at_k`.

    References
    ----------
    .. [1] K. Järvelin, J. Kekäläinen. Cumulated gain-based evaluation of IR techniques. ACM
       Transactions on Information Systems 20(4), 2002.

    Examples
    --------
    >>> from skdiffrec.metrics import ndcg_at_k
    >>> round(ndcg_at_k([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=2), 4)
    0.622
    >>> round(ndcg_at_k([[3, 0]], [[5, 0, 0, 1, 0]], k=2, gains="rating"), 4)
    0.7378
    """
    definition = define("ndcg", convention, ideal=ideal, discount=discount, empty=empty)
    hits = look_up(ids, holdout, k)
    if check_option("gains", gains, ("binary", "rating")) == "binary":
        return accuracy("ndcg", hits, definition, per_user)
    values = graded(holdout)
    rows, rank = entry_rows(values), rank_in_rows(values, -values.data)
    hit = np.asarray(ids, np.int64)[hits.rows, hits.ranks] + hits.rows * values.shape[1]
    gained = values.data[np.searchsorted(rows * values.shape[1] + values.indices, hit)]
    best, first = np.zeros((hits.n_users, hits.k)), rank < hits.k
    best[rows[first], rank[first]] = values.data[first]
    total, most = graded_ndcg(hits, gained, best, definition.options["discount"])
    return aggregate(ratio(total, most), hits.sizes, definition.empty, per_user)


def mrr_at_k(
    ids: ArrayLike,
    holdout: MatrixLike,
    k: int = 10,
    *,
    per_user: bool = False,
    convention: str | Convention = "skdiffrec",
    empty: Empty | None = None,
) -> Score:
    """Reciprocal rank of the first hit in the top k, 0 without a hit.

    Shows how far down the first relevant item is, for users who stop there. It misleads when users
    want several items, since everything after the first hit is ignored. The difference between
    rank 1 and rank 2 counts as much as that between rank 2 and no hit, so first places dominate the
    mean.

    Parameters
    ----------
    ids, holdout, k, per_user, convention, empty
        As for :func:`precision_at_k`.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without held-out items, unless `empty` is "zero".

    Raises
    ------
    TypeError, ValueError, IndexError
        As for :func:`precision_at_k`.

    Examples
    --------
    >>> from skdiffrec.metrics import mrr_at_k
    >>> mrr_at_k([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=2)
    0.75
    """
    definition = define("mrr", convention, empty=empty)
    return accuracy("mrr", look_up(ids, holdout, k), definition, per_user)


def map_at_k(
    ids: ArrayLike,
    holdout: MatrixLike,
    k: int = 10,
    *,
    per_user: bool = False,
    convention: str | Convention = "skdiffrec",
    divisor: Literal["min", "holdout", "k", "listed"] | None = None,
    empty: Empty | None = None,
) -> Score:
    """Mean over users of the average precision of the top k.

    A user's average precision is the sum of precision@r over the ranks r <= k of the hits, divided
    by min(k, T). Shows whether hits come before misses. Values of different libraries are not
    comparable: some divide by T or by the number of hits, under the same name. Like nDCG it may
    rise or fall with k; it penalizes late hits more than nDCG does.

    Parameters
    ----------
    ids, holdout, k, per_user, convention, empty
        As for :func:`precision_at_k`.
    divisor : {"min", "holdout", "k", "listed"}, default=None
        Divisor: min(k, T), T, k, or min(T, length of the list). None takes the convention's.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without held-out items, unless `empty` is "zero".

    Raises
    ------
    TypeError, ValueError, IndexError
        As for :func:`precision_at_k`.

    Examples
    --------
    >>> from skdiffrec.metrics import map_at_k
    >>> map_at_k([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=2)
    0.5
    """
    definition = define("map", convention, divisor=divisor, empty=empty)
    return accuracy("map", look_up(ids, holdout, k), definition, per_user)


def hit_rate_at_k(
    ids: ArrayLike,
    holdout: MatrixLike,
    k: int = 10,
    *,
    per_user: bool = False,
    convention: str | Convention = "skdiffrec",
    empty: Empty | None = None,
) -> Score:
    """Share of users with at least one held-out item in the top k.

    Shows how many users get any relevant item. It never decreases as k grows. It misleads when k or
    the number of held-out items is large: one hit counts as much as ten, chance alone gives many
    users a hit, and the value approaches 1 for every model. With one held-out item per user it
    equals recall.

    Parameters
    ----------
    ids, holdout, k, per_user, convention, empty
        As for :func:`precision_at_k`.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        0 or 1 per user; NaN for a user without held-out items, unless `empty` is "zero".

    Raises
    ------
    TypeError, ValueError, IndexError
        As for :func:`precision_at_k`.

    Examples
    --------
    >>> from skdiffrec.metrics import hit_rate_at_k
    >>> hit_rate_at_k([[3, 2], [4, 1]], [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], k=1)
    0.5
    """
    definition = define("hit_rate", convention, empty=empty)
    return accuracy("hit_rate", look_up(ids, holdout, k), definition, per_user)
