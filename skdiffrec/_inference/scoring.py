"""Guided scores of all items for a batch of histories, in the forms that questions to a model need.

In all functions `model` is a FittedModel, `history` what its reader made of canonical rows
(csr_array of float32, shape (n_rows, n_items)), `keys` that from which each row's random numbers
come (ndarray of uint64, shape (n_rows,), or None without `temperature`), `scale` the guidance scale
of each row (ndarray of float64, shape (n_rows,); empty rows are unconditional whatever it is) and
`settings` a SamplingSettings.
"""

import numpy as np
import torch

from .host_state import in_own_state
from .ranking import TILE_ITEMS, tile_starts
from .reverse_process import mean_of_draws, reverse_processes


@in_own_state()
def guided_scores(model, history, keys, scale, settings, items=None):
    """Guided estimates, the mean over the draws.

    Parameters
    ----------
    model, history, keys, scale, settings
        See the module's docstring.
    items : ndarray of int64, ascending, default=None
        The only ones to be scored; None is all.

    Returns
    -------
    scores : ndarray of float32, shape (n_rows, n_items), or (n_rows, len(items))
    """
    scores = _empty(history, items)
    for rows, process in reverse_processes(model, history, keys, scale, settings):
        tiles = process.tiles(process.last_estimate())
        _fill(scores, rows, tiles, history.shape[1], items)
    return scores


@in_own_state()
def branch_scores(model, history, keys, scale, settings, items=None):
    """Conditional and unconditional scores that `guided_scores` are made of in the last step.

    Of rows without history both are the unconditional ones.

    Returns
    -------
    conditional, unconditional : ndarrays of float32, shape as of `guided_scores`
    """
    branches = _empty(history, items), _empty(history, items)
    for rows, process in reverse_processes(model, history, keys, scale, settings):
        for scores, of_branch, estimate in zip(
            branches, (1.0, 0.0), process.last_branches(), strict=True
        ):
            tiles = process.tiles(estimate, scale=of_branch)
            _fill(scores, rows, tiles, history.shape[1], items)
    conditional, unconditional = branches
    empty = np.diff(history.indptr) == 0
    conditional[empty] = unconditional[empty]
    return conditional, unconditional


@in_own_state()
def drawn_scores(model, history, keys, scale, settings, n_draws):
    """`guided_scores` of one draw after the other.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
    """
    settings = settings._replace(n_draws=1)
    processes = list(reverse_processes(model, history, keys, scale, settings))
    for draw in range(n_draws):
        scores = np.empty(history.shape, np.float32)
        for rows, process in processes:
            tiles = process.tiles(process.drawn_estimate(draw), draw=draw)
            _fill(scores, rows, tiles, history.shape[1])
        yield scores


@in_own_state()
def staged_scores(model, history, keys, scale, settings):
    """`guided_scores` after each sampling step, from the first to the last.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
    """
    stages = [
        (rows, process, zip(*map(process.estimates, range(settings.n_draws)), strict=True))
        for rows, process in reverse_processes(model, history, keys, scale, settings)
    ]
    for step in range(settings.n_sampling_steps):
        scores = np.empty(history.shape, np.float32)
        for rows, process, draws in stages:
            tiles = process.tiles(mean_of_draws(next(draws)), step)
            _fill(scores, rows, tiles, history.shape[1])
        yield scores


def swept_scores(model, history, keys, scales, settings):
    """`guided_scores` at each of several scales, the same for all rows.

    After one step the estimate is affine in the scale: the two branches are computed once, and
    each scale costs a sum. Where a later step starts depends on the scale, so that with more steps
    each scale has a reverse process of its own.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
        May be overwritten by those of the next scale.
    """

    def at(scale):
        scale = np.full(history.shape[0], float(scale))
        return guided_scores(model, history, keys, scale, settings)

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


def _empty(history, items):
    n_items = history.shape[1] if items is None else len(items)
    return np.empty((history.shape[0], n_items), np.float32)


def _fill(scores, rows, tiles, n_items, items=None):
    """Write tiles into ``scores[rows]``, an ndarray of float32; those of `items` where given."""
    widest = min(n_items, TILE_ITEMS)
    buffer = torch.empty(tiles.n_rows, widest, dtype=torch.float32, device=tiles.device)
    for start, stop in tile_starts(n_items):
        tile, places, picked = buffer[:, : stop - start], slice(start, stop), slice(None)
        if items is not None:
            places = slice(*np.searchsorted(items, [start, stop]))
            picked = torch.from_numpy(items[places] - start).to(tiles.device)
            if not len(picked):
                continue
        tiles.write(start, stop, tile)
        scores[rows, places] = tile[: len(rows), picked].cpu().numpy()
