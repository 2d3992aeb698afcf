"""Assembly of a denoiser for given rows: its space, its closed forms, its first weights."""

import numpy as np
import scipy.sparse as sp
import torch

from ._denoiser import Denoiser
from ._item_path import ease_matrix, truncated_svd, wiener_factors
from ._rows import entry_rows
from ._spaces import ItemPath, ItemSpace, LatentSpace

# The exact item path takes n_items² numbers and n_items³ operations: 0.1 GB and a few seconds here.
_EASE_MAX_ITEMS = 5_000
_LOW_RANK = 256


def path_kind(item_path, loss, n_items):
    """Which closed form to solve: "ease", "low_rank" or None."""
    if loss != "multinomial":
        return None
    if item_path == "auto":
        return "ease" if n_items <= _EASE_MAX_ITEMS else "low_rank"
    return item_path


def build_denoiser(
    X,
    row_weight,
    *,
    loss,
    latent_dim,
    item_path,
    item_path_reg,
    hidden_dims,
    time_dim,
    dropout,
    seed,
):
    """A denoiser for the rows of X, its weights not yet drawn.

    Parameters
    ----------
    X : csr_array of float32 ones, shape (n_rows, n_items)
    row_weight : ndarray of float64, shape (n_rows,)
        How many users a row stands for.
    loss, latent_dim, item_path, item_path_reg, hidden_dims, time_dim, dropout
        As in `CFGDiffusionRecommender`.
    seed : int
        Of the randomised SVD.

    Returns
    -------
    denoiser : Denoiser
    """
    n_items = X.shape[1]
    kind = path_kind(item_path, loss, n_items)
    weighted = sp.csr_array(X)  # diag(√w)·X, whose Gram matrix counts a row w times
    weighted.data = X.data * np.sqrt(row_weight)[entry_rows(X)].astype(np.float32)
    rank = max(latent_dim or 1, _LOW_RANK if kind == "low_rank" else 1)
    if latent_dim is not None or kind == "low_rank":
        singular_values, V = truncated_svd(weighted, min(rank, *X.shape), seed)
    path = None
    if kind == "ease":
        path = ItemPath(ease_matrix(weighted, item_path_reg))
    elif kind == "low_rank":
        path = ItemPath(*wiener_factors(V, singular_values, item_path_reg))
    if latent_dim is None:
        space = ItemSpace(n_items)
    else:
        space = latent_space(X, V[:, :latent_dim], row_weight)
    with torch.random.fork_rng(devices=[]):  # torch's layers draw weights, which ours replace
        return Denoiser(
            n_items,
            space,
            hidden_dims,
            time_dim=time_dim,
            dropout=dropout,
            ranking_head=loss == "multinomial",
            item_path=path,
        )


def latent_space(X, V, row_weight):
    """The span of V, with coordinates scaled to mean 0 and variance 1 over the rows of X."""
    lengths = np.sqrt(np.maximum(np.diff(X.indptr), 1))[:, None]
    coordinates = (X @ V) / lengths
    # a direction in which all rows agree (one row, say) has no spread to divide by
    mean = np.average(coordinates, axis=0, weights=row_weight)
    variance = np.average((coordinates - mean) ** 2, axis=0, weights=row_weight)
    return LatentSpace(V, mean, np.maximum(np.sqrt(variance), 1e-3))
