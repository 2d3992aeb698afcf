"""
What knowing the order of interactions is worth
===============================================

The same users and items twice: once as sets of items (``values="binary"``), once with the moment of
each interaction (``values="time"``). All models get the same help: histories weighted by recency,
the half-life chosen on earlier items.

    python examples/plot_01_time.py
    python examples/plot_01_time.py --data ../shared/data/ml-100k.npz
"""

import argparse

import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import ALSRecommender, EASERecommender, PopularityRecommender
from skdiffrec.datasets import load_npz, make_interactions
from skdiffrec.metrics import compare, ndcg_at_k
from skdiffrec.model_selection import LastFraction
from skdiffrec.preprocessing import recency_weights

HALF_LIVES = (1.0, 2.0, 5.0, 10.0)

# %%
# Data
# ----
# The latest fifth of every user's items is for judging, the latest fifth of the rest for choosing
# settings. Without a file, users are generated whose taste moves. Of a file the train part is split
# again, so that the figures depend on nothing but the order of its items.


def load(path):
    """Times of interactions: one matrix."""
    if path is None:
        data = make_interactions(values="time", random_state=0)
        return data.train + data.valid + data.test
    return load_npz(path, values="time").train


# %%
# Models
# ------
# ``values="time"`` is all that a model needs to be told; the times are the values of X.
# :func:`~skdiffrec.preprocessing.recency_weights` makes the same help explicit: weights in place of
# times, which any model can read with ``values="weight"``.


def models(values, seed):
    made = {
        "EASE": [EASERecommender(reg=reg, values=values) for reg in (100.0, 300.0, 1000.0)],
        "ALS": [
            ALSRecommender(regularization=reg, values=values, random_state=seed)
            for reg in (0.1, 10.0)
        ],
        "CFG": [CFGDiffusionRecommender(values=values, random_state=seed)],
    }
    if values == "binary":
        return {"popularity": [PopularityRecommender()]} | made
    for name in ("EASE", "ALS"):
        made[name] = [
            type(model)(**model.get_params() | {"half_life": half_life})
            for model in made[name]
            for half_life in HALF_LIVES
        ]
    return made


def best_on_valid(candidates, history):
    """The candidate that foretells the end of the history best, fitted to all of it."""
    best = candidates[0]
    if len(candidates) > 1:
        earlier, valid = LastFraction(0.2).hide(history)
        best = max(candidates, key=lambda model: model.fit(earlier).score(earlier, valid))
    return best.fit(history)


# %%
# Comparison
# ----------
# A difference is more than chance if the interval of a paired bootstrap over users leaves out 0.


def run(path, seed):
    history, test = LastFraction(0.2).hide(load(path))
    found = {}
    for values in ("binary", "time"):
        for name, candidates in models(values, seed).items():
            ids, _ = best_on_valid(candidates, history).recommend(k=10)
            found[name, values] = ndcg_at_k(ids, test, per_user=True)
    print(f"{path or 'generated data'}: nDCG@10 of the latest fifth of every user's items")
    for (name, values), users in found.items():
        line = f"{name:10} {values:7} {np.nanmean(users):.4f}"
        if values == "time":
            line += f"   {compare(found[name, 'binary'], users, random_state=0)}"
        print(line)
    return found


def explicit_weights_are_the_same(path):
    """Recency weights by hand, read as weights, give what ``values="time"`` does inside."""
    times = load(path)
    model = EASERecommender(values="time", half_life=5.0).fit(times)
    by_hand = EASERecommender(values="weight").fit(times.astype(bool).astype(float))
    history = recency_weights(times, half_life=5.0, floor=0.1)
    return np.array_equal(model.recommend(k=10)[0], by_hand.recommend(X=history, k=10)[0])


# %%
# Picture
# -------


def plot(found, path):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(name for name, _ in found))
    figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for shift, values, label in ((-0.2, "binary", "no times"), (0.2, "time", "times")):
        means, errors, places = [], [], []
        for place, name in enumerate(names):
            users = found.get((name, values))
            if users is not None:
                users = users[~np.isnan(users)]
                means.append(users.mean())
                errors.append(1.96 * users.std() / np.sqrt(len(users)))
                places.append(place + shift)
        ax.bar(places, means, 0.38, yerr=errors, label=label, capsize=3)
    ax.set(xticks=range(len(names)), xticklabels=names, ylabel="nDCG@10 of the latest items")
    ax.legend()
    figure.savefig(path, dpi=120)
    print(f"plot: {path}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="npz file with times; generated data without it")
    parser.add_argument("--plot", default="time.png", help="where the plot goes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = run(options.data, options.seed)
    same = explicit_weights_are_the_same(options.data)
    print(f"recency weights by hand give the same lists: {same}")
    plot(found, options.plot)


if __name__ == "__main__":
    main()
