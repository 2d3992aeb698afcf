"""
The weight of the closed form
=============================

An item-item model in closed form is added to the network's scores after training. Its weight is
chosen on held-out items of the training rows. This example plots the accuracy by weight.
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
# With weight 1 the scores of the closed form have the same standard deviation over items as those
# of the network. Left: without times. Right: with times. The held-out items of these few users give
# a rough choice; with more users it comes close to the best weight.

weights = [0.0, 0.25, 1.0, 4.0]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
for ax, values in zip(axes, ("binary", "time"), strict=True):
    data = make_interactions(500, 300, n_interactions_per_user=30, values=values, random_state=0)
    history = data.train + data.valid

    def quality(data=data, history=history, values=values, **parameters):
        model = CFGDiffusionRecommender(
            values=values, max_epochs=12, random_state=0, **parameters
        ).fit(history)
        return ndcg_at_k(model.recommend(k=10)[0], data.test), model

    ease = EASERecommender(reg=100.0, values=values)
    found = [quality(closed_form=ease, closed_form_weight=weight)[0] for weight in weights[1:]]
    found = [quality(closed_form=None)[0], *found]
    chosen, model = quality(closed_form=ease)
    label = f"chosen on held-out items: {model.closed_form_weight_:g}"
    ease.fit(history)
    ax.plot(np.arange(len(weights)), found, "o-", label="network and closed form")
    ax.axhline(
        ndcg_at_k(ease.recommend(k=10)[0], data.test), color="C1", ls="--", label="EASE alone"
    )
    ax.axhline(chosen, color="0.4", ls=":", label=label)
    ax.set_xticks(np.arange(len(weights)), weights)
    ax.set(xlabel="weight of the closed form", title=f'values="{values}"')
    ax.legend(fontsize=8)
axes[0].set_ylabel("nDCG@10")
