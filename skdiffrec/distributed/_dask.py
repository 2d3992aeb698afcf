"""Lists by Dask: a task a part, on the workers of a cluster."""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from .._utils.typing import ArrayLike
from ..preprocessing import InteractionEncoder
from ._parts import write_part
from ._run import Tasks, import_package, run

_CALLER, _EXTRA = "recommend_dask", "dask"


def recommend_dask(
    model_path: str | os.PathLike[str],
    out_folder: str | os.PathLike[str],
    k: int = 10,
    users: ArrayLike | None = None,
    X: Any = None,
    *,
    encoder: InteractionEncoder | str | os.PathLike[str] | None = None,
    batch_size: int = 10_000,
    device: Any = "auto",
    client: Any = None,
    **options: Any,
) -> list[str]:
    """Recommend items to many users on a Dask cluster, into a folder of Parquet files.

    Each worker loads the model once, and makes the lists of one batch of users after the other. All
    is checked before the first one. The lists are those of `recommend`, bit by bit on the same kind
    of processor, also if workers die and others take over. Needs
    ``pip install "skdiffrec[dask]"``, here and on the workers.

    Parameters
    ----------
    model_path : str or os.PathLike
        A file that `save` of a recommender of this library wrote, or of a `TableRecommender`, whose
        encoder then is `encoder`. Workers read it under the same path.
    out_folder : str or os.PathLike
        A folder that is empty or not there yet, on a disk that all workers share.
    k : int, default=10
        Length of the lists.
    users : array-like, shape (n,), default=None
        Without `encoder` integers, the `user_ids` of `recommend`: rows of the matrix of `fit`, or
        labels of the rows of `X`. With it ids as in the tables of `encoder`; with `X` they may be
        new ones. None means all rows.
    X : sparse matrix, path or object, shape (n, n_items), default=None
        Histories, one row a user: a matrix, the path of a file of ``scipy.sparse.save_npz``, or any
        object with ``shape`` whose ``X[first:last]`` are rows, which are read as they are needed.
        This process reads them, and sends each worker its own. None means the rows seen in `fit`,
        with which the model must have been saved.
    encoder : InteractionEncoder, str or os.PathLike, default=None
        Fitted, or the path that it was saved to. Users and items then have their names, and columns
        the names and types of its tables.
    batch_size : int, default=10_000
        Users of one part: of a task, and of a file.
    device : str or torch.device, default="auto"
        Where workers compute; "auto" takes a GPU if they have one.
    client : distributed.Client, default=None
        Of a cluster. None takes the current one; without one, a `LocalCluster` is started and
        ended.
    **options
        Further arguments of `recommend`: `filter_seen`, `filter_items`, `items`, `guidance_scale`,
        `user_features`, `wanted`. What has a value, or a row, a user is in the order of `users`.
        With `encoder`, lists of items are names, and of a data frame with the encoder's column of
        users each user has the row with its id, or none.

    Returns
    -------
    parts : list of str
        The paths of the files, ``part-00000.parquet`` and so on, in the order of users. Columns are
        user, rank (from 1), item and score; best first. Beside them is an empty file ``_SUCCESS``,
        as Spark writes it, which is there only if all of them are.

    Raises
    ------
    ImportError
        Without Dask or pyarrow, here or on a worker.
    FileExistsError
        If `out_folder` holds something, for example parts of an earlier run.
    FileNotFoundError, PersistenceError
        If there is no model at `model_path`, or it is damaged or of another format.
    ValueError, TypeError, IndexError
        As `recommend`, of any user or option. If a task fails or the call is interrupted, all that
        was written is removed.

    See Also
    --------
    recommend_ray : The same on Ray.
    recommend_spark : The same on Spark.
    skdiffrec.preprocessing.recommend_batches : Tables in one process.

    Notes
    -----
    A task uses one thread, and a worker as many at a time as it has threads. A script that lets a
    `LocalCluster` be started needs ``if __name__ == "__main__":``.

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from dask.distributed import Client
    >>> from skdiffrec.baselines import PopularityRecommender
    >>> from skdiffrec.distributed import recommend_dask
    >>> with tempfile.TemporaryDirectory() as disk:
    ...     path = os.path.join(disk, "model.safetensors")
    ...     PopularityRecommender().fit([[1, 1, 0], [0, 1, 0]]).save(path)
    ...     with Client(processes=False, dashboard_address=":0") as client:
    ...         parts = recommend_dask(path, os.path.join(disk, "lists"), k=1)
    ...     pd.read_parquet(parts[0])
       user  rank  item  score
    0     0     1     2    0.0
    1     1     1     0    1.0
    """
    distributed = import_package("distributed", _CALLER, _EXTRA)
    given = isinstance(client, distributed.Client) and not client.asynchronous
    if client is not None and not given:
        raise TypeError(
            f"client must be a distributed.Client, not asynchronous, got {client!r:.100}. None "
            "takes the current one, or starts a cluster on this machine."
        )
    return run(
        functools.partial(_write_all, distributed, client),
        _CALLER,
        _EXTRA,
        model_path,
        out_folder,
        k=k,
        users=users,
        X=X,
        encoder=encoder,
        batch_size=batch_size,
        device=device,
        options=options,
    )


def _write_all(distributed: Any, client: Any, tasks: Tasks, n_tasks: int) -> None:
    with _connected(distributed, client) as client:
        running: set[Any] = set()
        done = distributed.as_completed()

        def submit():
            # a few more than run at once: the scheduler holds few users' rows
            room = 2 * max(1, sum(client.nthreads().values())) - len(running)
            for task in islice(tasks, max(0, room)):
                future = client.submit(write_part, task, pure=False)
                running.add(future)
                done.add(future)

        try:
            submit()
            for future in done:
                future.result()
                running.discard(future)
                submit()
        finally:
            client.cancel(list(running))


@contextmanager
def _connected(distributed: Any, client: Any) -> Iterator[Any]:
    """The given client, the current one, or one of a cluster that ends with it."""
    if client is None:
        try:
            client = distributed.Client.current()
        except ValueError:
            with distributed.Client(dashboard_address=":0") as client:  # any port
                yield client
            return
    yield client
