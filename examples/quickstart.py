"""Fit, recommend, evaluate and compare recommenders in one run.

    python examples/quickstart.py                      on generated data
    python examples/quickstart.py --data groceries     on products with readable names
    python examples/quickstart.py --data ml-100k.npz   on a file of your own

The groceries are simulated data; install them with `pip install "skdiffrec[groceries]"`. A file
has integer arrays `user` and `item`, an array `split` (0 train, 1 valid, 2 test) and optionally
`timestamp`. Models are fitted on train, settings are chosen by nDCG@10 on valid, and each model is
evaluated on test once. All lists are made from the train part of a user's history and do not
contain its items; lists for test do not contain the items of valid either.
"""

import argparse
import itertools
import time

import numpy as np
import scipy.sparse as sp

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import ALSRecommender, EASERecommender, PopularityRecommender
from skdiffrec.datasets import load_groceries, load_npz, make_interactions
from skdiffrec.metrics import ndcg_at_k, recall_at_k
from skdiffrec.model_selection import LastFraction

SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
HALF_LIVES = (2.0, 5.0, 10.0, 20.0)
K = 20


def load(path, values):
    if path is None:
        return make_interactions(values=values, random_state=0)
    if path != "groceries":
        return load_npz(path, values=values)
    data = load_groceries(values="time")  # models with values="binary" ignore the times
    data.train, later = LastFraction(0.3).hide(data.X)
    data.valid, data.test = LastFraction(2 / 3).hide(later)
    return data


def lists(model, also_seen=None, **options):
    """The 20 best items of every user, without the items of `also_seen`."""
    if also_seen is None:
        return model.recommend(k=K, **options)[0]
    longest = int(np.diff(also_seen.indptr).max())
    ids, _ = model.recommend(k=K + longest, **options)
    users = np.arange(len(ids))[:, None]
    drop = np.zeros((ids.shape[0], also_seen.shape[1] + 1), bool)  # the last column is for id -1
    drop[:, :-1][also_seen.nonzero()] = True
    # a stable sort moves the remaining items to the front and keeps their order
    order = np.argsort(drop[users, ids] | (ids < 0), axis=1, kind="stable")[:, :K]
    return np.where(drop[users, ids[users, order]], -1, ids[users, order])


def fit_best(make, grid, data):
    """The fitted model of the grid that is best on valid, and the seconds of its fit."""
    best = (-1.0, None, 0.0)
    for settings in (
        dict(zip(grid, point, strict=True)) for point in itertools.product(*grid.values())
    ):
        start = time.perf_counter()
        model = make(**settings).fit(data.train)
        seconds = time.perf_counter() - start
        best = max(best, (ndcg_at_k(lists(model), data.valid), model, seconds), key=lambda b: b[0])
    return best[1:]


def best_scale(model, data):
    """The guidance scale that is best on valid, and nDCG@10 on valid by scale, without a refit."""
    curve = [ndcg_at_k(lists(model, guidance_scale=scale), data.valid) for scale in SCALES]
    return SCALES[int(np.argmax(curve))], curve


def row(name, model, fit_seconds, data, **options):
    start = time.perf_counter()
    model.recommend(k=K, **options)
    seconds = time.perf_counter() - start
    ids = lists(model, data.valid, **options)
    return name, ndcg_at_k(ids, data.test), recall_at_k(ids, data.test, K), fit_seconds, seconds


def cfg_rows(name, model, seconds, data):
    scale, curve = best_scale(model, data)
    named = {f"{name}, scale 0": 0.0, f"{name}, scale 1": 1.0, f"{name}, best {scale:g}": scale}
    rows = [row(key, model, seconds, data, guidance_scale=s) for key, s in named.items()]
    return rows, scale, curve


