"""Ids that are likely to be something else: rounded numbers, gaps, numbers read as text."""

import bisect
import numbers

import numpy as np

from .._utils.warning import warn_caller

# what becomes of a gap where a column is converted to text, or of an empty cell of a CSV file
_GAPS = ("", "nan", "NaN", "None", "<NA>", "NaT", "null", "NULL")

_KINDS = {
    "T": "text",
    **dict.fromkeys("biuf", "numbers"),  # True is 1
    "M": "dates",
    "m": "durations",
    "S": "bytes",
}


def check_ids(ids, name):
    """Raise an error or warn if the distinct ids (n,) of a column are not what they seem.

    Ids that are text are ascending.
    """
    gaps = []
    if ids.dtype.kind == "f":
        _check_floats(ids, name)
    elif ids.dtype.kind == "T":
        places = ((gap, bisect.bisect_left(ids, gap)) for gap in _GAPS)
        gaps = [gap for gap, place in places if place < len(ids) and ids[place] == gap]
    elif ids.dtype == object:
        kinds = set(map(type, ids))
        _check_tensors(kinds, name)
        if str in kinds:
            texts = {value for value in ids if isinstance(value, str)}
            gaps = [gap for gap in _GAPS if gap in texts]
            if len(kinds) > 1:
                _check_mixed(ids, texts, name)
    if gaps:
        warn_caller(
            f"Column {name!r} holds {' and '.join(map(repr, gaps))} as an id, perhaps a missing "
            "one that became text. If so, leave such rows out, or they count as one id.",
        )


def warn_of_other_type(ids, known, name):
    """Warn if ids are of a kind of which none can be equal to those that `fit` saw."""
    text = _other_type(ids, known)
    if text:
        warn_caller(f"Column {name!r} {text}")


def reject_other_type(ids, known, argument, what):
    """Raise an error in that case: a list of names to be left out would leave out none."""
    text = _other_type(ids, known)
    if text:
        raise ValueError(f"{argument}: of {what}, it {text}")


def _other_type(ids, known):
    if not len(ids) or ids.dtype == known.dtype and ids.dtype != object:
        return None
    kind, known_kind = _kind(ids), _kind(known)
    if None in (kind, known_kind) or kind == known_kind:
        return None
    return (
        f"holds {kind}, but the ids of fit are {known_kind}, so none of them is known. Convert one "
        "to the type of the other, for example by astype."
    )


def _kind(ids):
    """What some ids are, in a word; None for a mixture, of which some may be equal to others."""
    if ids.dtype != object:
        return _KINDS.get(ids.dtype.kind)
    types = set(map(type, ids))
    if all(issubclass(kind, numbers.Number) for kind in types):
        return "numbers"
    if len(types) > 1:
        return None
    name = types.pop().__name__
    return "text" if name == "str" else name


def _check_floats(ids, name):
    """Raise an error if whole numbers are so large that neighbours cannot be told apart."""
    largest = np.abs(ids).max(initial=0)
    if largest >= 2.0 ** (np.finfo(ids.dtype).nmant + 1) and largest == np.round(largest):
        raise ValueError(
            f"Column {name!r} holds ids such as {largest:.0f} as {ids.dtype}, which cannot tell "
            "such numbers from their neighbours. Read the column as integers or text: "
            'pandas.read_csv(path, dtype="Int64") or dtype=str, for example; a column of integers '
            "with gaps becomes floats."
        )


def _check_tensors(kinds, name):
    """Raise an error for ids such as torch's, of which no two are equal."""
    for kind in kinds:
        if hasattr(kind, "__array__") and not issubclass(kind, np.generic):
            raise TypeError(
                f"Column {name!r} holds ids of type {kind.__name__}. Convert them to plain "
                "numbers, for example by tolist()."
            )


def _check_mixed(ids, texts, name):
    """Warn if an id stands there both as a number and as one of the `texts`, as 5 and "5"."""
    both = [value for value in ids if isinstance(value, numbers.Real) and _as_text(value) in texts]
    if both:
        warn_caller(
            f"Column {name!r} holds {len(both)} ids both as numbers and as text, such as "
            f"{both[0]!r} and {_as_text(both[0])!r}, which count as two. If they are one, convert "
            "the column to text, or read it so: pandas.read_csv(path, dtype=str).",
        )


def _as_text(number):
    """A number as a file has it: 5 for 5.0, which a gap makes of 5."""
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)
