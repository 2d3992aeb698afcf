"""skdiffrec: diffusion recommenders with classifier-free guidance, the scikit-learn way."""

from ._diffusion.schedules import cosine_schedule, linear_schedule, linear_variance_schedule
from ._recommender import CFGDiffusionRecommender
from ._version import __version__

__all__ = [
    "CFGDiffusionRecommender",
    "__version__",
    "cosine_schedule",
    "linear_schedule",
    "linear_variance_schedule",
]
