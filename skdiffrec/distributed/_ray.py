"""Lists by Ray: a task a part."""

import functools
import os
from itertools import islice
from typing import Any

from .._utils.typing import ArrayLike
from .._utils.validation import check_k
from ..preprocessing import InteractionEncoder
from ._parts import write_part
from ._run import Tasks, import_package, run

_CALLER, _EXTRA = "recommend_ray", "ray"


def recommend_ray(
    model_path: str | os.PathLike[str],
    out_folder: str | os.PathLike[str],
    k: int = 10,
    users: ArrayLike | None = None,
    X: Any = None,
    *,
    encoder: InteractionEncoder | str | os.PathLike[str] | None = None,
    batch_size: int = 10_000,
    device: Any = "auto",
    num_cpus: int = 1,
    **options: Any,
) -> list[str]:
    """Recommend items to many users on a Ray cluster, into a folder of Parquet files.

    Needs ``pip install "skdiffrec[ray]"``, here and on all machines. All else is as in
    :func:`recommend_dask`.

    Parameters
    ----------
    model_path, out_folder, k, users, X, encoder, batch_size, device
        As in :func:`recommend_dask`.
    num_cpus : int, default=1
        Processors that Ray gives to a task, and threads that it uses.
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

    See Also
    --------
    recommend_dask : The same on Dask, with all parameters.

    Notes
    -----
    The session of ``ray.init`` is taken. If there is none, one is started on this machine, or
    joined where ``RAY_ADDRESS`` says, and left at the end.

    Examples
    --------
    >>> from skdiffrec.distributed import recommend_ray
    >>> ray.init("ray://head:10001")  # doctest: +SKIP
    >>> recommend_ray("/shared/model.safetensors", "/shared/lists", k=20)  # doctest: +SKIP
    """
    ray = import_package("ray", _CALLER, _EXTRA)
    num_cpus = check_k(num_cpus, "num_cpus")
    return run(
        functools.partial(_write_all, ray, num_cpus),
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


def _write_all(ray: Any, num_cpus: int, tasks: Tasks, n_tasks: int) -> None:
    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False)
    try:
        write = ray.remote(num_cpus=num_cpus, max_retries=3)(write_part)
        running: list[Any] = []

        def submit():
            # a few more than run at once: the object store holds few users' rows
            n_workers = ray.cluster_resources().get("CPU", 1) // num_cpus
            room = 2 * max(1, int(n_workers)) - len(running)
            running.extend(write.remote(task, num_cpus) for task in islice(tasks, max(0, room)))

        try:
            submit()
            while running:
                done, running[:] = ray.wait(running)
                ray.get(done)
                submit()
        except BaseException:
            for task in running:
                ray.cancel(task, force=True)
            raise
    finally:
        if started:
            ray.shutdown()
