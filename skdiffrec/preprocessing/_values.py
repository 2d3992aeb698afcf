"""Convert columns of weights and times to float64."""

from datetime import UTC

import narwhals as nw
import numpy as np


def as_weights(column, name):
    """A column of finite numbers >= 0, float64."""
    weights = _as_numbers(column.to_numpy() if isinstance(column, nw.Series) else column, name)
    if weights.size and weights.min() < 0:
        raise ValueError(f"Column {name!r} holds {weights.min():g}; a weight must be >= 0.")
    return weights


def as_times(column, name):
    """A column of dates, date times or numbers as float64 > 0; dates in seconds since 1970."""
    if isinstance(column, nw.Series):
        column = column.cast(nw.Datetime("us")) if column.dtype == nw.Date else column
        if column.dtype == nw.Datetime:
            stamps = column.dt.timestamp("us").to_numpy().astype(np.float64)
            column = np.where(column.is_null().to_numpy(), np.nan, stamps / 1e6)
        else:
            column = column.to_numpy()
    if column.dtype == object and len(column) and hasattr(column[0], "timetuple"):
        try:
            column = as_datetime64(column)
        except (TypeError, ValueError) as error:
            raise TypeError(f"Column {name!r} must hold only dates: {error}.") from None
    if column.dtype.kind == "M":
        seconds = column.astype("datetime64[us]").astype(np.int64) / 1e6
        column = np.where(np.isnat(column), np.nan, seconds)
    times = _as_numbers(column, name)
    if times.size and times.min() <= 0:
        raise ValueError(
            f"Column {name!r} holds the time {times.min():g}, but a time must be > 0 (dates become "
            "seconds since 1970). Add a constant to all times: only their order matters."
        )
    return times


def as_datetime64(times):
    """Python dates or datetimes as datetime64; those with a time zone are converted to UTC.

    Raises TypeError for a mixture of dates and datetimes.
    """
    if any(hasattr(t, "tzinfo") != hasattr(times[0], "tzinfo") for t in times):
        raise TypeError("dates and date times are mixed")
    unit = "us" if hasattr(times[0], "tzinfo") else "D"
    utc = [t.astimezone(UTC).replace(tzinfo=None) if _has_zone(t) else t for t in times]
    return np.array(utc, f"datetime64[{unit}]")


def _has_zone(time):
    return getattr(time, "tzinfo", None) is not None


def _as_numbers(values, name):
    """A column of finite numbers as float64."""
    first = values[0] if len(values) else None
    try:
        if isinstance(first, (str, bytes)):
            raise TypeError
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"Column {name!r} must hold numbers or dates, got {first!r}. Convert it first, for "
            "example by pandas.to_numeric, pandas.to_datetime or polars' str.to_datetime."
        ) from None
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise ValueError(
            f"Column {name!r} holds {numbers[bad[0]]} in row {bad[0]}. Fill missing values, or "
            "leave the rows out."
        )
    return numbers


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
