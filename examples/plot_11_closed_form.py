"""
A network and a closed form
===========================

Beside the network stands an item-item model in closed form, fitted after training. Its weight is
chosen on hidden items; this is what there was to choose from.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ndcg_at_k

# %%
# Accuracy by weight
# ------------------
# 1 makes the closed form's scores spread over the items as widely as the network's. On the left
# sets of items, on the right histories with times. The hidden items of a few hundred users choose
# roughly: of more users, the choice is within 1 % of the best.

weights = [0.0, 0.25, 1.0, 4.0]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
for ax, values in zip(axes, ("binary", "time"), strict=True):
    data = make_interactions(500, 300, n_interactions_per_user=30, values=values, random_state=0)
    history = data.train + data.valid

    def quality(data=data, history=history, values=values, **parameters):
        model = CFGDiffusionRecommender(
            values=values, max_epochs=12, item_path_reg=100.0, random_state=0, **parameters
        ).fit(history)
        return ndcg_at_k(model.recommend(k=10)[0], data.test), model

    found = [quality(item_path="ease", item_path_weight=weight)[0] for weight in weights[1:]]
    found = [quality(item_path=None)[0], *found]
    chosen, model = quality(item_path="ease")
    ease = EASERecommender(reg=100.0, values=values).fit(history)
    ax.plot(np.arange(len(weights)), found, "o-", label="network and closed form")
    ax.axhline(
        ndcg_at_k(ease.recommend(k=10)[0], data.test), color="C1", ls="--", label="EASE alone"
    )
    ax.axhline(
        chosen, color="0.4", ls=":", label=f"chosen on hidden items: {model.item_path_weight_:g}"
    )
    ax.set_xticks(np.arange(len(weights)), weights)
    ax.set(xlabel="weight of the closed form", title=f'values="{values}"')
    ax.legend(fontsize=8)
axes[0].set_ylabel("nDCG@10")
