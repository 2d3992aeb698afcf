"""Sequences of users for next-item prediction, and the metrics of its lists. Imports NumPy alone.

Leave-one-out: a user's last item is test, the one before it valid, the rest is train; users of two
items have no valid, users of one neither. At test the history is train and valid.
"""

import pathlib
from typing import NamedTuple

import numpy as np

PARTS_IN_TIME = {"ml-1m_": (0, 2, 1)}  # codes of the parts in time, where they are not 0, 1, 2
CUTOFFS = (5, 10, 20)


class Sequences(NamedTuple):
    """Items of all users, one user after the other, each in order of time."""

    name: str
    user: np.ndarray  # int64 (n,), ascending
    item: np.ndarray  # int64 (n,)
    time: np.ndarray  # float64 (n,), places in the sequence where there are no times
    n_users: int
    n_items: int

    def history(self, n_left_out):
        """(user, item, time) of all but the last `n_left_out` items of every user."""
        kept = self.from_end() >= n_left_out
        return self.user[kept], self.item[kept], self.time[kept]

    def target(self, from_end):
        """The item at a place from the end of each user, int64 (n_users,), −1 where none.

        The first item of a user is nobody's target.
        """
        found = np.full(self.n_users, -1)
        wanted = (self.from_end() == from_end) & (self._place() > 0)
        found[self.user[wanted]] = self.item[wanted]
        return found

    def from_end(self):
        """Number of items of the same user that follow each entry."""
        lengths = np.bincount(self.user, minlength=self.n_users)
        return np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(len(self.user))

    def _place(self):
        lengths = np.bincount(self.user, minlength=self.n_users)
        return np.arange(len(self.user)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def load(path):
    """`Sequences` of an .npz of the data folder (parts put together), or of a text file.

    A line of the text is a user and its items, "user item item item ..."; an item that comes again
    is left out, since lists leave out what a user has.
    """
    path = pathlib.Path(path)
    return _of_npz(path) if path.suffix == ".npz" else _of_text(path)


def _of_npz(path):
    with np.load(path) as arrays:
        user, item = arrays["user"].astype(np.int64), arrays["item"].astype(np.int64)
        parts = [o for start, o in PARTS_IN_TIME.items() if path.name.startswith(start)]
        part = np.argsort(parts[0])[arrays["split"]] if parts else arrays["split"]
        times = arrays["timestamp"] if "timestamp" in arrays.files else None
    order = np.lexsort((part, user) if times is None else (times, user))  # stable
    user, item = user[order], item[order]
    sequences = Sequences(path.stem, user, item, None, int(user.max()) + 1, int(item.max()) + 1)
    time = sequences._place() + 1.0 if times is None else times[order].astype(np.float64)
    return sequences._replace(time=time)


def _of_text(path):
    users, items = [], []
    with open(path) as lines:
        for line in lines:
            _, *row = line.split()
            row = list(dict.fromkeys(row))
            items += row
            users += [len(users) and users[-1] + 1] * len(row)
    names, item = np.unique(np.array(items), return_inverse=True)
    user = np.unique(np.array(users), return_inverse=True)[1]
    sequences = Sequences(path.stem, user, item, None, int(user.max()) + 1, len(names))
    return sequences._replace(time=sequences._place() + 1.0)


def evaluate(ids, target):
    """{"R@5": ..., "N@5": ...} of lists (n_users, ≥ 20) over the users with a target."""
    has = target >= 0
    hits = ids[has] == target[has, None]
    found = {}
    for k in CUTOFFS:
        hit = hits[:, :k]
        found[f"R@{k}"] = float(hit.any(axis=1).mean())
        found[f"N@{k}"] = float((hit / np.log2(np.arange(2, 2 + k))).sum(axis=1).mean())
    return found
