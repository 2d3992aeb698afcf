"""The linear maps between item space and the space in which noise is added and removed."""

import torch
from torch import nn


class ItemSpace(nn.Module):
    """Diffusion of the row itself: x_0 has one number per item."""

    def __init__(self, n_items):
        super().__init__()
        self.dim = n_items

    def encode(self, rows):
        """`SparseRows` as x_0 (n_rows, n_items)."""
        return rows.dense(self.dim)

    def decode(self, x_0):
        """x_0 as item scores."""
        return x_0

    def lift(self, x):
        """Differences of two x (n_rows, dim) as differences of item scores."""
        return x

    def project(self, y):
        """The inverse of `lift`."""
        return y


class LatentSpace(nn.Module):
    """Diffusion of a linear image of the row: x_0 = diag(1/s)·(Vᵀ·x/‖x‖ − mean).

    V holds leading right singular vectors of the training rows, mean and s the mean and standard
    deviation of their coordinates, so that x_0 has mean 0 and variance 1. Noise N(0, I) here is the
    image of noise in the span of V.

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

    def encode(self, rows):
        """`SparseRows` as x_0 (n_rows, dim)."""
        return (rows.normalized(1.0).multiply(self.V) - self.mean) / self.deviation

    def decode(self, x_0):
        """x_0 as item scores (n_rows, n_items)."""
        return (x_0 * self.deviation + self.mean) @ self.V.T

    def lift(self, x):
        """Differences of two x (n_rows, dim) as differences of item scores."""
        return (x * self.deviation) @ self.V.T

    def project(self, y):
        """The inverse of `lift`, on its image."""
        return (y @ self.V) / self.deviation
