"""Load interactions that are already split into train, valid and test."""

import errno
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import Bunch

from .._utils.canonical import refuse_many_rows
from .._utils.suspect_values import warn_of_rounded_times
from .._utils.typing import Values

UNREADABLE = (ValueError, EOFError, zipfile.BadZipFile, zlib.error)
REQUIRED = ("user", "item", "split")
SPLITS = ("train", "valid", "test")
VALUES = ("binary", "weight", "time", "rating")

# Benchmark files with these names hold no timestamps, but their documentation states that the rows
# of each user are in time order. The files themselves do not show it, hence this list of names.
TIME_ORDERED_PREFIXES = ("ml-1m_", "amazon-")


def load_npz(
    path: str | os.PathLike[str],
    *,
    values: Values = "binary",
    rows_in_time_order: bool | None = None,
) -> Bunch:
    """Load a split interaction file.

    The file is a NumPy ``.npz`` archive of one-dimensional arrays of equal length, one entry per
    interaction: integer ``user`` and ``item`` (ids from 0, each pair once), integer ``split``
    (0 train, 1 valid, 2 test), and, where the source has them, ``rating`` and ``timestamp``.

    Parameters
    ----------
    path : str or path-like
        Path of the file.
    values : {"binary", "weight", "time", "rating"}, default="binary"
        What the values of the matrices mean.

        - "binary": 1 for every interaction, float32.
        - "weight", "rating": the file's ``rating`` (a rating or a count), float32, > 0.
        - "time": the time of the interaction, float64, > 0: the file's ``timestamp`` in its own
          unit (seconds in most files). Without timestamps, if the rows of each user are in time
          order, the position 1, 2, 3, ... of the interaction among all rows of its user, counted
          across splits.
    rows_in_time_order : bool or None, default=None
        Whether the rows of each user are in time order. None means True for the benchmark files
        whose documentation states it (names that start with ``ml-1m_`` or ``amazon-``), else
        False. Timestamps are used in any case if the file has them.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        train, valid, test : csr_array of shape (n_users, n_items)
            The interactions of each split, with sorted indices and no duplicates. All splits have
            the same shape, so a split may have empty rows.
        n_users, n_items : int
            One more than the largest id in the file.
        has_times : bool
            Whether ``values="time"`` is available for this file.
        filename : str
            Path of the file.
        DESCR : str
            A short description.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If an array is missing or malformed (lengths, negative ids, unknown split codes, repeated
        pairs), or if the requested `values` are not available in the file.

    See Also
    --------
    make_interactions : Generates data of the same form.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skdiffrec.datasets import load_npz
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "tiny.npz"
    ...     np.savez(path, user=[0, 0, 0, 1], item=[2, 0, 1, 2], split=[0, 1, 2, 0])
    ...     data = load_npz(path, values="time", rows_in_time_order=True)
    >>> data.train.toarray()
    array([[0., 0., 1.],
           [0., 0., 1.]])
    >>> data.test.toarray()
    array([[0., 3., 0.],
           [0., 0., 0.]])
    """
    if values not in VALUES:
        raise ValueError(f"values must be one of {VALUES}, got {values!r}.")
    if rows_in_time_order not in (None, True, False):
        raise ValueError(
            f"rows_in_time_order must be None, True or False, got {rows_in_time_order!r}."
        )
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            errno.ENOENT,
            f"There is no data file at {str(path)!r}. Give the full path of an .npz file, ending "
            "included; make_interactions generates data that needs no file.",
        )
    if rows_in_time_order is None:
        rows_in_time_order = path.name.startswith(TIME_ORDERED_PREFIXES)
    arrays = _read_arrays(path)
    user, item, split = _check_ids(arrays, path.name)
    data = _interaction_values(arrays, user, values, bool(rows_in_time_order), path.name)
    shape = (int(user.max()) + 1, int(item.max()) + 1)
    refuse_many_rows(f"A matrix of {path}", shape)
    matrices = split_matrices(user, item, split, data, shape)
    return Bunch(
        **matrices,
        n_users=shape[0],
        n_items=shape[1],
        has_times="timestamp" in arrays or bool(rows_in_time_order),
        filename=str(path),
        DESCR=describe(path.name, matrices, values),
    )


def split_matrices(user, item, split, data, shape):
    """Build one canonical CSR matrix per split.

    Parameters
    ----------
    user, item, split, data : ndarray of shape (n_interactions,)
        Ids, split codes 0, 1, 2 and stored values; each (user, item) pair at most once.
    shape : tuple of int
        (n_users, n_items).

    Returns
    -------
    matrices : dict of str to csr_array of shape (n_users, n_items)
        Keyed "train", "valid", "test"; the values keep the dtype of `data`.
    """
    matrices = {}
    for code, name in enumerate(SPLITS):
        rows = split == code
        matrices[name] = csr_of(user[rows], item[rows], data[rows], shape)
    return matrices


def csr_of(row, column, data, shape):
    """A CSR with sorted indices; values of repeated pairs are summed."""
    # Sparse arrays keep the dtype of the given indices; int32, where possible, halves their memory.
    large = max(*shape, len(data)) > np.iinfo(np.int32).max
    index_dtype = np.int64 if large else np.int32
    matrix = csr_array((data, (row.astype(index_dtype), column.astype(index_dtype))), shape=shape)
    matrix.sum_duplicates()  # also sorts the indices
    return matrix


