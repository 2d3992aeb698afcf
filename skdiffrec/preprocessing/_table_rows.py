"""Read columns of a list of rows (tuples, named tuples, dicts, rows of databases) or an array."""

import numbers
import re
from collections.abc import Mapping, Set

import numpy as np

from ._values import refuse_one_for_two

FORMS = (
    "a pandas, polars or pyarrow table, a dict of columns, a NumPy array of two dimensions or with "
    "named fields, or a list of tuples, of named tuples or of dicts"
)
_SHOWN = 10
_SAMPLE = 1000  # rows read to tell a header
_WORD = re.compile(r"[^\W\d](?:[ .:-]?[^\W\d])*")
_NUMBER = re.compile(r"\s*[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?\s*")
_NO_SEPARATORS = str.maketrans("", "", " _.-")
_USER_NAMES = {f"{name}{end}" for name in ("user", "customer", "client") for end in ("id", "")}
_ITEM_NAMES = {
    *(f"{name}{end}" for name in ("item", "product", "movie", "book") for end in ("id", ""))
}
_EXPLODE = "give [(row[0], item) for row in rows for item in row[1:]]"


def find_name(name, known, levels=()):
    """The name of a column, given by name or position; `levels` are those of an index."""
    if name in known:
        return name
    if isinstance(name, (int, np.integer)) and -len(known) <= name < len(known):
        return known[name]
    if name in levels:
        raise ValueError(f"{name!r} is in the index of X. Make it a column: X.reset_index().")
    shown = ", ".join(map(repr, list(known)[:_SHOWN])) + (", ..." if len(known) > _SHOWN else "")
    raise ValueError(
        f"X has no column {name!r}; it has [{shown}]. Name the columns, for example "
        'InteractionEncoder(user="customer", item="product"). A users x items table, with one '
        "column per item, needs no encoder: give it to the fit of a recommender."
    )


def columns_of_array(X, names):
    """Some columns of a NumPy array: by name if it has named fields, else by position."""
    if X.dtype.names:
        names = {role: find_name(name, X.dtype.names) for role, name in names.items()}
        refuse_one_for_two(names)
        return {role: X[name] for role, name in names.items()}
    if X.ndim != 2:
        raise ValueError(f"X is an array of shape {X.shape}. Give {FORMS}.")
    return _placed(X.T, X.shape[1], names, len(X))


def columns_of_rows(rows, names):
    """Some columns of a sequence of rows: by name if the rows have names, else by position."""
    if not len(rows):
        return {role: np.empty(0, object) for role in names}
    first = next(iter(rows))
    if isinstance(first, Mapping):
        return _columns_of_dicts(rows, names)
    one_of_each_type = [_first_of(kind, rows) for kind in dict.fromkeys(map(type, rows))]
    for row in one_of_each_type:
        _check_row(row)
    fields = first_fields(rows)
    each_has_names = hasattr(first, "keys") or isinstance(first, np.void)
    for row in rows if each_has_names else one_of_each_type:
        if _fields(row) != fields:
            raise TypeError(
                f"The rows of X differ in the names of their entries: {fields} and {_fields(row)}. "
                "Give every row the same."
            )
    if fields:
        names = {role: fields.index(find_name(name, fields)) for role, name in names.items()}
    try:
        columns = list(zip(*rows, strict=True))
    except (TypeError, ValueError):
        raise TypeError(
            f"X is {type(rows).__name__}, whose rows are not all of the same length: one row must "
            f"be one event. For rows of a user and its items, {_EXPLODE}. Give {FORMS}."
        ) from None
    return _placed(columns, len(columns), names, len(rows))


def first_fields(rows):
    """Names of the entries of the first row of a list, or of an array; empty if it has none."""
    if hasattr(rows, "dtype"):
        return list(getattr(rows.dtype, "names", None) or ())
    return _fields(next(iter(rows), ()))


