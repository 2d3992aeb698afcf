"""Convert tables of interactions to matrices for recommenders, and recommended lists to tables."""

from .._utils.recency import recency_weights
from ._batches import recommend_batches
from ._encoder import InteractionEncoder

__all__ = ["InteractionEncoder", "recency_weights", "recommend_batches"]
