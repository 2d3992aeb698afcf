"""From raw interactions to what a recommender reads, and from its lists back."""

from .._utils.recency import RECENCY_FLOOR as RECENCY_FLOOR
from .._utils.recency import history_ages as history_ages
from .._utils.recency import history_weights as history_weights
from .._utils.recency import recency_of_ages as recency_of_ages
from .._utils.recency import recency_weights
from ._batches import recommend_batches
from ._encoder import InteractionEncoder

__all__ = ["InteractionEncoder", "recency_weights", "recommend_batches"]
