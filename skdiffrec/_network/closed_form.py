"""A closed-form item-item model on a device; it is solved elsewhere and never trained."""

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

_PRODUCT_ENTRIES = 2**20  # of a sparse product, expanded at once: 8 MB


class ClosedForm(nn.Module):
    """Scores D·c of weighted histories c.

    Parameters
    ----------
    D : ndarray or csr_array of float32, shape (n_items, n_columns)
        Row i holds what item i of a history adds to the scores.
    mean_history : ndarray of shape (n_items,)
        What is read where a history is unknown.
    """

    weights: torch.Tensor  # float32 (n_items, n_columns), or (nnz,) of a sparse D
    items: torch.Tensor  # int32 (nnz,): columns of the entries of a sparse D
    offsets: torch.Tensor  # int64 (n_items + 1,)
    unknown: torch.Tensor  # float32 (n_columns,): scores without a history

    def __init__(self, D, mean_history):
        super().__init__()
        self.sparse, self.n_columns = sp.issparse(D), D.shape[1]
        self._made = {}  # D on the CPU and parts of it: made once, since making costs more than use
        parts = {"weights": D}
        if self.sparse:
            parts = {"weights": D.data, "items": D.indices, "offsets": D.indptr}
        for name, value in parts.items():
            dtype = {"weights": torch.float32, "items": torch.int32, "offsets": torch.int64}[name]
            self.register_buffer(name, torch.as_tensor(value).to(dtype))
        mean_scores = mean_history.astype(np.float32) @ D  # in float64, D would be copied
        self.register_buffer("unknown", torch.as_tensor(mean_scores, dtype=torch.float32))

    @classmethod
    def blank(cls, n_items, n_entries=None):
        """One whose numbers are yet to be loaded; `n_entries` are those of a sparse D."""
        form = cls(np.zeros((0, n_items)), np.zeros(0))
        form.sparse = n_entries is not None
        if form.sparse:
            form.weights = torch.empty(n_entries)
            form.register_buffer("items", torch.empty(n_entries, dtype=torch.int32))
            form.register_buffer("offsets", torch.empty(n_items + 1, dtype=torch.int64))
        else:
            form.weights = torch.empty(n_items, n_items)
        return form

    @property
    def csr(self):
        """D as a csr_array, where it is sparse; on the CPU it shares its memory."""
        if "csr" not in self._made:
            weights, items, offsets = (
                part.cpu().numpy() for part in (self.weights, self.items, self.offsets)
            )
            offsets = offsets.astype(np.int32)  # as `items`; mixed types would be copied
            shape = len(offsets) - 1, self.n_columns
            self._made["csr"] = sp.csr_array((weights, items, offsets), shape=shape)
        return self._made["csr"]

    def entries(self, rows, columns=slice(None)):
        """Rows of D, or their values in some columns, as an ndarray of float32."""
        if self.sparse:
            return self.csr[rows][:, columns].toarray()
        return self.weights[rows][:, columns].cpu().numpy()

    def columns(self, start, stop):
        """The model of columns start to stop − 1."""
        if (start, stop) == (0, self.n_columns):
            return self
        if (start, stop) not in self._made:
            D = self.csr if self.sparse else self.weights.cpu().numpy()
            part = D[:, start:stop]
            none = np.zeros(part.shape[0], np.float32)
            self._made[start, stop] = ClosedForm(part, none).to(self.weights.device)
        return self._made[start, stop]

    def _apply(self, *args, **kwargs):
        self._made = {}
        return super()._apply(*args, **kwargs)

    def forward(self, rows):
        """D·c of weighted `SparseRows`, float32 (n_rows, n_columns)."""
        if not self.sparse:
            return rows.multiply(self.weights)
        out = torch.empty(len(rows.offsets) - 1, self.n_columns, device=self.weights.device)
        self.write(rows, out)
        return out

    def write(self, rows, out):
        """Write `forward` to `out`, float32 (n_rows, n_columns)."""
        if not self.sparse:
            out.copy_(self(rows))
        elif self.weights.device.type == "cpu":
            _sparse_product(rows, self.csr, out)
        else:
            self._scatter(rows, out)

    def _scatter(self, rows, out):
        start, length = self.offsets[rows.items], self.offsets.diff()[rows.items]
        entry = torch.repeat_interleave(length)
        first = torch.cumsum(length, 0) - length
        place = torch.arange(len(entry), device=entry.device) + (start - first)[entry]
        cell = rows.rows[entry] * self.n_columns + self.items[place]
        scores = torch.zeros(out.numel(), device=entry.device)
        scores.index_add_(0, cell, self.weights[place] * rows.weights[entry])
        out.copy_(scores.view(out.shape))


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
        merged = sp.csr_array((some.data, some.indices, indptr), shape=(last - first, D.shape[1]))
        if out.is_contiguous():
            merged.toarray(out=out[first:last].numpy())
        else:
            out[first:last] = torch.from_numpy(merged.toarray())
        first = last
