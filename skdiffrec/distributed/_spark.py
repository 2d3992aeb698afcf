"""Lists by Spark: a job with a partition a part."""

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .._utils.typing import ArrayLike
from ..preprocessing import InteractionEncoder
from ._parts import write_part
from ._run import Tasks, import_package, run

_CALLER, _EXTRA = "recommend_spark", "spark"
_PYTHON = "PYSPARK_PYTHON"


def recommend_spark(
    model_path: str | os.PathLike[str],
    out_folder: str | os.PathLike[str],
    k: int = 10,
    users: ArrayLike | None = None,
    X: Any = None,
    *,
    encoder: InteractionEncoder | str | os.PathLike[str] | None = None,
    batch_size: int = 10_000,
    device: Any = "auto",
    session: Any = None,
    **options: Any,
) -> list[str]:
    """Recommend items to many users on a Spark cluster, into a folder of Parquet files.

    Needs ``pip install "skdiffrec[spark]"``, here and for the Python of all executors, and Java.
    All else is as in :func:`recommend_dask`.

    Parameters
    ----------
    model_path, out_folder, k, users, X, encoder, batch_size, device
        As in :func:`recommend_dask`. The folder is one of a mounted disk, not a URL.
    session : pyspark.sql.SparkSession, default=None
        None takes the active one; without one, a local one is started and stopped.
    **options
        Further arguments of `recommend`, as in :func:`recommend_dask`.

    Returns
    -------
    parts : list of str
        The paths of the files, in the order of users.

    Raises
    ------
    ImportError, OSError, PersistenceError, ValueError, TypeError, IndexError
        As :func:`recommend_dask`.
    RuntimeError
        If tasks fail as often as Spark allows; the message has the error of the last one.

    See Also
    --------
    recommend_dask : The same on Dask, with all parameters.

    Notes
    -----
    A task uses as many threads as ``spark.task.cpus`` says, 1 if nothing. Spark takes all tasks at
    once: rows of `X` are in the memory of this process together. How often a task is tried is
    ``spark.task.maxFailures``, 4 on a cluster; a local session tries once, ``local[2,4]`` four
    times. A session of Spark Connect, which has no ``sparkContext``, cannot be used.

    Examples
    --------
    >>> from skdiffrec.distributed import recommend_spark
    >>> recommend_spark(  # doctest: +SKIP
    ...     "/shared/model.safetensors", "/shared/lists", k=20, session=spark
    ... )
    """
    sql = import_package("pyspark.sql", _CALLER, _EXTRA)
    if session is not None and not isinstance(session, sql.SparkSession):
        raise TypeError(
            f"session must be a pyspark.sql.SparkSession with a sparkContext, got "
            f"{type(session).__module__}.{type(session).__name__}. None takes the active one, or "
            "starts a local one."
        )
    return run(
        functools.partial(_write_all, sql, session),
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


def _write_all(sql: Any, session: Any, tasks: Tasks, n_tasks: int) -> None:
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    with _connected(sql, session) as session:
        try:
            session.sparkContext.parallelize(list(tasks), n_tasks).foreach(_write)
        except (Py4JJavaError, PySparkException) as error:  # by version of Spark
            raise RuntimeError(f"Spark gave up: {_cause(str(error).splitlines())}") from error


def _write(task: bytes) -> None:
    from pyspark import TaskContext

    context = TaskContext.get()
    write_part(task, 1 if context is None else context.cpus())


def _cause(lines: list[str]) -> str:
    """The line of Spark's message that says what went wrong in Python."""
    errors = [line for line in lines if line and not line[0].isspace() and "Error: " in line]
    return errors[-1] if errors else lines[0]


@contextmanager
def _connected(sql: Any, session: Any) -> Iterator[Any]:
    """The given session, the active one, or a local one that ends with it."""
    session = session or sql.SparkSession.getActiveSession()
    if session is not None:
        yield session
        return
    before = os.environ.get(_PYTHON)
    os.environ.setdefault(_PYTHON, sys.executable)  # which has this library
    try:
        session = sql.SparkSession.builder.master("local[*]").getOrCreate()
        try:
            yield session
        finally:
            session.stop()
    finally:
        if before is None:
            del os.environ[_PYTHON]
