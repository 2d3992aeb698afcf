"""
A recommender of your own
=========================

A class with ``_fit`` and ``_score_rows`` is a recommender: lists, filters, scores, scikit-learn's
tools and the displays come from :class:`~skdiffrec.base.BaseRecommender`. This one blends two
others.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import rankdata
from sklearn.base import clone

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.base import BaseRecommender
from skdiffrec.baselines import ALSRecommender, EASERecommender, ItemKNNRecommender
from skdiffrec.datasets import make_interactions

# %%
# Ranks, averaged
# ---------------
# Scores of different models have different units, ranks have not.


class Blend(BaseRecommender):
    """Mean of the ranks that two models give to the items, as shares of the catalogue."""

    def __init__(self, first, second, weight=0.5):
        self.first = first
        self.second = second
        self.weight = weight

    def _fit(self, X):
        self.models_ = [clone(model).fit(X) for model in (self.first, self.second)]

    def _score_rows(self, X):
        first, second = (
            rankdata(model.decision_function(X), axis=1) / X.shape[1] for model in self.models_
        )
        # a high power: a place at the top counts for more than one in the middle
        scores = (1 - self.weight) * first**8 + self.weight * second**8
        return scores.astype(np.float32)


# %%
# What blending gains
# -------------------
# The weight needs no training, so the fitted blend is judged at each.

data = make_interactions(800, 300, n_interactions_per_user=30, random_state=0)
history = data.train + data.valid
pairs = {
    "EASE and ItemKNN": (EASERecommender(reg=100.0), ItemKNNRecommender(n_neighbors=50)),
    "EASE and ALS": (EASERecommender(reg=100.0), ALSRecommender(factors=32, random_state=0)),
    "EASE and CFG": (EASERecommender(reg=100.0), CFGDiffusionRecommender(random_state=0)),
}
weights = np.linspace(0, 1, 9)
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for (name, models), marker in zip(pairs.items(), "os^", strict=True):
    blend = Blend(*models).fit(history)
    quality = [blend.set_params(weight=w).score(history, data.test) for w in weights]
    ax.plot(weights, quality, marker=marker, label=name)
ax.set(xlabel="weight of the second model", ylabel="nDCG@10")
ax.legend()

# %%
# All that a recommender can do, it can.

ids, scores = blend.recommend([3, 5], k=3, filter_items=[0, 1])
print(data.item_names[ids])
