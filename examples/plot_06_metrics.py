"""
Five models, twelve metrics
===========================

:func:`~skdiffrec.metrics.ranking_report` computes all metrics from one set of lists. No single
metric is enough: side by side they show what a model gives up for its accuracy.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import (
    ALSRecommender,
    EASERecommender,
    ItemKNNRecommender,
    PopularityRecommender,
)
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ranking_report

data = make_interactions(1000, 300, n_interactions_per_user=30, random_state=0)
history = data.train + data.valid
models = {
    "popularity": PopularityRecommender(),
    "ItemKNN": ItemKNNRecommender(n_neighbors=50, shrinkage=5.0),
    "ALS": ALSRecommender(factors=32, regularization=1.0, random_state=0),
    "EASE": EASERecommender(reg=100.0),
    "CFG": CFGDiffusionRecommender(random_state=0),
}
reports = {
    name: ranking_report(
        model.fit(history).recommend(k=10)[0], data.test, k=10, train=history,
        item_vectors=data.item_tastes,
    )
    for name, model in models.items()
}  # fmt: skip
print(reports["CFG"])

# %%
# Comparison by metric
# --------------------
# The colours of each row go from the worst model (dark) to the best (bright). For the Gini index
# and the popularity bias lower is better, so their colours are reversed. The last row is an example
# of a misleading metric: popular items are diverse, but they are the same for all users.

names = [name.removesuffix("@10") for name in reports["CFG"]]
values = np.array([[report[f"{name}@10"] for report in reports.values()] for name in names])
signs = np.array([-1 if name in ("gini", "popularity_bias") else 1 for name in names])[:, None]
low, high = (signs * values).min(axis=1), (signs * values).max(axis=1)
shade = (signs * values - low[:, None]) / (high - low)[:, None]

figure, ax = plt.subplots(figsize=(7, 5.5), layout="constrained")
ax.imshow(shade, aspect="auto", cmap="viridis", vmin=-0.3, vmax=1.2)
for (row, column), value in np.ndenumerate(values):
    color = "black" if shade[row, column] > 0.6 else "white"
    ax.text(column, row, f"{value:.3f}", ha="center", va="center", color=color)
ax.set_xticks(range(len(models)), models)
ax.set_yticks(range(len(names)), names)
ax.xaxis.tick_top()
ax.tick_params(length=0)
