"""Of which types the entries of a matrix are, in whatever form it is given."""

import re

import numpy as np

from .missing import TABLE, reject_masked

# names of types, in lower case, as NumPy, pandas, polars, Arrow and torch have them
_DATES = re.compile("date|time|duration|period")
_TEXT = re.compile(r"^[<>|=]?[us]\d+$|string|^str$")
_SMALL_FLOATS = {
    np.float16: re.compile("(?<!b)float16|halffloat"),
    np.float32: re.compile(r"float32|^float(\[pyarrow\])?$"),
}
# types of which float32 rounds no number to 0 or to infinity
_WITHIN_FLOAT32 = re.compile(
    r"^(sparse\[)?(bool|u?int|float16|float32|halffloat|float(\[pyarrow\])?$)"
)


def read_once(name, X):
    """Lists of rows as the array that NumPy makes of them, where it is of numbers; others as given.

    To ask an array again costs nothing. What is masked is refused, for NumPy takes what is below.
    """
    reject_masked(name, X)
    if not isinstance(X, list | tuple):
        return X
    try:
        found = np.asarray(X)
    except ValueError:  # ragged: what reads X says so
        return X
    return found if found.dtype.kind in "biuf" else X


def refuse_no_numbers(name, X, if_table=TABLE):
    """Dates, spans of time and text are no numbers, though NumPy makes numbers of them."""
    types = _entry_types(X)
    if any(map(_DATES.search, types)):
        raise ValueError(
            f"{name} holds dates or spans of time. Give numbers, for example seconds since 1970 "
            f"({name}.astype('datetime64[s]').astype(float)); models take them for times with "
            'values="time".'
        )
    if any(map(_TEXT.search, types)):
        raise ValueError(f"{name} holds text, but its values must be numeric. {if_table}")


def small_float(X):
    """The NumPy type that entries of X have, if that is float16 or float32; else None.

    Of the columns of a data frame the least precise counts.
    """
    types = _entry_types(X)
    for small, pattern in _SMALL_FLOATS.items():
        if any(map(pattern.search, types)):
            return small
    return None


def within_float32(X):
    """Whether float32 tells all numbers that X may hold from 0 and from infinity."""
    types = _entry_types(X)
    return bool(types) and all(map(_WITHIN_FLOAT32.search, types))


def _entry_types(X):
    """Names of the types of the entries of an array, a sparse matrix, a data frame or lists."""
    if getattr(X, "dtype", None) is not None:  # also a Series
        found = [X.dtype]
    elif hasattr(X, "dtypes"):  # of pandas and polars
        found = set(X.dtypes)
    elif hasattr(X, "schema"):  # of Arrow
        found = set(X.schema.types)
    else:
        try:
            found = [np.asarray(X).dtype]
        except (TypeError, ValueError):  # no matrix: what reads X says so
            return set()
    return {str(dtype).lower() for dtype in found}
