"""The metrics as closed forms of the hits, of the lists and of item counts; one value per user."""

import numpy as np

from ._blocks import in_blocks

# --- accuracy: (what was found, what is divided by), both (n_users,) ------------------------------


def precision(hits, divisor):
    possible = {"k": hits.k, "min": np.minimum(hits.sizes, hits.k), "listed": hits.listed}
    return hits.counts(), np.broadcast_to(possible[divisor], hits.n_users)


def recall(hits, divisor):
    return hits.counts(), hits.sizes if divisor == "holdout" else np.minimum(hits.sizes, hits.k)


def ndcg(hits, ideal, discount):
    ranks = np.arange(1, hits.k + 1)
    gains = 1.0 / np.log2(ranks + 1 if discount == "standard" else np.maximum(ranks, 2))
    best = np.concatenate([[0.0], np.cumsum(gains)])
    length = np.minimum(hits.sizes, hits.k) if ideal == "min" else hits.k
    return hits.sums(gains[hits.ranks]), np.broadcast_to(best[length], hits.n_users)


def average_precision(hits, divisor):
    limit = {"min": hits.k, "holdout": np.inf, "listed": hits.listed}
    possible = hits.k if divisor == "k" else np.minimum(hits.sizes, limit[divisor])
    found = hits.sums(hits.nth / (hits.ranks + 1))
    return found, np.broadcast_to(possible, hits.n_users)


def reciprocal_rank(hits):
    first = hits.nth == 1
    return hits.sums(first / (hits.ranks + 1)), np.ones(hits.n_users)


def hit_rate(hits):
    return np.minimum(hits.counts(), 1), np.ones(hits.n_users)


ACCURACY = {
    "precision": precision,
    "recall": recall,
    "ndcg": ndcg,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def accuracy(metric, hits, definition, per_user):
    """One of ACCURACY by its definition: the users' values, or their average."""
    found, possible = ACCURACY[metric](hits, **definition.options)
    if per_user or definition.average == "macro":
        return over_judged(ratio(found, possible), hits.sizes, definition.empty, per_user)
    check_any_holdout(hits.sizes)
    counted = slice(None) if definition.empty == "zero" else hits.sizes > 0
    return float(ratio(found[counted].sum(), possible[counted].sum()))


def ratio(found, possible):
    """found / possible, 0 where nothing is possible."""
    zeros = np.zeros(np.shape(found))
    return np.divide(found, possible, out=zeros, where=np.greater(possible, 0))


def over_judged(values, sizes, empty, per_user, need="with a holdout"):
    """Users without holdout by the rule of `empty`, then the mean unless `per_user`.

    NaN of a user with a holdout stays NaN, and is left out of the mean.
    """
    values = np.where(sizes > 0, values, np.nan if empty == "nan" else 0.0)
    if per_user:
        return values
    check_any_holdout(sizes)
    return mean_of(values, need)


def check_any_holdout(sizes):
    if not (sizes > 0).any():
        raise ValueError(
            f"holdout must hold an item for at least one user, got {len(sizes)} users and no item;"
            " check the split, or pass per_user=True to see each user's value."
        )


def mean_of(values, need):
    """Mean of the values that are not NaN; `need` says what such a user has."""
    known = values[~np.isnan(values)]
    if not len(known):
        raise ValueError(
            f"The mean needs at least one user {need}, got none among {len(values)}; check the"
            " arguments, or pass per_user=True to see each user's value."
        )
    return float(known.mean())


# --- beyond accuracy: lists `top` (n_users, k) filled with -1, of `length` (n_users,) without it --


def item_counts(top, n_items):
    """In how many lists each item is, int64 (n_items,)."""
    return np.bincount(top.ravel() + 1, minlength=n_items + 1)[1:]


def lengths(top):
    """Number of items in each list, int64 (n_users,)."""
    return (top >= 0).sum(axis=1)


def list_sums(top, table):
    """Sum of the table's values (n_items,) over a user's list."""
    filled = np.append(table, 0.0)  # -1 finds the 0 at the end
    return in_blocks(lambda users: filled[top[users]].sum(axis=1), *top.shape)


def list_means(top, length, table):
    """Mean of the table's values (n_items,) over a user's list, NaN for an empty one."""
    return np.where(length > 0, ratio(list_sums(top, table), length), np.nan)


def coverage(counts):
    return float((counts > 0).mean())


def gini(counts):
    if not counts.any():
        raise ValueError(
            "The Gini index needs at least one listed item, got none; check ids, or the items that"
            " were filtered."
        )
    ordered, n = np.sort(counts), len(counts)
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return float((weights * ordered).sum() / (n * ordered.sum()))


def personalization(top, length, counts):
    others = np.count_nonzero(length) - 1
    if others < 1:
        return np.full(len(top), np.nan)
    return 1.0 - list_means(top, length, (counts - 1) / others)


def owners_of(train):
    """Number of users who have an item, float64 (n_items,)."""
    return np.bincount(train.indices, minlength=train.shape[1]).astype(np.float64)


def self_information(train, owners):
    """-log2 of the share of users who have an item, at least one user, float64 (n_items,)."""
    n_users = (np.diff(train.indptr) > 0).sum()
    if n_users == 0:
        raise ValueError("train must hold an item for at least one user, got none; check train.")
    return np.log2(n_users / np.maximum(owners, 1))


def history_popularity(train, owners):
    """Mean number of owners of the items in a user's history, NaN for an empty one, (n_users,)."""
    length = np.diff(train.indptr)
    return np.where(length > 0, ratio(train @ owners, length), np.nan)


def popularity_places(owners):
    """1 + the number of items that more users have, int64 (n_items,)."""
    return len(owners) - np.searchsorted(np.sort(owners), owners, side="right") + 1


def serendipity(hits, top, places):
    """`places` is that of `popularity_places`; NaN for a user without holdout."""
    gained = places[top[hits.rows, hits.ranks]] - (hits.ranks + 1)
    values = hits.sums(np.maximum(gained, 0)) / (hits.k * len(places))
    return np.where(hits.sizes > 0, values, np.nan)
