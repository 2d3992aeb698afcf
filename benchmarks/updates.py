"""Ten days of a model: nightly `partial_fit`, newer rows without training, and a new fit.

    python benchmarks/updates.py ../shared/data/ml-1m_clean.npz --json updates.json

All interactions of a set in the order of time: the first 70 % are there before, the rest is cut
into ten days of equal size. (Where a set says in which order a user's items came, but not when,
all users' rows go through the days side by side; where it says nothing, they are shuffled, and
nothing drifts.) Every morning lists are made for the users who come that day and were
there before, and evaluated on what they take: nDCG@10, mean over users, then over the days from the
second on. "rows of the first day" knows neither newer interactions nor newer users; "newer rows"
gives these to the model of the first day as `X`; "partial_fit" is trained each night on the rows
that changed; "new fit" is fitted to all rows on the nights that --fits names, to which the last
column compares all. What is forgotten shows on up to 500 users who were there before and are kept
from coming back: the latest fifth of their items is held out of everything, and found less often if
updates on others spoil what was learned of them.
"""

import argparse
import pathlib

import numpy as np
import scipy.sparse as sp
from timing import machine, markdown, merge, timed

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import load_npz
from skdiffrec.metrics import ndcg_at_k

BEFORE, N_DAYS, K = 0.7, 10, 10
N_AWAY, LEAST_AWAY, SHARE_AWAY = 500, 10, 0.2
WAYS = ("rows of the first day", "newer rows", "partial_fit", "new fit")


