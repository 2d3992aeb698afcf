"""
Users known by a profile
========================

A new user with a profile and no history gets a personal list, and the profile has a guidance scale
of its own. Here four in five users state the taste that they will follow; the others state any.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse import csr_array

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ndcg_at_k

data = make_interactions(1500, 300, n_interactions_per_user=25, drift=0.0, random_state=0)
known, new = np.arange(1000), np.arange(1000, 1500)
model = CFGDiffusionRecommender(random_state=0)
model.fit(data.train[known], user_features=data.user_features[known])

# %%
# With nothing, a profile, a history, both
# ----------------------------------------
# Lists for 500 users whom the model has not met, evaluated on what they take last. A history is n
# random items of a user.


def some_items(X, n, seed=0):
    """Rows of X with n random items of each."""
    drawn = X.toarray() * np.random.default_rng(seed).random(X.shape)
    rank = np.argsort(np.argsort(-drawn, axis=1), axis=1)
    return csr_array(((rank < n) & (drawn > 0)).astype(np.float32))


profiles, lengths = data.user_features[new], [0, 1, 2, 3, 5, 8, 12]
histories = [some_items(data.train[new], n) for n in lengths]


def quality(rows, **options):
    return ndcg_at_k(model.recommend(X=rows, k=10, **options)[0], data.test[new])


figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
ax.plot(lengths, [quality(rows) for rows in histories], "o-", label="history")
with_profile = [quality(rows, user_features=profiles) for rows in histories]
ax.plot(lengths, with_profile, "s-", label="history and profile")
ax.set(xlabel="items in the history", ylabel="nDCG@10 of what they take later", ylim=(0, None))
ax.legend()

# %%
# A dial for the profile
# ----------------------
# At 0 the list is what is popular, at 1 what the model believes, above that the profile is taken at
# its word: the list fills with the stated taste, also for those who stated another than their own.

scales = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0]
empty = csr_array((len(new), model.n_features_in_))
grid = {"user_features": scales}
lists, _ = model.recommend_scales(grid, X=empty, user_features=profiles, k=10)
stated, of_item = profiles.toarray()[:, :12].argmax(axis=1), data.item_tastes.argmax(axis=1)
share = [(of_item[ids] == stated[:, None]).mean() for ids in lists]
found = [ndcg_at_k(ids, data.test[new]) for ids in lists]

figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
ax.plot(scales, share, "o-", label="share of the stated taste in the list")
ax.plot(scales, found, "s-", label="nDCG@10")
ax.set(xlabel="scale of the profile", ylim=(0, 1.02))
ax.legend(loc="center right")

# %%
# What each condition adds
# ------------------------
# A user with both: the parts of the scores of the first five items.

rows = some_items(data.train[new[:1]], 3)
ids, scores = model.recommend(X=rows, user_features=profiles[:1], k=5)
parts = model.score_parts(X=rows, user_features=profiles[:1], item_ids=ids)
for place, item in enumerate(ids[0]):
    added = ", ".join(f"{name} {lift[0, place]:+.2f}" for name, lift in parts.lifts.items())
    print(f"{data.item_names[item]:<20} {scores[0, place]:6.2f}  ({added})")
