"""Events of more than memory holds: some users at a time, from Parquet files or a lazy frame."""

import errno
import glob
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import narwhals as nw
import numpy as np

from .._utils.row_blocks import RowBlocks
from ._events import events_matrix, read_events
from ._identity import row_hashes, row_levels, row_masks
from ._ids import factorize, positions
from ._table_rows import find_name

_BACKENDS = ("polars", "duckdb", "pyarrow")  # that read Parquet files, the first that is there


def encoded_blocks(encoder: Any, X: Any, folder: Any, n_events: int, values: str) -> Any:
    """(RowBlocks, fitted attributes of the encoder) of a lazy table.

    Twice the table is gone through, the events of some users at a time: to learn the items, and
    to write the rows. All rules are those of `fit_transform`, which is what reads them.

    Parameters
    ----------
    encoder : InteractionEncoder
    X : path, list of paths, or lazy frame
    folder : path
    n_events : int
        Read at once, about.
    values : str
    """
    parts = _Parts(encoder, X, n_events)
    users, items, form = [], [], None
    for rows, columns, numbers, own_users, own_items, own_form in parts.events(values):
        form = own_form
        shape = len(own_users), len(own_items)
        matrix = events_matrix(encoder, rows, columns, numbers, shape, values)
        has_items = np.diff(matrix.indptr) > 0
        met = np.bincount(matrix.indices, minlength=len(own_items)) > 0
        users.append((own_users[has_items], own_users[~has_items]))
        items.append((own_items[met], own_items[~met]))
    kept_users, left_users = (_distinct(part) for part in zip(*users, strict=True))
    kept_items, left_items = (_distinct(part) for part in zip(*items, strict=True))
    if not len(kept_items):
        raise ValueError("No event counts: nothing is left. Give more events.")
    left_items = left_items[positions(kept_items, left_items) < 0]
    hashes: list[tuple[Any, Any, Any]] = []

    def blocks():
        for rows, columns, numbers, own_users, own_items, _ in parts.events(values):
            column_of = positions(kept_items, own_items)
            counted = column_of[columns] >= 0
            numbers = None if numbers is None else numbers[counted]
            shape = len(own_users), len(kept_items)
            columns = column_of[columns][counted]
            matrix = events_matrix(encoder, rows[counted], columns, numbers, shape, values)
            matrix = matrix[np.diff(matrix.indptr) > 0]
            levels = row_levels(matrix)
            hashes.append((row_hashes(matrix), levels, row_masks(matrix, levels)))
            yield matrix

    written = RowBlocks.write(folder, blocks())
    found = dict(_users=kept_users, _items=kept_items, _left_out=left_items)
    found |= dict(_left_out_users=left_users, _form=form)
    names = "_row_hashes", "_row_levels", "_row_masks"
    found |= {n: np.concatenate(p) for n, p in zip(names, zip(*hashes, strict=True), strict=True)}
    return written, found


def _distinct(parts):
    """Ids of several parts, ascending."""
    ids = np.concatenate(parts)
    return factorize(ids, "ids")[1] if len(ids) else ids


class _Parts:
    """The events of a lazy table, those of some users at a time."""

    def __init__(self, encoder, X, n_events):
        self.encoder, self.frame = encoder, _lazy(X)
        self.column = find_name(encoder.user, self.frame.collect_schema().names())
        self._refuse_missing()
        self.user = _in_order(self.frame, self.column)
        counts = self.frame.select(self.user.alias(self.column)).group_by(self.column)
        counts = counts.agg(nw.len().alias("_n_events")).sort(self.column)
        counts = counts.filter(~nw.col(self.column).is_null()).collect()
        users, sizes = counts[self.column], counts["_n_events"].to_numpy().cumsum()
        if not len(users):
            raise ValueError("X has no events. Give files, or a frame, with one row per event.")
        ends = np.searchsorted(sizes, np.arange(n_events, sizes[-1] + n_events, n_events))
        ends = np.unique(np.minimum(ends, len(users) - 1)).tolist()
        self.ranges = [
            (users[first], users[last])
            for first, last in zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True)
        ]

    @property
    def _weight(self):
        return nw.col(find_name(self.encoder.weight, self.frame.collect_schema().names()))

    def _refuse_missing(self):
        """An event without a user is an error, if it counts."""
        missing, encoder = self.frame.filter(nw.col(self.column).is_null()), self.encoder
        if encoder.min_weight is not None and encoder.returns == "error":
            missing = missing.filter(self._weight >= encoder.min_weight)
        if encoder.weight is not None:
            missing = missing.filter(self._weight != 0)
        if len(missing.head(1).collect()):
            raise ValueError(
                f"Column {self.column!r} has missing ids. Leave such rows out, or fill in an id."
            )

    def events(self, values: str) -> Iterator[Any]:
        """What `read_events` reads of each part."""
        for low, high in self.ranges:
            part = self.frame.filter((self.user >= low) & (self.user <= high)).collect()
            try:
                yield read_events(self.encoder, part.to_native(), values, fit=True)
            except (TypeError, ValueError) as error:
                raise type(error)(f"Events of users {low!r} to {high!r}: {error}") from None


def _in_order(frame, column):
    """A column of ids as an expression that can be compared, as categories of pandas cannot."""
    ids, native = nw.col(column), frame.to_native()
    if frame.collect_schema()[column] != nw.Categorical or not hasattr(native, "dtypes"):
        return ids
    categories = getattr(native.dtypes[column], "categories", None)
    kind = getattr(getattr(categories, "dtype", None), "kind", "O")
    return ids.cast({"i": nw.Int64, "u": nw.UInt64, "f": nw.Float64}.get(kind, nw.String))


def _lazy(X):
    """A lazy frame of narwhals."""
    frame = nw.from_native(X, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        return frame
    if isinstance(frame, nw.DataFrame):
        return frame.lazy()
    paths = [X] if isinstance(X, (str, os.PathLike)) else X
    if not isinstance(paths, (list, tuple)) or not paths:
        raise TypeError(
            "X must be the path of a Parquet file or of a folder of them, a list of paths, or a "
            f"lazy frame, got {type(X).__name__}."
        )
    backend = next((name for name in _BACKENDS if importlib.util.find_spec(name)), None)
    if backend is None:
        raise ImportError(f"To read Parquet files one of {', '.join(_BACKENDS)} is needed.")
    frames = [
        nw.scan_parquet(path, backend=backend)  # type: ignore[arg-type]
        for path in map(_pattern, paths)
    ]
    return frames[0] if len(frames) == 1 else nw.concat(frames)


def _pattern(path):
    """The files of a folder, or the one file."""
    path = os.path.expanduser(os.fspath(path))
    if os.path.isdir(path):
        pattern = os.path.join(path, "*.parquet")
        if not glob.glob(pattern):
            raise FileNotFoundError(
                errno.ENOENT, f"There is no Parquet file in the folder {path!r}."
            )
        return pattern
    if not os.path.exists(path) and "*" not in path:
        raise FileNotFoundError(errno.ENOENT, f"There is no file {path!r}.")
    return path
