"""The types of a table's columns: described without any library, and ids given back in them.

A description is a dict of text, numbers and at most one array (of categories), so that an encoder
can be stored without the library of its table.
"""

import contextlib
import re

import narwhals as nw
import numpy as np

from ._ids import narrow

_NUMPY_NUMBERS = {  # NumPy has the same types, in lower case
    *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"),
    *("Float32", "Float64"),
}
_POLARS = {
    *("String", "Categorical", "Enum", "Boolean", "Binary", "Object", "Int128", "UInt128"),
    *("Decimal", "Date", "Datetime", "Duration", "Time"),
    *_NUMPY_NUMBERS,
}
_POLARS_ARGUMENTS = {
    "Datetime": ("time_unit", "time_zone"),
    "Duration": ("time_unit",),
    "Decimal": ("precision", "scale"),
}
_ERRORS = (TypeError, ValueError, ArithmeticError, ImportError, AttributeError, KeyError)


def describe_column(column):
    """The description of the type of a narwhals Series; None for a type that has none."""
    if not isinstance(column, nw.Series):
        return None
    native = column.to_native()
    if column.implementation.is_pandas():
        return _describe_pandas(native.dtype, native)
    if column.implementation.is_polars():
        return _describe_polars(native.dtype)
    if column.implementation.is_pyarrow():
        return _describe_arrow("arrow", native.type)
    return None


def typed_column(ids, description):
    """Ids as a pandas or polars Series or an Arrow array of a type; None where they do not fit.

    Parameters
    ----------
    ids : ndarray of shape (n,)
        As `factorize` returns them.
    description : dict
        Of `describe_column`.
    """
    kind = description["kind"]
    try:
        if kind == "arrow":
            return _arrow_array(ids, _arrow_type(description["name"]))
        if kind == "polars":
            return _polars_series(ids, description)
        return _pandas_series(ids, description)
    except _ERRORS:  # Arrow's and polars' own are among them, or below
        return None
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("polars", "pyarrow"):
            return None
        raise


def _describe_pandas(dtype, values):
    import pandas

    if isinstance(dtype, pandas.CategoricalDtype):
        categories = dtype.categories
        inner = _describe_pandas(categories.dtype, categories)
        if inner is None:
            return None
        plain = isinstance(categories.dtype, np.dtype) and categories.dtype != object
        array = categories.to_numpy() if plain else _objects(narrow(list(categories)))
        return {
            "kind": "category",
            "categories": array,
            "ordered": bool(dtype.ordered),
            "of": inner,
        }
    if hasattr(dtype, "pyarrow_dtype"):
        return _describe_arrow("pandas-arrow", dtype.pyarrow_dtype)
    if dtype == np.dtype(object):
        first = next(iter(values), None)
        return {"kind": "pandas", "name": "object", "zoned": _has_zone(first)}
    for name in (f"{dtype.name}[{getattr(dtype, 'storage', '')}]", str(dtype)):
        try:
            if pandas.api.types.pandas_dtype(name) == dtype:
                return {"kind": "pandas", "name": name, "zoned": False}
        except (TypeError, ValueError):
            continue
    return None


def _objects(ids):
    """Text as Python objects, in which form every library stores an array."""
    if isinstance(ids, list):
        return np.fromiter(ids, object, len(ids))
    return ids.astype(object) if ids.dtype.kind == "T" else ids


def _has_zone(value):
    return getattr(value, "tzinfo", None) is not None and hasattr(value, "year")


def _pandas_series(ids, description):
    import pandas

    if description["kind"] == "category":
        inner = _pandas_series(ids, description["of"])
        categories = _pandas_series(description["categories"], description["of"])
        dtype = pandas.CategoricalDtype(pandas.Index(categories), description["ordered"])
        codes = dtype.categories.get_indexer(pandas.Index(inner))
        if (codes < 0).any():  # a new user is in no category
            return None
        return pandas.Series(pandas.Categorical.from_codes(codes, dtype=dtype))
    if description["kind"] == "pandas-arrow":
        array = _arrow_array(ids, _arrow_type(description["name"]))
        return pandas.Series(pandas.arrays.ArrowExtensionArray(array))
    dtype = pandas.api.types.pandas_dtype(description["name"])
    if dtype == np.dtype(object):
        return pandas.Series(_python_objects(ids, description["zoned"]), dtype=object)
    if isinstance(dtype, pandas.DatetimeTZDtype):
        with contextlib.suppress(ValueError):  # else in a finer unit
            ids = _exactly(ids, np.dtype(f"M8[{dtype.unit}]"))
        return pandas.Series(ids).dt.tz_localize("UTC").dt.tz_convert(dtype.tz)
    if isinstance(dtype, np.dtype):
        return pandas.Series(_exactly(ids, dtype))
    if ids.dtype.kind in "biuf":  # a nullable type, or a sparse one
        plain = getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", None))
        ids = ids if plain is None else _exactly(ids, plain)
    return pandas.Series(ids.astype(object) if ids.dtype.kind == "T" else ids, dtype=dtype)


def _python_objects(ids, zoned):
    """Ids as the Python objects that a column of objects holds."""
    if ids.dtype.kind in "mM" and np.datetime_data(ids.dtype)[0] == "ns":
        import pandas

        objects = pandas.Series(ids)
        objects = objects.dt.tz_localize("UTC") if zoned else objects
        return objects.astype(object).to_numpy()
    objects = ids.astype(object)
    if zoned and ids.dtype.kind == "M":
        import datetime

        moments = (moment.replace(tzinfo=datetime.UTC) for moment in objects)
        return np.fromiter(moments, object, len(ids))
    return objects


