"""Ids as plain arrays and back, without pickle: numbers, text as UTF-8, others as JSON."""

import datetime
import decimal
import fractions
import json
import uuid
import zoneinfo
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.dtypes import StringDType

from .._utils.tensor_file import PersistenceError, take

_FIXED = "biufmM"  # kinds of dtypes whose bytes are their values
_ERRORS: tuple[type[Exception], ...] = (
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    RecursionError,
    ImportError,
)


def text_bytes(text):
    """(bytes of all strings, end of each) of an array of text."""
    encoded = [string.encode() for string in text.tolist()]
    ends = np.cumsum([len(each) for each in encoded], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), ends


def text_of_bytes(data, ends):
    """The array of `text_bytes`, as StringDType."""
    data, ends = data.tobytes(), ends.tolist()
    strings = [data[start:end].decode() for start, end in pairwise([0, *ends])]
    return np.array(strings, StringDType())


def stored_ids(name, ids):
    """(JSON-able description, tensors) of an array of ids.

    Parameters
    ----------
    name : str
        Of the tensors, or what they begin with.
    ids : ndarray of shape (n,)
        As `factorize` returns them.
    """
    if ids.dtype.kind == "T":
        data, ends = text_bytes(ids)
        return {"kind": "text"}, {f"{name}.utf8": data, f"{name}.ends": ends}
    if ids.dtype.kind in _FIXED and ids.dtype.itemsize <= 8:
        ids = np.ascontiguousarray(ids).astype(ids.dtype.newbyteorder("="), copy=False)
        description = {"kind": "numbers", "dtype": ids.dtype.str}
        return description, {name: ids.view(f"u{ids.dtype.itemsize}")}
    values = [_encoded(name, value) for value in ids.tolist()]
    data = json.dumps(values, separators=(",", ":"), allow_nan=False).encode()
    return {"kind": "objects"}, {f"{name}.json": np.frombuffer(data, np.uint8)}


def take_ids(name, description, tensors, ascending=True):
    """Remove and return the array of ids that `stored_ids` took apart, checked to be distinct.

    Numbers must ascend if `ascending`, for they are looked up by that.
    """
    kind = description.get("kind") if isinstance(description, dict) else None
    try:
        if kind == "text":
            data = take(tensors, f"{name}.utf8", "uint8", (None,))
            ends = take(tensors, f"{name}.ends", "int64", (None,))
            if (np.diff(ends, prepend=0) < 0).any() or (ends[-1] if len(ends) else 0) != len(data):
                raise ValueError("strings do not follow one another")
            ids = text_of_bytes(data, ends)
        elif kind == "numbers":
            dtype = np.dtype(str(description["dtype"]))
            if dtype.kind not in _FIXED or dtype.itemsize > 8:
                raise TypeError(f"{dtype} is no type of ids")
            ids = take(tensors, name, f"uint{8 * dtype.itemsize}", (None,))
            if dtype.kind == "b" and len(ids) and ids.max() > 1:
                raise ValueError("a bool is above 1")
            ids = ids.view(dtype)
        elif kind == "objects":
            data = take(tensors, f"{name}.json", "uint8", (None,)).tobytes()
            values = [_decoded(value) for value in json.loads(data)]
            ids = np.fromiter(values, object, len(values))
        else:
            raise TypeError(f"{description!r:.100} is no kind of ids")
        distinct = _ascend(ids) if kind == "numbers" and ascending else _distinct(ids)
    except PersistenceError:
        raise
    except _ERRORS as error:
        raise PersistenceError(f"The ids {name!r} cannot be read: {error!r:.200}") from None
    if not distinct:
        raise PersistenceError(f"The ids {name!r} do not ascend, or one stands there twice.")
    return ids


def _ascend(ids):
    return bool((ids[1:] > ids[:-1]).all())


def _distinct(ids):
    return len(set(ids.tolist())) == len(ids)


