"""Split a table of events in time, before it is encoded."""

from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from .._utils.rows import entry_rows
from .._utils.validation import warn_without_order
from ._holdouts import LastFraction, LastN, LeaveOneOut, TimeCut
from ._latest_items import check_ties

_IN_TIME = (TimeCut, LastN, LastFraction, LeaveOneOut)


def split_table(
    events: Any,
    splitter: TimeCut | LastN | LastFraction | LeaveOneOut,
    encoder: Any,
    *,
    repeats: bool = False,
) -> tuple[sp.csr_array, sp.csr_array]:
    """Split a table of events in time, and encode the earlier and the later events apart.

    The history, the encoder's users, items and minimum counts come from the earlier events alone,
    whatever `duplicates` the encoder has. ``splitter.hide(encoder.fit_transform(events))`` splits a
    matrix, which has one time for each user and item, and catalogue and minimum counts of all
    events.

    Parameters
    ----------
    events : table
        One row per event, in any form that `encoder` reads.
    splitter : TimeCut, LastN, LastFraction or LeaveOneOut
        Which events are later. ``by="order"`` goes by the order of the rows of the table, whoever
        the user is; else `encoder` needs a `timestamp`, though the values of its matrix may be
        others. A holdout of random items is refused.
    encoder : InteractionEncoder
        Fitted to the earlier events, also if it was fitted before. With ``returns="net"`` the
        earlier and the later events are settled apart: what is returned after the split is in the
        history. Returns are nothing that a splitter counts.
    repeats : bool, default=False
        Whether the holdout has items that are in the user's history too. By default it has items
        that are new to the user, and `splitter` counts the first event of every user and item:
        ``LastN(2)`` holds out two new items. With True it counts all events (several of a user and
        item at one time are one): ``LastN(2)`` holds out the items of the last two events. A
        `TimeCut` at a `time` has the same history either way.

    Returns
    -------
    history : csr_array of shape (n_users, n_items)
        Events before the split, as ``encoder.fit_transform`` encodes them. Row r is the user
        ``encoder.users_[r]``. With `TimeCut` the split is the cut, for all users. Else it is the
        first held-out event of the user; a user without any keeps all events.
    holdout : csr_array of shape (n_users, n_items)
        Later events of the same users and items, with the values that the encoder gives them.
        Users and items that are not in the history, or have fewer events there than the minimum
        counts, are left out: no model that is fitted to it has a row or column for them.

    Raises
    ------
    TypeError
        If `splitter` is none of the four, or `encoder` no InteractionEncoder.
    ValueError
        If `splitter` holds out random items or needs times that `encoder` has no column for,
        nothing is left before the split, or the table or a parameter is invalid. `encoder` then
        stays as it was.

    See Also
    --------
    TimeCut.hide : Splits a matrix.

    Notes
    -----
    Metrics take a holdout with repeated items, but `score` and `RankingScorer` refuse it, since
    their lists are of unseen items. Make lists of all items: ``recommend(filter_seen=False)``.

    Examples
    --------
    >>> from skdiffrec.model_selection import TimeCut, split_table
    >>> from skdiffrec.preprocessing import InteractionEncoder
    >>> events = [("ann", "tea", 1), ("bob", "jam", 2), ("ann", "tea", 8), ("ann", "jam", 9)]
    >>> encoder = InteractionEncoder(timestamp="when")
    >>> history, holdout = split_table(events, TimeCut(5), encoder)
    >>> encoder.items_.tolist(), history.toarray().tolist(), holdout.toarray().tolist()
    (['jam', 'tea'], [[0.0, 1.0], [2.0, 0.0]], [[9.0, 0.0], [0.0, 0.0]])
    >>> split_table(events, TimeCut(5), encoder, repeats=True)[1].toarray().tolist()
    [[9.0, 8.0], [0.0, 0.0]]
    """
    _check_splitter(splitter)
    if not hasattr(encoder, "_encode_parts") or isinstance(encoder, type):
        raise TypeError(
            f"encoder must be an InteractionEncoder, got {encoder!r}. Give "
            'InteractionEncoder(timestamp="when"), for example.'
        )
    if not isinstance(repeats, (bool, np.bool_)):
        raise TypeError(f"repeats must be True or False, got {repeats!r}.")
    check_ties(splitter)
    by_order = getattr(splitter, "by", None) == "order"
    if encoder.timestamp is None and not by_order:
        raise ValueError(
            f"{splitter!r} splits events by time, but encoder names no column of times. Give "
            'InteractionEncoder(timestamp="when"), with values="binary" or "weight" if the matrix '
            'shall hold no times; or split by the order of the rows: LastN(1, by="order").'
        )
    if by_order:  # the encoder gives places as times
        splitter = clone(splitter).set_params(by="value")
    divide = partial(_divide, splitter, repeats)
    history, holdout = encoder._encode_parts(events, divide, by_order)
    if not repeats:
        holdout = holdout.multiply(holdout.astype(bool) > history.astype(bool)).tocsr()
    return history, holdout


