"""A run: checks, tasks for whichever engine, and the folder when all is there."""

import importlib
import os
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._utils.flags import check_device_name
from .._utils.tensor_file import checksum_of
from .._utils.validation import check_k, fitted_now
from .._version import __version__
from ..preprocessing import InteractionEncoder
from ._folder import ENCODER, finish, output_folder, part_name
from ._parts import Job, Part, arrow_table, load_model
from ._request import checked_request

Tasks = Iterator[bytes]


def import_package(name: str, caller: str, extra: str) -> Any:
    """A package of an extra; without it an error that says which."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f'{caller} needs {name}: pip install "skdiffrec[{extra}]", here and on all workers.'
        ) from error


def run(
    engine: Callable[[Tasks, int], None],
    caller: str,
    extra: str,
    model_path: Any,
    out_folder: Any,
    *,
    k: Any,
    users: Any,
    X: Any,
    encoder: Any,
    batch_size: Any,
    device: Any,
    options: dict[str, Any],
) -> list[str]:
    """Have all parts written, and return their paths.

    Parameters
    ----------
    engine : callable
        ``engine(tasks, n_tasks)`` calls `write_part` with each of the tasks, on workers, and
        returns when all are done. It takes them as they are needed: they hold the users' rows.
    caller, extra : str
        Names for errors.
    model_path, out_folder, k, users, X, encoder, batch_size, device, options
        As in `recommend_dask`.
    """
    import_package("pyarrow.parquet", caller, extra)
    k, batch_size = check_k(k), check_k(batch_size, "batch_size")
    check_device_name(device)
    if not isinstance(model_path, (str, bytes, os.PathLike)):
        raise TypeError(
            f"model_path must be the path of a file, got {type(model_path).__name__}. Save the "
            "model where all workers can read it: model.save(path)."
        )
    with output_folder(out_folder) as (folder, name):
        model_path = os.path.abspath(os.fsdecode(model_path))
        model, own_encoder = load_model(model_path, "cpu")
        known, encoder_path = _encoder(encoder, folder)
        known = own_encoder if known is None else known
        request = checked_request(model, known, users, X, k, batch_size, options)
        job = Job(
            version=__version__,
            packages=_packages(known),
            extra=extra,
            model_path=model_path,
            model_checksum=checksum_of(model_path),
            encoder_path=encoder_path,
            encoder_checksum=None if encoder_path is None else checksum_of(encoder_path),
            device=str(device),
            folder=folder,
            run=name,
            k=k,
            schema=_schema(known, request.histories.users, model.n_features_in_),
        )
        del model, known, own_encoder  # the workers have their own
        starts = range(0, max(request.n_users, 1), batch_size)
        names = [part_name(i, len(starts)) for i in range(len(starts))]
        engine(_tasks(job, request, starts, names), len(names))
        finish(folder, names)
    return [os.path.join(folder, name) for name in names]


def _encoder(encoder, folder):
    """(encoder, path of its file), or None for both."""
    if encoder is None:
        return None, None
    if isinstance(encoder, (str, os.PathLike)):
        path = os.path.abspath(os.fspath(encoder))
        return InteractionEncoder.load(path), path
    if not isinstance(encoder, InteractionEncoder):
        raise TypeError(
            "encoder must be a fitted InteractionEncoder, or the path that one was saved to, got "
            f"{type(encoder).__name__}."
        )
    encoder = fitted_now(encoder)
    path = os.path.join(folder, ENCODER)
    encoder.save(path)
    return encoder, path


def _packages(encoder):
    """What workers need to write the tables of an encoder."""
    library = None if encoder is None else encoder._form["library"]
    return tuple(dict.fromkeys(["pyarrow", *([library] if library else [])]))


def _schema(encoder, users, n_items):
    """The schema of all parts, serialized: that of a table of all users and all items."""
    import pyarrow
    from pyarrow import parquet

    n = max(len(users), n_items)
    if encoder is not None and not len(users):
        users = encoder._users
    ids = np.resize(np.arange(n_items), n)[:, None]
    users = users[np.resize(np.arange(len(users)), n)] if len(users) else np.zeros(n, np.int64)
    try:
        schema = arrow_table(encoder, ids, np.zeros(ids.shape, np.float32), users).schema
        parquet.write_table(schema.empty_table(), pyarrow.BufferOutputStream())
    except (pyarrow.ArrowException, TypeError) as error:
        raise TypeError(
            f"Ids of this encoder have no place in a Parquet file ({error}). Encode ids of one "
            "type, such as text or integers."
        ) from error
    return schema.serialize().to_pybytes()


def _tasks(job, request, starts, names):
    """Pickled parts, one after the other."""
    for start, name in zip(starts, names, strict=True):
        batch = slice(start, min(start + starts.step, request.n_users))
        users = request.histories.users[batch]
        yield pickle.dumps(Part(job, name, users, request.of(batch)), protocol=5)
