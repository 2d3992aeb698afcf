"""One file of arrays and a JSON record: written atomically, believed only after every check.

The container is safetensors: a JSON header, then raw numbers; nothing in it can be executed. Its
reader compares sizes and offsets with the file before any array is made.
"""

import errno
import hashlib
import json
import math
import numbers
import os
import re
import socket
import uuid
from contextlib import contextmanager, suppress

import numpy as np
import scipy.sparse as sp

from .._version import __version__

FORMAT_VERSION = 6
_OLDEST_FORMAT = 4  # that can be read
_KEY = "skdiffrec"  # of the only entry of safetensors' metadata: several have no fixed order
_OS_ERROR = re.compile(r"os error (\d+)")  # in the messages of safetensors
_LEFT_OVER = re.compile(r"(\d+)-[0-9a-f]{32}\.tmp")
_MAX_RECORD = 4_000_000  # characters of JSON; what grows with users or items is an array


class PersistenceError(ValueError):
    """A model or an encoder cannot be saved, or a file is not one that can be loaded."""


@contextmanager
def replacing(path):
    """A path to write to, in the same folder, that takes the place of `path` once it is complete.

    Until then, and for ever if writing fails, what was at `path` stays as it was.
    """
    path = os.path.realpath(os.fsdecode(path))
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            errno.ENOENT, f"There is no folder {folder!r} to write {name!r} to; make it."
        )
    if os.path.isdir(path):
        raise IsADirectoryError(
            errno.EISDIR, f"{path!r} is a folder; give the path of a file in it."
        )
    if os.path.lexists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "This is a device, a pipe or the like, and no file", path)
    prefix = f".{name[:100]}.{socket.gethostname()[:50]}-"
    _remove_left_over(folder, prefix)
    temporary = os.path.join(folder, f"{prefix}{os.getpid()}-{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
        if os.path.exists(path):  # a private file stays private
            mode = os.stat(path).st_mode & 0o777
            os.chmod(temporary, mode)
        yield temporary
        os.chmod(temporary, mode)  # else others may read it where they may read new files
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    if os.name == "posix":  # the new name, too, is on the disk
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_left_over(folder, prefix):
    """Remove what processes of this machine were writing when they were killed."""
    for name in os.listdir(folder):
        found = _LEFT_OVER.fullmatch(name[len(prefix) :]) if name.startswith(prefix) else None
        if found and not _is_alive(int(found[1])):
            with suppress(OSError):  # another save may have removed it, or it is another user's
                os.remove(os.path.join(folder, name))


def _is_alive(process):
    if os.name != "posix":  # os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def write(path, record, tensors):
    """Write a record and arrays, atomically.

    Parameters
    ----------
    path : str or os.PathLike
    record : dict
        JSON-able, of finite numbers.
    tensors : dict of ndarray
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    record = {"format_version": FORMAT_VERSION, "library_version": __version__, **record}
    try:
        text = json.dumps(record, allow_nan=False)
    except ValueError as error:
        raise PersistenceError(f"It has a number that is not finite: {error}.") from None
    if len(text) > _MAX_RECORD:
        raise PersistenceError(
            f"The parameters and the training history make {len(text)} characters of metadata; "
            f"at most {_MAX_RECORD} can be saved."
        )
    tensors = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    for name, array in tensors.items():
        _check_finite(name, array)
    metadata = {_KEY: f"{_checksum(text, tensors)}\n{text}"}
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            number = _OS_ERROR.search(str(error))
            if number is None:
                raise OSError(
                    errno.EIO, f"It cannot be written: {error}", os.fspath(path)
                ) from error
            number = int(number[1])
            raise OSError(number, os.strerror(number), os.fspath(path)) from error


def read(path):
    """The record and the arrays of a file, if it is whole and as it was written.

    Returns
    -------
    record : dict
        Of a known format version; its other entries are not looked at.
    tensors : dict of ndarray

    Raises
    ------
    PersistenceError
        For a file that is truncated, altered, of something else or of a newer format.
    """
    from safetensors import SafetensorError, safe_open

    path = os.fsdecode(path)
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, f"There is no file {path!r}.")
    if not os.path.isfile(path):
        raise PersistenceError(f"{path!r} is not a file.")
    if not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, "It may not be read", path)
    try:
        # it maps the file, compares the header with its size, and refuses what does not fit
        with safe_open(path, framework="numpy") as file:
            checksum, text = _metadata(file.metadata())
            record = _parsed(text)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except PersistenceError as error:
        raise PersistenceError(f"{path!r}: {error}") from None
    except (SafetensorError, OSError, AttributeError, TypeError, ValueError) as error:
        raise PersistenceError(
            f"{path!r} is not a file saved by skdiffrec, or is not whole: {error}"
        ) from error
    if checksum != _checksum(text, tensors):
        raise PersistenceError(
            f"{path!r} was altered or damaged after it was saved: its checksum differs. Take "
            "another copy."
        )
    return record, tensors


def checksum_of(path):
    """The checksum that stands in a file of this library; the rest of it is not read."""
    from safetensors import safe_open

    with safe_open(os.fspath(path), framework="numpy") as file:
        return _metadata(file.metadata())[0]


@contextmanager
def named(path):
    """Errors about what is in a file name it."""
    try:
        yield
    except PersistenceError as error:
        raise PersistenceError(f"{str(path)!r} cannot be loaded: {error}") from None


def _metadata(metadata):
    """(checksum, JSON) of safetensors' metadata."""
    if not isinstance(metadata, dict) or set(metadata) != {_KEY}:
        raise PersistenceError("this is a safetensors file, but none of skdiffrec.")
    if len(metadata[_KEY]) > _MAX_RECORD + 65:
        raise PersistenceError(f"its metadata is longer than {_MAX_RECORD} characters.")
    checksum, _, text = metadata[_KEY].partition("\n")
    return checksum, text


def _parsed(text):
    """The JSON record of a format that can be read."""
    try:
        record = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PersistenceError(f"its metadata cannot be read: {error}") from None
    version = record.get("format_version") if isinstance(record, dict) else None
    if type(version) is not int or version < 1:
        raise PersistenceError(f"its metadata has the format version {version!r:.100}.")
    if version < _OLDEST_FORMAT:
        raise PersistenceError(
            f"it has format {version} and was saved by skdiffrec "
            f"{record.get('library_version')!r:.100}; this is skdiffrec {__version__}, which reads "
            f"format {_OLDEST_FORMAT} and later, with other parameters. Fit and save again, or "
            "load it with that version."
        )
    if version > FORMAT_VERSION:
        raise PersistenceError(
            f"it has format {version} and was saved by skdiffrec "
            f"{record.get('library_version')!r:.100}; this is skdiffrec {__version__}, which reads "
            f"format {FORMAT_VERSION}. Upgrade skdiffrec to load it."
        )
    return record


def _refuse_constant(name):
    raise ValueError(f"{name} is no number.")


def _checksum(text, tensors):
    """SHA-256, in hex, of the record and of names, types, shapes and bytes of all arrays."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\0{name} {array.dtype.str} {array.shape}\0".encode())
        digest.update(array.reshape(-1).view(np.uint8) if array.size else b"")
    return digest.hexdigest()


def is_integer(low, high):
    """A test whether a value is an int from `low` to `high`."""
    return lambda value: type(value) is int and low <= value <= high


def is_number(value):
    """Is a value a finite number?"""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def is_one_of(*allowed):
    """A test whether a value is one of some strings (or None)."""
    return lambda value: (value is None or type(value) is str) and value in allowed


def check_record(record, schema, where):
    """Entries of a record must be those of a schema, {name: test of its value}."""
    if not isinstance(record, dict) or set(record) != set(schema):
        names = sorted(record) if isinstance(record, dict) else record
        raise PersistenceError(
            f"The metadata of {where} must have the entries {sorted(schema)}, got {names!r:.500}."
        )
    for name, test in schema.items():
        if not test(record[name]):
            raise PersistenceError(
                f"The metadata of {where} has an impossible {name}: {record[name]!r:.100}."
            )


def take(tensors, name, dtypes, shape):
    """Remove and return an array that must have one of some dtypes and a shape.

    Parameters
    ----------
    tensors : dict of ndarray
    name : str
    dtypes : str
        Names with spaces between them.
    shape : sequence of int or None
        None is any length.
    """
    array = tensors.pop(name, None)
    if array is None:
        raise PersistenceError(f"The file has no tensor {name!r}.")
    fits = len(array.shape) == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    )
    if array.dtype.name not in dtypes.split() or not fits:
        raise PersistenceError(
            f"The tensor {name!r} must be of {dtypes} and shape {tuple(shape)}, got {array.dtype} "
            f"and {array.shape}."
        )
    _check_finite(name, array)
    return array


def _check_finite(name, array):
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise PersistenceError(f"The tensor {name!r} has values that are not finite.")


def csr_tensors(name, X):
    """A CSR as arrays."""
    return {f"{name}.{part}": getattr(X, part) for part in ("data", "indices", "indptr")}


def take_csr(tensors, name, dtypes, shape):
    """Remove and return a csr_array that `csr_tensors` took apart."""
    data = take(tensors, f"{name}.data", dtypes, (None,))
    indices = take(tensors, f"{name}.indices", "int32 int64", data.shape)
    indptr = take(tensors, f"{name}.indptr", indices.dtype.name, (shape[0] + 1,))
    check_compressed(indices, indptr, shape[1], name)
    return sp.csr_array((data, indices, indptr), shape=shape)


def check_compressed(indices, indptr, n_columns, name):
    """Indices of a CSR must lie in it, ascending in every row: the rest of the code relies on it.

    Unchecked, they would be read and written far outside of arrays.
    """
    ends = len(indptr) > 0 and indptr[0] == 0 and indptr[-1] == len(indices)
    if not ends or (indptr[1:] < indptr[:-1]).any():
        raise PersistenceError(f"The rows of {name!r} do not follow one another.")
    if len(indices) and not (indices.min() >= 0 and indices.max() < n_columns):
        raise PersistenceError(f"{name!r} has column numbers outside of 0 to {n_columns - 1}.")
    ascending = indices[1:] > indices[:-1]
    starts = indptr[1:-1]
    ascending[starts[(starts > 0) & (starts < len(indices))] - 1] = True
    if not ascending.all():
        raise PersistenceError(f"The columns of {name!r} do not ascend in its rows.")
