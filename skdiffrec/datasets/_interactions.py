"""From a table of events to the Bunch that fetchers and loaders return."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import Bunch

from ._npz import VALUES, csr_of

__all__ = ["Events", "make_bunch", "check_values", "distinct_pairs"]


@dataclass
class Events:
    """Events, one entry each; a (user, item) pair may have several.

    Parameters
    ----------
    user, item : ndarray of shape (n_events,)
        Ids in the source, numbers or strings.
    weight : ndarray of shape (n_events,) or None
        Weights, summed per pair; None counts the events of a pair.
    time : ndarray of shape (n_events,) or None
        Times > 0; a pair has the earliest one.
    """

    user: np.ndarray
    item: np.ndarray
    weight: np.ndarray | None = None
    time: np.ndarray | None = None

    def select(self, rows: np.ndarray) -> "Events":
        """The events selected by a mask or by indices."""
        weight = None if self.weight is None else self.weight[rows]
        time = None if self.time is None else self.time[rows]
        return Events(self.user[rows], self.item[rows], weight, time)

    def once_per(self, visit: np.ndarray) -> "Events":
        """Events with duplicates removed within each visit, such as an order.

        `visit` (n_events,) holds the ids of the visits; an item counts once per visit.
        """
        codes = (np.unique(column, return_inverse=True)[1] for column in (visit, self.item))
        return self.select(np.sort(distinct_pairs(*codes)))


def distinct_pairs(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Index of the first occurrence of each distinct pair in two columns of integers >= 0."""
    code = left.astype(np.int64) * (right.max(initial=0) + 1) + right
    return np.unique(code, return_index=True)[1]


def check_values(values: str, name: str, has_times: bool = True, has_ratings: bool = False) -> None:
    """Raise an error unless `values` is valid and available in the data set `name`."""
    if values not in VALUES:
        raise ValueError(f"values must be one of {VALUES}, got {values!r}.")
    if values == "rating" and not has_ratings:
        raise ValueError(
            f'{name} has no ratings, so values="rating" is not available; use values="binary" or '
            'values="weight".'
        )
    if values == "time" and not has_times:
        raise ValueError(
            f'{name} has no times, so values="time" is not available; use values="binary" or '
            'values="weight".'
        )


def make_bunch(
    name: str,
    about: str,
    events: Events,
    values: str,
    *,
    titles: Mapping | None = None,
    k_core: int = 1,
) -> Bunch:
    """The Bunch that a fetcher returns, from its events.

    Parameters
    ----------
    name, about : str
        Name and description, for DESCR.
    events : Events
    values : {"binary", "weight", "time", "rating"}
        What the stored values mean.
    titles : mapping of item id to str, or None
        Names of the items; an item that is missing here is named by its id.
    k_core : int
        Minimum number of items per user and of users per item; users and items with fewer are
        removed repeatedly until all have as many.
    """
    if k_core > 1:
        events = events.select(_in_core(events, k_core))
    if len(events.user) == 0:
        raise ValueError(f"No interaction of {name} passes the given limits; lower them.")
    user_ids, item_ids, X = _matrix(events, values)
    item_names = None
    if titles is not None:
        item_names = np.array([titles.get(item) or str(item) for item in item_ids.tolist()])
    n_users, n_items = X.shape
    return Bunch(
        X=X,
        user_ids=user_ids,
        item_ids=item_ids,
        item_names=item_names,
        n_users=n_users,
        n_items=n_items,
        has_times=events.time is not None,
        DESCR=(
            f"{name}: {n_users:,} users x {n_items:,} items; {X.nnz:,} interactions; "
            f"values={values!r}.\n\n{about}"
        ),
    )


def _matrix(events: Events, values: str) -> tuple[np.ndarray, np.ndarray, csr_array]:
    """(user ids, item ids, canonical CSR with one value per pair)."""
    user_ids, row = np.unique(events.user, return_inverse=True)
    item_ids, column = np.unique(events.item, return_inverse=True)
    pair = row.astype(np.int64) * len(item_ids) + column
    order = np.argsort(pair, kind="stable")
    start = np.flatnonzero(np.diff(pair[order], prepend=-1))
    first = order[start]
    if values == "time" and events.time is not None:
        data = np.minimum.reduceat(events.time[order].astype(np.float64), start)
    elif values == "binary":
        data = np.ones(len(first), np.float32)
    else:
        weight = np.ones(len(order)) if events.weight is None else events.weight[order]
        data = np.add.reduceat(weight.astype(np.float64), start).astype(np.float32)
    shape = (len(user_ids), len(item_ids))
    return user_ids, item_ids, csr_of(row[first], column[first], data, shape)


def _in_core(events: Events, k: int) -> np.ndarray:
    """Mask of the events whose user and item both belong to the k-core."""
    _, row = np.unique(events.user, return_inverse=True)
    _, column = np.unique(events.item, return_inverse=True)
    pairs = np.stack([row, column])[:, distinct_pairs(row, column)]
    n_pairs = -1
    while n_pairs != pairs.shape[1]:
        n_pairs = pairs.shape[1]
        enough = [np.bincount(ids)[ids] >= k for ids in pairs]
        pairs = pairs[:, np.logical_and(*enough)]
    return np.isin(row, pairs[0]) & np.isin(column, pairs[1])
