"""
What a user wants now
=====================

A list can lean towards features of items, without being filtered to them. Here users with tastes of
their own want "folk horror" today.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ndcg_at_k

data = make_interactions(1500, 300, n_interactions_per_user=25, drift=0.0, random_state=0)
model = CFGDiffusionRecommender(item_features=data.item_features, random_state=0).fit(data.train)
column = list(data.item_feature_names).index("taste=folk horror")
is_horror = data.item_features[:, [column]].toarray().ravel() > 0

# %%
# From a hint to a filter
# -----------------------
# The share of folk horror in the lists of all users, and how well lists still find what users take
# next, which is mostly something else. A filtered list has folk horror alone.

scales = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
lists, _ = model.recommend_scales({"wanted": scales}, k=10, wanted={column: 1})
filtered, _ = model.recommend(k=10, items=np.flatnonzero(is_horror))

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.plot(scales, [is_horror[ids].mean() for ids in lists], "o-")
left.set(xlabel="scale of what is wanted", ylabel="share of folk horror", ylim=(0, 1.03))
right.plot(scales, [ndcg_at_k(ids, data.test) for ids in lists], "o-", label="wanted")
right.axhline(ndcg_at_k(filtered, data.test), color="gray", linestyle=":", label="filtered")
right.set(xlabel="scale of what is wanted", ylabel="nDCG@10 of all that users take next")
right.set_ylim(0, None)
right.legend()

# %%
# One user's list
# ---------------
# Items of folk horror keep their order; what the user likes best stays as long as it can.

user = int(np.argmax(data.user_tastes.max(axis=1) * (data.user_tastes.argmax(axis=1) != column)))
for scale in (0.0, 1.0, 2.0, 6.0):
    ids, _ = model.recommend(user, k=5, wanted={column: 1}, guidance_scale={"wanted": scale})
    print(f"{scale:g}:", ", ".join(data.item_names[ids]))

# %%
# Several wishes
# --------------
# Weights add up, and every user may want something else: a matrix has one row a user.

wanted = np.zeros((2, data.item_features.shape[1]))
wanted[0, column] = 1.0
wanted[1, [column, list(data.item_feature_names).index("taste=slow romance")]] = 1.0, 2.0
ids, _ = model.recommend([user, user], k=5, wanted=wanted, guidance_scale={"wanted": 2.0})
for row in ids:
    print(", ".join(data.item_names[row]))
