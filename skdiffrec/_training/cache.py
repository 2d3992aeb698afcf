"""One training for all who ask for the same: a folder of checked files, with a lock for each."""

import os
import stat
from contextlib import contextmanager

from filelock import FileLock

from .._utils import tensor_file
from .._utils.tensor_file import PersistenceError
from .._utils.warning import warn_caller

_CLASS = "trained model"


def remembered(memory, key, train, *, pack, unpack, keep=lambda result: True):
    """``train()``, or what it gave when it was last called for the same key.

    Of several processes that ask at once, one trains and the others wait for it. An entry that is
    damaged is trained again, with a warning.

    Parameters
    ----------
    memory : None, str, os.PathLike or joblib.Memory
        Where results are kept; None keeps nothing.
    key : callable
        ``key() -> str``, a hash of everything that the result depends on.
    train : callable
        ``train() -> result``
    pack, unpack : callable
        ``pack(result) -> (record, tensors)`` for a file, and ``unpack(record, tensors) -> result``.
    keep : callable
        ``keep(result) -> bool``; false for what is not to be written down.

    Returns
    -------
    result : object
    """
    folder = _folder(memory)
    if folder is None:
        return train()
    name = key()
    path = os.path.join(folder, f"{name}.safetensors")
    with _locked(memory, folder, name) as writable:
        found = _read(path, unpack)
        if found is not None:
            return found[0]
        result = train()
        if writable and keep(result):
            _write(path, *pack(result))
        return result


def _folder(memory):
    """Where the entries lie; inside of the folder that `joblib.Memory.clear` empties."""
    if isinstance(memory, (str, os.PathLike)):
        memory = os.path.expanduser(memory)
        if not memory:
            raise ValueError("memory is an empty path; give a folder, or None to keep nothing.")
        return os.path.join(memory, "joblib", "skdiffrec")
    store = None if memory is None else memory.store_backend
    return None if store is None else os.path.join(store.location, "skdiffrec")


@contextmanager
def _locked(memory, folder, name):
    """Alone with the entry of a name; false where nothing can be written, but only read."""
    try:
        os.makedirs(folder, exist_ok=True)
        lock = FileLock(os.path.join(folder, f"{name}.lock")).acquire()
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(
            f"memory={memory!r} cannot be used ({error}); give a folder that can be made or "
            "written, or None."
        ) from error
    except OSError as error:
        lock, why = None, error
    _warn_of_others(folder)
    if lock is not None:
        with lock:
            yield True
        return
    if not os.path.exists(os.path.join(folder, f"{name}.safetensors")):
        warn_caller(f"memory={memory!r} cannot be written ({why}); training without it.")
    yield False


def _warn_of_others(folder):
    """Warn if other users may put models into a folder."""
    if os.name != "posix" or not os.path.isdir(folder):
        return
    found = os.stat(folder)
    whose = None
    if found.st_uid not in (os.geteuid(), 0):
        whose = f"belongs to the user {found.st_uid}"
    elif found.st_mode & stat.S_IWOTH:
        whose = "may be written by everybody"
    if whose:
        warn_caller(
            f"The folder {folder!r} of memory= {whose}, who may put other models there than yours. "
            "Use a folder that only you can write.",
        )


def _read(path, unpack):
    """(result,) of an entry; None if there is none, or (with a warning) if it is damaged."""
    if not os.path.exists(path):
        return None
    try:
        record, tensors = tensor_file.read(path)
        tensor_file.check_record(
            {name: record[name] for name in record if not name.endswith("_version")},
            {"class": lambda value: value == _CLASS, "state": lambda value: True},
            "the entry",
        )
        return (unpack(record["state"], tensors),)
    except (PersistenceError, OSError) as error:
        warn_caller(f"An entry of memory= is damaged and is trained again: {error}")
        return None


def _write(path, record, tensors):
    try:
        tensor_file.write(path, {"class": _CLASS, "state": record}, tensors)
    except (PersistenceError, OSError) as error:
        warn_caller(f"What was trained is not kept in memory=: {error}")
