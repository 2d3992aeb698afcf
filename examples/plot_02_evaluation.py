"""
Judging a recommender, and choosing its guidance scale
======================================================

From one matrix of interactions: hide a part of it, compare models on that part, say whether the
difference is more than chance, choose the guidance scale without looking at the judge's part, and
see where guidance helps.

    python examples/plot_02_evaluation.py
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


def load(path):
    """One matrix whose values are times, and the names of the items."""
    data = (
        make_interactions(values="time", random_state=0)
        if path is None
        else load_npz(path, values="time")
    )
    return data.train + data.valid + data.test, data.get("item_names")


# %%
# Same users, later items
# -----------------------
# The latest fifth of every user's items is for judging; nothing is lost and nothing counted twice.


def compare_models(history, holdout, seed):
    models = {
        "popularity": PopularityRecommender(values="time"),
        "EASE": EASERecommender(values="time"),
        "CFG": CFGDiffusionRecommender(values="time", random_state=seed),
    }
    reports = {}
    for name, model in models.items():
        ids, _ = model.fit(history).recommend(k=20)
        reports[name] = ranking_report(ids, holdout, k=(5, 10, 20), train=history)
    print(f"CFG\n{reports['CFG']}\n")
    for name in ("popularity", "EASE"):
        users = (reports[other].per_user["ndcg@10"] for other in (name, "CFG"))
        print(f"nDCG@10, {name} -> CFG: {compare(*users, random_state=0)}")
    return models["CFG"]


# %%
# New users
# ---------
# Splitting users instead asks how good the lists are for users whom the model has never seen. The
# scorer hides a part of each of their rows, so that scikit-learn's tools need no ``y``.


def judge_on_new_users(X, seed):
    found = cross_validate(
        CFGDiffusionRecommender(values="time", random_state=seed),
        X,
        cv=UnseenUsers(3, random_state=0),
        scoring=RankingScorer(["ndcg", "recall@20", "coverage"]),
    )
    print("\nnew users, 3 folds:")
    for name in ("ndcg@10", "recall@20", "coverage@10"):
        scores = found[f"test_{name}"]
        print(f"  {name:12} {scores.mean():.4f} ± {scores.std():.4f}")


# %%
# The guidance scale
# ------------------
# One training per fold, whatever the number of scales. The holdout above has no say in the choice.


def choose_scale(history, holdout, seed):
    search = GuidanceScaleCV(
        CFGDiffusionRecommender(values="time", random_state=seed),
        scales=(0.0, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0, 3.0),
        cv=3,
        scoring=RankingScorer(["ndcg", "coverage", "novelty"]),
        refit="ndcg@10",
    ).fit(history)
    print(f"\nbest guidance scale by cross-validation: {search.best_guidance_scale_:g}")
    lists = search.best_estimator_.recommend_scales([1.0, search.best_guidance_scale_], k=10)[0]
    users = (ranking_report(ids, holdout, k=10).per_user["ndcg@10"] for ids in lists)
    print(f"nDCG@10, scale 1 -> {search.best_guidance_scale_:g}: {compare(*users, random_state=0)}")
    return search


# %%
# Pictures
# --------


def plot(model, search, history, holdout, names, folder):
    import matplotlib

    matplotlib.use("agg")
    user = int(np.argmax(np.diff(history.indptr) >= 10))
    pictures = {
        "guidance_users": GuidanceCurveDisplay.from_estimator(model, history, holdout),
        "guidance_folds": GuidanceCurveDisplay.from_cv_results(search.cv_results_),
        "training": TrainingCurveDisplay.from_estimator(model),
        "activity": ActivityDisplay.from_estimator(model, history, holdout, scales=(0.0, 1.0, 2.0)),
        "denoising": DenoisingDisplay.from_estimator(
            model, history[[user]], guidance_scale=2.0, item_names=names
        ),
    }
    for name, display in pictures.items():
        path = pathlib.Path(folder) / f"{name}.png"
        display.figure_.savefig(path, dpi=100)
        print(f"plot: {path}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="npz file with times; generated data without it")
    parser.add_argument("--folder", default=".", help="where the plots go")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    X, names = load(options.data)
    history, holdout = LastFraction(0.2).hide(X)
    model = compare_models(history, holdout, options.seed)
    judge_on_new_users(X, options.seed)
    search = choose_scale(history, holdout, options.seed)
    plot(model, search, history, holdout, names, options.folder)


if __name__ == "__main__":
    main()
