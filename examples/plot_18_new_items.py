"""
Items that nobody has met
=========================

New items are recommended by their features. Here a tenth of the items is taken out of training and
added afterwards.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse import csr_array

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import recall_at_k

data = make_interactions(1500, 400, n_interactions_per_user=30, drift=0.0, random_state=0)
rng = np.random.default_rng(0)
new = np.sort(rng.choice(400, 40, replace=False))
known = np.setdiff1d(np.arange(400), new)
F = data.item_features

model = CFGDiffusionRecommender(item_features=F[known], random_state=0)
model.fit(data.train[:, known])
model.add_items(F[new])
print(model.n_features_in_, "items, of which", len(new), "are new")

# %%
# Lists of new items alone
# ------------------------
# What users did with the new items, all of it held out, is the truth. Content-based neighbours
# score a new item by the features that it shares with the history.

ids_of_new = np.arange(len(known), 400)
ids, _ = model.recommend(k=5, items=ids_of_new)
truth = csr_array(data.train[:, new] + data.test[:, new])

content = data.train[:, known] @ (F[known] @ F[new].T)
neighbours = np.argsort(-content.toarray(), axis=1, kind="stable")[:, :5]
chance = np.tile(np.arange(5), (1500, 1))
found = {
    "add_items": recall_at_k(ids - len(known), truth, 5),
    "shared features": recall_at_k(neighbours, truth, 5),
    "any five": recall_at_k(chance, truth, 5),
}
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.barh(list(found), list(found.values()))
ax.invert_yaxis()
ax.set(xlabel="recall@5 among 40 new items")

# %%
# Among all items
# ---------------
# New items compete with the known ones, and every user gets those of their own tastes.

lists, _ = model.recommend(k=20)
is_new = lists >= len(known)
print(f"{is_new.mean():.1%} of the lists are new items, {len(new) / 400:.1%} of the items are")
taste = data.item_tastes.argmax(axis=1)[np.concatenate([known, new])]
share = np.take_along_axis(data.user_tastes, taste[lists], axis=1)
print(f"a user's share of an item's taste: {share[is_new].mean():.2f} of new items listed,")
print(f"{share[~is_new].mean():.2f} of known items listed, {data.user_tastes.mean():.2f} of any")
