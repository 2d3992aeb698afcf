"""Read columns of tables: data frames, Arrow tables, NumPy arrays, dicts, lists of rows."""

import os
from collections.abc import Iterator, KeysView, Mapping, Set
from importlib import import_module

import narwhals as nw
import numpy as np
import scipy.sparse as sp

from ._table_rows import FORMS, columns_of_array, columns_of_rows, find_name, first_fields
from ._values import refuse_one_for_two

_LIBRARIES = {"pandas", "polars", "pyarrow", "modin", "cudf", "dask", "narwhals"}


def read_columns(X, names):
    """Some columns of a table of events.

    Parameters
    ----------
    X : table
        One of the `FORMS`; a lazy frame is collected.
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
    _refuse_what_is_read_first(X)
    frame = nw.from_native(whole_table(X), pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        known = frame.collect_schema().names()
        names = {role: find_name(name, known) for role, name in names.items()}
        frame = frame.select(*dict.fromkeys(names.values())).collect()
    if isinstance(frame, nw.DataFrame):
        known, levels = frame.columns, _index_levels(frame)
        names = {role: find_name(name, known, levels) for role, name in names.items()}
        refuse_one_for_two(names)
        columns = {role: frame.get_column(name) for role, name in names.items()}
        return columns, frame.implementation.value
    _refuse_no_table(X)
    if isinstance(X, Mapping):
        names = {role: find_name(name, list(X)) for role, name in names.items()}
        refuse_one_for_two(names)
        columns = {role: _column_of_dict(X[name], name) for role, name in names.items()}
    else:
        if hasattr(X, "__array__") and not np.ma.isMaskedArray(X):  # a tensor, for example
            X = np.asarray(X)
        read = columns_of_array if isinstance(X, np.ndarray) else columns_of_rows
        columns = {role: as_column(column) for role, column in read(X, names).items()}
    lengths = {role: len(column) for role, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The columns of X differ in length: {lengths}. Give one entry per row.")
    return columns, None


def column_keys(X, names):
    """The name of the column of each role, or its position if the columns have no names."""
    frame = nw.from_native(whole_table(X), pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        known = frame.collect_schema().names()
    elif isinstance(frame, nw.DataFrame):
        known = frame.columns
    else:
        known = list(X) if isinstance(X, Mapping) else first_fields(X)
    if known:
        return {role: find_name(name, known) for role, name in names.items()}
    return {
        role: int(name) if isinstance(name, (int, np.integer)) else place
        for place, (role, name) in enumerate(names.items())
    }


def whole_table(X):
    """`X`, but the Arrow table of a record batch, which is a part of one."""
    if type(X).__module__.partition(".")[0] != "pyarrow" or type(X).__name__ != "RecordBatch":
        return X
    return import_module("pyarrow").Table.from_batches([X])


def _index_levels(frame):
    """Names of the levels of the index of a pandas frame."""
    return [
        name for name in getattr(getattr(frame.to_native(), "index", None), "names", ()) if name
    ]


def _refuse_what_is_read_first(X):
    """Raise TypeError for a path, a file, a reader or a matrix."""
    if isinstance(X, (str, bytes, os.PathLike)):
        raise TypeError(f"X is the path {X!r}. Read it first: pandas.read_csv({X!r}), for example.")
    if hasattr(X, "readline"):
        raise TypeError(
            f"X is the open file {getattr(X, 'name', X)!r}. Read it first: pandas.read_csv or "
            "list(csv.DictReader(file)), for example."
        )
    if isinstance(X, Iterator):
        raise TypeError(
            f"X is {type(X).__name__}, which can be read only once. Give a list of its rows: "
            "list(rows)."
        )
    if sp.issparse(X):
        raise TypeError(
            f"X is a sparse matrix of shape {X.shape}, but must be a table with one row per event. "
            "A users x items matrix needs no encoder: give it to the fit of a recommender. A "
            "bipartite graph of users and items has its matrix in a corner: "
            "X[:n_users, n_users:]."
        )


def _refuse_no_table(X):
    """Raise TypeError for what is part of a library of tables, but is none, and for no rows."""
    if type(X).__module__.partition(".")[0] in _LIBRARIES:
        advice = {
            "Series": "reset_index() makes a table of it and its index",
            "Index": "to_frame() makes a table of it",
            "MultiIndex": "to_frame() makes a table of it",
        }.get(type(X).__name__, "give the table that it was made from")
        raise TypeError(f"X is {type(X).__name__}, which is not a table; {advice}. Give {FORMS}.")
    if not hasattr(X, "__len__") and not hasattr(X, "__array__"):
        if hasattr(X, "__iter__"):
            raise TypeError(f"X is {type(X).__name__}. Give a list of its rows: list(X).")
        raise TypeError(f"X is {type(X).__name__}. Give {FORMS}.")


def _column_of_dict(values, name):
    """A column of a dict of columns."""
    if isinstance(values, Mapping):
        raise TypeError(
            f"X[{name!r}] is {type(values).__name__}. Give one list for each column, as "
            'frame.to_dict("list") does.'
        )
    unordered = isinstance(values, Set) and not isinstance(values, KeysView)
    if unordered or isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(
            f"X[{name!r}] is {type(values).__name__}, {values!r}, but X is a dict, whose entries "
            "must be columns. Give one list for each column; for a single event, give [X]."
        )
    return as_column(values)


def without_view(column):
    """A column, but of Arrow's views the type without, of which entries can be taken."""
    if not isinstance(column, nw.Series) or not column.implementation.is_pyarrow():
        return column
    native, kind = column.to_native(), str(column.to_native().type)
    if not kind.endswith("_view"):
        return column
    plain = native.cast(f"large_{kind.removesuffix('_view')}")
    return nw.from_native(plain, series_only=True).rename(column.name)


