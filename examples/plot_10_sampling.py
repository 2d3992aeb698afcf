"""
Sampling, step by step
======================

This example shows how a list changes from one sampling step to the next, how many steps are needed,
and what a step costs for small and large catalogues.
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
model = CFGDiffusionRecommender(closed_form=None, max_epochs=15, random_state=0).fit(history)

# %%
# One user's top ten over ten steps
# ---------------------------------
# This is the network without a closed form, at guidance scale 2. The first items are in place after
# one step, since the network reads the history at every step. Later steps change the rest of the
# list.

DenoisingDisplay.from_estimator(
    model, history[[0]], n_sampling_steps=10, guidance_scale=2.0, item_names=data.item_names
)

# %%
# Steps and draws
# ---------------
# ``temperature=0`` follows the mean of the noise; ``temperature=1, eta=1`` draws possible futures.
# For ranking, one step from the mean is enough: more steps hardly change the accuracy, and draws do
# not improve it.

steps = [1, 2, 5, 10, 20]
kinds = {
    "mean of the noise": dict(temperature=0.0),
    "one draw": dict(temperature=1.0, eta=1.0),
    "mean of 8 draws": dict(temperature=1.0, eta=1.0, n_draws=8),
}
figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for (name, settings), marker in zip(kinds.items(), "os^", strict=True):
    model.set_params(**settings)
    quality = [
        ndcg_at_k(model.set_params(n_sampling_steps=n).recommend(k=10)[0], data.test) for n in steps
    ]
    ax.semilogx(steps, quality, marker=marker, label=name)
    model.set_params(eta=0.0, temperature=0.0, n_draws=1)
ax.set_xticks(steps, steps)
ax.set(xlabel="sampling steps", ylabel="nDCG@10", ylim=(0, 0.3))
ax.legend()

# %%
# What a step costs
# -----------------
# Steps run on a few hundred numbers per user and do not depend on the number of items. Only the
# scores, which are computed after the last step, do. The two models have equal layers and are
# trained for one epoch, since only the time matters. ``guidance_scale=1.5`` uses both branches.

steps = [1, 10, 20, 30, 40, 50]
users = np.arange(256)
figure, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for n_items, marker in ((500, "o"), (8000, "s")):
    data = make_interactions(300, n_items, n_interactions_per_user=30, random_state=0)
    model = CFGDiffusionRecommender(
        closed_form=None, hidden_dims=(240,), guidance_scale=1.5, max_epochs=1, random_state=0
    ).fit(data.train)
    milliseconds = []
    for n in steps:
        model.set_params(n_sampling_steps=n).recommend(users)
        times = []
        for _ in range(10):
            start = time.perf_counter()
            model.recommend(users, k=10)
            times.append(1000 * (time.perf_counter() - start))
        milliseconds.append(min(times))  # the least disturbed by other processes
    ax.plot(steps, milliseconds, marker=marker, label=f"{n_items:,} items")
ax.set(xlabel="sampling steps", ylabel="milliseconds for 256 users", ylim=(0, None))
ax.legend()
