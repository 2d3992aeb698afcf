"""Strong simple models with the API of `CFGDiffusionRecommender`; no torch.

All of them but `PopularityRecommender` answer ``similar_items``. Those that derive from
`ItemItemRecommender` can be the ``closed_form`` of a `CFGDiffusionRecommender`.
"""

from .._utils.saving import add_library_classes
from ._als import ALSRecommender
from ._ease import EASERecommender
from ._item_item import ItemItemRecommender
from ._item_knn import ItemKNNRecommender
from ._neighborhood import NeighborhoodRecommender
from ._popularity import PopularityRecommender

__all__ = [
    "ALSRecommender",
    "EASERecommender",
    "ItemItemRecommender",
    "ItemKNNRecommender",
    "NeighborhoodRecommender",
    "PopularityRecommender",
]

add_library_classes(
    ALSRecommender,
    EASERecommender,
    ItemKNNRecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)
