"""
Popularity bias
===============

Who gets shown? A recommender that follows popularity is right often, and makes the popular more
popular. The guidance scale moves lists away from it.
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
# How places are shared out
# -------------------------
# Items from the least to the most shown: the further the curve hangs below the diagonal, the fewer
# share the places among them. Black: what users took by themselves.

figure, ax = plt.subplots(figsize=(5.4, 4.8), layout="constrained")
share = np.linspace(0, 1, data.n_items + 1)


def lorenz(counts):
    return np.r_[0, np.cumsum(np.sort(counts))] / counts.sum()


ax.plot(share, lorenz(history.astype(bool).sum(axis=0)), "k", lw=2, label="the users themselves")
for i, (scale, ids) in enumerate(lists.items()):
    shown = np.bincount(ids.ravel(), minlength=data.n_items)
    ax.plot(share, lorenz(shown), color=plt.cm.viridis(0.9 - 0.2 * i), label=f"scale {scale:g}")
ax.plot([0, 1], [0, 1], color="0.6", ls=":")
ax.set(xlabel="share of the items", ylabel="share of the places in lists")
ax.legend()

# %%
# What it costs
# -------------
# Accuracy against popularity bias (how far lists are more popular than the histories of their
# users).

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
    print(f"scale {scale:4g}: Gini index of the shown items {gini_at_k(ids, data.n_items):.3f}")
