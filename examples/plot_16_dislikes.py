"""
Away from what a user dislikes
==============================

Ratings say what users like and what they do not. A second dial steers away from the latter. Here
every item has a mood, and every user dislikes one mood, which has no part in what they take.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import disliked_at_k
from skdiffrec.plotting import GuidanceCurveDisplay

data = make_interactions(
    1200, 150, n_interactions_per_user=30, n_tastes=4, drift=0.0, values="rating", random_state=0
)
model = CFGDiffusionRecommender(values="rating", random_state=0).fit(data.train)

# %%
# The exchange
# ------------
# Accuracy is that of liked items among what users rate next; beside it the share of each list that
# they rate low.

scales = [0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0]
GuidanceCurveDisplay.from_estimator(
    model, data.train, data.test, scales={"disliked": scales}, metrics=["ndcg", "disliked"]
)

# %%
# What leaves the lists
# ---------------------
# The share of the mood that a user dislikes, of which the model knows nothing but ratings, and of
# the tastes that the user has.

lists, _ = model.recommend_scales({"disliked": scales}, k=10)
disliked = data.item_moods[lists] == data.user_dislikes[:, None]
bad = disliked.mean(axis=(1, 2))
taste = data.item_tastes.argmax(axis=1)
own = [np.take_along_axis(data.user_tastes, taste[ids], 1).mean() for ids in lists]

figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
ax.plot(scales, bad, "o-", label="of the disliked mood")
ax.plot(scales, own, "s-", label="of the user's tastes")
ax.axhline(0.25, color="gray", linestyle=":", label="of each mood in the catalogue")
ax.set(xlabel="scale of the dislikes", ylabel="share of the list", ylim=(0, None))
ax.legend()

# %%
# Without opinions
# ----------------
# A model that takes every rating for a like recommends what is disliked as well.

blind = CFGDiffusionRecommender(random_state=0).fit(data.train)
for name, ids in [("every rating a like", blind.recommend(k=10)[0]), ("ratings", lists[2])]:
    print(f"{name:<20} {disliked_at_k(ids, data.test, train=data.train):.4f} of a list disliked")

# %%
# One user
# --------
# The list that changes most, at three scales, with the moods of its items.

of_user = disliked.mean(axis=2)
user = int(np.argmax(of_user[0] - of_user[-1]))
print("dislikes what is", data.mood_names[data.user_dislikes[user]])
for scale in (0.0, 1.0, 4.0):
    ids, _ = model.recommend(user, k=5, guidance_scale={"disliked": scale})
    named = [f"{data.item_names[i]} ({data.mood_names[data.item_moods[i]]})" for i in ids]
    print(f"{scale:g}:", ", ".join(named))
