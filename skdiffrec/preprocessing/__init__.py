"""Convert tables of interactions to matrices for recommenders, and recommended lists to tables."""

from ._batches import recommend_batches
from ._encoder import InteractionEncoder
from ._recency import RECENCY_FLOOR as RECENCY_FLOOR
from ._recency import history_ages as history_ages
from ._recency import history_weights as history_weights
from ._recency import recency_of_ages as recency_of_ages
from ._recency import recency_weights

__all__ = ["InteractionEncoder", "recency_weights", "recommend_batches"]
