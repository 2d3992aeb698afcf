"""Rows on a device, and the linear maps between item space and the spaces a denoiser works in."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn import functional as F


def to_device(array, device):
    """An ndarray as a tensor on a device; to a GPU while the program goes on."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Bags(NamedTuple):
    """Sparse rows on a device: row i holds items[offsets[i]:offsets[i+1]] with their weights.

    Histories of items with times have ages (1 is the latest) in place of weights until `aged`.
    """

    items: torch.Tensor  # int64 (nnz,)
    weights: torch.Tensor  # float32 (nnz,)
    offsets: torch.Tensor  # int64 (n_rows + 1,)

    def aged(self, half_life, floor):
        """Ages turned into recency weights; the same rows where `half_life` is None."""
        if half_life is None:
            return self
        weights = (0.5 ** ((self.weights - 1) / half_life)).clamp(min=floor)
        return self._replace(weights=weights)

    def scaled(self, factor):
        """The same rows times `factor` (n_rows,)."""
        return self._replace(weights=self.weights * factor[self.rows])

    def normalized(self, norm):
        """The same rows at Euclidean length `norm`; empty rows stay empty."""
        lengths = self.offsets.diff()
        rows = torch.repeat_interleave(lengths)
        squares = torch.zeros(len(lengths), device=rows.device).index_add_(0, rows, self.weights**2)
        return self._replace(weights=self.weights * (norm * squares.rsqrt())[rows])

    @classmethod
    def from_csr(cls, X, device):
        """A canonical CSR on a device."""
        return cls(
            to_device(X.indices.astype(np.int64), device),
            to_device(X.data.astype(np.float32), device),
            to_device(X.indptr.astype(np.int64), device),
        )

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

    def dense(self, n_items):
        """The rows as float32 (n_rows, n_items)."""
        dense = torch.zeros(len(self.offsets) - 1, n_items, device=self.weights.device)
        return dense.index_put((self.rows, self.items), self.weights)

    def of_rows(self, rows):
        """Some consecutive rows."""
        offsets = self.offsets[rows.start : rows.stop + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        return Bags(self.items[first:last], self.weights[first:last], offsets - first)

    def placed(self, place):
        """``place[item]`` (n_items,) instead of items, without entries where that is below 0."""
        placed = place[self.items]
        kept = placed >= 0
        counts = torch.bincount(self.rows[kept], minlength=len(self.offsets) - 1)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return Bags(placed[kept], self.weights[kept], offsets)

    @property
    def rows(self):
        """The row of every entry, int64 (nnz,)."""
        return torch.repeat_interleave(self.offsets.diff())


class ItemSpace(nn.Module):
    """Diffusion of the row itself: x_0 has one number per item."""

    def __init__(self, n_items):
        super().__init__()
        self.dim = n_items

    def encode(self, bags):
        """Rows as x_0 (n_rows, n_items)."""
        return bags.dense(self.dim)

    def decode(self, x_0):
        """x_0 as item scores."""
        return x_0

    def lift(self, x):
        """Differences of two x (n_rows, dim) as such of item scores, without x_0's mean."""
        return x

    def project(self, y):
        """The inverse of `lift`."""
        return y


class LatentSpace(nn.Module):
    """Diffusion of a linear image of the row: x_0 = diag(1/s)·(Vᵀ·x/‖x‖ − mean).

    V holds leading right singular vectors of the training rows, mean and s the mean and deviation
    of their coordinates, so that x_0 has mean 0 and variance 1. Noise N(0, I) here is the image of
    noise in the span of V.

    Parameters
    ----------
    V : ndarray of shape (n_items, dim)
    mean, deviation : ndarray of shape (dim,)
    """

    def __init__(self, V, mean, deviation):
        super().__init__()
        self.dim = V.shape[1]
        for name, value in (("V", V), ("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32))

    def encode(self, bags):
        """Rows as x_0 (n_rows, dim)."""
        return (bags.normalized(1.0).multiply(self.V) - self.mean) / self.deviation

    def decode(self, x_0):
        """x_0 as item scores (n_rows, n_items)."""
        return (x_0 * self.deviation + self.mean) @ self.V.T

    def lift(self, x):
        """Differences of two x (n_rows, dim) as such of item scores, without x_0's mean."""
        return (x * self.deviation) @ self.V.T

    def project(self, y):
        """The inverse of `lift`, on its image."""
        return (y @ self.V) / self.deviation


class ItemPath(nn.Module):
    """A closed-form linear item-item path, never trained.

    Parameters
    ----------
    D : ndarray or csr_array of float32, shape (n_items, n_items)
    mean_history : ndarray of shape (n_items,)
        What is read where a history is unknown.
    """

    def __init__(self, D, mean_history):
        super().__init__()
        self.sparse, self.n_items = sp.issparse(D), D.shape[1]
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
        path = cls(np.zeros((0, n_items)), np.zeros(0))
        path.sparse = n_entries is not None
        if path.sparse:
            path.weights = torch.empty(n_entries)
            path.register_buffer("items", torch.empty(n_entries, dtype=torch.int32))
            path.register_buffer("offsets", torch.empty(n_items + 1, dtype=torch.int64))
        else:
            path.weights = torch.empty(n_items, n_items)
        return path

    @property
    def csr(self):
        """D as a csr_array, where it is sparse; on the CPU it shares its memory."""
        weights, items, offsets = (
            part.cpu().numpy() for part in (self.weights, self.items, self.offsets)
        )
        offsets = offsets.astype(np.int32)  # as `items`; mixed types would be copied
        parts = (weights, items, offsets)
        return sp.csr_array(parts, shape=(len(offsets) - 1, self.n_items))

    def entries(self, rows, columns=slice(None)):
        """Rows of D, or what they hold in some columns, as an ndarray of float32."""
        if self.sparse:
            return self.csr[rows][:, columns].toarray()
        return self.weights[rows][:, columns].cpu().numpy()

    def forward(self, bags):
        """D·c of weighted histories, (n_rows, n_items)."""
        if not self.sparse:
            return bags.multiply(self.weights)
        start, length = self.offsets[bags.items], self.offsets.diff()[bags.items]
        entry = torch.repeat_interleave(length)
        first = torch.cumsum(length, 0) - length
        place = torch.arange(len(entry), device=entry.device) + (start - first)[entry]
        cell = bags.rows[entry] * self.n_items + self.items[place]
        scores = torch.zeros((len(bags.offsets) - 1) * self.n_items, device=entry.device)
        scores.index_add_(0, cell, self.weights[place] * bags.weights[entry])
        return scores.view(-1, self.n_items)
