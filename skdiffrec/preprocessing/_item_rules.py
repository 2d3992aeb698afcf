"""Which items may be in whose lists, from lists and tables of names."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ._id_checks import reject_other_type
from ._ids import factorize, positions
from ._lookup import kept_positions
from ._tables import as_column, id_list, read_columns


class ItemRules(NamedTuple):
    """Which items may be in the lists of n users.

    Attributes
    ----------
    everybody : dict of {str: ndarray of int64}
        Arguments `items` and `filter_items` of `recommend` that are those of all users.
    own : dict of {str: csr_array of shape (n_distinct, n_items)}
        Those with one row for each distinct user.
    row : ndarray of int64, shape (n,), or None
        Row of each user in `own`; None means its place.
    """

    everybody: Any
    own: Any
    row: Any = None

    def of(self, batch):
        """The arguments of `recommend` for a slice of the users."""
        rows = batch if self.row is None else self.row[batch]
        return self.everybody | {name: matrix[rows] for name, matrix in self.own.items()}


def item_rules(encoder, users, items, filter_items, blocked, allowed, unknown_names):
    """The `ItemRules` that arguments of `recommend_batches` ask for, checked.

    Parameters
    ----------
    users : ndarray of ids, shape (n,)
        Whose lists are made; they may repeat.
    """
    if unknown_names not in ("error", "ignore"):
        raise ValueError(f'unknown_names must be "error" or "ignore", got {unknown_names!r}.')
    everybody = {
        name: _columns(encoder, name, names, unknown_names)
        for name, names in (("items", items), ("filter_items", filter_items))
        if names is not None
    }
    if blocked is None and allowed is None:
        return ItemRules(everybody, {})
    distinct, row = users, None
    if users is not encoder._users:
        row, distinct = factorize(as_column(users), "users")
    own = {
        name: _own_items(encoder, argument, table, distinct, unknown_names)
        for name, argument, table in (
            ("items", "allowed", allowed),
            ("filter_items", "blocked", blocked),
        )
        if table is not None
    }
    if everybody:  # `recommend` takes one of each: put all into `items`
        open_to_all = np.ones(encoder.n_items_, bool)
        if "items" in everybody:
            open_to_all[:] = False
            open_to_all[everybody["items"]] = True
        open_to_all[everybody.get("filter_items", [])] = False
        if "items" in own:
            kept = own["items"].multiply(open_to_all[None].astype(np.float32))
            own["items"], everybody = sp.csr_array(kept), {}
            own["items"].eliminate_zeros()
        else:
            everybody = {"items": np.flatnonzero(open_to_all)}
    return ItemRules(everybody, own, row)


def _columns(encoder, name, names, unknown_names):
    """Columns of items that are given by name, without those that have none."""
    if sp.issparse(names) or _has_rows(encoder, names):
        other = "allowed" if name == "items" else "blocked"
        raise TypeError(
            f"{name} must be a list of items by name, for everybody, got {type(names).__name__} "
            f"of shape {np.shape(names)}. For each user's own give a table of users and items: "
            f"{other}=table."
        )
    distinct = factorize(as_column(id_list(names, name)[0]), name)[1]
    columns = _column_of(encoder, name, distinct, unknown_names)
    return columns[columns >= 0]


def _has_rows(encoder, names):
    """Whether these are rows of a table rather than ids, which may be tuples."""
    if not isinstance(names, (list, tuple)):
        return getattr(names, "ndim", 1) > 1 or hasattr(names, "columns")
    if not any(isinstance(name, (list, tuple)) for name in names):
        return False
    known = encoder._items
    return known.dtype != object or not any(isinstance(item, tuple) for item in known)


def _own_items(encoder, argument, table, users, unknown_names):
    """A table of users and items as csr_array of ones (len(users), n_items); `users` ascend."""
    names = {"user": encoder.user, "item": encoder.item}
    try:
        columns, _ = read_columns(table, names)
        row, found_users = factorize(columns["user"], names["user"])
        column, found_items = factorize(columns["item"], names["item"])
    except (TypeError, ValueError) as error:
        raise type(error)(f"{argument}= cannot be read as a table of events X: {error}") from None
    reject_other_type(found_users, encoder._users, argument, "users")
    row_of = _positions(encoder, users, found_users)
    if unknown_names == "error":
        absent = found_users[row_of < 0]
        absent = absent[kept_positions(encoder, "_users", absent) < 0]
        absent = absent[kept_positions(encoder, "_left_out_users", absent) < 0]
        _reject(argument, "users", absent)
    column_of = _column_of(encoder, argument, found_items, unknown_names)
    row, column = row_of[row], column_of[column]
    kept = (row >= 0) & (column >= 0)
    ones = np.ones(kept.sum(), np.float32)
    shape = (len(users), encoder.n_items_)
    matrix = sp.csr_array((ones, (row[kept], column[kept])), shape=shape)
    matrix.data[:] = 1  # repeated rows were added up
    return matrix


def _positions(encoder, users, wanted):
    if users is encoder._users:
        return kept_positions(encoder, "_users", wanted)
    return positions(users, wanted)


def _column_of(encoder, argument, items, unknown_names):
    """Column of each of some distinct items, −1 for those that have none."""
    reject_other_type(items, encoder._items, argument, "items")
    columns = kept_positions(encoder, "_items", items)
    if unknown_names == "error":
        absent = items[columns < 0]
        _reject(argument, "items", absent[kept_positions(encoder, "_left_out", absent) < 0])
    return columns


def _reject(argument, what, unknown):
    if len(unknown):
        shown = ", ".join(map(repr, unknown[:3].tolist()))
        raise ValueError(
            f"{argument} holds {len(unknown)} {what} that encoder does not know, such as {shown}. "
            f"Correct them, or leave them out by unknown_names='ignore'."
        )
