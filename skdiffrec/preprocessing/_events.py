"""The steps from a table of events to a matrix, by the parameters of an encoder."""

import numpy as np

from .._utils.canonical import RATING
from .._utils.warning import warn_caller
from ._bad_rows import bad_rows_error
from ._id_checks import check_ids, warn_of_other_type
from ._ids import factorize, missing_ids, positions
from ._interactions import to_csr
from ._lists import table_form
from ._lookup import kept_positions, own_users, reject_unknown
from ._returns import net_events
from ._tables import as_column, read_columns, without_view
from ._values import (
    ROLES,
    BadRows,
    as_times,
    as_weights,
    merging,
    places_in_row,
    warn_of_other_times,
    warn_of_unused_weights,
)


def read_events(encoder, X, values, fit=False, settle=True):
    """(row, column and value or None of each event, users, items, form of the table).

    Events of a weight that does not count are left out before anything else; `fit` takes note of
    their users and items, if they are not missing. Without `settle`, returns are events too.
    """
    names = {role: getattr(encoder, role) for role in ROLES}
    names = {role: name for role, name in names.items() if name is not None}
    table, library = read_columns(X, names)
    form = table_form(table, library) if fit else None
    if not fit and settle and "timestamp" in table and values == "time":
        warn_of_other_times(encoder, table)
    try:
        return *_events(encoder, table, names, values, fit, settle), form
    except BadRows as error:
        raise bad_rows_error(encoder, X, table, names, values, library) or error from None


def _events(encoder, table, names, values, fit, settle):
    """(row, column and value or None of each event, users, items)."""
    net, weight, time, counted, order = encoder.returns == "net", None, None, None, None
    if "weight" in table:
        least = None if net else encoder.min_weight
        weight, counted = as_weights(table["weight"], names["weight"], least, negative=net)
    weighted = values in ("weight", RATING)
    by_time = weighted and merging(encoder, values) in ("first", "last")
    if "timestamp" in table and (values == "time" or by_time):
        time = as_times(table["timestamp"], names["timestamp"], counted)
    if by_time and time is not None:
        order, time = np.argsort(time, kind="stable"), None
    if fit:
        warn_of_unused_weights(encoder, weight, counted)
    if not (net or weighted):
        weight = None
    if counted is not None and not counted.all():
        read = counted
        if fit:
            read = counted | ~(missing_ids(table["user"]) | missing_ids(table["item"]))
        places = np.flatnonzero(read)
        order = np.flatnonzero(counted) if order is None else order[counted[order]]
        order = (np.cumsum(read) - 1)[order]  # among the rows that are read
        weight, time = _taken(places, weight, time)
        table = {role: without_view(table[role])[places] for role in ("user", "item")}
    rows, users = factorize(table["user"], names["user"])
    columns, items = factorize(table["item"], names["item"])
    for role, ids in (("user", users), ("item", items)):
        check_ids(ids, names[role])
    if order is not None:
        rows, columns, weight, time = _taken(order, rows, columns, weight, time)
    if encoder.order:
        time = places_in_row(rows)
    if net and settle:
        least = encoder.min_weight
        left, weight = net_events(rows, columns, weight, time, len(items), least)
        rows, columns, time = _taken(left, rows, columns, time)
    if net and settle and not fit:
        (rows, users), (columns, items) = _used(rows, users), _used(columns, items)
    numbers = time if values == "time" else weight if weighted else None
    return rows, columns, numbers, users, items


def known_users_with_returns(encoder, X):
    """Users of `fit` who have weights below 0 in a table."""
    names = {role: getattr(encoder, role) for role in ("user", "item", "weight")}
    table, _ = read_columns(X, names)
    returned = as_weights(table["weight"], names["weight"], negative=True)[0] < 0
    users = without_view(table["user"])[np.flatnonzero(returned)]
    users = factorize(users, names["user"])[1]
    return users[kept_positions(encoder, "_users", users) >= 0]


def _taken(places, *arrays):
    """Some entries of every array that is not None."""
    return [None if array is None else array[places] for array in arrays]


def _used(codes, ids):
    """(codes, ids) without the ids that no code stands for."""
    used = np.bincount(codes, minlength=len(ids)) > 0
    return (np.cumsum(used) - 1)[codes], ids[used]


def events_matrix(encoder, rows, columns, numbers, shape, values):
    """The matrix of events, which merges duplicates."""
    return to_csr(rows, columns, numbers, shape, merging(encoder, values))


def row_users(encoder, found, users):
    """(row of each user found in a table, −1 for none; users of the rows)."""
    if isinstance(users, (str, bytes)) or not (users is None or hasattr(users, "__iter__")):
        users = [users]  # one id
    users = own_users(encoder, users)
    if users is None:
        users, row_of = found, np.arange(len(found))
    else:
        numbers, distinct = factorize(as_column(users), "users")
        if len(distinct) < len(numbers):
            raise ValueError("users holds an id more than once; give every row another user.")
        users, row = distinct[numbers], np.append(np.argsort(numbers), -1)
        row_of = row[positions(distinct, found)]
    warn_of_other_type(users, encoder._users, encoder.user)
    if encoder.unknown_users == "keep":
        return row_of, users
    known = kept_positions(encoder, "_users", users) >= 0
    if encoder.unknown_users == "error":
        reject_unknown("users", users[~known], "keep")
    number = np.append(np.where(known, np.cumsum(known) - 1, -1), -1)
    return number[row_of], users[known]


def without_small_users(encoder, rows, columns, found, warn):
    """(rows, users) after users that `fit` left out, and that have too few items here too.

    A user that `fit` left out has fewer than `min_user_interactions` of the kept items in its
    table, for else it would be in the core. So the table of `fit` has the rows of `fit`.
    `rows` and `columns` are those of the events, −1 for an item that is not kept.
    """
    left_out = np.flatnonzero(kept_positions(encoder, "_left_out_users", found) >= 0)
    if not len(left_out):
        return rows, found
    number = np.full(len(found), -1)
    number[left_out] = np.arange(len(left_out))
    events = (number[rows] >= 0) & (columns >= 0)
    pairs = np.unique(number[rows[events]] * encoder.n_items_ + columns[events])
    n_items = np.bincount(pairs // encoder.n_items_, minlength=len(left_out))
    kept = np.ones(len(found), bool)
    kept[left_out[n_items < encoder.min_user_interactions]] = False
    if warn and not kept.all():
        small, least = found[~kept], encoder.min_user_interactions
        warn_caller(
            f"{len(small)} users of X get no list, such as "
            f"{', '.join(map(repr, small[:3].tolist()))}: fit left them out, and X has fewer than "
            f"min_user_interactions={least} of its items of theirs. Name them in users, which "
            "lists for them, too.",
        )
    return np.where(kept, np.cumsum(kept) - 1, -1)[rows], found[kept]
