"""skdiffrec: diffusion recommenders with classifier-free guidance, the scikit-learn way.

What needs torch is imported when it is first asked for: metrics, splitters, baselines and encoders
do without.
"""

import importlib
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from ._diffusion.schedules import cosine_schedule, linear_schedule, linear_variance_schedule
    from ._recommender import CFGDiffusionRecommender

__all__ = [
    "CFGDiffusionRecommender",
    "__version__",
    "cosine_schedule",
    "linear_schedule",
    "linear_variance_schedule",
]

_MODULES = (
    "base",
    "baselines",
    "datasets",
    "distributed",
    "metrics",
    "model_selection",
    "persistence",
    "plotting",
    "preprocessing",
)


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _recommender
    from ._diffusion import schedules

    place = schedules if name.endswith("_schedule") else _recommender
    globals()[name] = value = getattr(place, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
