"""Guided scores of all items for a block of histories: the denoiser, the guide and the sampler."""

import numpy as np
import torch

from .._network.spaces import Bags
from .device import screens_in_bfloat16
from .ranking import streamed_topk
from .reverse_process import Chain, mean_of_draws
from .tiles import TILE_ITEMS, tile_starts


@torch.no_grad()
def guided_scores(denoiser, diffusion, X, keys, scale, settings, items=None):
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
    items : ndarray of int64, ascending, default=None
        The only ones to be scored; None is all.

    Returns
    -------
    scores : ndarray of float32, shape (n_rows, n_items), or (n_rows, len(items))
    """
    scores = _empty(X, items)
    for rows, chain in _chains(denoiser, diffusion, X, keys, scale, settings):
        _fill(scores, rows, chain.tiles(chain.last_estimate()), X.shape[1], items)
    return scores


@torch.no_grad()
def branch_scores(denoiser, diffusion, X, keys, scale, settings, items=None):
    """Conditional and unconditional scores that `guided_scores` are made of in the last step.

    Of rows without history both are the unconditional ones.

    Returns
    -------
    conditional, unconditional : ndarrays of float32, shape as of `guided_scores`
    """
    branches = _empty(X, items), _empty(X, items)
    for rows, chain in _chains(denoiser, diffusion, X, keys, scale, settings):
        for scores, of_branch, estimate in zip(
            branches, (1.0, 0.0), chain.last_branches(), strict=True
        ):
            _fill(scores, rows, chain.tiles(estimate, scale=of_branch), X.shape[1], items)
    conditional, unconditional = branches
    empty = np.diff(X.indptr) == 0
    conditional[empty] = unconditional[empty]
    return conditional, unconditional


@torch.no_grad()
def drawn_scores(denoiser, diffusion, X, keys, scale, settings, n_samples):
    """`guided_scores` of one draw after the other.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
    """
    settings = settings._replace(n_samples=1)
    chains = list(_chains(denoiser, diffusion, X, keys, scale, settings))
    for draw in range(n_samples):
        scores = np.empty(X.shape, np.float32)
        for rows, chain in chains:
            tiles = chain.tiles(chain.drawn_estimate(draw), draw=draw)
            _fill(scores, rows, tiles, X.shape[1])
        yield scores


def _empty(X, items):
    return np.empty((X.shape[0], X.shape[1] if items is None else len(items)), np.float32)


def _fill(scores, rows, tiles, n_items, items=None):
    """Write tiles into ``scores[rows]``, an ndarray of float32; those of `items` where given."""
    buffer = torch.empty(tiles.n_rows, min(n_items, TILE_ITEMS), device=tiles.device)
    for start, stop in tile_starts(n_items):
        tile, places, picked = buffer[:, : stop - start], slice(start, stop), slice(None)
        if items is not None:
            places = slice(*np.searchsorted(items, [start, stop]))
            picked = torch.from_numpy(items[places] - start).to(tiles.device)
            if not len(picked):
                continue
        tiles(start, stop, tile)
        scores[rows, places] = tile[: len(rows), picked].cpu().numpy()


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
    low_precision = screens_in_bfloat16(denoiser.null.device)
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
            _fill(scores, rows, chain.tiles(mean_of_draws(next(draws)), stage), X.shape[1])
        yield scores


def swept_scores(denoiser, diffusion, X, keys, scales, settings):
    """`guided_scores` at each of several scales, the same for all rows.

    After one step the estimate is affine in the scale: the two branches are computed once, and
    each scale costs a sum. Where a later step starts depends on the scale, so that with more steps
    each scale has a chain of its own.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
        May be overwritten by those of the next scale.
    """

    def at(scale):
        scale = np.full(X.shape[0], float(scale))
        return guided_scores(denoiser, diffusion, X, keys, scale, settings)

    if settings.n_sampling_steps > 1:
        yield from map(at, scales)
        return
    unconditional, conditional = at(0), at(1)
    lift, scores = conditional - unconditional, np.empty_like(conditional)
    for scale in scales:
        if scale == 1:
            scores[:] = conditional
        else:
            np.multiply(lift, np.float32(scale), out=scores)
            scores += unconditional
        yield scores


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
