"""What the network reads: rows of users, and on a device items with weights or with ages."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn import functional as F

from .._utils.canonical import RATING
from .._utils.condition_names import DISLIKED, USER_FEATURES, WANTED, condition_names
from .._utils.recency import RECENCY_FLOOR
from .._utils.row_view import RowView, picked_rows
from .._utils.rows import ROW_MULTIPLE, rounded_share, unit_free

_PRODUCT_ENTRIES = 2**18  # of a sparse product, expanded at once: 2 MB


@dataclass(frozen=True, eq=False)
class UserRows:
    """What is known of the same users, row by row; cut as one. Names are those of conditions.

    Parameters
    ----------
    history : csr_array or RowView of shape (n_rows, n_items)
        Canonical.
    user_features : csr_array of float32, shape (n_rows, n_user_features), default=None
        A row without an entry is a user of whom nothing is known; None is nothing of anybody.
    disliked : csr_array of shape (n_rows, n_items), default=None
        Where values are ratings: items that are not in the histories, which hold liked ones.
    wanted : csr_array of float32, shape (n_rows, n_item_features), default=None
        Weights of features that items should have.
    """

    history: csr_array | RowView
    user_features: csr_array | None = None
    disliked: csr_array | None = None
    wanted: csr_array | None = None

    @classmethod
    def of(cls, rows: "UserRows | csr_array") -> "UserRows":
        """The rows themselves; of histories alone, with nothing beside them."""
        return rows if isinstance(rows, cls) else cls(rows)

    def __getitem__(self, rows: Any) -> "UserRows":
        parts = self.history, self.user_features, self.disliked, self.wanted
        return UserRows(*(None if part is None else part[rows] for part in parts))

    def pick(self, rows: Any) -> "UserRows":
        """The same as ``[rows]``, but histories are a `RowView` where they are many."""
        besides = self.user_features, self.disliked, self.wanted
        besides = (None if part is None else part[rows] for part in besides)
        return UserRows(picked_rows(self.history, rows), *besides)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those that a model of such rows has, in the order of the chain."""
        return condition_names(
            *(n for n in (USER_FEATURES, DISLIKED, WANTED) if getattr(self, n) is not None)
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Of the histories."""
        return self.history.shape

    @property
    def seen(self) -> csr_array:
        """Items that the users know, liked or not."""
        return self.history if self.disliked is None else self.history + self.disliked

    def with_history(self, history: csr_array) -> "UserRows":
        """The same users with other histories."""
        return replace(self, history=history)

    def without(self, condition: str) -> "UserRows":
        """The same users, if a condition were unknown."""
        entries = getattr(self, condition)
        if entries is None:
            return self
        return replace(self, **{condition: csr_array(entries.shape, dtype=entries.dtype)})

    def known(self, condition: str) -> np.ndarray:
        """Of which rows a condition is known, bool (n_rows,)."""
        entries = getattr(self, condition)
        if entries is None:
            return np.zeros(self.shape[0], bool)
        return np.diff(entries.indptr) > 0


def to_device(array, device):
    """An ndarray as a tensor on a device; copies to a GPU do not block."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class SparseRows(NamedTuple):
    """Weighted rows: row i holds ``items[offsets[i]:offsets[i+1]]`` with their weights."""

    items: torch.Tensor  # int64 (nnz,)
    weights: torch.Tensor  # float32 (nnz,)
    offsets: torch.Tensor  # int64 (n_rows + 1,)

    @classmethod
    def from_csr(cls, X, device, n_rows=None):
        """A canonical CSR on a device, filled up to `n_rows` by empty rows."""
        offsets = X.indptr.astype(np.int64)
        if n_rows is not None and n_rows > X.shape[0]:
            offsets = np.append(offsets, np.full(n_rows - X.shape[0], offsets[-1]))
        return cls(
            to_device(X.indices.astype(np.int64), device),
            to_device(X.data.astype(np.float32), device),
            to_device(offsets, device),
        )

    @property
    def rows(self):
        """The row of every entry, int64 (nnz,)."""
        return torch.repeat_interleave(self.offsets.diff())

    @property
    def lengths(self):
        """Entries of every row, int64 (n_rows,)."""
        return self.offsets.diff()

    @property
    def filled(self):
        """Whether a row has an entry, bool (n_rows,)."""
        return self.lengths > 0

    def weighted(self, half_life: float | None, floor: float = RECENCY_FLOOR) -> "SparseRows":
        """The rows themselves: they have no ages (see `AgedRows.weighted`)."""
        return self

    def scaled(self, factor):
        """The same rows times `factor` (n_rows,)."""
        return self._replace(weights=self.weights * factor[self.rows])

    def kept(self, mask):
        """The same rows with the entries where `mask` (nnz,) is true."""
        counts = torch.bincount(self.rows[mask], minlength=len(self.offsets) - 1)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return SparseRows(self.items[mask], self.weights[mask], offsets)

    def joined(self, other):
        """Each row with the entries of another's row behind its own."""
        order = torch.cat([self.rows, other.rows]).argsort(stable=True)
        items = torch.cat([self.items, other.items])[order]
        weights = torch.cat([self.weights, other.weights])[order]
        return SparseRows(items, weights, self.offsets + other.offsets)

    def normalized(self, norm):
        """The same rows with Euclidean length `norm`; empty rows stay empty."""
        lengths = self.offsets.diff()
        rows = torch.repeat_interleave(lengths)
        squares = self.weights.new_zeros(len(lengths)).index_add_(0, rows, self.weights**2)
        return self._replace(weights=self.weights * (norm * squares.rsqrt())[rows])

    def multiply(self, matrix):
        """The rows times a dense (n_items, d) matrix: float32 (n_rows, d).

        The gradient of the matrix is sparse where that is less.
        """
        return F.embedding_bag(
            self.items,
            matrix,
            self.offsets,
            mode="sum",
            per_sample_weights=self.weights,
            include_last_offset=True,
            sparse=matrix.requires_grad and len(self.items) < len(matrix),
        )

    def product(self, matrix, out):
        """The rows times a matrix, written to `out`, float32 (n_rows, n_columns).

        The matrix is a tensor or sparse: a csr_array on the CPU, elsewhere `SparseRows`.
        """
        if isinstance(matrix, torch.Tensor):
            out.copy_(self.multiply(matrix))
        elif isinstance(matrix, SparseRows):
            self._scatter(matrix, out)
        else:
            _sparse_product(self, matrix, out)
        return out

    def _scatter(self, matrix, out):
        length = matrix.offsets.diff()[self.items]
        entry = torch.repeat_interleave(length)
        first = torch.cumsum(length, 0) - length
        place = torch.arange(len(entry), device=entry.device)
        place += (matrix.offsets[self.items] - first)[entry]
        cell = self.rows[entry] * out.shape[1] + matrix.items[place]
        scores = self.weights.new_zeros(out.numel())
        scores.index_add_(0, cell, matrix.weights[place] * self.weights[entry])
        out.copy_(scores.view(out.shape))

    def dense(self, n_items):
        """The rows as float32 (n_rows, n_items)."""
        dense = self.weights.new_zeros(len(self.offsets) - 1, n_items)
        return dense.index_put((self.rows, self.items), self.weights)

    def taken(self, rows):
        """The rows of an int64 tensor (n,), in its order."""
        start, length = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        offsets = torch.cat([length.new_zeros(1), length.cumsum(0)])
        entry = torch.arange(int(offsets[-1]), device=rows.device)
        entry += torch.repeat_interleave(start - offsets[:-1], length)
        return SparseRows(self.items[entry], self.weights[entry], offsets)

    def of_rows(self, rows):
        """Some consecutive rows."""
        offsets = self.offsets[rows.start : rows.stop + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        return SparseRows(self.items[first:last], self.weights[first:last], offsets - first)

    def renumbered(self, numbers):
        """``numbers[item]`` (n_items,) in place of items, without entries where that is below 0."""
        items = numbers[self.items]
        return self._replace(items=items).kept(items >= 0)


def _sparse_product(rows, D, out):
    """Write `SparseRows` times a sparse matrix to `out`, float32 (n_rows, D.shape[1]) on the CPU.

    A row of the result is a sum of weighted rows of D: these are laid end to end as one CSR row,
    whose duplicate entries are summed where it is made dense.
    """
    n_rows = len(rows.offsets) - 1
    items, weights, offsets = (part.numpy() for part in rows)
    lengths = D.indptr[items + 1] - D.indptr[items]
    entries = np.concatenate([[0], lengths.cumsum(dtype=np.int64)])[offsets]
    first = 0
    while first < n_rows:
        last = int(np.searchsorted(entries, entries[first] + _PRODUCT_ENTRIES, side="right")) - 1
        last = min(max(last, first + 1), n_rows)
        own = slice(offsets[first], offsets[last])
        some = D[items[own]]
        some.data *= np.repeat(weights[own], np.diff(some.indptr))
        indptr = some.indptr[offsets[first : last + 1] - offsets[first]]
        merged = csr_array((some.data, some.indices, indptr), shape=(last - first, D.shape[1]))
        if out.is_contiguous():
            merged.toarray(out=out[first:last].numpy())
        else:
            out[first:last] = torch.from_numpy(merged.toarray())
        first = last


class AgedRows(NamedTuple):
    """Rows of items with ages: 1 is the latest item of a row, 2 the one before it."""

    items: torch.Tensor  # int64 (nnz,)
    ages: torch.Tensor  # float32 (nnz,)
    offsets: torch.Tensor  # int64 (n_rows + 1,)

    @classmethod
    def from_csr(cls, X, device, n_rows=None):
        """As `SparseRows.from_csr`, of ages."""
        return cls(*SparseRows.from_csr(X, device, n_rows))

    @property
    def lengths(self):
        """Entries of every row, int64 (n_rows,)."""
        return self.offsets.diff()

    @property
    def filled(self):
        """Whether a row has an entry, bool (n_rows,)."""
        return self.lengths > 0

    def weighted(self, half_life: float | None, floor: float = RECENCY_FLOOR) -> SparseRows:
        """The rows with recency weights, not below `floor`; ones where `half_life` is None."""
        if half_life is None:
            weights = torch.ones_like(self.ages)
        else:
            weights = recency_of_ages(self.ages, half_life, floor)
        return SparseRows(self.items, weights, self.offsets)

    def sums(self, weights, table):
        """The items' rows of `table` (n_items, d), summed by each of `weights`: (n, n_sums, d)."""
        rows = (SparseRows(self.items, own, self.offsets).multiply(table) for own in weights)
        return torch.stack(list(rows), 1)


def recency_of_ages(ages, half_life, floor=RECENCY_FLOOR):
    """Recency weights of ages from 1 up, a float tensor of any shape."""
    return (0.5 ** ((ages - 1) / half_life)).clamp(min=floor)


class HistoryReader:
    """Reads canonical histories whose values mean `values`.

    Parameters
    ----------
    values : {"binary", "weight", "time"}
    half_life : float or None
        With times and a half-life a history holds ages: 1 for the latest item, 2 for the one before
        it. Else it holds weights: the share of the row's largest for "weight", ones for the rest.
    """

    def __init__(self, values, half_life):
        self.values, self.half_life = values, half_life if values == "time" else None
        self.aged = self.half_life is not None
        self._rows = AgedRows if self.aged else SparseRows

    def read(self, X):
        """Ages or weights of canonical histories, csr_array of float32 (n_rows, n_items)."""
        if not (self.aged or self.values in ("weight", RATING)):
            return csr_array((np.ones(X.nnz, np.float32), X.indices, X.indptr), shape=X.shape)
        read = unit_free(X, self.values)
        if self.aged:
            length = np.diff(X.indptr)
            read.data = np.repeat(length, length) - read.data
        read.data = read.data.astype(np.float32)
        return read

    def rows(self, history, device):
        """What `read` gave as rows on a device, filled up so that products round alike.

        Products of few rows round otherwise than those of many: their number is a multiple of
        `ROW_MULTIPLE`.
        """
        n_rows = -(-history.shape[0] // ROW_MULTIPLE) * ROW_MULTIPLE
        return self._rows.from_csr(history, device, n_rows)

    def read_padded(self, values, known):
        """Ages or weights of histories that are filled up to one length, for a serving graph.

        Parameters
        ----------
        values : float64 tensor of shape (n_rows, length) or None
            None where the values of X are ignored.
        known : bool tensor of shape (n_rows, length)
            False where a row is filled up.
        """
        if self.values == "weight":
            largest = (values * known).amax(1, keepdim=True)
            return rounded_share(
                values / largest.where(largest > 0, torch.ones_like(largest))
            ).float()
        if self.aged:
            values = values * known
            return 1 + (values[:, None, :] > values[:, :, None]).float().sum(2)
        return known.float()
