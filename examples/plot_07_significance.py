"""
Is the difference more than chance?
===================================

Two models never have exactly the same mean. Most of the variance of nDCG is between users, and it
cancels when the same users are compared. :func:`~skdiffrec.metrics.compare` is a paired bootstrap.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.baselines import EASERecommender, ItemKNNRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import compare, ndcg_at_k

data = make_interactions(1000, 300, n_interactions_per_user=30, random_state=0)
history = data.train + data.valid
cfg = CFGDiffusionRecommender(random_state=0).fit(history)
lists = {
    "CFG, scale 1": cfg.recommend(k=10)[0],
    "CFG, scale 1.1": cfg.recommend(k=10, guidance_scale=1.1)[0],
    "CFG, scale 1.5": cfg.recommend(k=10, guidance_scale=1.5)[0],
    "CFG, scale 0.5": cfg.recommend(k=10, guidance_scale=0.5)[0],
    "EASE": EASERecommender(reg=100.0).fit(history).recommend(k=10)[0],
    "ItemKNN": ItemKNNRecommender(n_neighbors=50).fit(history).recommend(k=10)[0],
}
users = {name: ndcg_at_k(ids, data.test, per_user=True) for name, ids in lists.items()}

# %%
# Unpaired and paired
# -------------------
# Left: the mean of each model with its own 95 % interval. The intervals overlap, but that does not
# mean that the models are equal. Right: the interval of the difference to the first model, paired
# by user.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for place, values in enumerate(users.values()):
    error = 1.96 * values.std() / np.sqrt(len(values))
    left.errorbar(values.mean(), place, xerr=error, fmt="o", color="C0", capsize=4)
    if place:
        found = compare(users["CFG, scale 1"], values, random_state=0)
        clear = found.low > 0 or found.high < 0
        right.plot([found.low, found.high], [place, place], color="C0" if clear else "0.6", lw=3)
        right.plot(found.difference, place, "o", color="C0" if clear else "0.6")
        right.annotate(
            f"p = {found.p_value:.2g}", (found.high, place), xytext=(6, -3),
            textcoords="offset points",
        )  # fmt: skip
right.axvline(0, color="0.4", ls=":")
right.margins(x=0.25)
left.set_yticks(range(len(users)), users)
left.invert_yaxis()
left.set_xlabel("nDCG@10")
right.set_xlabel("difference to CFG at scale 1")

# %%
# Why pairing helps
# -----------------
# Users differ much more than models do: a user who is easy for one model is easy for the other.

a, b = users["CFG, scale 1"], users["EASE"]
figure, ax = plt.subplots(figsize=(4.6, 4.4), layout="constrained")
ax.plot(a, b, ".", alpha=0.35)
ax.axline((0, 0), slope=1, color="0.4", ls=":")
ax.set(xlabel="nDCG@10 of CFG", ylabel="nDCG@10 of EASE", aspect="equal")
ax.set_title(f"one point per user, correlation {np.corrcoef(a, b)[0, 1]:.2f}", fontsize=10)
print(compare(b, a, random_state=0))
