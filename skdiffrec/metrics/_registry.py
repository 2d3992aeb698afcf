"""Metrics by name, several at once from one lookup of the hits; used by scorers and the report."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import cached_property

import numpy as np

from ._checks import check_columns, check_ids, check_rows, interactions
from ._conventions import OPTIONS, define
from ._dislikes import disliked_shares
from ._diversity import check_similarity, diversity
from ._formulas import (
    accuracy,
    coverage,
    each_or_mean,
    gini,
    history_popularity,
    item_counts,
    item_popularity,
    list_means,
    personalization,
    popularity_ranks,
    self_information,
    serendipity,
)
from ._hits import find_hits

# name: (function of EvaluatedLists and k that returns one value per user, which users have a value)
PER_USER = {
    "personalization": (
        lambda lists, k: personalization(lists.top(k), lists.length(k), lists.counts(k)),
        "with a list, and another user with one",
    ),
    "novelty": (
        lambda lists, k: lists.means(k, lists.information),
        "with a list",
    ),
    "popularity_bias": (
        lambda lists, k: lists.means(k, lists.popularity) / lists.history_popularity - 1.0,
        "with a history and a list",
    ),
    "serendipity": (
        lambda lists, k: serendipity(lists.hits(k), lists.top(k), lists.popularity_ranks),
        "with a holdout",
    ),
    "disliked": (
        lambda lists, k: disliked_shares(lists.hits_of_disliked(k), lists.rated),
        "with a held-out rating",
    ),
    "intra_list_diversity": (
        lambda lists, k: diversity(lists.top(k), *lists.similarity),
        "with two items in the list",
    ),
}
# name: function of the item counts that returns one value for all users together
OVERALL: dict[str, Callable[..., float]] = {"coverage": coverage, "gini": gini}
NAMES = (*OPTIONS, *OVERALL, *PER_USER)


def evaluate(
    names,
    ids,
    holdout,
    train=None,
    convention="skdiffrec",
    per_user=False,
    *,
    disliked=None,
    item_vectors=None,
    similarity=None,
):
    """Several metrics of the same lists; shared intermediate results are computed once.

    Parameters
    ----------
    names : sequence of str
        Names from `NAMES`, each either "name" (k=10) or "name@k".
    ids, holdout, train, convention, per_user, disliked, item_vectors, similarity
        As in the metric functions and `ranking_report`.

    Returns
    -------
    dict of str to float or ndarray
        Values by name as given, in the given order.
    """
    parsed = {name: parse(name) for name in names}
    if not parsed:
        raise ValueError(f"names must hold a metric, got none; valid are {', '.join(NAMES)}.")
    max_k = max(k for _, k in parsed.values())
    more = disliked, item_vectors, similarity
    lists = EvaluatedLists(ids, holdout, max_k, train, convention, *more)
    return {name: lists.value(metric, k, per_user) for name, (metric, k) in parsed.items()}


def parse(name):
    """Split "ndcg@10" into ("ndcg", 10); k is 10 if the name has none."""
    if not isinstance(name, str):
        raise TypeError(
            f"A metric must be a str, got {name!r} of type {type(name).__name__}; pass a name such"
            " as 'ndcg@10'."
        )
    metric, at, k = name.partition("@")
    if metric not in NAMES:
        near = get_close_matches(metric, NAMES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"Unknown metric {name!r}; {hint}Valid are {', '.join(NAMES)}, each with or without"
            " '@k', such as 'ndcg@10'."
        )
    if at and not (k.isdecimal() and int(k) > 0):
        raise ValueError(
            f"Unknown metric {name!r}: what follows '@' must be an integer >= 1; write for example"
            f" '{metric}@10'."
        )
    return metric, int(k) if at else 10


class EvaluatedLists:
    """Checked lists and the data they are evaluated on; shared results are computed once, lazily.

    Parameters are those of `evaluate`; `k` is the largest k that will be requested.
    """

    def __init__(
        self,
        ids,
        holdout,
        k,
        train=None,
        convention="skdiffrec",
        disliked=None,
        item_vectors=None,
        similarity=None,
    ):
        self.convention = convention
        self._holdout = interactions("holdout", holdout)
        self.n_items = self._holdout.shape[1]
        self._ids = check_ids(ids, k, self.n_items)[:, :k]
        check_rows(self._ids, self._holdout, "holdout")
        self._train, self._similarity, self._disliked = None, None, None
        if disliked is not None:
            self._disliked = interactions("disliked", disliked)
            check_rows(self._ids, self._disliked, "disliked")
            check_columns(self._disliked, "disliked", self.n_items, "the columns of holdout")
        if train is not None:
            self._train = interactions("train", train)
            check_columns(self._train, "train", self.n_items, "the columns of holdout")
        if item_vectors is not None or similarity is not None:
            self._similarity = check_similarity(item_vectors, similarity, self.n_items)
        self._hits = {k: find_hits(self._ids, self._holdout)}
        self._counts = {}

    def value(self, metric, k, per_user=False):
        """The metric at k: the mean as a float, or one value per user."""
        if metric in OPTIONS:
            return accuracy(metric, self.hits(k), define(metric, self.convention), per_user)
        if metric in PER_USER:
            values_of, need = PER_USER[metric]
            values = values_of(self, k)
            return each_or_mean(values, per_user, need)
        if per_user:
            raise ValueError(
                f"{metric} has one value for all users together, got per_user=True; leave the"
                " metric out, or pass per_user=False."
            )
        return OVERALL[metric](self.counts(k))

    def can_compute(self, metric):
        """Whether all data that the metric needs was given."""
        if metric == "popularity_bias":
            return self._train is not None and self._train.shape[0] == len(self._ids)
        if metric == "disliked":
            return self._disliked is not None
        if metric in ("novelty", "serendipity"):
            return self._train is not None
        return metric != "intra_list_diversity" or self._similarity is not None

    def top(self, k):
        """The first k columns of the lists, int64 (n_users, k)."""
        return self._ids[:, :k]

    def length(self, k):
        """Number of items in the top k of each user, int64 (n_users,)."""
        return self.hits(k).listed

    def means(self, k, table):
        """Mean of the item values `table` over each user's top k, float64 (n_users,)."""
        return list_means(self.top(k), self.length(k), table)

    def hits(self, k):
        """The hits in the top k."""
        if k not in self._hits:
            self._hits[k] = self._hits[max(self._hits)].top(k)
        return self._hits[k]

    def counts(self, k):
        """Number of top-k lists that each item is in, int64 (n_items,)."""
        if k not in self._counts:
            self._counts[k] = item_counts(self.top(k), self.n_items)
        return self._counts[k]

    @property
    def rated(self):
        """Who has held-out items, liked or disliked, bool (n_users,)."""
        return (np.diff(self._holdout.indptr) > 0) | (np.diff(self.disliked.indptr) > 0)

    def hits_of_disliked(self, k):
        """Listed items that the users disliked."""
        return find_hits(self.top(k), self.disliked)

    @property
    def disliked(self):
        if self._disliked is None:
            raise ValueError(
                "disliked needs the held-out items that users disliked, got None; pass them, users "
                'x items, or evaluate a recommender with values="rating" on ratings.'
            )
        return self._disliked

    @property
    def train(self):
        if self._train is None:
            raise ValueError(
                "novelty, popularity_bias and serendipity need train, got None; pass the"
                " histories, users x items."
            )
        return self._train

    @property
    def similarity(self):
        if self._similarity is None:
            raise ValueError(
                "intra_list_diversity needs item_vectors or similarity, got neither; pass one of"
                " them."
            )
        return self._similarity

    @cached_property
    def popularity(self):
        return item_popularity(self.train)

    @cached_property
    def information(self):
        return self_information(self.train, self.popularity)

    @cached_property
    def history_popularity(self):
        check_rows(self._ids, self.train, "train")
        return history_popularity(self.train, self.popularity)

    @cached_property
    def popularity_ranks(self):
        return popularity_ranks(self.popularity)
