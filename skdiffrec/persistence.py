"""Models in files, without pickle: `save` and `load` for whichever class it is."""

import os
from typing import Any

from ._utils import saving
from ._utils.tensor_file import PersistenceError, named, read
from .preprocessing import InteractionEncoder, TableRecommender
from .preprocessing._encoder_file import unpacked_encoder
from .preprocessing._table_recommender_file import table_recommender_of_file

__all__ = ["PersistenceError", "load", "save"]


def save(model: Any, path: str | os.PathLike[str], *, include_data: bool = True) -> None:
    """``model.save(path, include_data=include_data)``, or ``encoder.save(path)``.

    Parameters
    ----------
    model : estimator
        Fitted; any recommender of this library, a `TableRecommender` or an `InteractionEncoder`.
    path : str or os.PathLike
    include_data : bool, default=True
        Whether to save the rows given to `fit` too; an encoder has none.
    """
    if isinstance(model, InteractionEncoder):
        model.save(path)
    else:
        model.save(path, include_data=include_data)


def load(path: str | os.PathLike[str], device: Any = "auto") -> Any:
    """Load a model or an encoder of this library, whichever of its classes the file holds.

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
    name = str(record.get("class"))
    if name == TableRecommender.__name__:
        return table_recommender_of_file(TableRecommender, path, record, tensors, device)
    with named(path):
        if name == InteractionEncoder.__name__:
            return unpacked_encoder(InteractionEncoder, record, tensors)
        cls = saving.library_class(name)
    return saving.model_of_file(cls, path, record, tensors, device)
