"""
Training and early stopping
===========================

Early stopping holds out a part of some users' items. After each epoch the lists are evaluated on
them. Training ends when the score no longer improves, and the best weights are kept.
"""

import matplotlib.pyplot as plt
import numpy as np

from skdiffrec import CFGDiffusionRecommender
from skdiffrec.datasets import make_interactions
from skdiffrec.plotting import TrainingCurveDisplay

data = make_interactions(800, 300, n_interactions_per_user=30, random_state=0)
model = CFGDiffusionRecommender(closed_form=None, random_state=0).fit(data.train)

# %%
# One fit
# -------
# With ``closed_form=None`` the curve shows the network alone.

TrainingCurveDisplay.from_estimator(model)

# %%
# The best scale by number of epochs
# ----------------------------------
# Models that were trained for few epochs gain most from guidance: the difference between their
# conditional and unconditional estimates is still too small.

scales = [0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0]
history = data.train + data.valid
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for i, epochs in enumerate((2, 4, 8, 16)):
    model = CFGDiffusionRecommender(
        closed_form=None, max_epochs=epochs, early_stopping=False, random_state=0
    ).fit(history)
    quality = [model.set_params(guidance_scale=s).score(history, data.test) for s in scales]
    (line,) = ax.plot(
        scales, quality, marker="o", color=plt.cm.viridis(0.85 - 0.25 * i), label=f"{epochs} epochs"
    )
    best = int(np.argmax(quality))
    ax.plot(scales[best], quality[best], "*", markersize=14, color=line.get_color())
ax.set(xlabel="guidance scale", ylabel="nDCG@10")
ax.legend()
