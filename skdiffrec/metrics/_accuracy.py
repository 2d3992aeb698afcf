"""Metrics of accuracy at k: one value per user from the places of the hits."""

from typing import Literal

from .._utils.typing import ArrayLike, Average, Empty, MatrixLike, Score
from ._closed_forms import accuracy
from ._conventions import Convention, define
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
    """Share of the top k places that hold a holdout item: hits / k.

    Answers "how much of the list is right?". The order within the top k does not matter. It
    misleads where holdouts are small: a user with T < k holdout items cannot pass T / k, so values
    from different splits do not compare. A short list is divided by k too.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Hidden items, T for a user: every non-zero is one, whatever its value. Not modified.
    k : int, default=10
        Number of places judged, at most ``n_listed``.
    per_user : bool, default=False
        Return one value per user in place of the mean.
    convention : str or Convention, default="skdiffrec"
        Whose definition; see :class:`Convention`.
    divisor : {"k", "min", "listed"}, default=None
        Overrides the convention's: k, min(k, T), or the length of the list.
    average : {"macro", "micro"}, default=None
        Overrides the convention's: the mean of the users' ratios, or all hits over all divisors.
    empty : {"nan", "zero"}, default=None
        Overrides the convention's: users without holdout are left out of the mean, or count as 0.

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
    """Share of the holdout found in the top k: hits / T.

    Answers "how much of what the user went on to choose was found?". It never falls as k grows.
    It misleads where holdouts are large: a user with T > k holdout items cannot pass k / T (some
    libraries divide by min(k, T), and report more). Small holdouts make it coarse: 0 or 1 at T=1.

    Parameters
    ----------
    ids, holdout, k, per_user, convention, average, empty
        As for :func:`precision_at_k`.
    divisor : {"holdout", "min"}, default=None
        Overrides the convention's: T, or min(k, T).

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, unless `empty` is "zero".

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
) -> Score:
    """Discounted gain of the top k, relative to the best list possible [1]_.

    A hit at rank r (from 1) gains 1 / log2(r + 1); the sum is divided by that of a list whose
    first min(k, T) places are hits. Answers "are the hits near the top?". It misleads across k: the
    ideal grows too, so the value may rise or fall. An ideal of k hits (other libraries) gives less.

    Parameters
    ----------
    ids, holdout, k, per_user, convention, empty
        As for :func:`precision_at_k`.
    ideal : {"min", "k"}, default=None
        Overrides the convention's number of hits in the ideal list: min(k, T), or k.
    discount : {"standard", "original"}, default=None
        Overrides the convention's discount: log2(r + 1), or log2(max(r, 2)), under which the first
        two places count alike.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, unless `empty` is "zero".

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
    """
    definition = define("ndcg", convention, ideal=ideal, discount=discount, empty=empty)
    return accuracy("ndcg", look_up(ids, holdout, k), definition, per_user)


def mrr_at_k(
    ids: ArrayLike,
    holdout: MatrixLike,
    k: int = 10,
    *,
    per_user: bool = False,
    convention: str | Convention = "skdiffrec",
    empty: Empty | None = None,
) -> Score:
    """Reciprocal rank of the first hit in the top k, 0 without one.

    Answers "how far down is the first good item?", for one who stops there. It misleads where
    users want several items: all after the first hit is ignored. Rank 1 against rank 2 weighs as
    much as rank 2 against no hit, so the mean leans on first places.

    Parameters
    ----------
    ids, holdout, k, per_user, convention, empty
        As for :func:`precision_at_k`.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, unless `empty` is "zero".

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

    A user's average precision is the sum of precision@r over the ranks r <= k of the hits,
    divided by min(k, T). Answers "is the top free of misses before and between the hits?". It
    misleads across libraries: a divisor of T, or of the number of hits, gives other numbers under
    the same name. Like nDCG it may rise or fall with k; it punishes late hits harder.

    Parameters
    ----------
    ids, holdout, k, per_user, convention, empty
        As for :func:`precision_at_k`.
    divisor : {"min", "holdout", "k", "listed"}, default=None
        Overrides the convention's: min(k, T), T, k, or min(T, length of the list).

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without holdout, unless `empty` is "zero".

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
    """Share of users with at least one holdout item in the top k.

    Answers "how many users find anything?". It never falls as k grows. It misleads where holdouts
    or k are large: one hit counts as much as ten, chance alone gives many users one, and the
    value nears 1 for every model. With one holdout item per user it equals recall.

    Parameters
    ----------
    ids, holdout, k, per_user, convention, empty
        As for :func:`precision_at_k`.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        0 or 1 per user; NaN for a user without holdout, unless `empty` is "zero".

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
