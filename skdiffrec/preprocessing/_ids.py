"""Map ids of any hashable type to consecutive numbers.

Distinct ids are stored in a typed NumPy array: numbers, booleans and dates in their own dtype, text
in NumPy's ``StringDType`` (16 bytes per id, more for strings over 15 bytes), others as objects.
"""

import datetime
import itertools
from collections import defaultdict
from typing import Any

import narwhals as nw
import numpy as np
from numpy.dtypes import StringDType

from ._tables import arrow_objects, is_arrow_extension, without_view
from ._values import BadRows, as_datetime64, is_int128, is_missing

_TABLE_SHARE = 4  # largest size of a table over a range of integers, per id in the data
_CHUNK = 2**16  # ids converted to Python objects at a time
_TEXT = (nw.String, nw.Categorical, nw.Enum)
_NESTED = (nw.Struct, nw.List, nw.Array)


class _MissingId(BadRows):
    """An id is missing in the row that is its argument."""


def factorize(column, name):
    """Number the distinct ids of a column.

    Parameters
    ----------
    column : narwhals Series or ndarray of shape (n,)
    name : str
        Name of the column, for errors.

    Returns
    -------
    codes : ndarray of int32 or int64, shape (n,)
        ``ids[codes]`` is the column.
    ids : ndarray of shape (n_ids,)
        Ascending if the ids can be compared, else in order of appearance.

    Raises
    ------
    BadRows
        If an id is missing (None, NaN, NaT, null); a ValueError.
    TypeError
        If an id cannot be hashed.
    """
    try:
        if isinstance(column, nw.Series) and column.is_null().any():
            raise _MissingId(int(np.flatnonzero(column.is_null().to_numpy())[0]))
        codes, ids = _distinct(column, name)
        _check_ids(codes, ids)
    except _MissingId as missing:
        raise BadRows(
            f"Column {name!r} has a missing id (None, NaN or null) in row {missing.args[0]}. Leave "
            "such rows out, or fill in an id."
        ) from None
    order = _ascending(ids)
    if order is None:
        return codes, ids
    rank = np.empty(len(ids), _index_type(len(ids)))
    rank[order] = np.arange(len(ids))
    return _look_up(rank, codes), ids[order]


def positions(known, wanted, index_of=None):
    """Index of each of `wanted` in `known`, the ids of `factorize`; −1 for those not in it.

    `index_of` gives the `id_index` of `known`, if one is kept.
    """
    # NumPy's searchsorted accepts StringDType but gives wrong results for strings over 15 bytes.
    if known.dtype.kind == wanted.dtype.kind and known.dtype.kind not in "OVT":
        if not len(known):
            return np.full(len(wanted), -1)
        order = None if (known[1:] > known[:-1]).all() else np.argsort(known)  # after `add_items`
        if order is not None:
            place = positions(known[order], wanted)
            return np.where(place < 0, -1, order[place])
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.where(known[place] == wanted, place, -1)
    kinds = {known.dtype.kind, wanted.dtype.kind}
    if len(kinds) == 2 and kinds & {*"mM"} and "O" not in kinds:
        return np.full(len(wanted), -1)  # tolist makes integers of nanoseconds
    index = (index_of or id_index)(known)
    return np.fromiter((index.get(value, -1) for value in wanted.tolist()), np.int64, len(wanted))


def id_index(known):
    """{id: its index in `known`}."""
    return {value: place for place, value in enumerate(known.tolist())}


