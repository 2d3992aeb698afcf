"""
The guidance dial
=================

One network gives two estimates for a user, one from the history and one without. The guidance scale
says how far to go from the second to the first, and beyond. It is turned after training.
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
# From 0 (the same list for everybody) accuracy rises steeply, then levels off, while the lists go
# on spreading over the catalogue. Nothing is trained again for this curve.

GuidanceCurveDisplay.from_estimator(model, data.train + data.valid, data.test)

# %%
# One user's list at five scales
# ------------------------------
# Bars say what the ten items are about, averaged over the list. At 0 the list has a bit of
# everything that is popular; the user's own tastes take over as the scale grows. The diamonds are
# the taste at the end of the history: what the user liked earlier is seen in the bars too.

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
ax.set(xlabel="share of the list", title=f"User {user}: what the list is about")
ax.legend()

# %%
# The names of the items tell the same.

for scale, ids in zip(scales, lists, strict=True):
    print(f"scale {scale:3g}: {', '.join(data.item_names[ids[:6]])}")

# %%
# One scale per user
# ------------------
# The dial takes an array too: cautious lists for some, eccentric ones for others, in one call.

ids, scores = model.recommend([0, 1, 2], k=5, guidance_scale=[0.5, 1.0, 2.0])
print(ids)