def _encoded(name, value):
    """An id as JSON has it: text, ints, bools and finite floats plain, others [type, ...]."""
    kind = type(value)
    if kind in (str, int, bool) or kind is float and np.isfinite(value):
        return value
    if kind in (tuple, frozenset):
        return [kind.__name__, *(_encoded(name, each) for each in value)]
    if isinstance(value, np.generic) and value.dtype.kind in "biufmMSU":
        return ["numpy", value.dtype.str, value.tobytes().hex()]
    for tag, (cls, encode, _) in _SIMPLE.items():
        of_pandas = cls is None and kind.__module__.partition(".")[0] == "pandas"
        if kind is cls or (of_pandas and kind.__name__ == tag):
            return [tag, *encode(value)]
    raise PersistenceError(
        f"{name} holds {value!r:.100} of type {kind.__module__}.{kind.__qualname__}, which cannot "
        f"be saved. Valid are {', '.join(['str', 'int', 'float', 'bool', *_SIMPLE])}, NumPy's "
        "numbers, and tuples and frozensets of these: convert the column, for example by "
        "astype(str), or store the encoder by joblib."
    )


def _decoded(value):
    if not isinstance(value, list):
        if value is None or isinstance(value, dict):
            raise TypeError(f"{value!r:.100} is no id")
        return value
    tag, *parts = value
    if tag in ("tuple", "frozenset"):
        return (tuple if tag == "tuple" else frozenset)(map(_decoded, parts))
    if tag == "numpy":
        dtype = np.dtype(str(parts[0]))
        if dtype.kind not in "biufmMSU":
            raise TypeError(f"{dtype} is no type of ids")
        return np.frombuffer(bytes.fromhex(parts[1]), dtype, 1)[0]
    return _SIMPLE[tag][2](*parts)


def _encode_time(time):
    zone = time.tzinfo
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key is not None:
        zone = zone.key
    elif zone is not None:
        zone = time.utcoffset().total_seconds()
    return time.replace(tzinfo=None).isoformat(), zone, time.fold


def _decode_datetime(text, zone, fold):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=_zone(zone), fold=fold)


def _decode_time(text, zone, fold):
    return datetime.time.fromisoformat(text).replace(tzinfo=_zone(zone), fold=fold)


def _zone(zone):
    if zone is None or isinstance(zone, str):
        return None if zone is None else zoneinfo.ZoneInfo(zone)
    offset = datetime.timedelta(seconds=zone)
    return datetime.timezone(offset) if offset else datetime.UTC


def _encode_timestamp(stamp):
    zone = _encode_time(stamp)[1]
    return stamp.asm8.astype(np.int64).item(), stamp.unit, zone


def _decode_timestamp(number, unit, zone):
    import pandas

    stamp = pandas.Timestamp(np.datetime64(number, unit))
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(_zone(zone))


def _decode_period(number, freq):
    import pandas

    return pandas.Period(ordinal=number, freq=freq)


def _decode_interval(left, right, closed):
    import pandas

    return pandas.Interval(_decoded(left), _decoded(right), closed)


# {tag: (class, to JSON, from JSON)}; None for classes of pandas, which need not be there
_SIMPLE: dict[str, tuple[type | None, Callable, Callable]] = {
    "float": (float, lambda v: (repr(v),), float),
    "complex": (complex, lambda v: (repr(v),), complex),
    "bytes": (bytes, lambda v: (v.hex(),), bytes.fromhex),
    "date": (datetime.date, lambda v: (v.isoformat(),), datetime.date.fromisoformat),
    "datetime": (datetime.datetime, _encode_time, _decode_datetime),
    "time": (datetime.time, _encode_time, _decode_time),
    "timedelta": (
        datetime.timedelta,
        lambda v: (v.days, v.seconds, v.microseconds),
        datetime.timedelta,
    ),
    "Decimal": (decimal.Decimal, lambda v: (str(v),), decimal.Decimal),
    "Fraction": (fractions.Fraction, lambda v: (str(v),), fractions.Fraction),
    "UUID": (uuid.UUID, lambda v: (v.hex,), uuid.UUID),
    "Timestamp": (None, _encode_timestamp, _decode_timestamp),
    "Period": (None, lambda v: (v.ordinal, v.freqstr), _decode_period),
    "Interval": (
        None,
        lambda v: (_encoded("", v.left), _encoded("", v.right), v.closed),
        _decode_interval,
    ),
}
