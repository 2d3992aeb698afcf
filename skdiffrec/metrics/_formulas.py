"""Formulas of the metrics, from hits, lists and item counts; one value per user."""

from collections.abc import Callable

import numpy as np

from .._utils.flags import check_flag
from .._utils.typing import DoubleArray
from ._blocks import in_blocks


class NoValueError(ValueError):
    """Nobody has a value of a metric: its definition gives none for these lists."""


# --- accuracy: (numerator, denominator), both of shape (n_users,) ---------------------------------


def precision(hits, divisor):
    divisors = {"k": hits.k, "min": np.minimum(hits.sizes, hits.k), "listed": hits.listed}
    return hits.counts(), np.broadcast_to(divisors[divisor], hits.n_users)


def recall(hits, divisor):
    return hits.counts(), hits.sizes if divisor == "holdout" else np.minimum(hits.sizes, hits.k)


def ndcg(hits, ideal, discount):
    ranks = np.arange(1, hits.k + 1)
    gains = 1.0 / np.log2(ranks + 1 if discount == "standard" else np.maximum(ranks, 2))
    ideal_gains = np.concatenate([[0.0], np.cumsum(gains)])
    length = np.minimum(hits.sizes, hits.k) if ideal == "min" else hits.k
    return hits.sums(gains[hits.ranks]), np.broadcast_to(ideal_gains[length], hits.n_users)


def graded_ndcg(hits, gains, ideal, discount):
    """nDCG of hits that gain so much each, (n_hits,); `ideal` (n_users, k) are the best gains."""
    ranks = np.arange(1, hits.k + 1)
    weights = 1.0 / np.log2(ranks + 1 if discount == "standard" else np.maximum(ranks, 2))
    best = np.zeros(hits.n_users)
    for rank, weight in enumerate(weights):  # summed as those of a list are
        best += weight * ideal[:, rank]
    return hits.sums(gains * weights[hits.ranks]), best


def average_precision(hits, divisor):
    limit = {"min": hits.k, "holdout": np.inf, "listed": hits.listed}
    denominator = hits.k if divisor == "k" else np.minimum(hits.sizes, limit[divisor])
    precisions = hits.sums(hits.nth / (hits.ranks + 1))
    return precisions, np.broadcast_to(denominator, hits.n_users)


def reciprocal_rank(hits):
    first = hits.nth == 1
    return hits.sums(first / (hits.ranks + 1)), np.ones(hits.n_users)


def hit_rate(hits):
    return np.minimum(hits.counts(), 1), np.ones(hits.n_users)


ACCURACY: dict[str, Callable[..., tuple[DoubleArray, DoubleArray]]] = {
    "precision": precision,
    "recall": recall,
    "ndcg": ndcg,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def accuracy(metric, hits, definition, per_user):
    """A metric of ACCURACY under a Definition: one value per user, or their average."""
    numerator, denominator = ACCURACY[metric](hits, **definition.options)
    per_user = check_flag("per_user", per_user)
    if per_user or definition.average == "macro":
        return aggregate(ratio(numerator, denominator), hits.sizes, definition.empty, per_user)
    check_any_holdout(hits.sizes)
    counted = slice(None) if definition.empty == "zero" else hits.sizes > 0
    return float(ratio(numerator[counted].sum(), denominator[counted].sum()))


def ratio(numerator, denominator):
    """numerator / denominator, 0 where the denominator is 0."""
    zeros = np.zeros(np.shape(numerator))
    return np.divide(numerator, denominator, out=zeros, where=np.greater(denominator, 0))


def aggregate(values, sizes, empty, per_user, need="with a holdout"):
    """Apply `empty` to users without held-out items, then average unless `per_user`.

    A user with held-out items whose value is NaN stays NaN and is left out of the mean.
    """
    values = np.where(sizes > 0, values, np.nan if empty == "nan" else 0.0)
    if check_flag("per_user", per_user):
        return values
    check_any_holdout(sizes)
    return mean_of(values, need)


def each_or_mean(values, per_user, need):
    """The values of all users, or `mean_of` them."""
    return values if check_flag("per_user", per_user) else mean_of(values, need)


def check_any_holdout(sizes):
    if not (sizes > 0).any():
        raise ValueError(
            f"holdout must hold an item for at least one user, got {len(sizes)} users and no item;"
            " check the split, or pass per_user=True to see each user's value."
        )


def mean_of(values, need):
    """Mean of the values that are not NaN; `need` tells in errors which users have a value."""
    known = values[~np.isnan(values)]
    if not len(known):
        raise NoValueError(
            f"The mean needs at least one user {need}, got none among {len(values)}; check the"
            " arguments, or pass per_user=True to see each user's value."
        )
    return float(known.mean())


# --- beyond accuracy: lists `top` (n_users, k) padded with -1, `length` (n_users,) items each -----


def item_counts(top, n_items):
    """Number of lists that each item is in, int64 (n_items,)."""
    return np.bincount(top.ravel() + 1, minlength=n_items + 1)[1:]


def lengths(top):
    """Number of items in each list, int64 (n_users,)."""
    return (top >= 0).sum(axis=1)


def list_sums(top, table):
    """Sum of the item values `table` (n_items,) over each user's list."""
    padded = np.append(table, 0.0)  # index -1 reads this 0
    return in_blocks(lambda users: padded[top[users]].sum(axis=1), *top.shape)


def list_means(top, length, table):
    """Mean of the item values `table` (n_items,) over each user's list, NaN for an empty list."""
    return np.where(length > 0, ratio(list_sums(top, table), length), np.nan)


def coverage(counts):
    return float((counts > 0).mean())


def gini(counts):
    if not counts.any():
        raise ValueError(
            "The Gini index needs at least one listed item, got none; check ids, and which items"
            " were filtered out."
        )
    ordered, n = np.sort(counts), len(counts)
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return float((weights * ordered).sum() / (n * ordered.sum()))


def personalization(top, length, counts):
    others = np.count_nonzero(length) - 1
    if others < 1:
        return np.full(len(top), np.nan)
    return 1.0 - list_means(top, length, (counts - 1) / others)


def item_popularity(train):
    """Number of users who have each item, float64 (n_items,)."""
    return np.bincount(train.indices, minlength=train.shape[1]).astype(np.float64)


def self_information(train, popularity):
    """-log2 of the share of users who have each item, float64 (n_items,).

    An item that no user has counts as if one user had it.
    """
    n_users = (np.diff(train.indptr) > 0).sum()
    if n_users == 0:
        raise NoValueError("train must hold an item for at least one user, got none; check train.")
    return np.log2(n_users / np.maximum(popularity, 1))


def history_popularity(train, popularity):
    """Mean popularity of the items in each user's history, NaN for an empty one, (n_users,)."""
    length = np.diff(train.indptr)
    return np.where(length > 0, ratio(train @ popularity, length), np.nan)


def popularity_ranks(popularity):
    """1 + the number of items that are more popular, int64 (n_items,)."""
    return len(popularity) - np.searchsorted(np.sort(popularity), popularity, side="right") + 1


def serendipity(hits, top, ranks):
    """Serendipity from the items' `popularity_ranks`; NaN for users without held-out items."""
    gained = ranks[top[hits.rows, hits.ranks]] - (hits.ranks + 1)
    values = hits.sums(np.maximum(gained, 0)) / (hits.k * len(ranks))
    return np.where(hits.sizes > 0, values, np.nan)
