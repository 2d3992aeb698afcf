"""Memory that a task has freed stays for its next block, where an engine would give it back."""

import ctypes
import os
import threading
from contextlib import contextmanager

_GIVEN_BACK = "MALLOC_TRIM_THRESHOLD_"  # which Dask sets for its workers
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt in the C library
_KEPT, _BLOCK, _BLOCK_BEFORE = 2**27, 2**25, 2**17  # bytes; the last is the C library's own

_lock = threading.Lock()
_n_inside = 0


@contextmanager
def memory_kept():
    """Keep what is freed until the end, if the process gives all of it back at once.

    Lists ask for the same megabytes block after block. As new pages each time, as Dask's workers
    would have them, they cost half as much again as the lists themselves.
    """
    library = ctypes.CDLL(None) if _GIVEN_BACK in os.environ and os.name == "posix" else None
    if not hasattr(library, "mallopt"):  # another C library
        yield
        return
    _count(library, 1)
    try:
        yield
    finally:
        _count(library, -1)


def _count(library, change):
    """The first task of a process that begins sets the limits, the last one sets them back."""
    global _n_inside
    with _lock:
        _n_inside += change
        if change == _n_inside == 1:
            library.mallopt(_TRIM_THRESHOLD, _KEPT)
            library.mallopt(_MMAP_THRESHOLD, _BLOCK)
        elif _n_inside == 0:
            library.mallopt(_TRIM_THRESHOLD, int(os.environ[_GIVEN_BACK]))
            library.mallopt(_MMAP_THRESHOLD, _BLOCK_BEFORE)
            library.malloc_trim(0)
