"""What cannot fit into memory is refused with the numbers, before memory is asked for."""

import os
from functools import cache
from pathlib import Path

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@cache
def memory_size():
    """Bytes of memory of this machine, or of the container that the process is in."""
    sizes = []
    if hasattr(os, "sysconf") and {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(os.sysconf_names):
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _LIMITS:
        try:
            sizes.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # there is none, or it says "max"
            continue
    return min(sizes, default=2**63)


def refuse_too_large(n_bytes, what, advice):
    """A ValueError if so many bytes cannot be had here.

    Parameters
    ----------
    n_bytes : int
    what : str
        That needs them, with its numbers.
    advice : str
        What to do, a sentence.
    """
    there = memory_size()
    if n_bytes > there:
        raise ValueError(
            f"{what} would take {n_bytes / 1e9:,.0f} GB, but there are {there / 1e9:,.0f} GB of "
            f"memory. {advice}"
        )
