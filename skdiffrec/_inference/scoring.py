"""Guided scores of all items for a batch of users, in the forms that questions to a model need.

In all functions `model` is a FittedModel, `known` are UserRows whose histories its reader has read
(a csr_array of these alone will do), `keys` that from which each row's random numbers come (ndarray
of uint64, shape (n_rows,), or None without `temperature`), `scale` the guidance scales (ndarray of
float64, shape (n_rows, n_conditions), or (n_rows,) for the same of all conditions; what is not
known of a row has no effect whatever its scale) and `settings` a SamplingSettings.
"""

from itertools import pairwise

import numpy as np
import torch

from .._network.sparse_rows import UserRows
from .._utils.host_state import in_own_state
from .ranking import tile_starts, widest_tile
from .reverse_process import mean_of_several, reverse_processes


@in_own_state()
def guided_scores(model, known, keys, scale, settings, items=None):
    """Guided estimates, the mean over the draws.

    Parameters
    ----------
    model, known, keys, scale, settings
        See the module's docstring.
    items : ndarray of int64, ascending, default=None
        The only ones to be scored; None is all.

    Returns
    -------
    scores : ndarray of float32, shape (n_rows, n_items), or (n_rows, len(items))
    """
    scores = _empty(known, items)
    for rows, process in reverse_processes(model, known, keys, scale, settings):
        tiles = process.tiles(process.last_estimate())
        _fill(scores, rows, tiles, known.shape[1], items)
    return scores


@in_own_state()
def branch_scores(model, known, keys, scale, settings, items=None):
    """Scores of the branches that `guided_scores` are made of in the last step.

    Returns
    -------
    branches : ndarray of float32, shape (n_conditions + 1, *that of `guided_scores`)
        The unconditional ones first; every branch knows one more condition. What is not known of a
        row changes nothing.
    """
    known, conditions = UserRows.of(known), model.conditions
    branches = np.empty((len(conditions) + 1, *_empty(known, items).shape), np.float32)
    processes = reverse_processes(model, known, keys, scale, settings, by_known=True)
    for rows, process in processes:
        for j, estimate in enumerate(process.last_branches()):
            tiles = process.tiles(estimate, branch=j)
            _fill(branches[j], rows, tiles, known.shape[1], items)
    for j, condition in enumerate(conditions, start=1):
        missing = ~known.known(condition)
        branches[j, missing] = branches[j - 1, missing]
    return branches


@in_own_state()
def drawn_scores(model, known, keys, scale, settings, n_draws):
    """`guided_scores` of one draw after the other.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
    """
    settings = settings._replace(n_draws=1)
    processes = list(reverse_processes(model, known, keys, scale, settings))
    for draw in range(n_draws):
        scores = np.empty(known.shape, np.float32)
        for rows, process in processes:
            tiles = process.tiles(process.drawn_estimate(draw), draw=draw)
            _fill(scores, rows, tiles, known.shape[1])
        yield scores


@in_own_state()
def staged_scores(model, known, keys, scale, settings):
    """`guided_scores` after each sampling step, from the first to the last.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
    """
    stages = [
        (rows, process, mean_of_several(map(process.estimates, range(settings.n_draws))))
        for rows, process in reverse_processes(model, known, keys, scale, settings)
    ]
    for step in range(settings.n_sampling_steps):
        scores = np.empty(known.shape, np.float32)
        for rows, process, estimates in stages:
            tiles = process.tiles(estimates[step], step)
            _fill(scores, rows, tiles, known.shape[1])
        yield scores


def swept_scores(model, known, keys, scales, settings):
    """`guided_scores` at each of several scales, the same for all rows.

    `scales` are floats, or ndarrays with one for each condition. After one step the estimate is
    affine in them: the branches are computed once, and each scale costs a sum. Where a later step
    starts depends on the scale, so that with more steps each has a reverse process of its own.

    Yields
    ------
    scores : ndarray of float32, shape (n_rows, n_items)
        May be overwritten by those of the next scale.
    """

    n_conditions = len(model.conditions)

    def at(scale):
        scale = np.broadcast_to(np.asarray(scale, np.float64), (known.shape[0], n_conditions))
        return guided_scores(model, known, keys, scale, settings)

    if settings.n_sampling_steps > 1:
        yield from map(at, scales)
        return
    branches = [at(row) for row in np.tri(n_conditions + 1, n_conditions, -1)]
    lifts = [above - below for below, above in pairwise(branches)]
    scores = np.empty_like(branches[0])
    for scale in scales:
        if np.all(scale == 1.0):
            scores[:] = branches[-1]
        else:
            factors = np.broadcast_to(np.asarray(scale, np.float32), n_conditions)
            np.multiply(lifts[0], factors[0], out=scores)
            for lift, factor in zip(lifts[1:], factors[1:], strict=True):
                scores += factor * lift
            scores += branches[0]
        yield scores


def _empty(known, items):
    n_items = known.shape[1] if items is None else len(items)
    return np.empty((known.shape[0], n_items), np.float32)


def _fill(scores, rows, tiles, n_items, items=None):
    """Write tiles into ``scores[rows]``, an ndarray of float32; those of `items` where given."""
    widest = widest_tile(n_items)
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
