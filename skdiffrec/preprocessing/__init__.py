"""Convert tables of interactions to matrices for recommenders, and recommended lists to tables."""

from .._utils.recency import recency_weights
from ._batches import recommend_batches
from ._encoder import InteractionEncoder
from ._table_recommender import TableRecommender

__all__ = ["InteractionEncoder", "TableRecommender", "recency_weights", "recommend_batches"]
