"""
A recommender of your own
=========================

A subclass of :class:`~skdiffrec.base.BaseRecommender` that defines ``_fit`` and ``_score_rows`` is
a recommender: lists, filters and scores are inherited, and scikit-learn's tools and the displays
work. This one blends two other recommenders.
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
# Averaging ranks
# ---------------
# Scores of different models have different scales, so this class averages ranks.


class Blend(BaseRecommender):
    """Weighted mean of powers of the items' ranks, as shares of the catalogue, in two models."""

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
        # the high power gives ranks at the top more weight than ranks in the middle
        scores = (1 - self.weight) * first**8 + self.weight * second**8
        return scores.astype(np.float32)


# %%
# Accuracy by weight
# ------------------
# The weight does not affect ``fit``, so one fitted blend is evaluated at all weights.

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
# Everything else works as for other recommenders.

ids, scores = blend.recommend([3, 5], k=3, filter_items=[0, 1])
print(data.item_names[ids])
