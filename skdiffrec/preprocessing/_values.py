"""Convert columns of weights and times to float64."""

import datetime

import narwhals as nw
import numpy as np

from .._utils.canonical import RATING
from .._utils.warning import warn_caller

_DATES = (datetime.date, np.datetime64)
_SMALL_FLOATS = ("float16", "float32", "halffloat")
_WHOLE_FLOAT32 = 2**24  # beyond it, float32 does not hold every whole number
_DURATIONS = (datetime.timedelta, np.timedelta64)
_TIME_KINDS = {
    ("M", True): "dates with a time zone",
    ("M", False): "dates without a time zone",
    ("m", False): "durations",
    ("f", False): "numbers",
}
_LEAST = 5e-324  # the least number above 0; computing it may raise an error of underflow


class BadRows(ValueError):
    """Some rows of a column hold what cannot be read; `bad_rows` finds all of them."""


def as_weights(column, name, min_weight=None, negative=False):
    """(column of numbers as float64, which of them count); durations in seconds.

    Weights below `min_weight` and of 0 do not count; the others must be finite and, unless
    `negative`, >= 0, or `BadRows` is raised.
    """
    weights = as_numbers(column, name, dates=False)
    counted = np.ones(len(weights), bool) if min_weight is None else weights >= min_weight
    _check_range(weights, counted, np.finfo(np.float64).min if negative else 0)
    return weights, counted & (weights != 0)


def as_times(column, name, counted=None):
    """A column of dates, durations or numbers as float64; dates in seconds since 1970.

    Those of events that are `counted` (None: all) must be finite and > 0, or `BadRows` is raised.
    """
    times = as_numbers(column, name, dates=True)
    if len(times) and _is_float32(column) and np.nanmax(times) > _WHOLE_FLOAT32:
        raise ValueError(
            f"Column {name!r} holds times such as {np.nanmax(times):.0f} as float32, which rounds "
            f"them to {np.spacing(np.float32(np.nanmax(times))):g}. Read them as int64 or float64; "
            'if float32 is what there is, astype("float64") accepts the rounding.'
        )
    _check_range(times, counted, _LEAST)
    return times


def _is_float32(column):
    """Does a column hold float32 or less, as a type of its own or in its entries?"""
    if isinstance(column, nw.Series) and column.dtype != nw.Object:
        native = column.to_native()
        dtype = getattr(native, "dtype", getattr(native, "type", None))
        return column.dtype == nw.Float32 or str(dtype) in _SMALL_FLOATS
    column = column.to_numpy() if isinstance(column, nw.Series) else column
    if column.dtype == object:
        return bool(set(map(type, column)) & {np.float16, np.float32})
    return column.dtype.name in _SMALL_FLOATS


def _check_range(numbers, counted, low):
    """Raise `BadRows` unless all numbers that are counted are finite and at least `low`."""
    given = numbers if counted is None or counted.all() else numbers[counted]
    if len(given) and not (low <= given.min() <= given.max() < np.inf):  # NaN: False
        raise BadRows


def as_numbers(column, name, dates):
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
        column = column.cast(nw.Float64) if is_int128(column) else column
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


def is_int128(series):
    """Does a narwhals Series hold integers of 128 bits, which NumPy has no type for?"""
    return str(series.dtype) in ("Int128", "UInt128")


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
        numbers[given] = as_numbers(present, name, dates)
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
    """Is a value None, NaN, NaT or null, or masked?"""
    try:
        return value is None or value is np.ma.masked or bool(value != value)
    except (TypeError, ValueError, ArithmeticError):  # pandas.NA has no truth value
        return True


def as_datetime64(times):
    """Python dates or datetimes as datetime64; those with a time zone are converted to UTC.

    Raises TypeError for a mixture of dates and datetimes, or of times with and without a zone.
    """
    if any(hasattr(t, "tzinfo") != hasattr(times[0], "tzinfo") for t in times):
        raise TypeError("dates and date times are mixed")
    if len(set(map(_has_zone, times))) > 1:
        raise TypeError(
            "some times have a time zone and others have none; give all one, for example by "
            "pandas.to_datetime(times, utc=True)"
        )
    unit = "us" if hasattr(times[0], "tzinfo") else "D"
    utc = [t.astimezone(datetime.UTC).replace(tzinfo=None) if _has_zone(t) else t for t in times]
    if any(getattr(t, "nanosecond", 0) for t in utc):  # of pandas; NumPy would drop them
        return _as_nanoseconds(utc)
    return np.array(utc, f"datetime64[{unit}]")


