"""
Noise schedules, and a row under noise
======================================

Diffusion adds noise to a user's row step by step: at timestep t the share ᾱₜ of its variance is
left, ``x_t = sqrt(ᾱ_t) * x_0 + sqrt(1 - ᾱ_t) * noise``. The network learns the way back. This
picture shows the three schedules that ``noise_schedule=`` offers, and what they make of one row.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec.datasets import make_interactions

T = 100
t = np.arange(T + 1)
betas = np.linspace(1e-4, 0.02, T)
cosine = np.cos((t / T + 0.008) / 1.008 * np.pi / 2) ** 2
schedules = {
    "linear (β from 1e-4 to 0.02)": np.r_[1, np.cumprod(1 - betas)],
    "linear (β to 0.1)": np.r_[1, np.cumprod(1 - np.linspace(1e-4, 0.1, T))],
    "cosine, the default": cosine / cosine[0],
    "linear_variance (1e-4 to 0.02)": np.r_[1, 1 - betas],
}

# %%
# What is left of the signal
# --------------------------
# With 100 steps the paper's betas leave a third of the signal at the end: they were made for 1,000.
# DiffRec's variance hardly adds noise at all. The cosine goes all the way.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for (name, alpha_bar), style in zip(schedules.items(), ("-", "--", "-", ":"), strict=True):
    left.plot(t, alpha_bar, style, label=name)
    snr = alpha_bar[1:-1] / (1 - alpha_bar[1:-1])
    right.semilogy(t[1:-1], np.maximum(snr, 1e-4), style)
left.set(xlabel="timestep t", ylabel="ᾱ: share of the signal's variance")
right.set(xlabel="timestep t", ylabel="signal to noise, ᾱ / (1 − ᾱ)")
left.legend(fontsize=8)

# %%
# One row on its way
# ------------------
# A user's row, as an image of 15 × 20 items. From left to right it drowns; sampling starts at the
# right and asks the network, at every step, what the row was.

data = make_interactions(200, 300, n_interactions_per_user=30, random_state=0)
order = np.argsort(data.item_tastes.argmax(axis=1), kind="stable")
row = data.train[[3]].toarray()[0, order] * 2.0 - 0.2
noise = np.random.default_rng(0).standard_normal(row.shape)
steps = [0, 20, 40, 60, 80, 100]
shown = ("cosine, the default", "linear (β from 1e-4 to 0.02)")
figure, axes = plt.subplots(2, len(steps), figsize=(9, 3.4), layout="constrained")
for line, name in zip(axes, shown, strict=True):
    for ax, step in zip(line, steps, strict=True):
        kept = schedules[name][step]
        x_t = np.sqrt(kept) * row + np.sqrt(1 - kept) * noise
        ax.imshow(x_t.reshape(15, 20), cmap="viridis", vmin=-2, vmax=2)
        ax.set(xticks=[], yticks=[], title=f"t = {step}")
    line[0].set_ylabel(name.split()[0].rstrip(","))
