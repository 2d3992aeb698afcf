"""Assembly of a denoiser for given rows: its space, its closed forms, its first weights."""

import numpy as np
import torch

from .._closed_form.solver import truncated_svd
from .._closed_form.transitions import scale_rows
from .._utils.rows import sampled_rows
from .denoiser import Denoiser
from .spaces import ItemSpace, LatentSpace

_SVD_ENTRIES = 5_000_000  # interactions from which singular vectors are taken, at the most


def build_denoiser(
    X,
    row_weight,
    *,
    loss,
    latent_dim,
    path,
    hidden_dims,
    time_dim,
    n_timesteps,
    dropout,
    seed,
    half_life=None,
):
    """A denoiser for the rows of X, its weights not yet drawn.

    Parameters
    ----------
    X : csr_array of float32 ones, shape (n_rows, n_items)
    row_weight : ndarray of float64, shape (n_rows,)
        How many users a row stands for.
    path : ItemPath or None
    loss, latent_dim, hidden_dims, time_dim, n_timesteps, dropout, half_life
        As in `CFGDiffusionRecommender`.
    seed : int
        Of the randomised SVD.

    Returns
    -------
    denoiser : Denoiser
    """
    n_items = X.shape[1]
    space = ItemSpace(n_items)
    if latent_dim is not None:
        rows = sampled_rows(X, _SVD_ENTRIES, seed)
        some, weight = X[rows], row_weight[rows]
        weighted = scale_rows(some, np.sqrt(weight))  # its Gram matrix counts a row w times
        V = truncated_svd(weighted, min(latent_dim, *some.shape), seed)[1]
        space = latent_space(some, V, weight)
    with torch.random.fork_rng(devices=[]):  # torch's layers draw weights, which ours replace
        return Denoiser(
            n_items,
            space,
            hidden_dims,
            time_dim=time_dim,
            n_timesteps=n_timesteps,
            dropout=dropout,
            ranking_head=loss == "multinomial",
            half_life=half_life,
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
