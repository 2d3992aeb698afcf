"""One training for all who ask for the same: a disk cache with a lock for each entry."""

import os

from filelock import FileLock
from sklearn.utils.validation import check_memory


def _result(key, train):
    return train()


def remembered(memory, key, train):
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

    Returns
    -------
    result : object
    """
    memory = check_memory(os.fspath(memory) if isinstance(memory, os.PathLike) else memory)
    if memory.location is None:
        return train()
    key = key()
    locks = os.path.join(memory.location, "skdiffrec_locks")
    os.makedirs(locks, exist_ok=True)
    cached = memory.cache(_result, ignore=["train"])
    # joblib clears a function's entries where another process is just writing down its source, so
    # no two processes are inside joblib at a time; training itself goes on side by side.
    store = FileLock(os.path.join(locks, "store.lock"))
    with FileLock(os.path.join(locks, f"{key}.lock")):
        with store:
            if cached.check_call_in_cache(key, train):
                return cached(key, train)
        result = train()
        with store:
            return cached(key, lambda: result)
