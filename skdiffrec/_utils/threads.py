"""Blocks of work side by side, without torch."""

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController


def blas_threads():
    """How many threads a product of NumPy's may take now."""
    pools = ThreadpoolController().select(user_api="blas").info()
    return max((pool["num_threads"] or 1 for pool in pools), default=1)


_lock = threading.Lock()
_limits: list[int] = []
_before: dict[
    str, tuple[Any, int | None]
] = {}  # libraries of BLAS, their numbers before all limits

_MOST_HELPERS = max(1, (os.cpu_count() or 1) - 1)
_pool: ThreadPoolExecutor | None = None

_forked = False


def in_forked_process():
    """Was this process made by fork, after this module was imported?

    It has none of the threads of its parent's pools of OpenMP, and would wait for them for ever:
    work of OpenMP's takes one thread there.
    """
    return _forked


def _begin_forked_process():
    global _forked, _pool
    _forked, _pool = True, None  # of its threads none is here
    _lock.release()


if hasattr(os, "register_at_fork"):  # no process begins with a lock that nobody will release
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_begin_forked_process
    )


@contextmanager
def blas_limit(n_threads):
    """At most so many threads of BLAS.

    The limit is the whole process's: of several at once the smallest counts, and the last one to
    end puts back what was there before the first.
    """
    with _lock:
        for library in ThreadpoolController().select(user_api="blas").lib_controllers:
            _before.setdefault(library.filepath, (library, library.get_num_threads()))
        _limits.append(n_threads)
        _set_blas()
    try:
        yield
    finally:
        with _lock:
            _limits.remove(n_threads)
            _set_blas()
            if not _limits:
                _before.clear()


def _set_blas():
    for library, before in _before.values():
        library.set_num_threads(min([*_limits, before or 1]))


def side_by_side(run, blocks, n_threads):
    """``run(block)`` for each of independent blocks, on up to `n_threads` threads.

    The calling thread is one of them. The others stay for the next call: memory that a thread has
    taken is its own, and new ones would take more and more. An error in one ends those that have
    not begun, and is the caller's.
    """
    n_threads = min(n_threads, len(blocks))
    # once the main thread has ended, pools take no work from those that go on
    if n_threads < 2 or not threading.main_thread().is_alive():
        for block in blocks:
            run(block)
        return
    waiting = iter(list(blocks))

    def work():
        try:
            for block in waiting:
                run(block)
        except BaseException:
            deque(waiting, maxlen=0)
            raise

    helpers = [_helpers().submit(work) for _ in range(n_threads - 1)]
    try:
        work()
    finally:
        wait([helper for helper in helpers if not helper.cancel()])
    for helper in helpers:
        if not helper.cancelled():
            helper.result()


def _helpers():
    """The pool of this process, made when it is needed."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(_MOST_HELPERS, thread_name_prefix="skdiffrec")
        return _pool
