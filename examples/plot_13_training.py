"""
Training, watched
=================

A part of some users' items is hidden from training; after each epoch the lists are judged by them,
the best weights are kept, and training ends when nothing improves.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.plotting import TrainingCurveDisplay

data = make_interactions(800, 300, n_interactions_per_user=30, random_state=0)
model = CFGDiffusionRecommender(item_path=None, random_state=0).fit(data.train)

# %%
# One fit
# -------
# The network alone (``item_path=None``), so that the curve is its own.

TrainingCurveDisplay.from_estimator(model)

# %%
# The best scale moves
# --------------------
# Young models gain most from guidance: they know what sets a user apart before they know how much
# it counts.

scales = [0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0]
history = data.train + data.valid
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for i, epochs in enumerate((2, 4, 8, 16)):
    young = CFGDiffusionRecommender(
        item_path=None, max_epochs=epochs, early_stopping=False, random_state=0
    ).fit(history)
    quality = [young.set_params(guidance_scale=s).score(history, data.test) for s in scales]
    (line,) = ax.plot(
        scales, quality, marker="o", color=plt.cm.viridis(0.85 - 0.25 * i), label=f"{epochs} epochs"
    )
    best = int(np.argmax(quality))
    ax.plot(scales[best], quality[best], "*", markersize=14, color=line.get_color())
ax.set(xlabel="guidance scale", ylabel="nDCG@10")
ax.legend()
