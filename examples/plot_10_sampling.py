"""
Sampling, step by step
======================

How a list comes about along the steps of sampling; how many steps it takes; and what they cost
where they run on a few hundred numbers a user, or on one number an item.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.metrics import ndcg_at_k
from skdiffrec.plotting import DenoisingDisplay

data = make_interactions(800, 400, n_interactions_per_user=30, random_state=0)
history = data.train + data.valid
model = CFGDiffusionRecommender(item_path=None, max_epochs=15, random_state=0).fit(history)

# %%
# One user's top ten along ten steps
# ----------------------------------
# The network alone, without its closed form, at scale 2. The head of the list is there after the
# first step, since the network sees the history at each of them; the tail is still being sorted.

DenoisingDisplay.from_estimator(
    model, history[[0]], n_sampling_steps=10, guidance_scale=2.0, item_names=data.item_names
)

# %%
# Steps and draws
# ---------------
# Following the mean of the noise (``temperature=0``), or drawing (``temperature=1, eta=1``), which
# makes one possible future after the other. To rank well, one step from the mean is enough: what
# more steps and draws change here is within the noise of the judge.

steps = [1, 2, 5, 10, 20]
kinds = {
    "mean of the noise": dict(temperature=0.0),
    "one draw": dict(temperature=1.0, eta=1.0),
    "mean of 8 draws": dict(temperature=1.0, eta=1.0, n_samples=8),
}
figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for (name, settings), marker in zip(kinds.items(), "os^", strict=True):
    model.set_params(**settings)
    quality = [
        ndcg_at_k(model.set_params(n_sampling_steps=n).recommend(k=10)[0], data.test) for n in steps
    ]
    ax.semilogx(steps, quality, marker=marker, label=name)
    model.set_params(eta=0.0, temperature=0.0, n_samples=1)
ax.set_xticks(steps, steps)
ax.set(xlabel="sampling steps", ylabel="nDCG@10", ylim=(0, 0.3))
ax.legend()

# %%
# What a step costs
# -----------------
# The two samplers give the same scores. In the hidden space the number of items does not matter
# until the end, so that the catalogue here is a larger one; its model is hardly trained.

data = make_interactions(300, 8000, n_interactions_per_user=30, random_state=0)
model = CFGDiffusionRecommender(item_path=None, max_epochs=1, random_state=0).fit(data.train)
users = np.arange(100)
figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for sampler, marker in (("item_space", "s"), ("hidden_space", "o")):
    seconds = []
    for n in steps:
        model.set_params(sampler=sampler, n_sampling_steps=n).recommend(users[:8])
        start = time.perf_counter()
        model.recommend(users, k=10)
        seconds.append(time.perf_counter() - start)
    ax.loglog(steps, seconds, marker=marker, label=sampler)
ax.set_xticks(steps, steps)
ax.set(xlabel="sampling steps", ylabel="seconds for 100 users of 8,000 items")
ax.legend()
