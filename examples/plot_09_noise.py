"""
Noise schedules and a noisy row
===============================

Diffusion adds noise to a user's row step by step: at timestep t the share ᾱₜ of its variance is
left, ``x_t = sqrt(ᾱ_t) * x_0 + sqrt(1 - ᾱ_t) * noise``. The network learns to remove the noise.
``noise_schedule=`` takes the name of a schedule or an array of ᾱ₀ … ᾱ_T; three functions of
``skdiffrec`` make such arrays. This example plots them, and one row at several timesteps.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import cosine_schedule, linear_schedule, linear_variance_schedule
from skdiffrec.datasets import make_interactions

T = 100
t = np.arange(T + 1)
schedules = {
    "linear (β from 1e-4 to 0.02)": linear_schedule(T),
    "linear (β to 0.1)": linear_schedule(T, beta_end=0.1),
    "cosine, the default": cosine_schedule(T),
    "linear_variance (1e-4 to 0.02)": linear_variance_schedule(T),
}

# %%
# The remaining signal
# --------------------
# With 100 steps the betas of the paper leave a third of the signal at the end, since they were made
# for 1,000 steps. DiffRec's linear variance adds hardly any noise. The cosine schedule ends at
# almost pure noise.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for (name, alpha_bar), style in zip(schedules.items(), ("-", "--", "-", ":"), strict=True):
    left.plot(t, alpha_bar, style, label=name)
    snr = alpha_bar[1:-1] / (1 - alpha_bar[1:-1])
    right.semilogy(t[1:-1], np.maximum(snr, 1e-4), style)
left.set(xlabel="timestep t", ylabel="ᾱ: share of the signal's variance")
right.set(xlabel="timestep t", ylabel="signal-to-noise ratio, ᾱ / (1 − ᾱ)")
left.legend(fontsize=8)

# %%
# One row at several timesteps
# ----------------------------
# A user's row, drawn as an image of 15 × 20 items. Noise increases from left to right. Sampling
# starts at the right; at every step the network estimates the row without noise.

data = make_interactions(200, 300, n_interactions_per_user=30, random_state=0)
order = np.argsort(data.item_tastes.argmax(axis=1), kind="stable")
row = data.train[[3]].toarray()[0, order] * 2.0 - 0.2
noise = np.random.default_rng(0).standard_normal(row.shape)
steps = [0, 20, 40, 60, 80, 100]
shown = ("cosine, the default", "linear (β from 1e-4 to 0.02)")
figure, axes = plt.subplots(2, len(steps), figsize=(9, 3.4), layout="constrained")
for line, name in zip(axes, shown, strict=True):
    for ax, step in zip(line, steps, strict=True):
        alpha_bar = schedules[name][step]
        x_t = np.sqrt(alpha_bar) * row + np.sqrt(1 - alpha_bar) * noise
        ax.imshow(x_t.reshape(15, 20), cmap="viridis", vmin=-2, vmax=2)
        ax.set(xticks=[], yticks=[], title=f"t = {step}")
    line[0].set_ylabel(name.split()[0].rstrip(","))