class Days:
    """Interactions in the order of time, cut into what was there before and ten days.

    Users are numbered as they come, so that new ones are the last.
    """

    def __init__(self, path):
        with np.load(path) as arrays:
            dated = "timestamp" in arrays.files
        self.has_times = dated or path.stem.startswith(("ml-1m_", "amazon-"))
        data = load_npz(path, values="time" if self.has_times else "binary")
        parts = [data.train, data.valid, data.test]
        if path.stem.startswith("ml-1m_"):  # whose test lies before valid
            data.test.data += 1e6
            data.valid.data += 2e6
        X = sp.csr_array(sum(parts[1:], parts[0]))
        X.sort_indices()
        row, time = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr)), X.data.astype(float)
        X = sp.coo_array((X.data, (row, X.indices)), shape=X.shape)
        order = np.random.default_rng(0).permutation(X.nnz)
        if self.has_times and not dated:
            place = np.lexsort((time, row))
            time = np.empty(X.nnz)
            first = np.searchsorted(row, row)
            length = np.bincount(row)[row]
            time[place] = (np.arange(X.nnz) - first) / length
        if self.has_times:
            order = order[np.argsort(time[order], kind="stable")]
        _, first, user = np.unique(X.row[order], return_index=True, return_inverse=True)
        self.user = np.argsort(np.argsort(first))[user]
        self.item, self.value, self.n_items = X.col[order], X.data[order], X.shape[1]
        self.ends = np.linspace(BEFORE * X.nnz, X.nnz, N_DAYS + 1).astype(int)
        self._hold_out_those_who_stay_away()

    def _hold_out_those_who_stay_away(self):
        first = self.user[: self.ends[0]]
        counts = np.bincount(first)
        away = np.flatnonzero(counts >= LEAST_AWAY)
        n_away = min(N_AWAY, len(away) // 10)
        self.away = np.sort(np.random.default_rng(0).choice(away, n_away, replace=False))
        order = np.argsort(first, kind="stable")  # by user, in time
        rank = np.arange(len(first)) - (np.cumsum(counts) - counts)[first[order]]
        length = counts[first[order]]
        late = order[(rank >= (1 - SHARE_AWAY) * length) & np.isin(first[order], self.away)]
        shape = len(counts), self.n_items
        ones = np.ones(len(late)), (first[late], self.item[late])
        self.held_out = sp.csr_array(ones, shape=shape)[self.away]
        kept = (np.arange(len(self.user)) < self.ends[0]) | ~np.isin(self.user, self.away)
        kept[late] = False
        self.user, self.item, self.value = self.user[kept], self.item[kept], self.value[kept]
        self.ends = np.concatenate([[0], np.cumsum(kept)])[self.ends]

    def before(self, day):
        """All rows before a day, counted from 0."""
        some = slice(0, self.ends[day])
        shape = self.user[some].max() + 1, self.n_items
        entries = self.value[some].astype(float), (self.user[some], self.item[some])
        return sp.csr_array(entries, shape=shape)

    def of(self, day):
        """(users of a day, what they take)"""
        some = slice(self.ends[day], self.ends[day + 1])
        users, row = np.unique(self.user[some], return_inverse=True)
        shape = len(users), self.n_items
        return users, sp.csr_array((np.ones(len(row)), (row, self.item[some])), shape=shape)


def evaluated(model, days, day, known=None):
    """nDCG@10 of a day's users who were there before; lists know the rows `known`, None all."""
    users, taken = days.of(day)
    rows = days.before(day)
    there = users < rows.shape[0]
    users, taken = users[there], taken[there]
    history = rows[users]
    read = history
    if known is not None:
        empty = sp.csr_array((rows.shape[0] - known.shape[0], known.shape[1]))
        read = sp.vstack([known, empty], format="csr")[users]
    ids, _ = model.recommend(X=read, k=K, filter_items=history != 0)
    return float(ndcg_at_k(ids, taken, k=K))


def of_those_away(model, days):
    """nDCG@10 of the held-out items of users who never come back."""
    ids, _ = model.recommend(X=days.before(0)[days.away], k=K)
    return float(ndcg_at_k(ids, days.held_out, k=K))


def one_seed(days, seed, fit_days):
    """{way: ({day: nDCG@10}, seconds of its nights)}, and {way: of those who stay away}"""
    values = {"values": "time"} if days.has_times else {}
    found = {way: ({}, []) for way in WAYS}
    first = days.before(0)
    model, nightly = (CFGDiffusionRecommender(random_state=seed, **values) for _ in range(2))
    model.fit(first)
    nightly.__dict__.update(vars(model))  # the same fit
    for day in range(1, N_DAYS):
        changed, _ = days.of(day - 1)
        rows = days.before(day)[changed]
        update = lambda rows=rows, ids=changed: nightly.partial_fit(rows, user_ids=ids)  # noqa: E731
        found["partial_fit"][1].append(timed(update)[0])
        found["rows of the first day"][0][day] = evaluated(model, days, day, first)
        found["newer rows"][0][day] = evaluated(model, days, day)
        found["partial_fit"][0][day] = evaluated(nightly, days, day)
        if day in fit_days:
            fresh = CFGDiffusionRecommender(random_state=seed, **values)
            found["new fit"][1].append(timed(lambda: fresh.fit(days.before(day)))[0])  # noqa: B023
            found["new fit"][0][day] = evaluated(fresh, days, day)
        found["away"] = {"newer rows": of_those_away(model, days)}
        found["away"]["partial_fit"] = of_those_away(nightly, days)
        if found["new fit"][0]:
            found["away"]["new fit"] = of_those_away(fresh, days)
        print(day, {way: round(found[way][0].get(day, np.nan), 4) for way in WAYS}, flush=True)
    return found


def table(path, seeds, fit_days):
    """A row for each way: nDCG@10 on all days and on those of new fits, seconds of a night."""
    days = Days(path)
    runs = [one_seed(days, seed, fit_days) for seed in range(seeds)]
    rows = []
    for way in WAYS:
        by_day = {
            day: np.mean([run[way][0][day] for run in runs]) for day in sorted(runs[0][way][0])
        }
        seconds = [second for run in runs for second in run[way][1]]
        row = {"model": way, "nDCG@10": np.mean(list(by_day.values())) if way != WAYS[-1] else None}
        row["on days of a new fit"] = float(np.mean([by_day[day] for day in fit_days]))
        away = [run["away"][way] for run in runs if way in run["away"]]
        row["users who stay away"] = float(np.mean(away)) if away else None
        row["s a night"] = float(np.median(seconds)) if seconds else 0.0
        rows.append(row | {"by_day": {str(day): float(value) for day, value in by_day.items()}})
    return {"seeds": seeds, "times": days.has_times, "rows": rows, "machine": machine()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fits", type=int, nargs="+", default=[3, 6, 9], help="days from 1 to 9")
    parser.add_argument("--json", type=pathlib.Path, default="benchmarks/results/updates.json")
    options = parser.parse_args()
    for path in options.data:
        record = table(path, options.seeds, options.fits)
        merge(options.json, path.stem, record)
        shown = [{k: v for k, v in row.items() if k != "by_day"} for row in record["rows"]]
        print(f"\n{path.stem}\n{markdown(shown)}\n", flush=True)


if __name__ == "__main__":
    main()
