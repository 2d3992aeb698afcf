"""Convert columns of weights and times to float64."""

import datetime

import narwhals as nw
import numpy as np

_DATES = (datetime.date, np.datetime64)
_DURATIONS = (datetime.timedelta, np.timedelta64)


def as_weights(column, name, min_weight=None):
    """(column of numbers as float64, which of them count); durations in seconds.

    Weights below `min_weight` and of 0 do not count; the others must be finite and >= 0.
    """
    weights = _as_numbers(column, name, dates=False)
    counted = np.ones(len(weights), bool) if min_weight is None else weights >= min_weight
    _check_finite(weights, name, counted)
    if counted.any() and weights[counted].min() < 0:
        raise ValueError(
            f"Column {name!r} holds {weights[counted].min():g}; a weight must be >= 0. "
            "min_weight=0 leaves lower ones out."
        )
    return weights, counted & (weights > 0)


def as_times(column, name, counted=None):
    """A column of dates, durations or numbers as float64; dates in seconds since 1970.

    Those of events that are `counted` (None: all) must be finite and > 0.
    """
    times = _as_numbers(column, name, dates=True)
    counted = np.ones(len(times), bool) if counted is None else counted
    _check_finite(times, name, counted)
    if counted.any() and times[counted].min() <= 0:
        raise ValueError(
            f"Column {name!r} holds the time {times[counted].min():g}, but a time must be > 0 "
            "(dates become seconds since 1970). Add a constant to all times: only their order "
            "matters."
        )
    return times


def _as_numbers(column, name, dates):
    """A column as float64, NaN where a value is missing; dates and durations in seconds."""
    if isinstance(column, nw.Series):
        column = column.cast(nw.Datetime("us")) if column.dtype == nw.Date else column
        if column.dtype == nw.Datetime and not dates:
            _raise_no_numbers(name, column[0] if len(column) else column.dtype, dates)
        if column.dtype == nw.Datetime:
            stamps = column.dt.timestamp("us").to_numpy().astype(np.float64)
            return np.where(column.is_null().to_numpy(), np.nan, stamps / 1e6)
        if column.dtype == nw.Duration:
            return _seconds(column)
        column = column.to_numpy()
    if column.dtype == object:
        return _object_numbers(column, name, dates)
    kind = column.dtype.kind
    if kind == "M" and dates:
        seconds = column.astype("datetime64[us]").astype(np.int64) / 1e6
        return np.where(np.isnat(column), np.nan, seconds)
    if kind == "m" and np.datetime_data(column.dtype)[0] not in ("Y", "M", "generic"):
        return column / np.timedelta64(1, "s")
    if kind not in "biuf":
        _raise_no_numbers(name, column[0] if len(column) else column.dtype, dates)
    return np.asarray(column, np.float64)


def _seconds(durations):
    """A column of durations as seconds, NaN where a value is missing."""
    if durations.dtype.time_unit == "ns":
        seconds = durations.dt.total_nanoseconds().to_numpy().astype(np.float64) / 1e9
    else:
        seconds = durations.dt.total_microseconds().to_numpy().astype(np.float64) / 1e6
    return np.where(durations.is_null().to_numpy(), np.nan, seconds)


def _object_numbers(column, name, dates):
    """`_as_numbers` of an array of objects, which are of one kind or missing."""
    given = ~np.fromiter(map(is_missing, column), bool, len(column))
    present, numbers = column[given], np.full(len(column), np.nan)
    types = set(map(type, present))
    if any(issubclass(kind, _DATES + _DURATIONS) for kind in types):
        try:
            present = _typed(present, types)
        except (TypeError, ValueError) as error:
            raise TypeError(f"Column {name!r} must hold only dates: {error}.") from None
        numbers[given] = _as_numbers(present, name, dates)
        return numbers
    if any(issubclass(kind, (str, bytes)) for kind in types):
        _raise_no_numbers(name, next(v for v in present if isinstance(v, (str, bytes))), dates)
    try:
        numbers[given] = present.astype(np.float64)
    except (TypeError, ValueError):
        _raise_no_numbers(name, present[0], dates)
    return numbers


def _typed(values, types):
    """Objects that are all dates or all durations as datetime64 or timedelta64."""
    for kinds in (np.datetime64, np.timedelta64, datetime.timedelta):
        if all(issubclass(kind, kinds) for kind in types):
            unit = "timedelta64[us]" if kinds is datetime.timedelta else None
            return np.array(values.tolist(), unit)
    if all(issubclass(kind, datetime.date) for kind in types):
        return as_datetime64(values)
    raise TypeError(f"it holds {', '.join(sorted(kind.__name__ for kind in types))}")


def is_missing(value):
    """Is a value None, NaN, NaT or null?"""
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):  # pandas.NA has no truth value
        return True


def as_datetime64(times):
    """Python dates or datetimes as datetime64; those with a time zone are converted to UTC.

    Raises TypeError for a mixture of dates and datetimes.
    """
    if any(hasattr(t, "tzinfo") != hasattr(times[0], "tzinfo") for t in times):
        raise TypeError("dates and date times are mixed")
    unit = "us" if hasattr(times[0], "tzinfo") else "D"
    utc = [t.astimezone(datetime.UTC).replace(tzinfo=None) if _has_zone(t) else t for t in times]
    return np.array(utc, f"datetime64[{unit}]")


def _has_zone(time):
    return getattr(time, "tzinfo", None) is not None


def _check_finite(numbers, name, counted):
    bad = np.flatnonzero(counted & ~np.isfinite(numbers))
    if bad.size:
        raise ValueError(
            f"Column {name!r} holds {numbers[bad[0]]} in row {bad[0]}. Fill missing values, or "
            "leave the rows out."
        )


def _raise_no_numbers(name, value, dates):
    kinds = "numbers, dates or durations" if dates else "numbers or durations"
    raise TypeError(
        f"Column {name!r} must hold {kinds}, got {value!r}. Convert it first, for example by "
        "pandas.to_numeric, pandas.to_datetime or polars' str.to_datetime."
    )


def resolved_values(encoder):
    """The values of an encoder's matrix, "binary", "weight" or "time"; checks its parameters."""
    values = encoder.values
    if values == "auto":
        values = "time" if encoder.timestamp is not None else "weight"
        values = "binary" if encoder.timestamp is encoder.weight is None else values
    for value, column in (("weight", encoder.weight), ("time", encoder.timestamp)):
        if values == value and column is None:
            name = "timestamp" if value == "time" else value
            raise ValueError(f"values={value!r} needs a column; name it by {name}=.")
    if encoder.min_weight is not None and encoder.weight is None:
        raise ValueError(f"min_weight={encoder.min_weight} needs a column; name it by weight=.")
    if values == "time" and encoder.duplicates in ("sum", "mean"):
        raise ValueError(
            f"duplicates={encoder.duplicates!r} of times means nothing; use 'last' or 'first'."
        )
    return values