def _exactly(ids, dtype):
    """Ids in another NumPy dtype that can hold each of them."""
    if ids.dtype == dtype:
        return ids
    with np.errstate(all="ignore"):  # compared below
        converted = ids.astype(dtype)
    if ids.dtype.kind != converted.dtype.kind and {ids.dtype.kind, converted.dtype.kind} - {*"iu"}:
        raise TypeError(f"{ids.dtype} is not {dtype}")
    # a time beyond the range of a unit wraps around, and does not come back
    if not np.array_equal(converted, ids) or not np.array_equal(converted.astype(ids.dtype), ids):
        raise ValueError(f"{dtype} does not hold all ids")
    return converted


def _check_same(values, ids):
    """Raise ValueError if a list made of ids is not equal to them, because a type rounds."""
    if values != ids.tolist():
        raise ValueError("the column's type does not hold all ids")


def _describe_polars(dtype):
    name = str(dtype.base_type().__name__) if hasattr(dtype, "base_type") else str(dtype)
    if name not in _POLARS:
        return None
    arguments = [getattr(dtype, argument) for argument in _POLARS_ARGUMENTS.get(name, ())]
    description = {"kind": "polars", "name": name, "arguments": arguments}
    if name == "Enum":
        description["categories"] = _objects(dtype.categories.to_list())
    return description


def _polars_series(ids, description):
    import polars

    name, arguments = description["name"], description["arguments"]
    if name not in _POLARS:
        raise KeyError(name)
    dtype = getattr(polars, name)
    if name == "Enum":
        dtype = dtype(description["categories"].tolist())
    elif arguments:
        dtype = dtype(*arguments)
    if name in ("Date", "Datetime", "Duration"):
        # old versions take none of NumPy's types of time
        letter = "m" if name == "Duration" else "M"
        unit = arguments[0] if arguments else "D"
        stamps = polars.Series(_exactly(ids, np.dtype(f"{letter}8[{unit}]")).astype(np.int64))
        if name == "Date":
            return stamps.cast(polars.Int32).cast(dtype)
        if name == "Datetime" and arguments[1] is not None:
            series = stamps.cast(polars.Datetime(arguments[0])).dt.replace_time_zone("UTC")
            return series.dt.convert_time_zone(arguments[1])
        return stamps.cast(dtype)
    if name in ("String", "Categorical", "Enum"):
        return polars.Series(ids.tolist(), dtype=polars.String).cast(dtype)
    if ids.dtype.kind in "biuf":
        exact = _exactly(ids, np.dtype(name.lower())) if name in _NUMPY_NUMBERS else ids
        return polars.Series(exact).cast(dtype)
    series = polars.Series(ids.tolist(), dtype=dtype)
    _check_same(series.to_list(), ids)
    return series


def _describe_arrow(kind, dtype):
    """The description of a type of Arrow, in Arrow's own words, if they can be read back."""
    try:
        return {"kind": kind, "name": str(dtype)} if _arrow_type(str(dtype)) == dtype else None
    except _ERRORS:
        return None


def _arrow_type(name):
    """The type that Arrow writes as `name`."""
    import pyarrow

    if found := re.fullmatch(r"dictionary<values=(.+), indices=(\w+), ordered=([01])>", name):
        values, index = map(_arrow_type, found.group(1, 2))
        return pyarrow.dictionary(index, values, found[3] == "1")
    if found := re.fullmatch(r"timestamp\[(\w+), tz=([^\]]+)\]", name):
        return pyarrow.timestamp(found[1], found[2])
    if found := re.fullmatch(r"(decimal(?:32|64|128|256))\((\d+), (-?\d+)\)", name):
        return getattr(pyarrow, found[1])(int(found[2]), int(found[3]))
    if found := re.fullmatch(r"fixed_size_binary\[(\d+)\]", name):
        return pyarrow.binary(int(found[1]))
    if name == "extension<arrow.uuid>":
        return pyarrow.uuid()
    return pyarrow.type_for_alias(name)


def _arrow_array(ids, dtype):
    import pyarrow

    types = pyarrow.types
    if types.is_dictionary(dtype):
        encoded = _arrow_array(ids, dtype.value_type).dictionary_encode()
        indices = encoded.indices.cast(dtype.index_type)
        return pyarrow.DictionaryArray.from_arrays(
            indices, encoded.dictionary, ordered=dtype.ordered
        )
    if isinstance(dtype, pyarrow.BaseExtensionType):  # UUIDs
        storage = pyarrow.array([value.bytes for value in ids], dtype.storage_type)
        return pyarrow.ExtensionArray.from_storage(dtype, storage)
    if ids.dtype.kind in "mM":
        unit = getattr(dtype, "unit", "D")
        converted = _exactly(ids, np.dtype(f"{ids.dtype.kind}8[{unit}]"))
        array = pyarrow.array(converted)
        return array if array.type == dtype else array.cast(dtype)
    if ids.dtype.kind in "biuf":
        plain = types.is_integer(dtype) or types.is_floating(dtype)
        return pyarrow.array(
            _exactly(ids, np.dtype(dtype.to_pandas_dtype())) if plain else ids, dtype
        )
    array = pyarrow.array(ids.tolist(), dtype)
    if ids.dtype.kind == "O":
        _check_same(array.to_pylist(), ids)
    return array
