"""From raw interactions to what a recommender reads, and from its lists back."""

from .._utils.recency import recency_weights
from ._batches import recommend_batches
from ._encoder import InteractionEncoder

__all__ = ["InteractionEncoder", "recency_weights", "recommend_batches"]
