"""
The guidance scale
==================

The network makes two estimates for a user, one with the history and one without it. The guidance
scale s combines them as ``uncond + s * (cond - uncond)``. You can change it after training.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.plotting import GuidanceCurveDisplay

data = make_interactions(800, 300, n_interactions_per_user=30, random_state=0)
model = CFGDiffusionRecommender(random_state=0).fit(data.train)

# %%
# Accuracy, coverage, novelty
# ---------------------------
# At 0 all users get the same ranking. With a growing scale accuracy rises steeply and then levels
# off, while coverage and novelty go on rising. This curve needs no further training.

GuidanceCurveDisplay.from_estimator(model, data.train + data.valid, data.test)

# %%
# One user's list at five scales
# ------------------------------
# The bars show the tastes that the ten items belong to, averaged over the list. At scale 0 the list
# is a mixture of popular items; with a growing scale the user's own tastes dominate. The diamonds
# show the user's taste at the end of the history. The bars also show what the user liked earlier.

user = int(np.argmax(data.user_tastes.max(axis=1) > 0.85))
scales = [0.0, 0.5, 1.0, 2.0, 4.0]
lists, _ = model.recommend_scales(scales, user, k=10)
shares = np.array([data.item_tastes[ids].mean(axis=0) for ids in lists])
order = np.argsort(data.user_tastes[user])

figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
height = 0.16
for i, scale in enumerate(scales):
    color = plt.cm.viridis(0.9 - 0.2 * i)
    places = np.arange(len(order)) + (2 - i) * height
    ax.barh(places, shares[i, order], height, label=f"scale {scale:g}", color=color)
ax.plot(data.user_tastes[user, order], np.arange(len(order)), "kd", label="the user's true taste")
ax.set_yticks(range(len(order)), data.taste_names[order])
ax.set(xlabel="share of the list", title=f"User {user}: tastes of the list by guidance scale")
ax.legend()

# %%
# The item names show the same.

for scale, ids in zip(scales, lists, strict=True):
    print(f"scale {scale:3g}: {', '.join(data.item_names[ids[:6]])}")

# %%
# One scale per user
# ------------------
# The scale can be an array with one value per user.

ids, scores = model.recommend([0, 1, 2], k=5, guidance_scale=[0.5, 1.0, 2.0])
print(ids)
