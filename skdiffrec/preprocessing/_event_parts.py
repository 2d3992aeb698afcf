"""Encode the earlier and the later events of one table apart, for `split_table`."""

import copy
from collections.abc import Mapping

import narwhals as nw
import numpy as np

from ._events import events_matrix, read_events
from ._tables import read_columns, whole_table, without_view
from ._values import ROLES, as_weights, resolved_values


def encode_parts(encoder, X, divide, by_order):
    """(history, holdout) of a table, as matrices; fits the encoder to the earlier events.

    Parameters
    ----------
    encoder : InteractionEncoder
    X : table
    divide : callable
        ``divide(rows, columns, times, taken) -> (earlier, later)``: masks of events. It gets the
        user, the item (both numbered in ascending order of ids) and the time of each event that
        counts, and which of them are no returns.
    by_order : bool
        Whether the times are the numbers of the events in the table.
    """
    encoder._validate_params()
    values = resolved_values(encoder)
    names = {role: getattr(encoder, role) for role in ROLES}
    names = {role: name for role, name in names.items() if name is not None}
    X = _collected(X, names)
    rows, columns, times, places, taken = _timed_events(
        encoder, X, names, values if by_order else "time"
    )
    if encoder.duplicates == "error":  # also for a pair of an earlier and a later event
        shape = int(rows.max(initial=0)) + 1, int(columns.max(initial=0)) + 1
        events_matrix(encoder, rows, columns, None, shape, values)
    earlier, later = divide(rows, columns, places + 1.0 if by_order else times, taken)
    history = encoder.fit_transform(_select(X, names, places[earlier]))
    lenient = copy.copy(encoder).set_params(unknown_users="keep", unknown_items="ignore")
    holdout = lenient.transform(_select(X, names, places[later]), users=encoder._users)
    return history, holdout


def _timed_events(encoder, X, names, values):
    """(row, column, value, place in the table of each event that counts; which are no returns)."""
    # a sum needs no order of time, so that events stay in the order of the table
    reader = copy.copy(encoder).set_params(duplicates="sum")
    rows, columns, numbers, *_ = read_events(reader, X, values, settle=False)
    places, taken = np.arange(len(rows)), np.ones(len(rows), bool)
    if "weight" in names:
        net = encoder.returns == "net"  # each part is then settled on its own
        least = None if net else encoder.min_weight
        column = read_columns(X, names)[0]["weight"]
        weight, counted = as_weights(column, names["weight"], least, negative=net)
        places = np.flatnonzero(counted)
        taken = weight[places] > 0
    assert len(places) == len(rows)
    return rows, columns, numbers, places, taken


def _collected(X, names):
    """The table as one that rows can be taken of; of a lazy frame the columns that are named."""
    frame = nw.from_native(whole_table(X), pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        if set(names.values()) <= set(frame.collect_schema().names()):
            frame = frame.select(*dict.fromkeys(names.values()))
        frame = frame.collect()
    if isinstance(frame, nw.DataFrame):
        if frame.implementation.is_pyarrow():
            frame = frame.with_columns(*map(without_view, frame.iter_columns()))
        return frame.to_native()
    if hasattr(X, "__array__") and not np.ma.isMaskedArray(X):  # a tensor, for example
        return np.asarray(X)
    return X


def _select(X, names, places):
    """Rows of a table, as a table of the same kind."""
    frame = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        return frame[places].to_native()
    if isinstance(X, Mapping):
        columns, _ = read_columns(X, names)
        return {names[role]: _entries(column, places) for role, column in columns.items()}
    if isinstance(X, np.ndarray):
        return X[places]
    rows = X if isinstance(X, (list, tuple)) else list(X)
    return [rows[place] for place in places.tolist()]


def _entries(column, places):
    column = column[places]
    return column.to_native() if isinstance(column, nw.Series) else column
