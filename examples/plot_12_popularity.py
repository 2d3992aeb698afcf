"""
Popularity bias
===============

Recommenders tend to recommend popular items more often than users choose them. A larger guidance
scale reduces this bias.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import gini_at_k, ndcg_at_k, popularity_bias_at_k

data = make_interactions(1000, 400, n_interactions_per_user=30, random_state=0)
history = data.train + data.valid
model = CFGDiffusionRecommender(random_state=0).fit(history)
scales = [0.25, 0.5, 1.0, 2.0, 4.0]
lists = dict(zip(scales, model.recommend_scales(scales, k=10)[0], strict=True))
ease = EASERecommender(reg=100.0).fit(history).recommend(k=10)[0]

# %%
# How recommendations are distributed over items
# ----------------------------------------------
# Lorenz curves: items are sorted from the least to the most recommended. The further a curve is
# below the diagonal, the fewer items get most of the recommendations. Black: the users' own
# histories.

figure, ax = plt.subplots(figsize=(5.4, 4.8), layout="constrained")
share = np.linspace(0, 1, data.n_items + 1)


def lorenz(counts):
    return np.r_[0, np.cumsum(np.sort(counts))] / counts.sum()


ax.plot(share, lorenz(history.astype(bool).sum(axis=0)), "k", lw=2, label="histories of the users")
for i, (scale, ids) in enumerate(lists.items()):
    shown = np.bincount(ids.ravel(), minlength=data.n_items)
    ax.plot(share, lorenz(shown), color=plt.cm.viridis(0.9 - 0.2 * i), label=f"scale {scale:g}")
ax.plot([0, 1], [0, 1], color="0.6", ls=":")
ax.set(xlabel="share of the items", ylabel="share of the recommendations")
ax.legend()

# %%
# Accuracy and popularity bias
# ----------------------------
# The popularity bias is positive if the items of a list are more popular than those of the user's
# history.

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
bias = [popularity_bias_at_k(ids, history) for ids in lists.values()]
quality = [ndcg_at_k(ids, data.test) for ids in lists.values()]
ax.plot(bias, quality, "o-", label="CFG")
for scale, x, y in zip(scales, bias, quality, strict=True):
    ax.annotate(f"{scale:g}", (x, y), xytext=(4, 6), textcoords="offset points")
ax.plot(popularity_bias_at_k(ease, history), ndcg_at_k(ease, data.test), "s", label="EASE")
ax.axvline(0, color="0.6", ls=":")
ax.set(xlabel="popularity bias", ylabel="nDCG@10", ylim=(0, 1.15 * max(quality)))
ax.legend()
for scale, ids in lists.items():
    print(f"scale {scale:4g}: Gini index of recommendations {gini_at_k(ids, data.n_items):.3f}")
