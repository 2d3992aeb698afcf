"""Guided scores of all items for a block of histories: the denoiser, the guide and the sampler."""

import numpy as np
import torch

from ._chain import Chain, mean_of_draws
from ._device import takes_bfloat16
from ._ranking import streamed_topk
from ._readout import TILE_ITEMS, tile_starts
from ._spaces import Bags


@torch.no_grad()
def guided_scores(denoiser, diffusion, X, keys, scale, settings):
    """Guided estimates for histories with weights `X`, n_samples draws averaged.

    Parameters
    ----------
    denoiser : Denoiser
    diffusion : Diffusion
    X : csr_array of float32, shape (n_rows, n_items)
        Weighted histories.
    keys : ndarray of uint64, shape (n_rows,), or None
        From which each row's random numbers come; not needed without `temperature`.
    scale : ndarray of float64, shape (n_rows,)
        Guidance scale of each row; empty rows are unconditional whatever it says.
    settings : SamplingSettings

    Returns
    -------
    scores : ndarray of float32, shape (n_rows, n_items)
    """
    scores = np.empty(X.shape, np.float32)
    for rows, chain in _chains(denoiser, diffusion, X, keys, scale, settings):
        _fill(scores, rows, chain.tiles(chain.last_estimate()))
    return scores


def _fill(scores, rows, tiles):
    """Write all tiles into ``scores[rows]``, an ndarray of float32."""
    n_items = scores.shape[1]
    buffer = torch.empty(tiles.n_rows, min(n_items, TILE_ITEMS), device=tiles.device)
    for start, stop in tile_starts(n_items):
        tiles(start, stop, buffer[:, : stop - start])
        scores[rows, start:stop] = buffer[: len(rows), : stop - start].cpu().numpy()


@torch.no_grad()
def guided_lists(denoiser, diffusion, X, keys, scale, settings, k, *, filter_seen, columns):
    """The k best items by `guided_scores`, which are never there as a whole.

    Parameters
    ----------
    denoiser, diffusion, X, keys, scale, settings
        As in `guided_scores`.
    k, filter_seen, columns
        As in `streamed_topk`; the items of `X` are the seen ones.

    Returns
    -------
    ids, top : ndarrays of int64 and float32, shape (n_rows, k)
        As from `masked_topk`.
    """
    ids, top = np.empty((X.shape[0], k), np.int64), np.empty((X.shape[0], k), np.float32)
    low_precision = takes_bfloat16(settings.precision, denoiser.null.device)
    for rows, chain in _chains(denoiser, diffusion, X, keys, scale, settings):
        seen = X[rows] if filter_seen else None
        tiles = chain.tiles(chain.last_estimate(), low_precision=low_precision)
        ids[rows], top[rows] = streamed_topk(tiles, X.shape[1], len(rows), k, seen, columns)
    return ids, top


@torch.no_grad()
def staged_scores(denoiser, diffusion, X, keys, scale, settings):
    """`guided_scores` after each sampling step, from the first to the last.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
    """
    stages = [
        (rows, chain, zip(*map(chain.estimates, range(settings.n_samples)), strict=True))
        for rows, chain in _chains(denoiser, diffusion, X, keys, scale, settings)
    ]
    for stage in range(settings.n_sampling_steps):
        scores = np.empty(X.shape, np.float32)
        for rows, chain, draws in stages:
            _fill(scores, rows, chain.tiles(mean_of_draws(next(draws)), stage))
        yield scores


def swept_scores(denoiser, diffusion, X, keys, scales, settings):
    """`guided_scores` at each of several scales, the same for all rows.

    After one step the estimate is affine in the scale: the two branches are computed once, and
    each scale costs a sum. Where a later step starts depends on the scale, so that with more steps
    each scale has a chain of its own.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
    """

    def at(scale):
        scale = np.full(X.shape[0], float(scale))
        return guided_scores(denoiser, diffusion, X, keys, scale, settings)

    if settings.n_sampling_steps > 1:
        yield from map(at, scales)
        return
    unconditional, conditional = at(0), at(1)
    lift = conditional - unconditional
    for scale in scales:
        if scale == 1:
            yield conditional.copy()
        else:
            yield unconditional + np.float32(scale) * lift


def _chains(denoiser, diffusion, X, keys, scale, settings):
    """(rows, chain) of the rows of each kind; empty rows are unconditional."""
    scale = np.where(np.diff(X.indptr) > 0, scale, 0.0)
    # Rows of one kind go together, so that the shapes a row meets do not depend on its company.
    for kind in (scale == 0, scale == 1, (scale != 0) & (scale != 1)):
        rows = np.flatnonzero(kind)
        if len(rows):
            of_rows = None if keys is None else keys[rows]
            yield rows, Chain(denoiser, diffusion, X[rows], of_rows, scale[rows], settings)


@torch.no_grad()
def path_scores(denoiser, X):
    """D·c of weighted histories, (n_rows, n_items), without its scale."""
    bags = Bags.from_csr(X, denoiser.null.device)
    return denoiser.path(bags).cpu().numpy()
