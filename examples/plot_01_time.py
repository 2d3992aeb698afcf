"""
How much timestamps improve recommendations
===========================================

This example fits models to the same users and items twice: without times (``values="binary"``) and
with the time of each interaction (``values="time"``). With times, every baseline reads histories
weighted by recency, and its half-life is chosen on earlier items. To run it on a file of your own:

``python examples/plot_01_time.py --data ml-100k.npz --plot time.png``
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import ALSRecommender, EASERecommender, PopularityRecommender
from skdiffrec.datasets import load_npz, make_interactions
from skdiffrec.metrics import compare, ndcg_at_k
from skdiffrec.model_selection import LastFraction
from skdiffrec.preprocessing import recency_weights

parser = argparse.ArgumentParser()
parser.add_argument("--data", help="npz file with times; default: generated data")
parser.add_argument("--plot", help="file to save the plot in")
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()

# %%
# Data
# ----
# The latest fifth of every user's items is the test set; the latest fifth of the rest is the
# validation set, on which settings are chosen. Without a file, users whose tastes change are
# generated. Of a file, only the train part is used and split again, so that the results depend only
# on the order of its items.

if options.data:
    times = load_npz(options.data, values="time").train
else:
    data = make_interactions(1000, 400, n_interactions_per_user=30, values="time", random_state=0)
    times = data.train + data.valid + data.test
history, test = LastFraction(0.2).hide(times)
earlier, valid = LastFraction(0.2).hide(history)

# %%
# Models
# ------
# The times are the values of X, and ``values="time"`` tells the model so. Settings of the
# baselines, including the half-life, are the best ones on the validation set.


def candidates(values):
    half_lives = [{}] if values == "binary" else [{"half_life": h} for h in (1.0, 2.0, 5.0, 10.0)]
    seed = options.seed
    return {
        "popularity": [PopularityRecommender(values=values)],
        "EASE": [
            EASERecommender(reg=reg, values=values, **h)
            for reg in (100.0, 300.0, 1000.0)
            for h in half_lives
        ],
        "ALS": [
            ALSRecommender(regularization=reg, values=values, random_state=seed, **h)
            for reg in (0.1, 10.0)
            for h in half_lives
        ],
        "CFG": [CFGDiffusionRecommender(values=values, random_state=seed)],
    }


def best_on_valid(models):
    """The model that is best on the validation set, fitted to the whole history."""
    best = models[0]
    if len(models) > 1:
        best = max(models, key=lambda model: model.fit(earlier).score(earlier, valid))
    return best.fit(history)


# %%
# Comparison
# ----------
# A difference is significant if the interval of a paired bootstrap over users does not contain 0.

print(f"{options.data or 'generated data'}: nDCG@10 of the latest fifth of every user's items")
found = {}
for values in ("binary", "time"):
    for name, models in candidates(values).items():
        ids, _ = best_on_valid(models).recommend(k=10)
        found[name, values] = ndcg_at_k(ids, test, per_user=True)
        print(f"{name:10} {values:7} {np.nanmean(found[name, values]):.4f}")
for name in ("EASE", "ALS", "CFG"):
    difference = compare(found[name, "binary"], found[name, "time"], random_state=0)
    print(f"{name:10} {difference}")

# %%
# Plot
# ----

names = ["popularity", "EASE", "ALS", "CFG"]
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for shift, values, label in ((-0.2, "binary", "without times"), (0.2, "time", "with times")):
    users = [found[name, values][~np.isnan(found[name, values])] for name in names]
    means = [each.mean() for each in users]
    errors = [1.96 * each.std() / np.sqrt(len(each)) for each in users]
    ax.bar(np.arange(len(names)) + shift, means, 0.38, yerr=errors, label=label, capsize=3)
ax.set(xticks=range(len(names)), xticklabels=names, ylabel="nDCG@10 of the latest items")
ax.legend()
if options.plot:
    figure.savefig(options.plot, dpi=120)

# %%
# Recency weights by hand
# -----------------------
# :func:`~skdiffrec.preprocessing.recency_weights` turns times into the weights that the baselines
# use. Any model can read them with ``values="weight"``.

model = EASERecommender(values="time", half_life=5.0).fit(times)
by_hand = EASERecommender(values="weight").fit(times.astype(bool).astype(float))
weights = recency_weights(times, half_life=5.0, floor=0.1)
same = np.array_equal(model.recommend(k=10)[0], by_hand.recommend(X=weights, k=10)[0])
print(f"recency weights by hand give the same lists: {same}")