def _distinct(column, name):
    """(codes, ids), with ids in any order."""
    if isinstance(column, nw.Series):
        if (parts := _categories(column)) is not None:
            return _distinct_categories(parts[0], parts[1], name)
        if isinstance(column.dtype, _TEXT):
            return _distinct_series(column, name)
        if isinstance(column.dtype, _NESTED):
            raise _unhashable(name, f"it is {column.dtype}")
        column = _as_array(column)
    if column.dtype.kind == "T":  # older versions of Arrow cannot read it
        column = column.astype(object)
    kind = column.dtype.kind
    if kind in "iu" and len(column):
        low, high = int(column.min()), int(column.max())
        if high - low <= _TABLE_SHARE * len(column) and high < 2**63:
            return _distinct_integers(column, low, high)
    if kind in "iuU" and (pyarrow := _import("pyarrow")):
        return _distinct_arrow(pyarrow, pyarrow.array(column))
    if kind in "biufmM":
        ids, codes = np.unique(column, return_inverse=True)
        return codes, ids
    if kind == "O" and (pyarrow := _import("pyarrow")) and set(map(type, column)) == {str}:
        try:
            return _distinct_arrow(pyarrow, pyarrow.array(column, pyarrow.large_string()))
        except UnicodeEncodeError:  # an unpaired surrogate
            pass
    return _distinct_objects(column, name)


def _distinct_integers(column, low, high):
    """(codes, ids) of integers from `low` to `high`, by a table of the range, without a sort."""
    present = np.zeros(high - low + 1, bool)
    for chunk in _chunks(column):
        present[chunk.astype(np.int64) - low] = True
    number = np.cumsum(present, dtype=_index_type(len(present))) - 1
    return _look_up(number, column, low), (np.flatnonzero(present) + low).astype(column.dtype)


def _categories(series):
    """(code of each entry, categories as a Series) of a column of categories; None for others."""
    native = series.to_native()
    if series.implementation.is_pandas() and hasattr(native, "cat"):
        categories = native.dtype.categories if hasattr(native.dtype, "categories") else None
        if categories is not None:
            return native.cat.codes.to_numpy(), _as_series(categories.to_series())
    pyarrow = _import("pyarrow")
    if not pyarrow or series.dtype != nw.Categorical and not isinstance(series.dtype, nw.Enum):
        return None
    array = series.to_arrow()
    array = array.combine_chunks() if hasattr(array, "combine_chunks") else array
    return array.indices.to_numpy(), _as_series(pyarrow.chunked_array([array.dictionary]))


def _distinct_categories(codes, categories, name):
    """(codes, ids) of a column of categories: those that occur, read as a column of their own.

    So an id is the same with and without categories, and a value that stands twice in a
    dictionary of Arrow is one id.
    """
    codes, used = _distinct_integers(codes, 0, len(categories))
    categories = categories[used.tolist()]
    missing = categories.is_null().to_numpy()
    if missing.any():
        raise _MissingId(int(np.flatnonzero(missing[codes])[0]))
    number, ids = _distinct(categories, name)
    return _look_up(number, codes), ids


def _as_series(column):
    return nw.from_native(column, series_only=True)


def _as_array(series):
    """A column as an array; values that NumPy has no type for stay what their library gives."""
    native = series.to_native()
    if series.implementation.is_polars() and series.dtype in (nw.Date, nw.Datetime, nw.Duration):
        # old versions take none of NumPy's types of time
        unit = getattr(series.dtype, "time_unit", "D")
        kind = "m" if series.dtype == nw.Duration else "M"
        return native.to_physical().to_numpy().astype(np.int64).view(f"{kind}8[{unit}]")
    if series.dtype == nw.Time and series.implementation.is_polars():
        if (native.to_physical() % 1000 != 0).any():
            raise ValueError(
                "Ids that are times of day hold nanoseconds, which Python's lack, so some would "
                "become one. Convert them to integers or text."
            )
    if is_int128(series):
        return np.fromiter(series.to_list(), object, len(series))
    return arrow_objects(native) if is_arrow_extension(native) else series.to_numpy()


def _distinct_series(series, name):
    """(codes, ids) of text, by the fastest library available."""
    if pyarrow := _import("pyarrow"):
        return _distinct_arrow(pyarrow, series.to_arrow())
    if series.implementation.is_pandas():
        pandas = _import("pandas")
        codes, ids = pandas.factorize(series.to_native())
        return codes, narrow(ids.tolist())
    return _distinct_objects(series, name)


def _distinct_arrow(pyarrow, array):
    """(codes, ids) by Arrow's hash table."""
    array = array.dictionary_encode()
    array = array.combine_chunks() if hasattr(array, "combine_chunks") else array
    pyarrow.default_memory_pool().release_unused()  # frees the hash table
    ids, codes = array.dictionary, array.indices.to_numpy()
    if str(ids.type) in ("string", "large_string", "string_view"):
        return codes, ids.to_numpy(zero_copy_only=False).astype(StringDType())
    return codes, ids.to_numpy(zero_copy_only=False)


