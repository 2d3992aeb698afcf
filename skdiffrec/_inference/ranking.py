"""Top-k streamed over tiles of items: on the device, masked, in the order of `masked_topk`."""

import numpy as np
import torch
from torch.nn import functional as F

from .._network.spaces import to_device
from .._utils.topk import GROUP, masked_topk
from .tiles import tile_starts


def streamed_topk(tiles, n_items, n_rows, k, seen=None, columns=None):
    """The k best items of every row, from scores that come a tile at a time.

    Parameters
    ----------
    tiles : callable
        ``tiles(start, stop, out)`` writes the scores of items start to stop − 1 to `out`, float32
        (n_padded, stop − start) with ``n_padded = tiles.n_rows >= n_rows``;
        ``tiles.refined(start, stop, places, scores)`` then gives the exact ones of some places,
        (n_padded, m), of which the best k are in the best ``tiles.n_screened(k)``; where
        ``tiles.exact``, these are what was written.
    n_items, n_rows, k : int
    seen : csr_array of shape (n_rows, n_items), default=None
        Stored entries are never returned.
    columns : ndarray of int64, ascending, default=None
        The only items that may be returned; None means all.

    Returns
    -------
    ids : ndarray of int64, shape (n_rows, k)
        -1 where no item is left.
    top : ndarray of float32, shape (n_rows, k)
        -inf where no item is left.
    """
    mask = Mask(seen, columns, n_items, tiles.device)
    widest = min(n_items, tile_starts(n_items)[0][1])
    buffer = torch.empty(tiles.n_rows, widest, device=tiles.device)
    ids = top = None
    for start, stop in tile_starts(n_items):
        scores = buffer[:, : stop - start]
        tiles(start, stop, scores)
        mask(scores, start, stop)
        found = None
        if tiles.exact and ids is not None and ids.shape[1] == k and stop - start >= GROUP:
            found = above(scores, top[:, -1:], most=2 * k)
        if found is None:
            places, best = largest(scores, min(tiles.n_screened(k), stop - start))
            found = places, tiles.refined(start, stop, places, best)
        places, best = found
        if ids is not None:
            places, best = torch.cat([ids, places + start], 1), torch.cat([top, best], 1)
        ids, top = by_score(places, best, k)
    return _filled(ids[:n_rows], top[:n_rows], k)


class Mask:
    """-inf in place of the scores of items that may not be returned."""

    def __init__(self, seen, columns, n_items, device):
        self.rows = self.items = self.banned = None
        if seen is not None:
            rows = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
            order = np.argsort(seen.indices, kind="stable")
            self.items = seen.indices[order]
            self.entries = to_device(np.stack([rows[order], self.items]).astype(np.int64), device)
        if columns is not None:
            banned = np.ones(n_items, bool)
            banned[columns] = False
            self.banned = to_device(banned, device)

    def __call__(self, scores, start, stop):
        """Change `scores` (n_padded, stop − start) of a tile in place."""
        if self.items is not None:
            here = slice(*np.searchsorted(self.items, [start, stop]))
            rows, items = self.entries[:, here]
            scores[rows, items - start] = -torch.inf
        if self.banned is not None:
            scores.masked_fill_(self.banned[start:stop], -torch.inf)


def largest(scores, k):
    """(places, values) of the k largest scores of every row, by ascending place.

    Of equal ones those at lower places. The k largest are found among the columns of those k
    groups whose own largest are the largest: one pass for the largest of every group, and a choice
    among a few candidates.
    """
    places = _candidates(scores, k)
    values = scores if places is None else scores.gather(1, places)
    n_candidates = min(k + 1, values.shape[1])
    values, chosen = values.topk(n_candidates)
    places = chosen if places is None else places.gather(1, chosen)
    # topk keeps any of several equal scores: where the first left out ties, all must be looked at
    tied = None
    if n_candidates > k:
        tied = values[:, k - 1] == values[:, k]
        tied &= values[:, k] > -torch.inf
    places, order = places[:, :k].sort(dim=1)
    values = values[:, :k].gather(1, order)
    if tied is not None and tied.any():
        found, _ = masked_topk(scores[tied].cpu().numpy(), k)
        found = torch.from_numpy(found).to(places).sort(dim=1).values
        places[tied], values[tied] = found, scores[tied].gather(1, found)
    return places, values


def _groups(scores):
    """(the largest score of every group (n, n_groups), first column of a group's `GROUP`)."""
    n_groups = scores.shape[1] // GROUP
    grouped = scores[:, : n_groups * GROUP].unflatten(1, (GROUP, n_groups))
    return grouped.amax(1), torch.arange(0, n_groups * GROUP, n_groups, device=scores.device)


def _candidates(scores, k):
    """Columns (n, m) among which are those of the k + 1 largest scores; None is all."""
    n, width = scores.shape
    if width // GROUP < 4 * (k + 1):
        return None
    best, first = _groups(scores)
    columns = (best.topk(k + 1).indices[:, :, None] + first).flatten(1)
    rest = torch.arange(best.shape[1] * GROUP, width, device=scores.device)
    return torch.cat([columns, rest.expand(n, -1)], dim=1)


def above(scores, floor, most):
    """(places, values) of the scores above `floor` (n, 1), by ascending place, -inf behind them.

    Later tiles of a catalogue have few of these, which one pass over groups finds; None where they
    are more than `most` a row on average.
    """
    n, width = scores.shape
    best, first = _groups(scores)
    rows, group = torch.nonzero(best > floor, as_tuple=True)
    if len(rows) > n * most:
        return None
    columns = group[:, None] + first
    rest = torch.arange(best.shape[1] * GROUP, width, device=scores.device)
    rows = torch.cat(
        [
            rows.repeat_interleave(GROUP),
            torch.arange(n, device=rows.device).repeat_interleave(len(rest)),
        ]
    )
    columns = torch.cat([columns.ravel(), rest.repeat(n)])
    values = scores[rows, columns]
    kept = values > floor[rows, 0]
    rows, columns, values = rows[kept], columns[kept], values[kept]
    order = torch.argsort(rows * width + columns)
    rows, columns, values = rows[order], columns[order], values[order]
    counts = torch.bincount(rows, minlength=n)
    rank = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    shape = n, int(counts.max())
    places = torch.zeros(shape, dtype=torch.int64, device=rows.device)
    padded = torch.full(shape, -torch.inf, device=rows.device)
    places[rows, rank], padded[rows, rank] = columns, values
    return places, padded


def by_score(ids, scores, k):
    """The k best of candidates whose equal scores stand by ascending id."""
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    return ids.gather(1, order[:, :k]), scores[:, :k]


def _filled(ids, top, k):
    """As NumPy arrays of k columns, -1 where no item is left."""
    missing = k - ids.shape[1]
    ids = ids.masked_fill(top == -torch.inf, -1)
    ids, top = F.pad(ids, (0, missing), value=-1), F.pad(top, (0, missing), value=-torch.inf)
    return ids.cpu().numpy(), top.cpu().numpy()
