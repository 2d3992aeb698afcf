"""What users want of items' features, added to scores of all items."""

import numpy as np
import scipy.sparse as sp
import torch

from .._network.sparse_rows import SparseRows

_SHARE = 0.5  # of the spread of scores over items, what a wanted feature adds at scale 1


class WantedItems:
    """``scale·w·F`` of wanted features w (n, n_features) and the items' features F.

    Parameters
    ----------
    features : csr_array of float32, shape (n_items, n_features)
    spread : float
        Of a user's scores over items, the standard deviation.
    starts : list of tuple of int
        (start, stop) of the tiles of the catalogue.
    device : torch.device
    """

    def __init__(self, features, spread, starts, device):
        by_feature = sp.csr_array(features.T)
        length = np.repeat(np.arange(by_feature.shape[0]), np.diff(by_feature.indptr))
        squares = np.bincount(length, by_feature.data.astype(np.float64) ** 2, by_feature.shape[0])
        counts = np.maximum(np.diff(by_feature.indptr), 1)
        size = np.sqrt(squares / counts)  # 1 for zeros and ones
        size = np.where(size > 0, size, 1.0)[length]
        by_feature.data = (by_feature.data / size).astype(np.float32)
        self.n_features, self.unit = by_feature.shape[0], _SHARE * spread
        self.by_feature = by_feature
        self.pieces = {}
        for start, stop in starts:
            piece = by_feature[:, start:stop]
            on_cpu = torch.device(device).type == "cpu"
            self.pieces[start] = piece if on_cpu else SparseRows.from_csr(piece, device)

    def added_to(self, write, wanted, scale):
        """``write(start, stop, out)`` with what is wanted at guidance scales (n,)."""
        rows = wanted.scaled(self.unit * scale)

        def both(start, stop, out):
            write(start, stop, out)
            out += rows.product(self.pieces[start], torch.empty_like(out))

        return both