def _distinct_objects(column, name):
    """(codes, ids) of any hashable ids, by a dict that numbers them in order of appearance."""
    index: defaultdict[Any, int] = defaultdict(itertools.count().__next__)
    codes, done = np.empty(len(column), _index_type(len(column))), 0
    try:
        for chunk in _chunks(column):
            chunk = chunk.to_list() if isinstance(chunk, nw.Series) else chunk.tolist()
            codes[done : done + len(chunk)] = [index[value] for value in chunk]
            done += len(chunk)
    except TypeError as error:
        raise _unhashable(name, error) from None
    return codes, narrow(list(index))


def _unhashable(name, reason):
    return TypeError(
        f"Column {name!r} holds an id that cannot be hashed: {reason}. Use ids such as ints, "
        "strings or tuples. A row is one event: where an entry lists several ids, give each a row "
        "of its own; of a nested one, give the id alone."
    )


def _chunks(column):
    return (column[start : start + _CHUNK] for start in range(0, len(column), _CHUNK))


def _look_up(table, places, origin=0):
    """``table[places - origin]``, without an int64 copy of all places."""
    found = np.empty(len(places), table.dtype)
    for out, chunk in zip(_chunks(found), _chunks(places), strict=True):
        np.take(table, chunk.astype(np.int64) - origin, out=out, mode="clip")
    return found


def _index_type(n):
    return np.int32 if n < 2**31 else np.int64


def narrow(ids):
    """Distinct ids as a typed array if all have one type that NumPy supports, else as objects."""
    types = set(map(type, ids))
    kind = types.pop() if len(types) == 1 else object
    try:
        if kind is str:
            return np.array(ids, StringDType())
        if issubclass(kind, datetime.date):  # datetimes with a time zone become UTC
            return as_datetime64(np.fromiter(ids, object, len(ids)))
        if kind is int:  # NumPy's own choice is float64 where some are above int64
            return np.array(ids, np.uint64 if max(ids) >= 2**63 else np.int64)
        if kind in (bool, float) or issubclass(kind, np.generic):
            array = np.array(ids)
            if array.dtype.kind != "O":
                return array
    except (UnicodeEncodeError, OverflowError, TypeError):
        pass
    return np.fromiter(ids, object, len(ids))


def _check_ids(codes, ids):
    """Raise `_MissingId` if an id is missing."""
    if ids.dtype.kind == "f":
        missing = np.isnan(ids)
    elif ids.dtype.kind in "mM":
        missing = np.isnat(ids)
    elif ids.dtype == object:
        missing = np.fromiter(map(is_missing, ids), bool, len(ids))
    else:
        return
    if missing.any():
        raise _MissingId(int(np.flatnonzero(missing[codes])[0]))


def missing_ids(column):
    """Which entries of a column are missing."""
    missing = np.zeros(len(column), bool)
    if isinstance(column, nw.Series):
        missing |= column.is_null().to_numpy()
        filled = without_view(column)[np.flatnonzero(~missing)]
        if (parts := _categories(filled)) is not None:
            missing[~missing] = parts[1].is_null().to_numpy()[parts[0]]
            return missing
        if isinstance(column.dtype, _TEXT):
            return missing
        if isinstance(column.dtype, _NESTED) or is_int128(column):
            return missing
        column = column.to_numpy()
    if column.dtype.kind in "fmM":
        missing |= np.isnan(column)
    elif column.dtype == object:
        missing |= np.fromiter(map(is_missing, column), bool, len(column))
    return missing


def _ascending(ids):
    """Indices that sort the ids; None if they cannot be compared."""
    try:
        if ids.dtype == object:
            return np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)
        return np.argsort(ids, kind="stable")
    except TypeError:
        return None


def _import(package):
    """An optional package, or None if it is not installed."""
    try:
        return __import__(package)
    except ImportError:
        return None
