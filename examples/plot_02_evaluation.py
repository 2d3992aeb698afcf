"""
Evaluating a recommender and choosing its guidance scale
========================================================

This example holds out a part of a matrix of interactions, compares models on it, tests whether the
difference is more than chance, chooses the guidance scale without the held-out items, and shows for
which users guidance helps. To run it on a file of your own:

``python examples/plot_02_evaluation.py --data ml-100k.npz --folder pictures``
"""

import argparse
import pathlib

import numpy as np
from sklearn.model_selection import cross_validate

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender, PopularityRecommender
from skdiffrec.datasets import load_npz, make_interactions
from skdiffrec.metrics import compare, ranking_report
from skdiffrec.model_selection import GuidanceScaleCV, LastFraction, RankingScorer, UnseenUsers
from skdiffrec.plotting import (
    ActivityDisplay,
    DenoisingDisplay,
    GuidanceCurveDisplay,
    TrainingCurveDisplay,
)

parser = argparse.ArgumentParser()
parser.add_argument("--data", help="npz file with times; default: generated data")
parser.add_argument("--folder", help="folder to save the plots in")
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()

if options.data:
    data = load_npz(options.data, values="time")
else:
    data = make_interactions(800, 300, n_interactions_per_user=30, values="time", random_state=0)
X = data.train + data.valid + data.test  # the parts do not overlap: values stay times
pictures = {}

# %%
# Same users, later items
# -----------------------
# The latest fifth of every user's items is held out; history and holdout together are X again.

history, holdout = LastFraction(0.2).hide(X)
models = {
    "popularity": PopularityRecommender(values="time"),
    "EASE": EASERecommender(values="time"),
    "CFG": CFGDiffusionRecommender(values="time", random_state=options.seed),
}
reports = {}
for name, model in models.items():
    ids, _ = model.fit(history).recommend(k=20)
    reports[name] = ranking_report(ids, holdout, k=(5, 10, 20), train=history)
print(f"CFG\n{reports['CFG']}\n")
for name in ("popularity", "EASE"):
    users = (reports[other].per_user["ndcg@10"] for other in (name, "CFG"))
    print(f"nDCG@10, {name} -> CFG: {compare(*users, random_state=0)}")

# %%
# Loss and validation score by epoch; the weights of the best epoch are kept.

pictures["training"] = TrainingCurveDisplay.from_estimator(models["CFG"])

# %%
# New users
# ---------
# To evaluate lists for users that the model has never seen, split the users instead. The scorer
# holds out a part of each of their rows, so scikit-learn's tools need no ``y``.

scores = cross_validate(
    CFGDiffusionRecommender(values="time", random_state=options.seed),
    X,
    cv=UnseenUsers(2, random_state=0),
    scoring=RankingScorer(["ndcg", "recall@20", "coverage"]),
)
for name in ("ndcg@10", "recall@20", "coverage@10"):
    print(f"new users: {name:12} {scores[f'test_{name}'].mean():.4f}")

# %%
# The guidance scale
# ------------------
# The number of trainings is the number of folds, for any number of scales. The holdout above is not
# used for the choice.

search = GuidanceScaleCV(
    CFGDiffusionRecommender(values="time", random_state=options.seed),
    scales=(0.0, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0),
    cv=2,
    scoring=RankingScorer(["ndcg", "coverage", "novelty"]),
    refit="ndcg@10",
).fit(history)
best = search.best_guidance_scale_
print(f"best guidance scale by cross-validation: {best:g}")
lists = search.recommend_scales([1.0, best], k=10)[0]
users = (ranking_report(ids, holdout, k=10).per_user["ndcg@10"] for ids in lists)
print(f"nDCG@10, scale 1 -> {best:g}: {compare(*users, random_state=0)}")
pictures["guidance_folds"] = GuidanceCurveDisplay.from_cv_results(search.cv_results_)

# %%
# The same curve for one model, evaluated on the holdout, with confidence bands over users.

pictures["guidance_users"] = GuidanceCurveDisplay.from_estimator(models["CFG"], history, holdout)

# %%
# For which users does guidance help?

pictures["activity"] = ActivityDisplay.from_estimator(
    models["CFG"], history, holdout, scales=(0.0, 1.0, 2.0)
)

# %%
# One user's list at each sampling step.

user = int(np.argmax(np.diff(history.indptr) >= 10))
pictures["denoising"] = DenoisingDisplay.from_estimator(
    models["CFG"], history[[user]], guidance_scale=2.0, item_names=data.get("item_names")
)

# %%

if options.folder:
    for name, display in pictures.items():
        display.figure_.savefig(pathlib.Path(options.folder) / f"{name}.png", dpi=100)