def _as_nanoseconds(times):
    """datetimes, some of them pandas', as datetime64[ns]."""
    for time in times:
        if not 1678 <= time.year <= 2261:
            raise OverflowError(f"{time} is beyond the range of nanoseconds, 1678 to 2261")
    plain = (t.to_datetime64() if hasattr(t, "to_datetime64") else np.datetime64(t) for t in times)
    return np.array(list(plain), "datetime64[ns]")


def _has_zone(time):
    return getattr(time, "tzinfo", None) is not None


def _raise_no_numbers(name, value, dates):
    kinds = "numbers, dates or durations" if dates else "numbers or durations"
    raise TypeError(
        f"Column {name!r} must hold {kinds}, got {value!r}. Convert it first, for example by "
        "pandas.to_numeric, pandas.to_datetime (utc=True where offsets from UTC differ) or polars' "
        "str.to_datetime."
    )


def merging(encoder, values):
    """How the events of a user and an item are merged in a matrix of `values`."""
    duplicates = encoder.duplicates
    if values == "time":  # the latest is the largest
        return {"auto": "min", "last": "max", "first": "min"}.get(duplicates, duplicates)
    return {"auto": "last" if values == RATING else "sum"}.get(duplicates, duplicates)


def warn_of_unused_weights(encoder, weight, counted):
    """Warn if an encoder reads weights (n,), or None, of which its matrix will hold nothing."""
    read_for_something = encoder.min_weight is not None or encoder.returns == "net"
    timed = encoder.order or encoder.timestamp is not None
    if weight is None or encoder.values != "auto" or not timed or read_for_something:
        return
    weight = weight[counted]
    if len(weight) and weight.min() < weight.max():
        warn_caller(
            f"The weights of column {encoder.weight!r} are not used: with times, "
            'values="auto" gives a matrix of the times. Set values="time" if that is right, '
            'values="weight" for the weights, or leave out weight=.',
        )


def warn_of_other_values(encoder, model):
    """Warn if the matrix of a fitted encoder holds something else than a model takes it for."""
    while not hasattr(model, "values") and hasattr(model, "estimator"):  # of a search
        model = model.estimator
    given, taken = encoder.values_, getattr(model, "values", None)
    unused = (given, taken) == ("time", "binary") and hasattr(model, "half_life")
    if encoder.min_weight is None and encoder.returns != "net":  # else read for something
        unused |= given in ("weight", RATING) and taken == "binary"
    summed = (given, taken) == ("weight", RATING) and merging(encoder, given) == "sum"
    others = (("time", "weight"), ("weight", "time"), ("time", RATING), (RATING, "time"))
    if unused or summed or (given, taken) in (*others, ("binary", RATING)):
        held = {"binary": "ones", "time": "times", RATING: "ratings"}.get(given, "sums of weights")
        warn_caller(
            f'The matrix of encoder holds {held} (values_="{given}"), but model takes them for '
            f'values="{taken}". Set values="{given}" of the recommender, or values of the encoder.',
        )


def time_kind(column):
    """What a column of times holds, in words; None if it has no entries, or text."""
    if isinstance(column, nw.Series) and column.dtype not in (nw.Object, nw.Unknown):
        dtype = column.dtype
        if dtype in (nw.String, nw.Categorical, nw.Enum):
            return None
        zoned = getattr(dtype, "time_zone", None) is not None
        kind = "M" if dtype in (nw.Datetime, nw.Date) else "m" if dtype == nw.Duration else "f"
        return _TIME_KINDS[kind, zoned]
    column = column.to_numpy() if isinstance(column, nw.Series) else column
    if column.dtype != object:
        return _TIME_KINDS.get((column.dtype.kind, False), _TIME_KINDS["f", False])
    value = next((value for value in column if not is_missing(value)), None)
    if value is None or isinstance(value, (str, bytes)):
        return None
    kind = "M" if isinstance(value, _DATES) else "m" if isinstance(value, _DURATIONS) else "f"
    return _TIME_KINDS[kind, getattr(value, "tzinfo", None) is not None]


