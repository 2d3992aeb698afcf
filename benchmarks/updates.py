"""Ten days of a model: nightly `partial_fit`, newer rows without training, and a new fit.

    python benchmarks/updates.py ../shared/data/ml-1m_clean.npz ../shared/data/gowalla.npz

All interactions of a set with times, in their order: the first 70 % are there before, the rest is
cut into ten days of equal size. Every morning lists are made from all that came before, for the
users who come that day, and evaluated on what they take: nDCG@10, mean over users, then over days.
(Sets without times are shuffled; then days are a fiction, and only the effort is of interest.) A
new fit is made on the nights that `--fits` names, and its rows compare these days alone.
"""

import argparse
import pathlib
import time

import numpy as np
import scipy.sparse as sp

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import load_npz
from skdiffrec.metrics import ndcg_at_k

BEFORE, N_DAYS = 0.7, 10
WAYS = ("rows of the first day", "newer rows", "partial_fit", "new fit")


class Days:
    """Interactions in the order of time, cut into what was there before and ten days."""

    def __init__(self, path):
        self.has_times = "timestamp" in np.load(path).files
        data = load_npz(path, values="time" if self.has_times else "binary")
        X = sp.coo_array(data.train + data.valid + data.test)
        rng = np.random.default_rng(0)
        order = rng.permutation(X.nnz)
        if self.has_times:
            order = order[np.argsort(X.data[order], kind="stable")]
        # users are numbered as they come, so that new ones are the last
        user, item, value = X.row[order], X.col[order], X.data[order]
        _, first, user = np.unique(user, return_index=True, return_inverse=True)
        self.user = np.argsort(np.argsort(first))[user]
        self.item, self.value, self.n_items = item, value, X.shape[1]
        self.ends = np.linspace(BEFORE * X.nnz, X.nnz, N_DAYS + 1).astype(int)

    def until(self, day, n_users=None):
        """All rows before a day (from 0 on); of so many users."""
        some = slice(0, self.ends[day])
        n_users = n_users or self.user[some].max() + 1
        entries = self.value[some].astype(float), (self.user[some], self.item[some])
        return sp.csr_array(entries, shape=(n_users, self.n_items))

    def of(self, day):
        """(users of a day, what they take)"""
        some = slice(self.ends[day], self.ends[day + 1])
        users, row = np.unique(self.user[some], return_inverse=True)
        shape = len(users), self.n_items
        return users, sp.csr_array((np.ones(len(row)), (row, self.item[some])), shape=shape)


def evaluated(model, days, day, seen=None):
    """nDCG@10 of the users of a day; `seen` (rows) is what lists are made from, None all."""
    users, taken = days.of(day)
    n_users = max(users.max() + 1, days.until(day).shape[0])
    history = days.until(day, n_users)[users]
    read = history if seen is None else sp.csr_array((len(users), days.n_items))
    if seen is not None:
        known = users < seen.shape[0]
        read = sp.lil_array((len(users), days.n_items))
        read[np.flatnonzero(known)] = seen[users[known]]
        read = read.tocsr()
    ids, _ = model.recommend(X=read, filter_items=history)
    holdout = taken.multiply(history == 0) if False else taken
    return float(ndcg_at_k(ids, holdout, k=10))


def run(path, seed, fits, options):
    """{way: (values of days, seconds of nights)}"""
    days = Days(path)
    options = {"values": "time"} if days.has_times else {}
    model = CFGDiffusionRecommender(random_state=seed, **options)
    first_rows = days.until(0)
    begun = time.perf_counter()
    model.fit(first_rows)
    found = {way: {} for way in WAYS}
    seconds = {way: [] for way in WAYS}
    first_fit = time.perf_counter() - begun
    nightly = CFGDiffusionRecommender(random_state=seed, **options)
    nightly.__dict__.update(vars(model))
    for day in range(N_DAYS):
        if day:
            before, rows = days.until(day - 1), days.until(day)
            changed, _ = days.of(day - 1)
            begun = time.perf_counter()
            nightly.partial_fit(rows[changed], user_ids=changed)
            seconds["partial_fit"].append(time.perf_counter() - begun)
            del before
        found["rows of the first day"][day] = evaluated(model, days, day, first_rows)
        found["newer rows"][day] = evaluated(model, days, day)
        found["partial_fit"][day] = evaluated(nightly, days, day)
        if day in fits:
            fresh = CFGDiffusionRecommender(random_state=seed, **options)
            begun = time.perf_counter()
            fresh.fit(days.until(day))
            seconds["new fit"].append(time.perf_counter() - begun)
            found["new fit"][day] = evaluated(fresh, days, day)
        print(
            day,
            {way: round(values.get(day, np.nan), 4) for way, values in found.items()},
            {way: np.round(np.mean(s), 1) if s else None for way, s in seconds.items()},
            flush=True,
        )
    return found, seconds, first_fit


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="+", type=pathlib.Path)
    parser.add_argument("--fits", type=int, nargs="*", default=[3, 6, 9])
    o = parser.parse_args()
    for path in o.data:
        f, s, t = run(path, 0, o.fits, o)
        for way in WAYS:
            print(
                way,
                np.mean(list(f[way].values())),
                np.mean([f[way][d] for d in o.fits]),
                np.mean(s[way]) if s[way] else None,
            )
