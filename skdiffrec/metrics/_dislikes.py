"""Ratings as holdouts: what users turned out to dislike."""

from numbers import Real
from typing import Literal

import numpy as np

from .._utils.opinions import Opinions
from .._utils.rows import entry_rows, select_entries
from .._utils.typing import ArrayLike, MatrixLike, Score
from ._checks import check_columns, check_ids, check_rows, graded, interactions
from ._formulas import each_or_mean
from ._hits import find_hits


def disliked_at_k(
    ids: ArrayLike,
    holdout: MatrixLike,
    k: int = 10,
    *,
    liked_from: float | Literal["auto"] = "auto",
    train: MatrixLike | None = None,
    per_user: bool = False,
) -> Score:
    """Share of the top k items that the user turned out to dislike.

    Lower is better. Most dislikes stay unseen: a listed item that the user has not rated counts
    neither for nor against a list, so that a list of items that nobody takes scores best. Read it
    beside :func:`ndcg_at_k`.

    Parameters
    ----------
    ids : array-like of int, shape (n_users, n_listed)
        Recommended items, best first, each at most once per list; -1 fills the end of a list.
    holdout : sparse or dense, shape (n_users, n_items)
        Held-out ratings, liked and disliked. Not modified.
    k : int, default=10
        Number of ranks evaluated, at most ``n_listed``.
    liked_from : float or "auto", default="auto"
        The least rating of a liked item. "auto" is the user's mean rating in `train`, where they
        rated five items or more there and not all alike; else the mean rating of all users. It is
        how ``CFGDiffusionRecommender(values="rating")`` tells them apart.
    train : sparse or dense, shape (n_users, n_items), default=None
        Ratings of the same users' histories, for "auto"; None takes those of `holdout`.
    per_user : bool, default=False
        Return one value per user instead of the mean.

    Returns
    -------
    float or ndarray of float64, shape (n_users,)
        In [0, 1]; NaN for a user without held-out ratings, who is left out of the mean.

    Raises
    ------
    TypeError, ValueError, IndexError
        If an argument is invalid, or if `per_user` is False and no user has a held-out rating.

    Examples
    --------
    >>> from skdiffrec.metrics import disliked_at_k
    >>> holdout = [[1, 0, 0, 5, 0], [0, 2, 0, 0, 0]]
    >>> disliked_at_k([[3, 0], [4, 1]], holdout, k=2, liked_from=4, per_user=True)
    array([0.5, 0.5])
    """
    rated = interactions("holdout", holdout)
    ids = check_ids(ids, k, rated.shape[1])[:, :k]
    check_rows(ids, rated, "holdout")
    history = holdout
    if train is not None:
        pattern = interactions("train", train)
        check_columns(pattern, "train", rated.shape[1], "the columns of holdout")
        check_rows(ids, pattern, "train")
        history = train
    values, history = graded(holdout), graded(history)
    is_number = isinstance(liked_from, Real) and not np.isnan(liked_from)
    if not is_number and not (isinstance(liked_from, str) and liked_from == "auto"):
        raise ValueError(f'liked_from must be a number or "auto", got {liked_from!r}.')
    least = -np.inf  # where there is no rating to go by, nothing is disliked
    if history.nnz:
        opinions = Opinions.learned(history, liked_from, np.ones(history.shape[0]))
        least = opinions.thresholds(history)[entry_rows(values)] - opinions.tolerance
    elif is_number:
        least = float(liked_from)
    disliked = select_entries(rated, values.data < least)
    shares = disliked_shares(find_hits(ids, disliked), np.diff(rated.indptr) > 0)
    return each_or_mean(shares, per_user, "with a held-out rating")


def disliked_shares(hits, rated):
    """Share of disliked items among the top k, given who has held-out ratings; else NaN."""
    return np.where(rated, hits.counts() / hits.k, np.nan)
