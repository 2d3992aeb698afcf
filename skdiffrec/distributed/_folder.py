"""The folder of a run: nobody else's, and whole or without `_SUCCESS`."""

import errno
import os
import time
import uuid
from contextlib import contextmanager, suppress

from .._utils.tensor_file import replacing

_SUCCESS = "_SUCCESS"  # by convention of the writers of Hadoop and Spark
_MARK = "_incomplete"
_PATIENCE = 60.0  # seconds: some shared disks show new names late
_PART, _SUFFIX = "part-", ".parquet"
ENCODER = "_encoder.safetensors"  # readers of Parquet pass over names with an underscore or a dot


def part_name(number, n_parts):
    """Names that are in order when they are sorted."""
    return f"{_PART}{number:0{max(5, len(str(n_parts - 1)))}d}{_SUFFIX}"


@contextmanager
def output_folder(path):
    """(absolute path, id of the run) of a folder that is only this run's.

    Parameters
    ----------
    path : str or os.PathLike
        Of a folder that is not there yet, or empty. After an error it is again as it was.

    Raises
    ------
    FileExistsError, NotADirectoryError, FileNotFoundError, OSError
        If the folder holds something, is a file, or cannot be made or written.
    """
    path = os.path.abspath(os.fspath(path))
    made = _made(path)
    run = uuid.uuid4().hex
    with open(os.path.join(path, _MARK), "x") as file:
        file.write(run)
    try:
        yield path, run
    except BaseException:
        _clear(path)
        if made:
            with suppress(OSError):  # a worker that is late may have left something
                os.rmdir(path)
        raise


def _made(path):
    """Whether the folder had to be made."""
    if not os.path.isdir(os.path.dirname(path)):
        raise FileNotFoundError(
            errno.ENOENT,
            f"out_folder={path!r} cannot be made: there is no folder {os.path.dirname(path)!r}. "
            "Make that one first.",
        )
    try:
        os.mkdir(path)
        return True
    except FileExistsError:
        if not os.path.isdir(path):
            raise NotADirectoryError(
                errno.ENOTDIR,
                f"out_folder={path!r} is a file; give a folder that is empty or not there yet.",
            ) from None
    names = os.listdir(path)
    if names:
        what = "other files"
        if _SUCCESS in names:
            what = "the parts of an earlier run, which is whole"
        elif _MARK in names or any(name.startswith(_PART) for name in names):
            what = "parts of a run that goes on, or was killed before its end"
        raise FileExistsError(
            errno.EEXIST,
            f"out_folder={path!r} is not empty: it holds {what}. Give another folder, one a run; "
            "or remove this one first, if nobody needs it or writes to it.",
        )
    return False


def is_open(path, run):
    """Does a folder take parts of a run?"""
    try:
        with open(os.path.join(path, _MARK)) as file:
            return file.read() == run
    except OSError:
        return False


def finish(path, names):
    """Say that a folder holds all parts of a run, whose names are given."""
    end = time.monotonic() + _PATIENCE
    while missing := sorted(set(names) - set(os.listdir(path))):
        if time.monotonic() < end:
            time.sleep(0.2)
            continue
        raise FileNotFoundError(
            errno.ENOENT,
            f"{len(missing)} of {len(names)} parts are not in out_folder={path!r}, such as "
            f"{missing[0]!r}, though workers have written them. Give a folder on a disk that all "
            "workers and this process share.",
        )
    _clear(path, but=names)
    with replacing(os.path.join(path, _SUCCESS)):
        pass


def _clear(path, but=()):
    """Remove what a run has put into its folder, the mark first: late parts are not taken."""
    own = _PART, f".{_PART}", ENCODER, f".{ENCODER}"
    for name in [_MARK, *os.listdir(path)]:
        if name == _MARK or (name.startswith(own) and name not in but):
            with suppress(OSError):
                os.remove(os.path.join(path, name))
