"""Tables of features, brought into the order of a matrix's rows or columns."""

import narwhals as nw
import numpy as np

from .._utils.warning import warn_caller
from ._tables import read_columns

_ROW = "row of the matrix"


def aligned(table, column, index, n):
    """The rows of a data frame in the order of users or items, without the column of their ids.

    Parameters
    ----------
    table : DataFrame of pandas or polars, or pyarrow Table
    column : str
        Of the ids.
    index : callable
        ``index(ids)`` gives their numbers, ndarray of int64, -1 for those that are none.
    n : int
        Of the users or items.

    Returns
    -------
    aligned : table of the same library, of n rows
        Empty (missing) where no row is theirs.
    """
    frame = nw.from_native(table, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        raise TypeError(
            f"table must be a DataFrame of pandas or polars or a pyarrow Table, with the ids in "
            f"the column {column!r}, got {type(table).__name__}."
        )
    columns, _ = read_columns(table, {"id": column})
    ids = columns["id"]
    number = np.asarray(index(ids))
    known = np.flatnonzero(number >= 0)
    if not len(known) and len(number):
        warn_caller(
            f"No row of the table is of a user or item of fit: its column {column!r} holds such as "
            f"{ids.to_numpy()[0]!r}. Give ids of the same type as in the table of fit.",
        )
    _, first, count = np.unique(number[known], return_index=True, return_counts=True)
    if (count > 1).any():
        twice = known[first[np.argmax(count > 1)]]
        raise ValueError(
            f"The column {column!r} holds {ids[int(twice)]!r} more than once: a user or item has "
            "one row of features. Aggregate them first, such as by groupby(...).first()."
        )
    backend = nw.get_native_namespace(frame)
    rest = frame.drop(column)[known.tolist()]
    rows = nw.from_dict({_ROW: np.arange(n).tolist()}, backend=backend)
    of_rest = nw.new_series(_ROW, number[known].tolist(), nw.Int64, backend=backend)
    if rest.implementation.is_pandas():  # the series takes the rows in order, whatever their labels
        rest = nw.from_native(rest.to_native().reset_index(drop=True))
    found = rows.join(rest.with_columns(of_rest), on=_ROW, how="left").sort(_ROW)
    return found.drop(_ROW).to_native()
