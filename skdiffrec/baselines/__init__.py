"""Strong simple models with the API of `CFGDiffusionRecommender`.

`MultVAERecommender` and `FlowRecommender` are small networks with classifier-free guidance, but
without diffusion: ``recommend(guidance_scale=)``. Their `fit` needs torch, which nothing else here
imports. The others but `PopularityRecommender` answer ``similar_items``. Those that derive from
`ItemItemRecommender` can be the ``closed_form`` of a `CFGDiffusionRecommender`.
"""

from .._utils.saving import add_library_classes
from ._als import ALSRecommender
from ._ease import EASERecommender
from ._flow import FlowRecommender
from ._item_item import ItemItemRecommender
from ._item_knn import ItemKNNRecommender
from ._mult_vae import MultVAERecommender
from ._neighborhood import NeighborhoodRecommender
from ._popularity import PopularityRecommender

__all__ = [
    "ALSRecommender",
    "EASERecommender",
    "FlowRecommender",
    "ItemItemRecommender",
    "ItemKNNRecommender",
    "MultVAERecommender",
    "NeighborhoodRecommender",
    "PopularityRecommender",
]

add_library_classes(
    ALSRecommender,
    EASERecommender,
    FlowRecommender,
    ItemKNNRecommender,
    MultVAERecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)
