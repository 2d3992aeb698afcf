"""Read columns of tables: data frames, Arrow tables, NumPy arrays, dicts, lists of tuples."""

import os
from collections.abc import Iterator, Mapping, Set

import narwhals as nw
import numpy as np

_FORMS = (
    "a pandas, polars or pyarrow table, a dict of columns, a NumPy array of two dimensions or with "
    "named fields, or a list of tuples, of named tuples or of dicts"
)


def read_columns(X, names):
    """Some columns of a table of events.

    Parameters
    ----------
    X : table
        One of the forms in `_FORMS`; a lazy frame is collected.
    names : dict of {str: str or int}
        The column of each role, by name or position. In a table without column names, a name is
        replaced by its position in this dict.

    Returns
    -------
    columns : dict of {str: narwhals Series or ndarray of shape (n,)}
        By role. Data is copied only if necessary.
    backend : str or None
        The library of `X` ("pandas", "polars", "pyarrow"), or None if it is not a data frame.
    """
    if isinstance(X, (str, os.PathLike)):
        raise TypeError(f"X is the path {X!r}. Read it first: pandas.read_csv({X!r}), for example.")
    frame = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        known = frame.collect_schema().names()
        frame = frame.select(*dict.fromkeys(_find(name, known) for name in names.values()))
        names = {role: _find(name, known) for role, name in names.items()}
        frame = frame.collect()
    if isinstance(frame, nw.DataFrame):
        known = frame.columns
        columns = {role: frame.get_column(_find(name, known)) for role, name in names.items()}
        return columns, frame.implementation.value
    if isinstance(X, Mapping):
        columns = {role: as_column(X[_find(name, list(X))]) for role, name in names.items()}
    elif isinstance(X, np.ndarray) and X.dtype.names:
        columns = {role: X[_find(name, list(X.dtype.names))] for role, name in names.items()}
    else:
        columns = _columns_of_rows(X, names)
    lengths = {role: len(column) for role, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The columns of X differ in length: {lengths}. Give one entry per row.")
    return columns, None


def _find(name, known):
    """The name of a column, given by name or position."""
    if name in known:
        return name
    if isinstance(name, int) and -len(known) <= name < len(known):
        return known[name]
    raise ValueError(
        f"X has no column {name!r}; it has {list(known)}. Name the columns, for example "
        'InteractionEncoder(user="customer", item="product").'
    )


def _columns_of_rows(X, names):
    """Some columns of an array or a sequence of rows, by name if its rows have names."""
    if isinstance(X, Iterator):
        raise TypeError(
            f"X is {type(X).__name__}, which can be read only once. Give a list of its rows: "
            "list(rows)."
        )
    if isinstance(X, np.ndarray) or not hasattr(X, "__len__") or not len(X):
        return _unnamed_columns(X, names)
    first = next(iter(X))
    if isinstance(first, (str, bytes, Set)):
        raise TypeError(
            f"A row of X is {type(first).__name__}, {first!r}, which has no columns in an order. "
            f"Give {_FORMS}."
        )
    if isinstance(first, Mapping):
        return _columns_of_dicts(X, names)
    fields = getattr(first, "_fields", None) or getattr(first, "keys", tuple)()
    if not fields:  # named tuples, rows of databases
        return _unnamed_columns(X, names)
    places = {role: list(fields).index(_find(name, fields)) for role, name in names.items()}
    return _unnamed_columns(X, places)


def _columns_of_dicts(rows, names):
    """Some columns of a sequence of dicts, such as the rows of csv.DictReader or JSON lines."""
    names = {role: _find(name, list(next(iter(rows)))) for role, name in names.items()}
    columns = {role: np.empty(len(rows), object) for role in names}
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TypeError(f"Row {place} of X is {type(row).__name__}, but row 0 is a dict.")
        for role, name in names.items():
            if name not in row:
                raise ValueError(
                    f"Row {place} of X has no {name!r}; it has {list(row)}. Give every row the "
                    "same keys."
                )
            columns[role][place] = row[name]
    return columns


def _unnamed_columns(X, names):
    """Some columns of a table without column names: a 2-D array or a sequence of rows."""
    positions = {
        role: name if isinstance(name, int) else place
        for place, (role, name) in enumerate(names.items())
    }
    if isinstance(X, np.ndarray):
        if X.ndim != 2:
            raise ValueError(f"X is an array of shape {X.shape}. Give {_FORMS}.")
        width, columns = X.shape[1], X.T
    else:
        width, columns = _transposed(X)
    wide = max(positions.values()) + 1
    if width < wide and len(X):
        raise ValueError(
            f"X has {width} columns, but {wide} are needed: {', '.join(positions)} are read from "
            f"columns {list(positions.values())}."
        )
    if not len(X):
        return {role: np.empty(0, object) for role in positions}
    return {role: as_column(columns[place]) for role, place in positions.items()}


def _transposed(rows):
    """(width, columns) of a sequence of rows."""
    try:
        columns = list(zip(*rows, strict=True))
    except (TypeError, ValueError):
        raise TypeError(
            f"X is {type(rows).__name__}, whose rows are not all of the same length. Give {_FORMS}."
        ) from None
    return len(columns), columns


def is_arrow_extension(values):
    """Is it an Arrow column, of pandas too, of values such as UUIDs, which NumPy reads as bytes?"""
    dtype = getattr(values, "type", None)
    if dtype is None:
        dtype = getattr(getattr(values, "dtype", None), "pyarrow_dtype", None)
    return hasattr(dtype, "storage_type")


def arrow_objects(values):
    """The values of an Arrow column as Python objects."""
    return np.fromiter(getattr(values, "to_pylist", values.__iter__)(), object, len(values))


def as_column(values):
    """A column as a narwhals Series or a 1-D array; entries of a list stay the same objects."""
    series = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, nw.Series):
        return series
    if hasattr(values, "__array__"):  # NumPy's own, pandas' indexes and arrays, Arrow's arrays
        if np.ndim(values) != 1:
            raise ValueError(f"A column must have one dimension, got shape {np.shape(values)}.")
        return arrow_objects(values) if is_arrow_extension(values) else np.asarray(values)
    return np.fromiter(values, object)  # np.asarray would convert [1, "a"] to strings
