"""
New and empty users
===================

A new user is a new row and needs no retraining. This example shows how accurate lists are when one,
two or twenty items of a user are known, and what a user without a history gets.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse import csr_array

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ndcg_at_k

data = make_interactions(1000, 300, n_interactions_per_user=30, random_state=0)
known, new = np.arange(700), np.arange(700, 1000)
models = {
    "CFG": CFGDiffusionRecommender(random_state=0),
    "EASE": EASERecommender(reg=100.0),
    "popularity": PopularityRecommender(),
}
for model in models.values():
    model.fit((data.train + data.valid)[known])

# %%
# Fold-in
# -------
# The history is n random items of each of 300 users that no model has seen. Lists are evaluated on
# the items that these users take last.


def some_items(X, n, seed=0):
    """Rows of X with n random items of each."""
    dense = X.toarray() * np.random.default_rng(seed).random(X.shape)
    keep = np.argsort(-dense, axis=1)[:, :n]
    cut = np.zeros_like(dense)
    np.put_along_axis(cut, keep, np.take_along_axis(dense, keep, axis=1), axis=1)
    return csr_array((cut > 0).astype(np.float32))


lengths = [0, 1, 2, 3, 5, 8, 12, 20]
histories = [some_items(data.train[new], n) for n in lengths]
quality = {
    name: [ndcg_at_k(model.recommend(X=rows, k=10)[0], data.test[new]) for rows in histories]
    for name, model in models.items()
}

# %%
# A user without items gets popular items, from the unconditional branch. EASE scores all items 0
# for such a user. Accuracy rises with every known item, and is still rising at twenty.

figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for (name, values), marker in zip(quality.items(), "os^", strict=True):
    ax.plot(lengths, values, marker=marker, label=name)
ax.set(
    xlabel="items in the new user's row", ylabel="nDCG@10 of what they take later", ylim=(0, None)
)
ax.legend()

# %%
# The guidance scale for short histories
# --------------------------------------
# The best scale for each length of the history:

scales = [0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0]
table = np.array(
    [
        [
            ndcg_at_k(ids, data.test[new])
            for ids in models["CFG"].recommend_scales(scales, X=rows, k=10)[0]
        ]
        for rows in histories[1:]
    ]
)
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
image = ax.imshow(table / table.max(axis=1, keepdims=True), aspect="auto", cmap="viridis")
ax.plot(table.argmax(axis=1), np.arange(len(table)), "r*", markersize=14, label="best")
ax.set_xticks(range(len(scales)), scales)
ax.set_yticks(range(len(table)), lengths[1:])
ax.set(xlabel="guidance scale", ylabel="items in the row", title="nDCG@10 relative to the best")
figure.colorbar(image, ax=ax)
ax.legend(loc="lower left")
