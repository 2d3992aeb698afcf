"""What a worker does: load the model once, recommend to some users, write one Parquet file."""

import errno
import importlib
import os
import pickle
import socket
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from .. import persistence
from .._utils.tensor_file import checksum_of, replacing
from .._utils.threads import blas_limit
from .._version import __version__
from ..preprocessing import InteractionEncoder, TableRecommender
from ._folder import is_open
from ._memory import memory_kept

_lock = threading.Lock()
_loaded: dict[tuple[str | None, ...], Any] = {}  # of this process, the last one


class Job(NamedTuple):
    """What the parts of a run have in common.

    Attributes
    ----------
    version : str
        Of this library.
    packages : tuple of str
        That workers need beside it.
    extra : str
        That installs them.
    model_path, model_checksum : str
    encoder_path, encoder_checksum : str or None
    device : str
    folder, run : str
        Where parts are written, and what the folder's mark says.
    k : int
    schema : bytes
        Of all parts, as Arrow serializes it.
    """

    version: str
    packages: tuple[str, ...]
    extra: str
    model_path: str
    model_checksum: str
    encoder_path: str | None
    encoder_checksum: str | None
    device: str
    folder: str
    run: str
    k: int
    schema: bytes


class Part(NamedTuple):
    """Some users.

    Attributes
    ----------
    job : Job
    name : str
        Of the file.
    users : ndarray of shape (n,)
        Their ids in the file.
    arguments : dict
        Of `recommend`, beside k.
    """

    job: Job
    name: str
    users: Any
    arguments: dict[str, Any]


def write_part(task, n_threads=1):
    """Make the lists of a part, and the file, which appears at once when it is complete.

    Parameters
    ----------
    task : bytes
        A pickled `Part`. Bytes mean the same to every engine.
    n_threads : int
        That the engine has given to this task.

    Returns
    -------
    name : str
        Of the file.
    """
    part = pickle.loads(task)
    job = part.job
    _check_worker(job)
    model, encoder = _model(job)
    with _threads(n_threads), memory_kept():
        ids, scores = model.recommend(**part.arguments, k=job.k)
    from pyarrow import ipc, py_buffer

    schema = ipc.read_schema(py_buffer(job.schema))
    table = arrow_table(encoder, ids, scores, part.users).cast(schema)
    _check_open(job)
    write_table(table, os.path.join(job.folder, part.name))
    return part.name


def write_table(table, path):
    """Write an Arrow table to a Parquet file, which appears at once."""
    from pyarrow import parquet

    with replacing(path) as temporary:
        parquet.write_table(table, temporary)


def arrow_table(encoder, ids, scores, users):
    """Lists as an Arrow table of user, rank, item and score, without the padding.

    Parameters
    ----------
    encoder : InteractionEncoder or None
        Gives names, types and titles; without it users and items are integers.
    ids, scores : ndarray of shape (n, k)
    users : ndarray of shape (n,)
    """
    import pyarrow

    if encoder is None:
        row, rank = np.nonzero(ids >= 0)
        columns = users[row], rank + 1, ids[row, rank], scores[row, rank]
        return pyarrow.table(dict(zip(("user", "rank", "item", "score"), columns, strict=True)))
    table = encoder.inverse_transform(ids, scores, users=users)
    if isinstance(table, dict):
        return pyarrow.table(table)
    frame = nw.from_native(table, eager_only=True)
    if frame.implementation.is_pandas():
        return pyarrow.Table.from_pandas(table, preserve_index=False)
    return frame.to_arrow()


def load_model(path, device):
    """(recommender, encoder or None) that are in a file."""
    model = persistence.load(path, device=device)
    if isinstance(model, TableRecommender):
        return model.recommender_, model.encoder_
    if isinstance(model, InteractionEncoder):
        raise TypeError(
            f"model_path={path!r} holds an InteractionEncoder, which recommends nothing. Give the "
            "file of a recommender, and this one as encoder=."
        )
    return model, None


def _model(job):
    """(recommender, encoder or None) of a run, loaded when a process is first asked for them."""
    key = job.model_checksum, job.encoder_checksum, job.device
    with _lock:  # threads of a worker share one
        if key not in _loaded:
            _loaded.clear()
            model, encoder = load_model(job.model_path, job.device)
            if job.encoder_path is not None:
                encoder = InteractionEncoder.load(job.encoder_path)
            _loaded[key] = model, encoder
        return _loaded[key]


def _check_worker(job):
    """Raise an error where lists would not be those that were asked for, or could not be kept."""
    where = f"The worker on {socket.gethostname()!r} (process {os.getpid()})"
    if job.version != __version__:
        raise ImportError(
            f"{where} has skdiffrec {__version__}, but was sent a task by {job.version}. Install "
            "the same version on all machines."
        )
    for name in job.packages:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ImportError(
                f"{where} has no {name}, which it needs to write lists: pip install {name} there, "
                f'or all of it, pip install "skdiffrec[{job.extra}]".'
            ) from error
    _check_open(job)
    for path, checksum in (
        (job.model_path, job.model_checksum),
        (job.encoder_path, job.encoder_checksum),
    ):
        if path is None:
            continue
        if not os.path.isfile(path):
            raise FileNotFoundError(
                errno.ENOENT,
                f"{where} finds no file {path!r}. Put it on a disk that all workers share, under "
                "the same path.",
            )
        if checksum_of(path) != checksum:
            raise ValueError(
                f"{where} finds another file at {path!r} than the one that this run began with. "
                "Leave it as it is until the run ends, and begin anew."
            )


def _check_open(job):
    if not is_open(job.folder, job.run):
        raise FileNotFoundError(
            errno.ENOENT,
            f"The worker on {socket.gethostname()!r} finds no folder {job.folder!r} of this run: "
            "either the run has ended without this part, or the folder is not on a disk that all "
            "workers share, under the same path.",
        )


@contextmanager
def _threads(n_threads):
    """Compute with so many threads: others have the processor's other cores."""
    with ExitStack() as stack:
        stack.enter_context(blas_limit(n_threads))
        if "torch" in sys.modules:  # the models that use it have imported it
            from .._utils.host_state import torch_threads

            stack.enter_context(torch_threads(n_threads))
        yield
