"""One training for all who ask for the same: a disk cache with a lock for each entry."""

import os
import warnings

from filelock import FileLock
from sklearn.utils.validation import check_memory


def _result(key, train):
    return train()


def remembered(memory, key, train, keep=lambda result: True):
    """``train()``, or what it gave when it was last called for the same key.

    Of several processes that ask at once, one trains and the others wait for it. An entry that
    cannot be read is trained again.

    Parameters
    ----------
    memory : None, str, os.PathLike or joblib.Memory
        Where results are kept; None keeps nothing.
    key : callable
        ``key() -> str``, a hash of everything that the result depends on.
    train : callable
        ``train() -> object`` that can be pickled.
    keep : callable
        ``keep(result) -> bool``; false for what is not to be written down.

    Returns
    -------
    result : object
    """
    try:
        memory = _opened(memory)
        cached = memory.cache(_result, ignore=["train"])
    except OSError as error:
        raise ValueError(
            f"memory={memory!r} cannot be used ({error}); give a folder that can be made or "
            "written, or None."
        ) from error
    if memory.location is None:
        return train()
    key = key()
    # joblib clears a function's entries where another process is just writing down its source, so
    # no two processes are inside joblib at a time; training itself goes on side by side.
    try:
        locks = os.path.join(memory.location, "skdiffrec_locks")
        os.makedirs(locks, exist_ok=True)
        store = FileLock(os.path.join(locks, "store.lock"))
        own = FileLock(os.path.join(locks, f"{key}.lock")).acquire()
    except OSError as error:
        return _read_only(memory, error, cached, key, train)
    with own:
        with store:
            if cached.check_call_in_cache(key, train):
                return cached(key, train)
        result = train()
        if not keep(result):
            return result
        with store:
            return cached(key, lambda: result)


def _opened(memory):
    """A joblib.Memory of what the parameter may be."""
    if isinstance(memory, (str, os.PathLike)):
        memory = os.path.expanduser(memory)
        if not memory:
            raise ValueError("memory is an empty path; give a folder, or None to keep nothing.")
    return check_memory(memory)


def _read_only(memory, error, cached, key, train):
    """What is there can be read without a lock; the rest is trained and not kept."""
    if cached.check_call_in_cache(key, train):
        return cached(key, train)
    warnings.warn(
        f"memory={memory.location!r} cannot be written ({error}); training without it.",
        stacklevel=2,
    )
    return train()
