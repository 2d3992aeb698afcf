"""
What knowing the order of interactions is worth
===============================================

The same users and items twice: once as sets of items (``values="binary"``), once with the moment of
each interaction (``values="time"``). All models get the same help: histories weighted by recency,
the half-life chosen on valid.

    python examples/plot_01_time.py
    python examples/plot_01_time.py --data ../shared/data/ml-100k.npz
"""

import argparse

import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import ALSRecommender, EASERecommender, PopularityRecommender
from skdiffrec.datasets import load_npz, make_interactions
from skdiffrec.metrics import compare, ndcg_at_k
from skdiffrec.preprocessing import recency_weights

HALF_LIVES = (1.0, 2.0, 5.0, 10.0)

# %%
# Data
# ----
# Of every user the earliest items are for training, later ones for choosing settings (valid), the
# latest for judging (test). Without a file, users are generated whose taste moves.


def load(path, values):
    if path is None:
        return make_interactions(values=values, random_state=0)
    return load_npz(path, values=values)


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


def best_on_valid(candidates, data):
    """The fitted candidate whose lists find most of valid."""
    fitted = [model.fit(data.train) for model in candidates]
    return max(fitted, key=lambda model: model.score(data.train, data.valid))


def per_user(model, data):
    """nDCG@10 on test of every user; lists made from all that was known before."""
    known = data.train + data.valid  # of different items, so the times stay what they are
    return ndcg_at_k(model.recommend(X=known, k=10)[0], data.test, per_user=True)


# %%
# Comparison
# ----------
# A difference is more than chance if the interval of a paired bootstrap over users leaves out 0.


def run(path, seed):
    found = {}
    for values in ("binary", "time"):
        data = load(path, values)
        for name, candidates in models(values, seed).items():
            found[name, values] = per_user(best_on_valid(candidates, data), data)
    print(f"{path or 'generated data'}: nDCG@10 on test, input = train+valid")
    for (name, values), users in found.items():
        line = f"{name:10} {values:7} {np.nanmean(users):.4f}"
        if values == "time":
            line += f"   {compare(found[name, 'binary'], users, random_state=0)}"
        print(line)
    return found


def explicit_weights_are_the_same(path):
    """Recency weights by hand, read as weights, give what ``values="time"`` does inside."""
    data = load(path, "time")
    model = EASERecommender(values="time", half_life=5.0).fit(data.train)
    by_hand = EASERecommender(values="weight").fit(data.train.astype(bool).astype(float))
    history = recency_weights(data.train, half_life=5.0, floor=0.1)
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
    ax.set(xticks=range(len(names)), xticklabels=names, ylabel="nDCG@10 on test")
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
