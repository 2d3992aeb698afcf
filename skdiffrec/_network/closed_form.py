"""A closed-form item-item model on a device; it is solved elsewhere and never trained."""

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from .._utils.recency import RECENCY_FLOOR
from .sparse_rows import SparseRows


class ClosedForm(nn.Module):
    """Scores D·c of weighted histories c, and what is of low rank beside D.

    Parameters
    ----------
    D : ndarray or csr_array of float32, shape (n_items, n_items)
        Row i holds what item i of a history adds to the scores.
    mean_history : ndarray of shape (n_items,)
        What is read where a history is unknown.
    half_life : float or None
        With which aged histories are read.
    floor : float
        Of their weights.
    settings : ClosedFormSettings or None
        By which D can be solved again of other rows.
    low_rank : LowRank or None
        Adds ``write·(readᵀ·c)``.
    """

    weights: torch.Tensor  # float32 (n_items, n_items), or (nnz,) of a sparse D
    items: torch.Tensor  # int32 (nnz,): columns of the entries of a sparse D
    offsets: torch.Tensor  # int64 (n_items + 1,)
    unknown: torch.Tensor  # float32 (n_items,): scores without a history
    read: torch.Tensor | None  # float32 (n_items, n_factors)
    write: torch.Tensor | None  # float32 (n_items, n_factors)

    def __init__(
        self, D, mean_history, half_life=None, floor=RECENCY_FLOOR, settings=None, low_rank=None
    ):
        super().__init__()
        self.half_life, self.floor, self.settings = half_life, floor, settings
        self.sparse = sp.issparse(D)
        mean_history = mean_history.astype(np.float32)  # in float64, D would be copied
        mean_scores = mean_history @ D
        if low_rank is not None:
            mean_scores = mean_scores + low_rank.scores(mean_history)
        for name in ("read", "write"):
            part = None if low_rank is None else torch.as_tensor(getattr(low_rank, name))
            self.register_buffer(name, part)
        self.register_buffer("unknown", torch.as_tensor(mean_scores, dtype=torch.float32))
        parts = {"weights": D}
        if self.sparse:
            parts = {"weights": D.data, "items": D.indices, "offsets": D.indptr}
        for name, value in parts.items():
            dtype = {"weights": torch.float32, "items": torch.int32, "offsets": torch.int64}[name]
            self.register_buffer(name, torch.as_tensor(value).to(dtype))

    @classmethod
    def blank(cls, n_items, n_entries, n_factors, *reads):
        """One whose numbers are yet to be loaded; `n_entries` (or None) are those of a sparse D."""
        form = cls(np.zeros((0, n_items)), np.zeros(0), *reads)
        if n_factors:
            form.read, form.write = (torch.empty(n_items, n_factors) for _ in range(2))
        form.sparse = n_entries is not None
        if form.sparse:
            form.weights = torch.empty(n_entries, dtype=torch.float32)
            form.register_buffer("items", torch.empty(n_entries, dtype=torch.int32))
            form.register_buffer("offsets", torch.empty(n_items + 1, dtype=torch.int64))
        else:
            form.weights = torch.empty(n_items, n_items, dtype=torch.float32)
        return form

    @property
    def n_factors(self):
        """How many numbers of low rank it reads; 0 is none."""
        return 0 if self.read is None else self.read.shape[1]

    @property
    def factors(self):
        """(read, write), or None."""
        return None if self.read is None or self.write is None else (self.read, self.write)

    @property
    def csr(self):
        """D as a csr_array, where it is sparse; on the CPU it shares its memory."""
        weights, items, offsets = (
            part.cpu().numpy() for part in (self.weights, self.items, self.offsets)
        )
        offsets = offsets.astype(np.int32)  # as `items`; mixed types would be copied
        n_items = len(offsets) - 1
        return sp.csr_array((weights, items, offsets), shape=(n_items, n_items))

    def with_items(self, before, items):
        """The same form, but with what another of its kind knows of some items, bool (n_items,)."""
        if not items.any() or before is None or before.sparse != self.sparse:
            return self
        unknown, chosen = self.unknown, torch.as_tensor(items, device=self.unknown.device)
        if self.sparse:
            old = before.csr.tocoo()
            theirs = items[old.row] | items[old.col]
            added = sp.csr_array((old.data[theirs], (old.row[theirs], old.col[theirs])), old.shape)
            own = sp.diags_array((~items).astype(np.float32))
            D: Any = sp.csr_array(own @ self.csr @ own + added)
            D.sort_indices()
        else:
            D = self.weights.clone()
            D[chosen], D[:, chosen] = before.weights[chosen], before.weights[:, chosen]
            D = D.cpu().numpy()
        new = ClosedForm(D, np.zeros(len(items)), self.half_life, self.floor, self.settings)
        new.read, new.write = self._factors_with_items(before, chosen)
        new.unknown = torch.where(chosen, before.unknown, unknown)
        return new.to(unknown.device)

    def _factors_with_items(self, before, chosen):
        """(read, write), with another's vectors of the chosen items, turned to these directions."""
        if self.factors is None or before.factors is None or chosen.all():
            return self.read, self.write
        turned = []
        for new, old in zip(self.factors, before.factors, strict=True):
            turn = torch.linalg.lstsq(old[~chosen], new[~chosen]).solution
            turned.append(torch.where(chosen[:, None], old @ turn, new))
        return turned

    def entries(self, rows, columns=slice(None)):
        """What items of a history add to scores, an ndarray of float32 (n_rows, n_columns)."""
        if self.sparse:
            entries = self.csr[rows][:, columns].toarray()
        else:
            entries = self.weights[rows][:, columns].cpu().numpy()
        if self.factors is not None:
            read, write = self.factors
            entries = entries + (read[rows] @ write[columns].T).cpu().numpy()
        return entries

    def columns(self, start, stop):
        """Columns of D as `SparseRows.product` takes them."""
        if not self.sparse:
            return self.weights[:, start:stop].contiguous()
        part, device = self.csr, self.weights.device
        if (start, stop) != (0, part.shape[1]):
            part = part[:, start:stop]
        return part if device.type == "cpu" else SparseRows.from_csr(part, device)

    def forward(self, rows):
        """Scores of weighted `SparseRows`, float32 (n_rows, n_items)."""
        n_items = len(self.unknown)
        out = self.weights.new_empty(len(rows.offsets) - 1, n_items)
        out = rows.product(self.columns(0, n_items), out)
        if self.factors is not None:
            read, write = self.factors
            out.addmm_(rows.multiply(read), write.T)
        return out
