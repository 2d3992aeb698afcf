"""A file from which an interrupted fit goes on, to the weights of one that was not."""

import os
import time

from .._utils import tensor_file
from .._utils.tensor_file import PersistenceError, check_record, is_integer, is_number
from .._utils.warning import warn_caller

_CLASS = "training checkpoint"
# at the end of an epoch a checkpoint is written early, if that takes at most this share of the time
_CHEAP = 0.01
_LONGEST_NAME = 150  # bytes, with what is added while it is written


class Checkpoint:
    """What a fit writes down of its training, and finds there if it was interrupted.

    Parameters
    ----------
    path : str or os.PathLike
    every : float
        Seconds after which it is written again.
    key : dict of str
        What training depends on, {what: hash or version}.
    seed : int
        Of a fit that begins.

    Raises
    ------
    ValueError
        If there is a checkpoint at `path` that is damaged or of another fit, or nothing can be
        written there.
    """

    def __init__(self, path, every, key, seed):
        self.path, self.every, self.key = os.path.expanduser(os.fspath(path)), every, key
        self.seed, self._found = seed, None
        self.written = self.begun = time.monotonic()
        self.spent = 0.0
        if os.path.lexists(self.path):
            self._read()
        else:
            self._check_folder()

    def _check_folder(self):
        folder, name = os.path.split(self.path)
        folder = os.path.abspath(folder)
        if not name or "\0" in name or len(os.fsencode(name)) > _LONGEST_NAME:
            raise ValueError(
                f"checkpoint={self.path!r:.500} is not the path of a file. Give one, of a name "
                f"of at most {_LONGEST_NAME} bytes."
            )
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
            why = "cannot be written to" if os.path.isdir(folder) else "does not exist"
            raise ValueError(
                f"checkpoint={self.path!r} cannot be written: the folder {folder!r} {why}. Make "
                "it, or give a path elsewhere."
            )

    def _read(self):
        try:
            record, tensors = tensor_file.read(self.path)
            if record.get("class") != _CLASS:
                raise PersistenceError(f"It holds a {record.get('class')!r:.100}.")
            record = {k: v for k, v in record.items() if not k.endswith("_version")}
            check_record(record, _schema(), "the checkpoint")
        except (PersistenceError, OSError) as error:
            raise ValueError(
                f"checkpoint={self.path!r} is there, but is no whole checkpoint of a fit, so that "
                f"it is not written over: {error} Remove the file to begin again, or give another "
                "path."
            ) from error
        theirs = record["key"]
        differ = sorted(k for k in {*theirs, *self.key} if theirs.get(k) != self.key.get(k))
        if differ:
            raise ValueError(
                f"checkpoint={self.path!r} is of another fit: {', '.join(differ)} "
                f"{'is' if len(differ) == 1 else 'are'} not what it was. Call fit as before to go "
                "on with it; or remove the file, or give another path, to begin again. (Of several "
                "fits, as in a search, each needs a path of its own; `memory` keeps those of a "
                "search.)"
            )
        self.seed, self._found = record["seed"], (record["state"], tensors)

    def restore(self, state):
        """Give a `TrainingState` what was written down, if anything was."""
        self.written = self.begun = time.monotonic()
        if self._found is not None:
            found, self._found = self._found, None
            with tensor_file.named(self.path):
                state.restore(*found)

    def after_step(self, state):
        """Write down a `TrainingState` if it is time."""
        if time.monotonic() - self.written >= self.every:
            self.write(state)

    def after_epoch(self, state):
        """Write down a `TrainingState` if it is time, or costs little."""
        now = time.monotonic()
        if now - self.written >= self.every or self.spent <= _CHEAP * (now - self.begun):
            self.write(state)

    def write(self, state):
        """Write down a `TrainingState`; if that fails, training and the last one live on."""
        begun = time.monotonic()
        own, tensors = state.packed()
        record = {"class": _CLASS, "seed": self.seed, "key": self.key, "state": own}
        try:
            tensor_file.write(self.path, record, tensors)
        except PersistenceError:
            pass  # weights that are not finite: training itself will say so
        except OSError as error:
            warn_caller(
                f"checkpoint={self.path!r} could not be written ({error}); training goes on, and "
                "an earlier checkpoint stays.",
            )
        self.written = time.monotonic()
        self.spent += self.written - begun


def open_checkpoint(path, every, key, seed):
    """The `Checkpoint` of a fit.

    Parameters
    ----------
    path : str, os.PathLike or None
    every : float
    key : callable
        ``key() -> dict of str``
    seed : int
        Of a fit that begins; one that goes on has the seed that it had.
    """
    return NoCheckpoint(seed) if path is None else Checkpoint(path, every, key(), seed)


def remove_checkpoint(path, key):
    """Remove the checkpoint of a fit that ended well; that of another fit stays."""
    path = os.path.expanduser(os.fspath(path))
    if not os.path.lexists(path):
        return
    try:
        Checkpoint(path, 0.0, key, 0)
    except ValueError:
        return
    try:
        os.remove(path)
    except OSError as error:
        warn_caller(
            f"checkpoint={path!r} could not be removed ({error}). The fit has ended well; remove "
            "the file before another fit with this path.",
        )


class NoCheckpoint:
    """In the place of a `Checkpoint` where there is none."""

    def __init__(self, seed=None):
        self.seed = seed

    def restore(self, state):
        pass

    after_step = after_epoch = restore


def _schema():
    def is_text_by_name(value):
        return isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values())

    return {
        "class": lambda value: value == _CLASS,
        "seed": is_integer(0, 2**63 - 1),
        "key": is_text_by_name,
        "state": _is_state,
    }


def _is_state(value):
    schema = {
        "epoch": is_integer(0, 2**62),
        "n_updates": is_integer(0, 2**62),
        "log": lambda entries: isinstance(entries, list) and all(map(_is_numbers, entries)),
        "monitor": lambda found: found is None or _is_numbers(found),
        "has_best": lambda found: isinstance(found, bool),
        "in_epoch": lambda found: isinstance(found, bool),
        "first_loss": lambda found: found is None or is_number(found),
    }
    check_record(value, schema, "the training")
    return True


def _is_numbers(value):
    return isinstance(value, dict) and all(
        entry is None or is_number(entry) for entry in value.values()
    )