def _fields(row):
    """Names of the entries of a row: a named tuple, a dict, a row of a database or of an array."""
    if isinstance(row, np.void):
        return list(row.dtype.names or ())
    return list(getattr(row, "_fields", None) or getattr(row, "keys", tuple)())


def _first_of(kind, rows):
    return next(row for row in rows if type(row) is kind)


def _check_row(row):
    """Raise TypeError unless a row has entries in an order."""
    ordered = hasattr(row, "__getitem__") and hasattr(row, "__len__")
    if not ordered or isinstance(row, (str, bytes, Set, Mapping)):
        raise TypeError(
            f"A row of X is {type(row).__name__}, {row!r}, which has no columns in an order. "
            f"Give {FORMS}; vars(row) makes a dict of an object with attributes."
        )


def _columns_of_dicts(rows, names):
    """Some columns of a sequence of dicts, such as the rows of csv.DictReader or JSON lines."""
    names = {role: find_name(name, list(next(iter(rows)))) for role, name in names.items()}
    refuse_one_for_two(names)
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


def _placed(columns, width, names, n_rows):
    """The columns of some roles among all columns, which have no names, by position."""
    places = {
        role: int(name) if isinstance(name, (int, np.integer)) else place
        for place, (role, name) in enumerate(names.items())
    }
    wide = max(place + 1 if place >= 0 else -place for place in places.values())
    if width < wide:
        raise ValueError(
            f"X has {width} columns, but {wide} are needed: {', '.join(places)} are read from "
            f"columns {list(places.values())}."
        )
    by_name = [name for name in names.values() if not isinstance(name, (int, np.integer))]
    if len(by_name) == len(names) and width > len(names):
        given = ", ".join(f"{role}={place}" for role, place in places.items())
        raise ValueError(
            f"X has {width} columns without names, but only {len(names)} are set, "
            f"{', '.join(places)}. Name the others too (weight=, timestamp=), or say by position "
            f"which to read: InteractionEncoder({given}). A data frame keeps its names if given "
            "itself, and frame.itertuples(index=False) leaves out its index. For rows of a user "
            f"and its items, {_EXPLODE}. Columns go into a dict. A users x items matrix needs no "
            "encoder: give it to the fit of a recommender."
        )
    refuse_one_for_two({role: place % width for role, place in places.items()})
    found = {role: columns[place] for role, place in places.items()}
    _check_first_row(columns, found, by_name)
    return found


def _is_header(found):
    """Do the first cells of columns name them: are they usual names, or words above numbers?"""
    names = [
        str(column[0]).removeprefix("\ufeff").removesuffix(":token")
        for column in found.values()
        if len(column)
    ]
    usual = [name.casefold().translate(_NO_SEPARATORS) for name in names[:2]]
    if len(usual) == 2 and usual[0] in _USER_NAMES and usual[1] in _ITEM_NAMES:
        return True
    below = [cell for column in found.values() for cell in column[1:_SAMPLE]]
    return bool(below) and all(map(_WORD.fullmatch, names)) and all(map(_is_number, below))


def _is_number(cell):
    if isinstance(cell, str):
        return _NUMBER.fullmatch(cell) is not None
    return isinstance(cell, numbers.Real)


def _check_first_row(columns, found, by_name):
    """Raise an error if the first row is a header, or holds a table or a list."""
    first = [column[0] for column in columns if len(column)]
    configured = by_name and set(by_name) <= {v for v in first if isinstance(v, str)}
    if all(isinstance(v, str) for v in first) and (configured or _is_header(found)):
        raise ValueError(
            f"Row 0 of X, {tuple(map(str, first))}, holds the names of the columns. Leave it out "
            "(rows[1:]), or read rows by name: list(csv.DictReader(file))."
        )
    for role, column in found.items():
        if len(column) and hasattr(column[0], "iloc"):
            raise TypeError(
                f"The {role} of row 0 of X is {type(column[0]).__name__}, as in "
                "list(frame.iterrows()) and groups. Give the frame itself."
            )