def warn_of_other_times(encoder, table):
    """Warn if times are of another kind than those of `fit`, and so not comparable with them."""
    given, known = time_kind(table["timestamp"]), encoder._form["times"]
    if None not in (given, known) and given != known:
        warn_caller(
            f"Column {encoder.timestamp!r} holds {given}, but that of fit {known}: dates become "
            "seconds since 1970, without a time zone as if in UTC, and numbers stay. Convert them "
            "to what fit was given.",
        )


def places_in_row(rows):
    """1, 2, 3 … for the events of each row, in their order; float64 (n,)."""
    order = np.argsort(rows, kind="stable")
    first = np.flatnonzero(np.diff(rows[order], prepend=-1))
    place = np.empty(len(rows))
    sizes = np.diff(first, append=len(rows))
    place[order] = np.arange(1, len(rows) + 1) - np.repeat(first, sizes)
    return place


ROLES = ("user", "item", "weight", "timestamp")


def refuse_one_for_two(names):
    """Each of {role: name of a column, or None} must be a column of its own."""
    role_of: dict[object, str] = {}
    for role, name in names.items():
        if name is not None and role_of.setdefault(name, role) != role:
            raise ValueError(
                f"{role_of[name]} and {role} are both column {name!r}; name another for one."
            )


def resolved_values(encoder):
    """The values of an encoder's matrix, "binary", "weight" or "time"; checks its parameters."""
    refuse_one_for_two({role: getattr(encoder, role) for role in ROLES})
    for role in ("user", "item"):
        if getattr(encoder, role) in ("rank", "score"):
            raise ValueError(
                f"{role}={getattr(encoder, role)!r}: tables of lists have a column of this name of "
                "their own. Rename the column."
            )
    values = encoder.values
    if values == "auto":
        values = "weight" if encoder.weight is not None else "binary"
        values = "time" if encoder.order or encoder.timestamp is not None else values
    if encoder.order and (encoder.timestamp is not None or values != "time"):
        raise ValueError(
            "order=True makes times of the order of the rows, so it does not go together with "
            f"timestamp={encoder.timestamp!r} and values={encoder.values!r}: leave out timestamp, "
            'and values or values="time".'
        )
    if values in ("weight", RATING) and encoder.weight is None:
        raise ValueError(f'values="{values}" needs a column; name it by weight=.')
    if values == "time" and encoder.timestamp is None and not encoder.order:
        raise ValueError(
            'values="time" needs a column; name it by timestamp=, or give rows in order of time '
            "and set order=True."
        )
    if encoder.min_weight is not None and encoder.weight is None:
        raise ValueError(f"min_weight={encoder.min_weight} needs a column; name it by weight=.")
    if encoder.returns == "net":
        _check_net(encoder, values)
    if values == "time" and encoder.duplicates in ("sum", "mean"):
        raise ValueError(
            f"duplicates={encoder.duplicates!r} of times means nothing; use 'last' or 'first'."
        )
    return values


def _check_net(encoder, values):
    """Raise an error if other parameters forbid net quantities."""
    if encoder.weight is None:
        raise ValueError(
            'returns="net" needs a column of quantities, below 0 for returns; name it by weight=.'
        )
    if encoder.duplicates == "error" or (
        values == RATING or (values == "weight" and encoder.duplicates not in ("auto", "sum"))
    ):
        if values == RATING:
            raise ValueError(
                'returns="net" adds up quantities, and values="rating" holds opinions. Ratings '
                "below 0 need another scale: add a constant to all of them."
            )
        raise ValueError(
            'returns="net" adds up the weights of a user and item, which does not go together with '
            f'duplicates={encoder.duplicates!r}; leave duplicates at "auto".'
        )
