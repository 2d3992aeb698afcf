"""Assembly of a denoiser for given rows: the space it works in, its layers, its head."""

from itertools import pairwise

import numpy as np

from .._utils.recency import history_weights
from .._utils.rows import sampled_rows, scale_rows
from .._utils.singular_vectors import SVD_ENTRIES, right_singular_vectors
from .conditions import Disliked, UserFeatures
from .denoiser import N_TABLES, BagReader, Denoiser
from .heads import EstimateHead, RankingHead
from .order_reader import OrderReader
from .spaces import ItemSpace, LatentSpace

_BYTES_OF_WEIGHT = 20  # itself, its gradient, two moments, the running average
_LEAST_DEVIATION = 0.1  # of coordinates, in their mean


def assembled(
    n_items,
    space,
    hidden_dims,
    *,
    ranking_head,
    item_dim,
    half_life,
    n_timesteps,
    dropout,
    user_features=None,
    disliked=False,
):
    """A denoiser without its weights: with `item_dim`, one that reads histories in order.

    `user_features` is the number of these and the rank of their closed form, or None; `disliked`
    whether there is a condition of this name.
    """
    first, last = hidden_dims[0], hidden_dims[-1]
    reader: BagReader | OrderReader
    if item_dim is None:
        reader = BagReader(n_items, first, half_life)
    else:
        reader = OrderReader(first, item_dim, half_life, dropout)
    head: RankingHead | EstimateHead = EstimateHead(n_items, item_dim)
    if ranking_head:
        head = RankingHead(last, n_items, item_dim)
    if user_features is not None:
        n_features, rank = user_features
        user_features = UserFeatures(n_features, first, rank, n_items)
    return Denoiser(
        n_items,
        reader,
        space,
        hidden_dims,
        n_timesteps=n_timesteps,
        dropout=dropout,
        head=head,
        user_features=user_features,
        disliked=Disliked(n_items, first) if disliked else None,
    )


def bytes_to_train(n_items, hidden_dims, latent_dim, *, aged):
    """Bytes that training a network takes; `aged` is whether histories are of times."""
    first, last = hidden_dims[0], hidden_dims[-1]
    in_space = first + last if latent_dim is None else min(latent_dim, n_items)
    of_item = (N_TABLES if aged else 1) * first + last + in_space
    n_weights = n_items * of_item + sum(a * b for a, b in pairwise(hidden_dims))
    return n_weights * _BYTES_OF_WEIGHT


def build_denoiser(
    X,
    row_weight,
    *,
    ranking_head,
    latent_dim,
    hidden_dims,
    n_timesteps,
    dropout,
    seed,
    half_life=None,
    item_dim=None,
    user_features=None,
    disliked=False,
):
    """A denoiser for the rows of X, its weights not yet drawn.

    Parameters
    ----------
    X : csr_array or RowView of shape (n_rows, n_items)
        Canonical.
    row_weight : ndarray of float64, shape (n_rows,)
        How many users a row stands for.
    ranking_head, latent_dim, hidden_dims, n_timesteps, dropout, half_life
        As in `CFGDiffusionRecommender`.
    seed : int
        Of the randomised SVD.
    item_dim : int or None
        Length of the items' vectors, where histories are read in order.
    user_features : tuple of int or None
        Number of users' features and rank of their closed form.
    disliked : bool
        Whether disliked items are a condition.

    Returns
    -------
    denoiser : Denoiser
    """
    n_items = X.shape[1]
    space = ItemSpace(n_items)
    if latent_dim is not None:
        rows = sampled_rows(X, SVD_ENTRIES, seed)
        some, weight = history_weights(X[rows], "binary", None), row_weight[rows]
        weighted = scale_rows(some, np.sqrt(weight))  # its Gram matrix counts a row w times
        V = right_singular_vectors(weighted, min(latent_dim, *some.shape), seed)
        space = latent_space(some, V, weight)
    return assembled(
        n_items,
        space,
        hidden_dims,
        ranking_head=ranking_head,
        item_dim=item_dim,
        half_life=half_life,
        n_timesteps=n_timesteps,
        dropout=dropout,
        user_features=user_features,
        disliked=disliked,
    )


def latent_space(X, V, row_weight):
    """The span of V, with coordinates scaled to mean 0 and variance 1 over the rows of X."""
    lengths = np.sqrt(np.maximum(np.diff(X.indptr), 1))[:, None]
    coordinates = (X @ V) / lengths
    # a direction in which all rows agree (one row, say) has no spread to divide by; parts of rows,
    # which are what is trained on, differ there
    mean = np.average(coordinates, axis=0, weights=row_weight)
    variance = np.average((coordinates - mean) ** 2, axis=0, weights=row_weight)
    deviation = np.maximum(np.sqrt(variance), _LEAST_DEVIATION * np.abs(mean))
    return LatentSpace(V, mean, np.maximum(deviation, 1e-3))
