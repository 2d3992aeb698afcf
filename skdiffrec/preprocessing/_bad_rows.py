"""Name all rows of a table that cannot be read, and what to do about them."""

import narwhals as nw
import numpy as np

from .._utils.canonical import RATING
from ._ids import missing_ids
from ._tables import column_keys
from ._values import as_numbers, merging

_SHOWN = 5
_ADVICE = {
    "infinite": "Leave rows with an infinite weight or time out.",
    "below 0": 'Of weights below 0, returns="net" sets off returns against purchases, and '
    "min_weight=0 leaves them out.",
    "of 0 or less": "A time must be > 0, and dates become seconds since 1970: add a constant to "
    "all times, for only their order matters.",
}
_NEGATIVE_RATING = (
    "A rating must be > 0: add a constant to all of them, or leave those below 0 out by "
    "min_weight=0."
)


def bad_rows_error(encoder, X, columns, names, values, backend):
    """The ValueError that names every bad row of a table; None if there is none.

    Parameters
    ----------
    encoder : InteractionEncoder
    X : table
    columns : dict of {str: narwhals Series or ndarray}
        By role.
    names : dict of {str: str or int}
        Of the columns, by role.
    values : {"binary", "weight", "time", "rating"}
        Of the matrix.
    backend : str or None
        The library of `X`.
    """
    faults = _faults(encoder, columns, names, values)
    if not faults:
        return None
    labels = getattr(nw.to_native(X, pass_through=True), "index", None)
    labels = None if backend != "pandas" else labels
    bad = np.unique(np.concatenate([rows for *_, rows, _ in faults]))
    where = "from 0" if labels is None else "by the index of X"
    keys = column_keys(X, names)
    names = {role: key if isinstance(key, str) else names[role] for role, key in keys.items()}
    lines = [f"{len(bad)} of the {len(columns['user'])} rows of X cannot be read. Rows, {where}:"]
    for role, noun, what, rows, value in faults:
        value = "" if value is None else f" ({value:g})"
        lines.append(
            f"  column {names[role]!r}: {len(rows)} {noun}{'s' * (len(rows) > 1)} {what}{value}, "
            f"in {_listed(rows, labels)}"
        )
    incomplete = dict.fromkeys(role for role, _, what, *_ in faults if what == "missing")
    if incomplete:
        keys = {role: keys[role] for role in incomplete}
        lines.append(
            "Leave rows with something missing out, by "
            f"{_without_missing(keys, columns, backend)}, or fill it in."
        )
    texts = {what for _, _, what, *_ in faults}
    advice = _ADVICE | ({"below 0": _NEGATIVE_RATING} if values == RATING else {})
    lines += [line for what, line in advice.items() if what in texts]
    return ValueError("\n".join(lines))


def _faults(encoder, columns, names, values):
    """(role, its noun, what is wrong, rows, first value or None) of all faults, by columns."""
    counted = np.ones(len(columns["user"]), bool)
    found: dict[str, list[tuple]] = {role: [] for role in names}
    if "weight" in columns:
        weight = as_numbers(columns["weight"], names["weight"], dates=False)
        if encoder.min_weight is not None and encoder.returns == "error":
            counted = weight >= encoder.min_weight
        counted &= weight != 0
        low = weight < 0 if encoder.returns == "error" else None
        found["weight"] = _number_faults("weight", weight, counted, "below 0", low)
    for role in ("user", "item"):
        found[role] = [("id", "missing", counted & missing_ids(columns[role]), None)]
    weighted = values in ("weight", RATING)
    in_order = weighted and merging(encoder, values) in ("first", "last")
    if "timestamp" in columns and (values == "time" or in_order):
        time = as_numbers(columns["timestamp"], names["timestamp"], dates=True)
        found["timestamp"] = _number_faults("time", time, counted, "of 0 or less", time <= 0)
    return [
        (role, noun, what, np.flatnonzero(bad), None if numbers is None else numbers[bad][0])
        for role, faults in found.items()
        for noun, what, bad, numbers in faults
        if bad.any()
    ]


def _number_faults(noun, numbers, counted, too_low, low):
    """Faults of a column of numbers; `low` says which are too low, if that is one."""
    infinite = np.isinf(numbers)
    faults = [("missing", np.isnan(numbers), None), ("infinite", infinite, None)]
    if low is not None:
        faults.append((too_low, low & ~infinite, numbers))
    return [(noun, what, counted & bad, values) for what, bad, values in faults]


def _listed(rows, labels):
    """The first few rows, by their labels if there are any."""
    shown = rows[:_SHOWN].tolist() if labels is None else labels[rows[:_SHOWN]].tolist()
    more = ", ..." if len(rows) > _SHOWN else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(map(repr, shown))}{more}"


def _without_missing(keys, columns, backend):
    """How the library of a table leaves out rows where a column is missing; `keys` by role."""
    quoted = ", ".join(map(repr, keys.values()))
    if backend == "pandas":
        return f"X.dropna(subset=[{quoted}])"
    if backend == "polars":  # where NaN is not null
        floats = [key for role, key in keys.items() if columns[role].dtype.is_float()]
        filled = f"with_columns(pl.col({', '.join(map(repr, floats))}).fill_nan(None))."
        return f"X.{filled if floats else ''}drop_nulls([{quoted}])"
    if backend == "pyarrow":
        whole = (f"~pc.field({key!r}).is_null(nan_is_null=True)" for key in keys.values())
        return f"X.filter({' & '.join(whole)}), with pyarrow.compute as pc"
    return f"pandas.DataFrame(X).dropna(subset=[{quoted}])"
