"""Tables in and out: data frames, Arrow tables, NumPy columns, lists of tuples."""

from collections.abc import Mapping
from datetime import UTC

import narwhals as nw
import numpy as np

_FORMS = (
    "a pandas, polars or pyarrow table, a dict of columns, a NumPy array of two dimensions or with "
    "named fields, or a list of tuples"
)


def read_columns(X, names):
    """The wanted columns of a table of interactions.

    Parameters
    ----------
    X : table
        Whatever is listed in `_FORMS`; a lazy frame is collected.
    names : dict of {str: str or int}
        The column of each role, by name or position. In a table without names, a name stands for
        its position in this dict.

    Returns
    -------
    columns : dict of {str: narwhals Series or ndarray of shape (n,)}
        By role. Nothing is copied where it need not be.
    backend : str or None
        The library that `X` is of ("pandas", "polars", "pyarrow"); None if it is of none.
    """
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
        columns = _nameless(X, names)
    lengths = {role: len(column) for role, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"The columns of X differ in length: {lengths}. Give one entry per row.")
    return columns, None


def _find(name, known):
    """The name of a column that is given by name or position."""
    if name in known:
        return name
    if isinstance(name, int) and -len(known) <= name < len(known):
        return known[name]
    raise ValueError(
        f"X has no column {name!r}; it has {list(known)}. Say which column is which, for example "
        'InteractionEncoder(user="customer", item="product").'
    )


def _nameless(X, names):
    """Columns of a 2-D array or a sequence of rows."""
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


def as_column(values):
    """A column as a narwhals Series or a 1-D array; of a list, the very objects."""
    series = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, nw.Series):
        return series
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise ValueError(f"A column must have one dimension, got shape {values.shape}.")
        return values
    return np.fromiter(values, object)  # np.asarray would make strings of [1, "a"]


def as_numbers(column, name):
    """A column of finite numbers, float64."""
    values = column.to_numpy() if isinstance(column, nw.Series) else column
    _no_text(values, name, "numbers")
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"Column {name!r} must hold numbers, got {values[0]!r} first.") from None
    return _finite(numbers, name)


def as_times(column, name):
    """A column of dates, date times or numbers as float64 > 0; dates in seconds since 1970."""
    if isinstance(column, nw.Series):
        if column.dtype == nw.Date:
            column = column.cast(nw.Datetime("us"))
        if column.dtype == nw.Datetime:
            _no_missing(column, name)
            column = column.dt.timestamp("us").to_numpy() / 1e6
    elif column.dtype == object and len(column) and hasattr(column[0], "timetuple"):
        column = _seconds(column, name)
    elif column.dtype.kind == "M":
        seconds = column.astype("datetime64[us]").astype(np.int64) / 1e6
        column = np.where(np.isnat(column), np.nan, seconds)
    _no_text(column, name, "times")
    times = as_numbers(column, name)
    if times.size and times.min() <= 0:
        raise ValueError(
            f"Column {name!r} holds the time {times.min():g}, but a time must be > 0 (dates count "
            "in seconds since 1970). Add a constant to all: only the order of a user's times counts."
        )
    return times


def _seconds(column, name):
    """Seconds since 1970 of Python's dates and date times; those without a zone are UTC."""
    try:
        utc = [t.astimezone(UTC).replace(tzinfo=None) if _has_zone(t) else t for t in column]
        return np.array(utc, "datetime64[us]").astype(np.int64) / 1e6
    except (TypeError, ValueError, AttributeError) as error:
        raise TypeError(f"Column {name!r} holds something that is no time: {error}.") from None


def _has_zone(time):
    return getattr(time, "tzinfo", None) is not None


def _no_text(column, name, what):
    first = column[0] if len(column) else None
    if isinstance(first, (str, bytes)):
        raise TypeError(
            f"Column {name!r} must hold {what}, got the text {first!r}. Convert it first, for "
            "example by pandas.to_numeric, pandas.to_datetime or polars' str.to_datetime."
        )


def _no_missing(column, name):
    if column.is_null().any():
        raise ValueError(f"Column {name!r} has missing values. Fill them, or leave the rows out.")


def _finite(numbers, name):
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise ValueError(
            f"Column {name!r} holds {numbers[bad[0]]} in row {bad[0]}. Fill missing values, or "
            "leave the rows out."
        )
    return numbers
