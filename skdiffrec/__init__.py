"""skdiffrec: diffusion recommenders with classifier-free guidance, the scikit-learn way."""

from ._recommender import CFGDiffusionRecommender
from ._version import __version__

__all__ = ["CFGDiffusionRecommender", "__version__"]