def describe(name, matrices, values):
    """One sentence that describes the loaded or generated data, for DESCR."""
    n_users, n_items = matrices["train"].shape
    counts = ", ".join(f"{matrices[split].nnz:,} {split}" for split in SPLITS)
    return (
        f"{name}: {n_users:,} users x {n_items:,} items; {counts} interactions; values={values!r}."
    )


def _read_arrays(path):
    """The known arrays of the archive, checked to be one-dimensional and of equal length."""
    arrays = {}
    with path.open("rb") as file:
        archive = _open_archive(file, path.name)
        for name in (*REQUIRED, "rating", "timestamp"):
            if name in archive.files:
                arrays[name] = _read_array(archive, name, path.name)
            elif name in REQUIRED:
                raise ValueError(
                    f"{path.name} has no array {name!r}; it holds {sorted(archive.files)}, and "
                    f"{list(REQUIRED)} are needed."
                )
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"The arrays of {path.name} must have one length, one entry per interaction; got "
            f"{lengths}."
        )
    if lengths["user"] == 0:
        raise ValueError(f"{path.name} holds no interactions: its array 'user' is empty.")
    return arrays


def _open_archive(file, filename):
    try:
        archive = np.load(file, allow_pickle=False)
    except UNREADABLE as error:
        raise ValueError(f"{filename} is not a readable .npz archive: {error}") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"{filename} holds a single array; expected an .npz archive.")
    return archive


def _read_array(archive, name, filename):
    try:
        array = archive[name]
    except UNREADABLE as error:  # including object arrays, which would need pickle
        raise ValueError(f"The array {name!r} of {filename} is not readable: {error}") from error
    if not isinstance(array, np.ndarray):  # NumPy gives what is no array as bytes
        raise ValueError(f"The array {name!r} of {filename} is not readable: it is no .npy file.")
    if array.ndim != 1:
        raise ValueError(
            f"The array {name!r} of {filename} must be one-dimensional, got shape {array.shape}."
        )
    return array


def _check_ids(arrays, filename):
    """User ids, item ids (both int64) and split codes, checked."""
    for name in REQUIRED:
        if arrays[name].dtype.kind not in "iu":
            raise ValueError(
                f"The array {name!r} of {filename} must hold integers, got dtype "
                f"{arrays[name].dtype}."
            )
    user, item = arrays["user"].astype(np.int64), arrays["item"].astype(np.int64)
    split = arrays["split"]
    for name, ids in (("user", user), ("item", item)):
        _reject(ids < 0, ids, name, filename, "ids count from 0")
    _reject((split < 0) | (split > 2), split, "split", filename, "0 train, 1 valid, 2 test")

    # Sorting puts repeated pairs side by side; unlike user * n_items + item, it cannot overflow.
    order = np.lexsort((item, user))
    same = (np.diff(user[order]) == 0) & (np.diff(item[order]) == 0)
    if same.any():
        row = order[1:][same][0]
        raise ValueError(
            f"The arrays 'user' and 'item' of {filename} repeat {int(same.sum())} pair(s), the "
            f"first being user {user[row]}, item {item[row]}; each pair may occur once, in one "
            "split."
        )
    return user, item, split


def _interaction_values(arrays, user, values, rows_in_time_order, filename):
    """The stored value of each interaction, shape (n_interactions,)."""
    if values == "binary":
        return np.ones(len(user), dtype=np.float32)
    if values != "time":
        if "rating" not in arrays:
            raise ValueError(
                f"{filename} has no array 'rating', so values=\"{values}\" is not available; use "
                'values="binary".'
            )
        return _positive(arrays["rating"], np.float32, "rating", filename)
    if "timestamp" in arrays:
        given = arrays["timestamp"]
        times = _positive(given, np.float64, "timestamp", filename)
        warn_of_rounded_times(times, given, f"The array 'timestamp' of {filename}")
        return times
    if rows_in_time_order:
        return _positions(user)
    raise ValueError(
        f"{filename} has no array 'timestamp' and its rows are not known to be in time order, so "
        'values="time" is not available; pass rows_in_time_order=True if the rows of each user '
        'are in time order, or use values="binary".'
    )


def _positions(user):
    """Position 1, 2, 3, ... of each row among the rows of its user, as float64."""
    order = np.argsort(user, kind="stable")
    counts = np.bincount(user)
    first = np.cumsum(counts) - counts
    positions = np.empty(len(user))
    positions[order] = np.arange(len(user)) - np.repeat(first, counts) + 1
    return positions


def _positive(array, dtype, name, filename):
    """`array` as `dtype`, checked to be finite and > 0."""
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"The array {name!r} of {filename} must hold numbers, got dtype {array.dtype}."
        )
    # Check after the cast, which can turn a tiny value into 0 and a huge one into infinity.
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    bad = ~(np.isfinite(converted) & (converted > 0))
    _reject(bad, array, name, filename, "finite values > 0")
    return converted


def _reject(bad, array, name, filename, valid):
    """Raise an error if any entry of the mask `bad` is true."""
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"The array {name!r} of {filename} has the value {array[row]} at index {row}; "
            f"valid: {valid}."
        )