def is_arrow_extension(values):
    """Is it an Arrow column, of pandas too, of values such as UUIDs, which NumPy reads as bytes?"""
    dtype = getattr(values, "type", None)
    if dtype is None:
        dtype = getattr(getattr(values, "dtype", None), "pyarrow_dtype", None)
    return hasattr(dtype, "storage_type")


def arrow_objects(values):
    """The values of an Arrow column as Python objects."""
    return np.fromiter(getattr(values, "to_pylist", values.__iter__)(), object, len(values))


def id_list(ids, name):
    """(ids as what has a length, whether it was one id); an iterator is read to its end."""
    if isinstance(ids, Mapping):
        raise TypeError(f"{name} must be a list of ids, or one, got {type(ids).__name__}.")
    if isinstance(ids, (str, bytes)) or not hasattr(ids, "__iter__"):
        return [ids], True
    return ids if hasattr(ids, "__len__") else list(ids), False


def as_column(values):
    """A column as a narwhals Series or a 1-D array; entries of a list stay the same objects."""
    series = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, nw.Series):
        return series
    if hasattr(values, "__array__"):  # NumPy's own, pandas' indexes and arrays, Arrow's arrays
        if np.ndim(values) != 1:
            raise ValueError(f"A column must have one dimension, got shape {np.shape(values)}.")
        if np.ma.isMaskedArray(values):
            return _unmasked(values)
        return arrow_objects(values) if is_arrow_extension(values) else np.asarray(values)
    return np.fromiter(values, object)  # np.asarray would convert [1, "a"] to strings


def _unmasked(column):
    """A masked array (n,) as a plain one, in which what is masked is missing."""
    if not np.ma.getmaskarray(column).any():
        return np.asarray(column)
    if column.dtype.kind == "f":
        return column.filled(np.nan)
    if column.dtype.kind in "mM":
        return column.filled(np.array("NaT", column.dtype))
    objects = column.data.astype(object)
    objects[np.ma.getmaskarray(column)] = None
    return objects
