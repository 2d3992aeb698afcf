"""
Searches and learning curves with scikit-learn
==============================================

``GridSearchCV``, ``learning_curve`` and ``validation_curve`` work with the recommender. Two things
help: with ``memory=`` the model is trained once for all guidance scales, and a
:class:`~skdiffrec.model_selection.RankingScorer` holds out a part of the rows that it evaluates.
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, learning_curve

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.model_selection import RankingScorer

X = make_interactions(900, 300, n_interactions_per_user=30, random_state=0).train

# %%
# A grid of sampling parameters
# -----------------------------
# Sampling parameters such as the guidance scale and the number of steps do not affect ``fit``. So
# 18 settings in two folds need two trainings; all other fits read the model of their fold from the
# cache.

grid = {"guidance_scale": [0.5, 0.8, 1.0, 1.3, 1.6, 2.0], "n_sampling_steps": [1, 2, 5]}
with tempfile.TemporaryDirectory() as folder:
    model = CFGDiffusionRecommender(memory=folder, max_epochs=15, random_state=0)
    search = GridSearchCV(model, grid, cv=2, scoring=RankingScorer("ndcg"), refit=False).fit(X)
seconds = search.cv_results_["mean_fit_time"]
print(f"best: {search.best_params_}")
print(
    f"first fit {seconds.max():.1f} s, the others {np.sort(seconds)[:-1].mean():.2f} s on average"
)

# %%

table = search.cv_results_["mean_test_score"].reshape(6, 3)
figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for steps, column in zip(grid["n_sampling_steps"], table.T, strict=True):
    ax.plot(grid["guidance_scale"], column, marker="o", label=f"{steps} step{'s' * (steps > 1)}")
ax.set(xlabel="guidance scale", ylabel="nDCG@10 of new users")
ax.legend()

# %%
# How many users are needed?
# --------------------------
# EASE and the diffusion model are fitted to growing shares of the users and evaluated on other
# users.

figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for name, each in {
    "EASE": EASERecommender(reg=100.0),
    "CFG": CFGDiffusionRecommender(max_epochs=15, random_state=0),
}.items():
    sizes, _, scores = learning_curve(
        each, X, None, scoring=RankingScorer("ndcg"), cv=2, train_sizes=[0.1, 0.3, 1.0]
    )
    ax.errorbar(sizes, scores.mean(axis=1), scores.std(axis=1), marker="o", capsize=3, label=name)
ax.set(xlabel="users in training", ylabel="nDCG@10 of new users")
ax.legend()
