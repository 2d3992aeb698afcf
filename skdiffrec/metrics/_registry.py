"""Metrics by name, several at once from one lookup: for scorers and for the report."""

from difflib import get_close_matches
from functools import cached_property

from ._checks import check_columns, check_ids, check_rows, interactions
from ._closed_forms import (
    accuracy,
    coverage,
    gini,
    history_popularity,
    item_counts,
    list_means,
    mean_of,
    owners_of,
    personalization,
    popularity_places,
    self_information,
    serendipity,
)
from ._conventions import OPTIONS, define
from ._diversity import check_likeness, diversity
from ._hits import find_hits

# name: (the users' values from Lists and k, what a user needs to have one)
BY_USER = {
    "personalization": (
        lambda lists, k: personalization(lists.top(k), lists.length(k), lists.counts(k)),
        "with a list, beside another who has one",
    ),
    "novelty": (
        lambda lists, k: lists.means(k, lists.information),
        "with a list",
    ),
    "popularity_bias": (
        lambda lists, k: lists.means(k, lists.owners) / lists.history_popularity - 1.0,
        "with a history and a list",
    ),
    "serendipity": (
        lambda lists, k: serendipity(lists.hits(k), lists.top(k), lists.popularity_places),
        "with a holdout",
    ),
    "intra_list_diversity": (
        lambda lists, k: diversity(lists.top(k), *lists.likeness),
        "with two items in the list",
    ),
}
OF_ALL_USERS = {"coverage": coverage, "gini": gini}  # from item counts
NAMES = (*OPTIONS, *OF_ALL_USERS, *BY_USER)


def evaluate(
    names,
    ids,
    holdout,
    train=None,
    convention="skdiffrec",
    per_user=False,
    *,
    item_vectors=None,
    similarity=None,
):
    """Several metrics of the same lists; what they share is computed once.

    Parameters
    ----------
    names : sequence of str
        Names of `NAMES`, each alone for k=10 or as "name@k".
    ids, holdout, train, convention, per_user, item_vectors, similarity
        As for the functions of the same names.

    Returns
    -------
    dict of str to float or ndarray
        By the names as they were given, in their order.
    """
    parsed = {name: parse(name) for name in names}
    if not parsed:
        raise ValueError(f"names must hold a metric, got none; valid are {', '.join(NAMES)}.")
    widest = max(k for _, k in parsed.values())
    lists = Lists(ids, holdout, widest, train, convention, item_vectors, similarity)
    return {name: lists.value(*parsed[name], per_user) for name in parsed}


def parse(name):
    """("ndcg", 10) of "ndcg@10"; k is 10 unless given."""
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


class Lists:
    """Checked lists with what they are judged by; every shared part is made once, when needed."""

    def __init__(
        self,
        ids,
        holdout,
        k,
        train=None,
        convention="skdiffrec",
        item_vectors=None,
        similarity=None,
    ):
        self.convention = convention
        self._holdout = interactions("holdout", holdout)
        self.n_items = self._holdout.shape[1]
        self._ids = check_ids(ids, k, self.n_items)[:, :k]
        check_rows(self._ids, self._holdout, "holdout")
        self._train, self._likeness = None, None
        if train is not None:
            self._train = interactions("train", train)
            check_columns(self._train, "train", self.n_items, "the columns of holdout")
        if item_vectors is not None or similarity is not None:
            self._likeness = check_likeness(item_vectors, similarity, self.n_items)
        self._hits = {k: find_hits(self._ids, self._holdout)}
        self._counts = {}

    def value(self, metric, k, per_user=False):
        """The metric at k: a float, or one value per user."""
        if metric in OPTIONS:
            return accuracy(metric, self.hits(k), define(metric, self.convention), per_user)
        if metric in BY_USER:
            values_of, need = BY_USER[metric]
            values = values_of(self, k)
            return values if per_user else mean_of(values, need)
        if per_user:
            raise ValueError(
                f"{metric} has one value for all users together, got per_user=True; leave it out,"
                " or pass per_user=False."
            )
        return OF_ALL_USERS[metric](self.counts(k))

    def can_judge(self, metric):
        """Was everything given that the metric needs?"""
        if metric == "popularity_bias":
            return self._train is not None and self._train.shape[0] == len(self._ids)
        if metric in ("novelty", "serendipity"):
            return self._train is not None
        return metric != "intra_list_diversity" or self._likeness is not None

    def top(self, k):
        return self._ids[:, :k]

    def length(self, k):
        return self.hits(k).listed

    def means(self, k, table):
        return list_means(self.top(k), self.length(k), table)

    def hits(self, k):
        if k not in self._hits:
            self._hits[k] = self._hits[max(self._hits)].top(k)
        return self._hits[k]

    def counts(self, k):
        if k not in self._counts:
            self._counts[k] = item_counts(self.top(k), self.n_items)
        return self._counts[k]

    @property
    def train(self):
        if self._train is None:
            raise ValueError(
                "novelty, popularity_bias and serendipity need train, got None; pass the"
                " histories, users x items."
            )
        return self._train

    @property
    def likeness(self):
        if self._likeness is None:
            raise ValueError(
                "intra_list_diversity needs item_vectors or similarity, got neither; pass one of"
                " them."
            )
        return self._likeness

    @cached_property
    def owners(self):
        return owners_of(self.train)

    @cached_property
    def information(self):
        return self_information(self.train, self.owners)

    @cached_property
    def history_popularity(self):
        check_rows(self._ids, self.train, "train")
        return history_popularity(self.train, self.owners)

    @cached_property
    def popularity_places(self):
        return popularity_places(self.owners)