def compare(path, seed):
    """Rows of the table; (model, best scale, curve) of every CFG model by name."""
    data, rows, models = load(path, "binary"), [], {}
    baselines = {
        "popularity": (PopularityRecommender, {}),
        "ALS": (
            lambda **s: ALSRecommender(random_state=seed, **s),
            {"regularization": (0.1, 10.0), "alpha": (1.0, 4.0)},
        ),
        "EASE": (EASERecommender, {"reg": (100.0, 300.0, 1000.0)}),
    }
    for name, (make, grid) in baselines.items():
        rows.append(row(name, *fit_best(make, grid, data), data))
    for values in ("binary", "time"):
        if values == "time":
            if not data.has_times:
                break
            data = load(path, "time")
            model, seconds = fit_best(
                lambda **s: EASERecommender(values="time", **s),
                {"reg": (100.0, 300.0, 1000.0), "half_life": HALF_LIVES},
                data,
            )
            rows.append(row("EASE, recency", model, seconds, data))
        start = time.perf_counter()
        model = CFGDiffusionRecommender(values=values, random_state=seed).fit(data.train)
        name = "CFG" if values == "binary" else "CFG, time"
        new_rows, scale, curve = cfg_rows(name, model, time.perf_counter() - start, data)
        rows += new_rows
        models[name] = (model, scale, curve)
    return data, rows, models


def show_lists(model, scale, data):
    """Print lists of known users, of a new user and of a user without a history."""
    names = data.get("item_names")
    if names is None:
        names = np.array([f"item {i}" for i in range(data.n_items)])
    known = np.flatnonzero(np.diff(data.train.indptr) >= 10)[:3]
    five = sp.csr_array(data.train[[known[0]]])
    five.data[np.argsort(-five.data)[5:]] = 0  # a new user: the latest five items, or any five
    five.eliminate_zeros()
    empty = sp.csr_array((1, data.n_items), dtype=five.dtype)
    users = {f"known user {user}": data.train[[user]] for user in known}
    users |= {"new user": five, "user without a history": empty}
    for user, history in users.items():
        latest = history.indices[np.argsort(-history.data, kind="stable")[:8]]
        print(f"\n{user}\n  history: {', '.join(names[latest]) or '(none)'}")
        for s in sorted({0.0, 1.0, scale if scale > 1 else 3.0}):
            ids, _ = model.recommend(X=history, k=5, guidance_scale=s)
            print(f"  guidance {s:g}: {', '.join(names[ids[0]])}")


def plot(models, path):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, (_, scale, curve) in models.items():
        (line,) = ax.plot(SCALES, curve, marker="o", label=name)
        ax.plot(scale, max(curve), marker="*", markersize=16, color=line.get_color())
    ax.set(xlabel="guidance scale", ylabel="nDCG@10 on valid", ylim=(0, None))
    ax.set_title("0: popularity   1: conditional model   above 1: more personal", fontsize=10)
    ax.legend()
    figure.savefig(path, dpi=120)
    print(f"\nplot of nDCG@10 by guidance scale: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="an npz file or groceries; default: generated data")
    parser.add_argument("--plot", default="quickstart.png", help="file to save the plot in")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    data, rows, models = compare(options.data, options.seed)
    print(f"{data.DESCR.partition(chr(10))[0]}\n")
    print(f"{'test, input = train':24}  nDCG@10  recall@20    fit s  recommend s")
    for name, ndcg, recall, fit_seconds, seconds in rows:
        print(f"{name:24} {ndcg:8.4f} {recall:10.4f} {fit_seconds:8.1f} {seconds:12.2f}")
    if "preferences" in data:
        seen = (data.train + data.valid).nonzero()
        oracle = data.preferences.copy()
        oracle[seen] = -1
        best = np.argsort(-oracle, axis=1, kind="stable")[:, :K]
        print(f"{'true preferences':24} {ndcg_at_k(best, data.test):8.4f}", end="")
        print(f" {recall_at_k(best, data.test, K):10.4f}")
    name = max(models, key=lambda name: max(models[name][2]))
    model, scale, _ = models[name]
    print(f"\nLists of {name}:", end="")
    show_lists(model, scale, data)
    plot(models, options.plot)
    print(f"{time.perf_counter() - start:.0f} s in total")


if __name__ == "__main__":
    main()
