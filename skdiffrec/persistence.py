"""Models in files, without pickle: `save` and `load` for whichever recommender it is."""

import os
from typing import Any

from ._recommender import CFGDiffusionRecommender
from ._utils.saving import model_of_file
from ._utils.tensor_file import PersistenceError, read
from .base import BaseRecommender
from .baselines import (
    ALSRecommender,
    EASERecommender,
    ItemKNNRecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)

__all__ = ["PersistenceError", "load", "save"]

_CLASSES = (
    CFGDiffusionRecommender,
    ALSRecommender,
    EASERecommender,
    ItemKNNRecommender,
    NeighborhoodRecommender,
    PopularityRecommender,
)


def save(
    model: BaseRecommender, path: str | os.PathLike[str], *, include_data: bool = True
) -> None:
    """``model.save(path, include_data=include_data)``.

    Parameters
    ----------
    model : estimator
        Fitted; any recommender of this library.
    path : str or os.PathLike
    include_data : bool, default=True
        Whether to save the rows given to `fit` too.
    """
    model.save(path, include_data=include_data)


def load(path: str | os.PathLike[str], device: Any = "auto") -> Any:
    """Load a model of this library, whichever of its classes the file holds.

    Parameters
    ----------
    path : str or os.PathLike
    device : str or torch.device, default="auto"
        Where to compute, for a model that uses torch.

    Returns
    -------
    model : estimator
        Fitted.

    Raises
    ------
    FileNotFoundError, PersistenceError, ValueError
        As the ``load`` of the classes, `CFGDiffusionRecommender.load`.

    Examples
    --------
    >>> import os, tempfile
    >>> from skdiffrec import persistence
    >>> from skdiffrec.baselines import PopularityRecommender
    >>> model = PopularityRecommender().fit([[1, 1, 0], [0, 1, 0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     persistence.save(model, path)
    ...     persistence.load(path)
    PopularityRecommender()
    """
    record, tensors = read(path)
    # looked up among these, never imported by name
    cls = {cls.__name__: cls for cls in _CLASSES}.get(str(record.get("class")))
    if cls is None:
        raise PersistenceError(
            f"{str(path)!r} holds a {record.get('class')!r:.100}, which is no class of this "
            f"library. A class of your own loads what it saved: MyRecommender.load(path)."
        )
    return model_of_file(cls, path, record, tensors, device)