def _check_splitter(splitter):
    name = type(splitter).__name__
    if isinstance(splitter, LeaveOneOut) and splitter.by == "random":
        name = 'LeaveOneOut(by="random")'
    elif isinstance(splitter, _IN_TIME):
        return
    elif not hasattr(splitter, "random_state") or isinstance(splitter, type):
        raise TypeError(
            "splitter must be TimeCut, LastN, LastFraction or LeaveOneOut, such as "
            f"TimeCut(fraction=0.2), got {splitter!r}."
        )
    why = "which does not split in time: it holds out items or users at random"
    if getattr(splitter, "by", "random") != "random":
        why = "which keeps a number of each user's items and is for matrices alone"
    raise ValueError(
        f"splitter is {name}, {why}. "
        "Give TimeCut, LastN, LastFraction or LeaveOneOut(by='value'), or split the matrix that "
        "encoder.fit_transform(events) returns."
    )


def _divide(splitter, repeats, rows, columns, times, taken):
    """Masks (n_events,) of the earlier and the later events.

    What the splitter counts is called a unit: the first event of every user and item or, with
    `repeats`, every event, where several of a user and an item at one time are one. Events that are
    not `taken`, returns, are no units.
    """
    units = _units(rows[taken], columns[taken], times[taken], repeats)
    if isinstance(splitter, TimeCut):
        splitter._validate_params()
        splitter._check_one_cut()
        warn_without_order(times, "TimeCut", "Give times.")
        counted = times
        if splitter.time is None:
            counted = units[1].data
        earlier = times < splitter._cut(counted)
    else:
        unit_of = np.full(len(rows), -1)
        unit_of[taken] = units[0]
        earlier = _before_held_out(splitter, rows, times, unit_of, *units[1:])
    if not earlier.any():
        span = f", which are from {times.min():.15g} to {times.max():.15g}," if len(times) else ""
        raise ValueError(
            f"splitter={splitter!r} keeps none of {len(times)} events{span} in the history. Give a "
            "later time (dates are seconds since 1970), hold out less, or give more events."
        )
    return earlier, ~earlier


def _before_held_out(splitter, rows, times, unit_of, X, unit_of_entry):
    """Mask (n_events,) of what is before the user's first unit that is held out."""
    held_out = splitter.hide(X)[1]
    entries = np.searchsorted(_cells(X), _cells(held_out))
    first = np.full(int(rows.max(initial=0)) + 1, np.inf)
    np.minimum.at(first, entry_rows(X)[entries], X.data[entries])
    kept = np.ones(X.nnz, bool)
    kept[unit_of_entry[entries]] = False
    tied = (times == first[rows]) & (unit_of >= 0)
    tied[tied] = kept[unit_of[tied]]
    return (times < first[rows]) | tied


def _units(rows, columns, times, repeats):
    """(unit of each event or −1, CSR of the times of the units, unit of each of its entries)."""
    n_items = int(columns.max(initial=-1)) + 1
    pair = rows.astype(np.int64) * n_items + columns
    order = np.lexsort((times, pair))
    new_pair = np.diff(pair[order], prepend=-1) != 0
    is_unit = new_pair | (np.diff(times[order], prepend=0) != 0) if repeats else new_pair
    number = np.cumsum(is_unit) - 1
    unit_of = np.empty(len(order), np.int64)
    if repeats:
        unit_of[order] = number
    else:  # an event at the time of the first one is the same unit
        first = times[order][is_unit][number]
        unit_of[order] = np.where(times[order] == first, number, -1)
    first_events = order[is_unit]
    row, column = rows[first_events].astype(np.int64), columns[first_events].astype(np.int64)
    n_columns = n_items
    if repeats:  # every further unit of a pair in a column of its own, by item and number
        starts = np.flatnonzero(new_pair[is_unit])
        place = np.arange(len(row)) - np.repeat(starts, np.diff(starts, append=len(row)))
        codes, again = np.unique((place * n_items + column)[place > 0], return_inverse=True)
        column[place > 0] = n_items + again
        n_columns += len(codes)
    entry = np.lexsort((column, row)) if repeats else np.arange(len(row))
    n_rows = int(rows.max(initial=-1)) + 1
    indptr = np.searchsorted(row[entry], np.arange(n_rows + 1))
    parts = times[first_events][entry], column[entry], indptr
    return unit_of, sp.csr_array(parts, shape=(n_rows, n_columns)), entry


def _cells(X):
    """One integer per entry of a canonical CSR, ascending."""
    return entry_rows(X) * X.shape[1] + X.indices
